"""Which part of an answer each of a turn's events is, for the wires that send it in steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from turnwise.http.wires.steps import Chunk, Steps
from turnwise.types import PendingApproval

T = TypeVar("T")


class AnswerEncoder(ABC, Generic[T]):
    """Turns the events of `answers.answer` into what one dialect sends."""

    _steps: Steps

    def encode(self, event_id: str, event: Mapping[str, Any]) -> list[T]:
        """What an event adds for the client."""
        kind = event["type"]
        if kind in ("turn.reset", "turn.begun", "turn.resumed"):
            return self._begin_again(since_start=kind == "turn.reset")
        if kind == "raw_response_event":
            return self._add(self._steps.response(event["data"]))
        if kind == "run_item_stream_event":
            return self._add(self._steps.item(event["item"]["raw_item"]))
        if kind == "turn.items":
            return self._items(event["items"])
        if kind == "turn.parked":
            return self._parked(event_id, event.get("pending", ()))
        if kind == "turn.finished":
            return self._finished(event)
        return self._failed(event) if kind == "turn.stopped" else []

    @abstractmethod
    def _add(self, chunks: Iterable[Chunk]) -> list[T]:
        """More of the answer."""

    @abstractmethod
    def _begin_again(self, *, since_start: bool) -> list[T]:
        """What was sent may be void, back to the start or to what came before this attempt."""

    @abstractmethod
    def _items(self, items: Iterable[Mapping[str, Any]]) -> list[T]:
        """All of the answer, whose events are gone."""

    @abstractmethod
    def _parked(self, event_id: str, pending: Sequence[PendingApproval]) -> list[T]:
        """The turn waits for these approvals; for none if it went on since."""

    @abstractmethod
    def _finished(self, event: Mapping[str, Any]) -> list[T]:
        """The turn is committed, cancelled or dead."""

    @abstractmethod
    def _failed(self, event: Mapping[str, Any]) -> list[T]:
        """The turn failed, and its session is stopped at it."""
