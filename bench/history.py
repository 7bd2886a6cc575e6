"""Made-up histories: items of about 450 bytes, as a user and the SDK's agent would leave them."""

from __future__ import annotations

import json
from random import Random
from typing import Any, cast

from agents import TResponseInputItem

Items = list[TResponseInputItem]

SEED = 20_261
ITEM_BYTES = 450

_SYLLABLES = [first + last for first in "bdfgklmnprstvz" for last in "aeiou"]


class Histories:
    """An endless source of items, the same for each seed."""

    def __init__(self, seed: int = SEED) -> None:
        self._rng = Random(seed)
        self._words = [self._word() for _ in range(4_000)]

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
            # Few words are frequent and many are rare, as in any language.
            words.append(self._words[int(len(self._words) * self._rng.random() ** 3)])
        return " ".join(words)[:length]

    def _word(self) -> str:
        return "".join(self._rng.choices(_SYLLABLES, k=self._rng.randint(1, 4)))


def _question(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _part(text: str) -> dict[str, Any]:
    return {"annotations": [], "text": text, "type": "output_text", "logprobs": []}
