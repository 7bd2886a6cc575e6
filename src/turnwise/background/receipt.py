"""What a sender holds of a submitted message: its status, its events and its result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agents import Agent, RunResult

from turnwise.background import dead_letters
from turnwise.call_pairs import paired
from turnwise.errors import (
    AlreadyCommitted,
    BusyTimeout,
    DeadLettered,
    SessionGone,
    TurnwiseError,
    UndecodableJournal,
)
from turnwise.journal_entries import ParkedEntry, read_parked
from turnwise.results import RebuiltRun
from turnwise.turns import (
    POLL_INTERVAL,
    Backoff,
    Runtime,
    TurnEndWaiter,
    approval_pending,
    finished_turn_error,
    reason_in,
)
from turnwise.types import Absent, Duplicate, Parked, Queued
from turnwise.types import Running as Open

State = Literal[
    "queued", "running", "waiting", "stopped", "committed", "cancelled", "dead", "unknown"
]
RESET = "turn.reset"


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a turn so far.

    - "queued": its message waits, `position` others before it; `attempts` of it have failed
    - "running": `worker` runs it, in its `attempt`; not `alive` if that failed or its lease ran out
    - "waiting": for an approval
    - "stopped": it failed for good, and its session was stopped at it: retry or drop its letter
    - "committed", "cancelled", "dead": finished, at `finished_at` (seconds since the epoch)
      `reason` is what was said when it was cancelled, None if nothing
    - "unknown": rolled back, never begun, or longer ago than the retention
    """

    session_id: str
    turn_id: str
    state: State
    position: int | None = None
    attempts: int = 0
    worker: str = ""
    alive: bool = False
    finished_at: float | None = None
    reason: str | None = None

    @property
    def finished(self) -> bool:
        return self.state in ("committed", "cancelled", "dead")


async def status_of(runtime: Runtime, session_id: str, turn_id: str) -> Status:
    """Ask the store. Raises StoreError."""
    answer = await runtime.store.status(session_id, turn_id)
    status = _status(session_id, turn_id, answer)
    if isinstance(answer, Parked):
        with suppress(UndecodableJournal):  # then it waits, for who can decode it or cancels it
            entries = read_parked(runtime.codec, session_id, turn_id, answer.journal)
            if any(isinstance(entry, ParkedEntry) and entry.dead_letter for entry in entries):
                return replace(status, state="stopped")
    return status


def _status(session_id: str, turn_id: str, answer: Any) -> Status:
    if isinstance(answer, Queued):
        return Status(session_id, turn_id, "queued", answer.position, answer.attempts)
    if isinstance(answer, Open):
        attempts, alive = answer.attempt, answer.remaining_ms > 0
        return Status(
            session_id, turn_id, "running", None, attempts, worker=answer.worker, alive=alive
        )
    if isinstance(answer, Parked):
        return Status(session_id, turn_id, "waiting")
    if isinstance(answer, Duplicate) and answer.record is not None:
        kind, at = answer.record.kind, answer.record.at_ms / 1000
        reason = reason_in(answer.record.payload) if kind == "cancelled" else None
        return Status(session_id, turn_id, _kind(kind), finished_at=at, reason=reason)
    return Status(session_id, turn_id, "unknown")


def _kind(kind: str) -> State:
    """An operation of the SDK's session (`append`, say) is a committed turn too."""
    if kind == "dead":
        return "dead"
    return "cancelled" if kind in ("cancelled", "abandoned") else "committed"


