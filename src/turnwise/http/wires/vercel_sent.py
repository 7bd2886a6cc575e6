"""What a client holds of an answer, when another attempt gives the answer again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from turnwise.http.wires.steps import Chunk

_PIECES = {
    "text-delta": "delta",
    "reasoning-delta": "delta",
    "tool-input-delta": "inputTextDelta",
}
"""Chunks that are pieces of a text, and where they have it."""


class Diverged(Exception):
    """The attempt says something else than what the client holds.

    Attributes:
        chunk: What it says, beyond what the client holds.
    """

    def __init__(self, chunk: Chunk) -> None:
        super().__init__(chunk)
        self.chunk = chunk


@dataclass(slots=True)
class _Held:
    """A chunk that the client holds; of pieces that follow each other, the text as a whole."""

    chunk: Chunk
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        if len(self.texts) > 1:
            self.texts = ["".join(self.texts)]
        return self.texts[0] if self.texts else ""

    def whole(self) -> Chunk:
        return _joined(self.chunk, _PIECES.get(self.chunk["type"]), self.text)


class Sent:
    """Remembers what was sent, and lets through what the client lacks.

    What a dead worker had finished, the next attempt says again, word for word, if perhaps in other
    pieces. Only what was under way may come out differently.
    """

    def __init__(self) -> None:
        self._said: list[_Held] = []
        """What the client holds and the current attempt has said."""
        self._due: deque[_Held] = deque()
        """What else the client holds."""
        self._offset = 0
        """How much of the first one's text the current attempt has said."""

    def __bool__(self) -> bool:
        """Whether the client holds anything."""
        return bool(self._said or self._due)

    def say_again(self) -> None:
        """Another attempt begins."""
        self._due.extendleft(reversed(self._said))
        self._said, self._offset = [], 0

    def lacking(self, chunk: Chunk) -> Chunk | None:
        """What the client lacks of a chunk; None if nothing.

        Raises:
            Diverged: It does not follow what the client holds.
        """
        name = _PIECES.get(chunk["type"])
        bare, text = _parted(chunk, name)
        while self._due and (text or name is None):
            held = self._due[0]
            if held.chunk != bare:
                raise Diverged(_joined(bare, name, text))
            if name is None:
                self._said.append(self._due.popleft())
                return None
            left = held.text[self._offset :]
            if left.startswith(text):
                self._offset, text = self._offset + len(text), ""
            elif text.startswith(left):
                text = text[len(left) :]
                self._offset = len(held.text)
            else:
                raise Diverged(_joined(bare, name, text))
            if self._offset == len(held.text):
                self._said.append(self._due.popleft())
                self._offset = 0
        if name is None:
            self._said.append(_Held(chunk))
            return chunk
        if text:
            self._add(bare, text)
            return _joined(bare, name, text)
        return None

    def drop_step(self) -> list[Chunk] | None:
        """Forget what the client holds beyond what was said.

        Returns:
            What was said since the last step began: the client is to drop that step, and to get
            this again. None if the client holds more than that step, so that dropping it is not
            enough.
        """
        if any(held.chunk["type"] == "start-step" for held in self._due):
            return None
        starts = (n for n in reversed(range(len(self._said))) if self._is_start(n))
        start = next(starts, None)
        if start is None:
            return None
        again = [held.whole() for held in self._said[start + 1 :]]
        if self._offset:
            first = self._due[0]
            self._said.append(_Held(first.chunk, [first.text[: self._offset]]))
            again.append(self._said[-1].whole())
        self._due.clear()
        self._offset = 0
        return again

    def unfinished_inputs(self) -> list[Chunk]:
        """The calls of which the client holds only the beginning."""
        held = [each.chunk for each in [*self._said, *self._due]]
        done = {each["toolCallId"] for each in held if each["type"] == "tool-input-available"}
        begun = [each for each in held if each["type"] == "tool-input-start"]
        return [each for each in begun if each["toolCallId"] not in done]

    def _is_start(self, number: int) -> bool:
        return bool(self._said[number].chunk["type"] == "start-step")

    def _add(self, bare: Chunk, text: str) -> None:
        if self._said and self._said[-1].chunk == bare:
            self._said[-1].texts.append(text)
        else:
            self._said.append(_Held(bare, [text]))


def _parted(chunk: Chunk, name: str | None) -> tuple[Chunk, str]:
    """The chunk without its text, and the text."""
    if name is None:
        return chunk, ""
    return {key: value for key, value in chunk.items() if key != name}, chunk[name]


def _joined(bare: Chunk, name: str | None, text: str) -> Chunk:
    return bare if name is None else {**bare, name: text}
