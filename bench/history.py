"""Synthetic histories: items of about 450 bytes, in the shape of a user's and an SDK agent's.

Their words are drawn at random from real conversations, with the frequency that they have there, so
that the texts compress about as well as real ones.
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


class HistoryGenerator:
    """Generates items; the same seed gives the same items."""

    def __init__(self, seed: int = SEED) -> None:
        self._rng = Random(seed)
        self._words = _words()

    def items(self, count: int) -> Items:
        """`count` items, alternately a user's message and an agent's answer."""
        return [self._item(number) for number in range(count)]

    def turn(self) -> tuple[Items, Items]:
        """The items of one turn: those of the user, and those of the agent."""
        message, answer = self.items(2)
        return [message], [answer]

    def _item(self, number: int) -> TResponseInputItem:
        item = self._answer("") if number % 2 else _message("")
        text = self._text(ITEM_BYTES - len(json.dumps(item, separators=(",", ":"))))
        item = {**item, "content": [_part(text)]} if number % 2 else _message(text)
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


def _message(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _part(text: str) -> dict[str, Any]:
    return {"annotations": [], "text": text, "type": "output_text", "logprobs": []}


@cache
def _words() -> list[str]:
    """Every ASCII word that a customer wrote, repeated as often as it occurs."""
    lines = _CONVERSATIONS.read_text(encoding="utf-8").splitlines()
    texts = (turn["input"] for line in lines for turn in json.loads(line)["turns"])
    return [word for text in texts for word in text.split() if word.isascii()]