@dataclass(frozen=True)
class Receipt:
    """A submitted message. `session.receipt(session_id, turn_id)` makes the same in any process."""

    session_id: str
    turn_id: str
    runtime: Runtime = field(repr=False, compare=False)

    async def status(self) -> Status:
        """What became of it so far."""
        return await status_of(self.runtime, self.session_id, self.turn_id)

    async def result(
        self, timeout: float | None = None, *, agent: Agent[Any] | None = None
    ) -> RunResult:
        """Wait for its end, at most `timeout` seconds, and return what the run gave.

        The SDK's result, as for a turn_id that is sent twice: final output, usage and new items,
        but no context. Given the starting `agent`, its items and its output have the agents and
        types of this process, else agents that are only a name.

        Raises BusyTimeout (a TimeoutError); TurnCancelled, TurnAbandoned, DeadLettered; SessionGone
        if nothing is known of it; AlreadyCommitted if the turn has no result that can be told.
        """
        until = None if timeout is None else asyncio.get_running_loop().time() + timeout
        try:
            answer = await self._look(parked=False)  # once, however little time there is
            async with asyncio.timeout_at(until):
                answer = answer or await self._finished(parked=False)
        except TimeoutError:
            raise BusyTimeout(
                f"turn {self.turn_id!r} was not finished within {timeout:g} s. It goes on; ask for "
                "its result again",
                session_id=self.session_id,
            ) from None
        error = await self._error(answer)
        if not isinstance(error, AlreadyCommitted):
            raise error
        first = error.end - len(error.items)
        before = await self.runtime.reader.before(self.session_id, first, None)
        return RebuiltRun(error, agent, None, paired(before)).result(None)

    async def ending(self) -> TurnwiseError:
        """Wait for its end, or until it waits for an approval: what its next sender will get.

        AlreadyCommitted, say. Raises ApprovalPending, SessionGone.
        """
        return await self._error(await self._finished(parked=True))

    async def events(self, after: str | None = None) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """What the run tells, as it happens: each event with an id to go on after, till its end.

        Events are JSON objects with a `type`: those of the SDK's stream by their names there
        (`raw_response_event`, `run_item_stream_event`, `agent_updated_stream_event`), and
        `turn.begun`, `turn.retry`, `turn.waiting` (for an approval), `turn.resumed` (what came
        since it waited is void: a resumption that failed), `turn.stopped` (its session stops at
        it), `turn.finished` (with its `state`). `turn.reset` (its id is "") says that all told so
        far is void: another attempt has begun, or the place `after` is gone; everything there is
        follows.
        """
        log, codec = self.runtime.store.events, self.runtime.codec
        place, is_over, pauses, state = after or None, False, Backoff(), ""
        while not is_over:
            told = await log.read(self.session_id, self.turn_id, place, POLL_INTERVAL)
            if told.reset:
                place = None
                pauses.reset()
                yield "", {"type": RESET}
            for event in told.events:
                place, content = event.id, codec.decode(event.content)
                state = content.get("state", "")
                yield event.id, content
            if told.ended:
                is_over = await self._is_last(state, in_doubt=not pauses.is_at_maximum)
                if not is_over:  # its message is tried again, and nobody tells when
                    await pauses.pause()
            elif not told.events and not told.reset:
                is_over = await self._is_over()

    async def _is_last(self, state: str, *, in_doubt: bool) -> bool:
        """Whether nothing follows events that say that the turn was finished in this state.

        Something does if it was dead and is tried again. That may be done by now, and its events
        not told yet: another state than theirs leaves the matter `in_doubt` for a while.
        """
        status = await self.status()
        if status.finished and state not in ("", status.state):
            return not in_doubt
        return status.finished or status.state == "unknown"

    async def _is_over(self) -> bool:
        """Whether nothing more will be told, though nobody said so: its worker died at the end."""
        status = await self.status()
        if status.finished:
            return True
        if status.state == "unknown":
            raise self._unknown()
        return False

    async def _finished(self, *, parked: bool) -> Duplicate:
        """Wait for the turn's record. If it is `parked`, it raises ApprovalPending, or waits on."""
        ending = TurnEndWaiter(self.runtime, self.session_id, self.turn_id)
        while (answer := await self._look(parked=parked)) is None:
            await ending.wait()
        return answer

    async def _look(self, *, parked: bool) -> Duplicate | None:
        answer = await self.runtime.store.status(self.session_id, self.turn_id)
        if isinstance(answer, Duplicate) and answer.record is not None:
            return answer
        if isinstance(answer, Absent):
            raise self._unknown()
        if parked and isinstance(answer, Parked):
            raise approval_pending(self.session_id, answer)
        return None

    async def _error(self, answer: Duplicate) -> TurnwiseError:
        record = answer.record
        assert record is not None
        if record.kind == "dead":
            return await self._dead(record.payload.decode())
        return await finished_turn_error(self.runtime, self.session_id, self.turn_id, answer)

    async def _dead(self, dead_letter_id: str) -> DeadLettered:
        letter = await dead_letters.found(self.runtime, dead_letter_id)
        told = (
            f"it failed in {letter.attempts} attempts, at last with {letter.error}"
            if letter
            else ("its dead letter is gone")
        )
        return DeadLettered(
            f"the message of turn {self.turn_id!r} was given up: {told}. Retry or drop its letter",
            session_id=self.session_id,
            dead_letter_id=dead_letter_id,
            reason=letter.error if letter else "",
        )

    def _unknown(self) -> SessionGone:
        return SessionGone(
            f"nothing is known of turn {self.turn_id!r}: it was never submitted, or longer ago "
            "than the retention, or its session was deleted",
            session_id=self.session_id,
        )
