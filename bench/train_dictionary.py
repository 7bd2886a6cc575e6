"""`python -m bench.train_dictionary`: trains the dictionary that `turnwise.codec` compresses with.

The training data are the real conversations in demo/data and synthetic items (`item_shapes`), so
that items of other applications compress well too. Sizes are measured on held-out conversations,
split by task: training sees no conversation about a measured task, but others of the same agent. A
second measurement, of a dictionary trained without any conversation, stands for unknown agents.

A dictionary is part of the storage format, so this never overwrites one. Training is deterministic
for one release of zstd.
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
    training, held_out = conversations()
    synthetic = synthetic_items(seed=1, count=4000)
    other_synthetic = synthetic_items(seed=2, count=1000)
    print("stored bytes in percent of the JSON (each item compressed by itself)")
    print("KiB   held-out conversations   other synthetic items")
    print(f"  0   {_percent(None, held_out)}{_percent(None, other_synthetic):>24}")
    for size in SIZES:
        trained = train(size, training + synthetic)
        print(f"{size:3}   {_percent(trained, held_out)}{_percent(trained, other_synthetic):>24}")
    trained = train(CHOSEN, training + held_out + synthetic)
    generic = train(CHOSEN, synthetic)
    print(f"{CHOSEN} KiB, as shipped, all conversations: {_percent(trained, training + held_out)}")
    print(f"{CHOSEN} KiB, trained without any conversation: {_percent(generic, held_out)}")
    return save(trained.as_bytes())


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


def synthetic_items(*, seed: int, count: int) -> list[bytes]:
    return [dump(item) for item in Shapes(seed).items(count)]


def train(kib: int, texts: Sequence[bytes]) -> zstandard.ZstdCompressionDict:
    return zstandard.train_dictionary(kib * 1024, list(texts), level=LEVEL)


def _percent(dictionary: zstandard.ZstdCompressionDict | None, texts: list[bytes]) -> str:
    compressor = zstandard.ZstdCompressor(
        level=LEVEL, dict_data=dictionary, write_checksum=False, write_dict_id=False
    )
    stored = sum(min(len(text), 1 + len(compressor.compress(text))) for text in texts)
    return f"{100 * stored / sum(map(len, texts)):.1f} %"


def save(trained: bytes) -> int:
    """Write the dictionary if there is none; else print whether the existing one is the same."""
    if not DICTIONARY.exists():
        DICTIONARY.write_bytes(trained)
        print(f"wrote {DICTIONARY} ({len(trained)} bytes)")
        return 0
    if DICTIONARY.read_bytes() == trained:
        print(f"{DICTIONARY.name} equals the trained one")
        return 0
    print(
        f"{DICTIONARY.name} differs from the trained one; it is kept, since stored items need it. "
        "A new dictionary needs a new name and a new first byte in turnwise/codec/zstd.py",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
