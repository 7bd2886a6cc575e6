"""Made-up histories: items of about 450 bytes, as a user and the SDK's agent would leave them.

Their words are those of real conversations, drawn as often as they occur there but in no order, so
that texts compress about as well as real ones that nobody has seen before.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, cast

from agents import TResponseInputItem

Items = list[TResponseInputItem]

SEED = 20_261
ITEM_BYTES = 450

_CONVERSATIONS = Path(__file__).parents[1] / "demo" / "data" / "airline_conversations.jsonl"


class Histories:
    """An endless source of items, the same for each seed."""

    def __init__(self, seed: int = SEED) -> None:
        self._rng = Random(seed)
        self._words = _words()

    def items(self, count: int) -> Items:
        """`count` items: a user's message, the agent's answer, and so on."""
        return [self._item(number) for number in range(count)]

    def turn(self) -> tuple[Items, Items]:
        """What a user says, and what the agent answers."""
        question, answer = self.items(2)
        return [question], [answer]

    def _item(self, number: int) -> TResponseInputItem:
        item = self._answer("") if number % 2 else _question("")
        text = self._text(ITEM_BYTES - len(json.dumps(item, separators=(",", ":"))))
        item = {**item, "content": [_part(text)]} if number % 2 else _question(text)
        return cast(TResponseInputItem, item)

    def _answer(self, text: str) -> dict[str, Any]:
        return {
            "id": f"msg_{self._rng.getrandbits(128):032x}",
            "content": [_part(text)],
            "role": "assistant",
            "status": "completed",
            "type": "message",
        }

    def _text(self, length: int) -> str:
        words: list[str] = []
        while sum(map(len, words)) + len(words) < length:
            words.append(self._rng.choice(self._words))
        return " ".join(words)[:length]


def _question(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _part(text: str) -> dict[str, Any]:
    return {"annotations": [], "text": text, "type": "output_text", "logprobs": []}


@cache
def _words() -> list[str]:
    """All words that customers said, as often as they said them; those of plain letters."""
    lines = _CONVERSATIONS.read_text(encoding="utf-8").splitlines()
    said = (turn["input"] for line in lines for turn in json.loads(line)["turns"])
    return [word for text in said for word in text.split() if word.isascii()]
