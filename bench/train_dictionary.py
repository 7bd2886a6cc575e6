"""`python -m bench.train_dictionary`: the dictionary that `turnwise.codec` compresses with.

It learns from the real conversations in demo/data and from made-up items (`item_shapes`), so that
items of other applications gain as well. Sizes are measured with half of the conversations held
out, by task: no conversation about a measured task was seen in training, but others of the same
agent were. What an agent unlike any seen would get is measured too, without any conversation.

A dictionary is part of the storage format, so this never overwrites one. It is deterministic for
one release of zstd.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import zstandard

import turnwise.codec
from bench.item_shapes import Shapes
from turnwise.codec.jsons import dump

CONVERSATIONS = Path(__file__).parents[1] / "demo" / "data" / "airline_conversations.jsonl"
DICTIONARY = Path(turnwise.codec.__file__).with_name("items-1.zdict")
SIZES = (8, 16, 24, 32, 48)  # KiB
CHOSEN = 32
LEVEL = 3


def main() -> int:
    learned, held_out = conversations()
    made_up, others = made_up_items(seed=1, count=4000), made_up_items(seed=2, count=1000)
    print("bytes stored, in percent of the JSON (each item compressed by itself)")
    print("KiB   held-out conversations   other made-up items")
    print(f"  0   {_percent(None, held_out)}{_percent(None, others):>24}")
    for size in SIZES:
        trained = train(size, learned + made_up)
        print(f"{size:3}   {_percent(trained, held_out)}{_percent(trained, others):>24}")
    trained = train(CHOSEN, learned + held_out + made_up)
    generic = train(CHOSEN, made_up)
    print(f"{CHOSEN} KiB, as shipped, all conversations: {_percent(trained, learned + held_out)}")
    print(f"{CHOSEN} KiB, trained without any conversation: {_percent(generic, held_out)}")
    return keep(trained.as_bytes())


def conversations() -> tuple[list[bytes], list[bytes]]:
    """The items of the conversations about even tasks, and those about odd ones, as JSON."""
    halves: tuple[list[bytes], list[bytes]] = [], []
    for line in CONVERSATIONS.read_text(encoding="utf-8").splitlines():
        conversation = json.loads(line)
        _, task, _ = conversation["id"].split("-")
        halves[int(task) % 2].extend(map(dump, _items(conversation)))
    return halves


def _items(conversation: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for turn in conversation["turns"]:
        yield {"content": turn["input"], "role": "user"}
        yield from turn["output"]


def made_up_items(*, seed: int, count: int) -> list[bytes]:
    return [dump(item) for item in Shapes(seed).items(count)]


def train(kib: int, texts: Sequence[bytes]) -> zstandard.ZstdCompressionDict:
    return zstandard.train_dictionary(kib * 1024, list(texts), level=LEVEL)


def _percent(dictionary: zstandard.ZstdCompressionDict | None, texts: list[bytes]) -> str:
    compressor = zstandard.ZstdCompressor(
        level=LEVEL, dict_data=dictionary, write_checksum=False, write_dict_id=False
    )
    stored = sum(min(len(text), 1 + len(compressor.compress(text))) for text in texts)
    return f"{100 * stored / sum(map(len, texts)):.1f} %"


def keep(trained: bytes) -> int:
    """Write the dictionary if there is none; say whether an existing one is the same."""
    if not DICTIONARY.exists():
        DICTIONARY.write_bytes(trained)
        print(f"wrote {DICTIONARY} ({len(trained)} bytes)")
        return 0
    if DICTIONARY.read_bytes() == trained:
        print(f"{DICTIONARY.name} is what this training gives")
        return 0
    print(
        f"{DICTIONARY.name} is not what this training gives; it stays, since stored items need it. "
        "A new dictionary needs a new name and a new first byte in turnwise/codec/zstd.py",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
