"""A turn from the queue that was approved tells on, behind what it told before it waited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from agents import RunItem, StreamEvent

from turnwise.background.event_publisher import EventPublisher, Told, of_stream
from turnwise.durable.sdk import item_events
from turnwise.errors import LeaseLost, SessionGone, StoreError, StoreUnavailable, TurnCancelled
from turnwise.journal_entries import ParkedEntry
from turnwise.stores.event_log import event_id, parse_event_id
from turnwise.turns import Park, Runtime, Turn

_NOT_OURS = (LeaseLost, SessionGone, StoreUnavailable)


class ResumedEvents:
    """One resumption of a turn. Of a turn that is no message's nobody is told anything."""

    def __init__(self, runtime: Runtime, turn: Turn) -> None:
        self._runtime = runtime
        self._turn = turn
        self._telling: EventPublisher | None = None

    async def begin(self, entry: ParkedEntry) -> None:
        """It goes on from this entry, by which it waited."""
        if entry.event is None:
            return
        names = self._turn.session_id, self._turn.turn_id
        attempt, number = entry.event
        number = await _following(self._runtime, *names, attempt, number)
        self._telling = EventPublisher(self._runtime, *names, attempt, number)
        self._telling.note({"type": "turn.resumed"})

    def put_nowait(self, event: StreamEvent) -> None:
        """Tell an event of the run's stream."""
        if self._telling is not None:
            self._telling.note(of_stream(event))

    def tell_items(self, new: Sequence[RunItem], before: Sequence[RunItem]) -> None:
        """Tell what a run without a stream has made, but for what it had made `before`."""
        known = {id(item) for item in before}
        for event in item_events([item for item in new if id(item) not in known]):
            self.put_nowait(event)

    def next_event(self) -> tuple[int, int] | None:
        """The attempt and number of its next event; None if it publishes none."""
        return None if self._telling is None else self._telling.place

    @asynccontextmanager
    async def ending(self, error: BaseException | None = None) -> AsyncIterator[None]:
        """The block in which the turn ends, after this error if there was one; then that is told.

        An error that the block raises is not told before the block has ended.
        """
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            if self._telling is not None:
                event = _ending(self._turn, error)
                last = event is not None and event["type"] == "turn.finished"
                await self._telling.end(event, last=last)


def _ending(turn: Turn, error: BaseException | None) -> Told | None:
    """How a turn ended; nothing where somebody else may have gone on with it."""
    if error is None and isinstance(turn.outcome, Park):
        return {"type": "turn.waiting"}
    if error is None:
        return {"type": "turn.finished", "state": "committed"}
    if isinstance(error, TurnCancelled):
        return {"type": "turn.finished", "state": "cancelled"}
    if isinstance(error, _NOT_OURS):
        return None
    return {"type": "turn.retry", "error": type(error).__name__}


async def _following(
    runtime: Runtime, session_id: str, turn_id: str, attempt: int, number: int
) -> int:
    """The number after the last event of the attempt, which waited with event `number`.

    Behind it there is what resumptions told that did not come to their ends.
    """
    place: str | None = event_id(attempt, number)
    following = number + 1
    with suppress(StoreError):
        while (told := await runtime.store.events.read(session_id, turn_id, place)).events:
            place = told.events[-1].id
            if parse_event_id(place)[0] == attempt:
                following = parse_event_id(place)[1] + 1
    return following
