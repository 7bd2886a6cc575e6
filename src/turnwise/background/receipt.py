"""A submitted message from its submitter's side: its status, its events and its result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from agents import Agent, RunResult

from turnwise.background.dead_letters import find_dead_letter
from turnwise.enclosing import enclosing_turns
from turnwise.errors import (
    AlreadyCommitted,
    BusyTimeout,
    DeadLettered,
    SessionGone,
    TurnwiseError,
)
from turnwise.results import RebuiltRun
from turnwise.turns import (
    MAX_POLL_INTERVAL,
    POLL_INTERVAL,
    Backoff,
    Runtime,
    TurnEndWaiter,
    finished_turn_error,
    reason_in,
    refuse_to_wait_for_own_turn,
    session_suspended,
    standing,
)
from turnwise.types import Absent, Duplicate, Parked, Queued, RecordKind, Running, Stopped

_LAST_EVENTS = 1.0
"""Seconds that a worker has, once its turn is finished, to publish the last of its events."""

State = Literal[
    "queued",
    "running",
    "retrying",
    "parked",
    "stopped",
    "committed",
    "cancelled",
    "dead",
    "unknown",
]


@dataclass(frozen=True, slots=True)
class Status:
    """What has become of a turn so far.

    Attributes:
        session_id: The turn's session.
        turn_id: The turn.
        state: "queued": its message waits for a worker. "running". "retrying": its last attempt
            failed, and the pause before the next one is not over. "parked": until its approvals are
            decided. "stopped": it failed for good, and its session is stopped at it.
            "committed", "cancelled", "dead": finished. "unknown": rolled back, never begun, or
            finished longer ago than `retention`.
        position: How many messages and callers are ahead of it in the queue; None unless "queued".
        queued_for: Seconds since it was submitted, if "queued".
        attempts: Failed attempts if "queued" or "retrying", the current attempt if "running".
        next_attempt_at: When the next attempt may begin, in POSIX seconds, if "retrying".
        worker: The worker that runs it if "running", or ran it last if "retrying".
        alive: Whether that worker's lease is live.
        finished_at: When it finished, in POSIX seconds; None if it has not.
        reason: The cancel request's reason; None if there is none.
    """

    session_id: str
    turn_id: str
    state: State
    position: int | None = None
    queued_for: float | None = None
    attempts: int = 0
    next_attempt_at: float | None = None
    worker: str = ""
    alive: bool = False
    finished_at: float | None = None
    reason: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the turn is committed, cancelled or dead."""
        return self.state in ("committed", "cancelled", "dead")


async def status_of(runtime: Runtime, session_id: str, turn_id: str) -> Status:
    """See `Session.status`."""
    return _status(session_id, turn_id, await runtime.store.status(session_id, turn_id))


def _status(session_id: str, turn_id: str, answer: Any) -> Status:
    if isinstance(answer, Queued):
        waiting, failed = answer.waiting_ms / 1000, answer.attempts
        return Status(session_id, turn_id, "queued", answer.position, waiting, failed)
    if isinstance(answer, Running) and answer.retry_in_ms > 0:
        due = time.time() + answer.retry_in_ms / 1000
        attempts, worker = answer.attempt, answer.worker
        return Status(
            session_id, turn_id, "retrying", attempts=attempts, next_attempt_at=due, worker=worker
        )
    if isinstance(answer, Running):
        attempts, alive = answer.attempt, answer.remaining_ms > 0
        return Status(
            session_id, turn_id, "running", attempts=attempts, worker=answer.worker, alive=alive
        )
    if isinstance(answer, Parked):
        return Status(session_id, turn_id, "parked")
    if isinstance(answer, Stopped):
        return Status(session_id, turn_id, "stopped")
    if isinstance(answer, Duplicate) and answer.record is not None:
        kind, at = answer.record.kind, answer.record.at_ms / 1000
        reason = reason_in(answer.record.payload) if kind == "cancelled" else None
        return Status(session_id, turn_id, _finished_state(kind), finished_at=at, reason=reason)
    return Status(session_id, turn_id, "unknown")


def _finished_state(kind: RecordKind) -> State:
    """An operation of the SDK's session (`append`, say) is a committed turn too."""
    if kind == "dead":
        return "dead"
    return "cancelled" if kind in ("cancelled", "abandoned") else "committed"


@dataclass(frozen=True)
class Receipt:
    """A submitted message. `session.receipt(session_id, turn_id)` makes it again in any process.

    Once its session object is closed, all that it is asked raises UsageError.

    Attributes:
        session_id: The message's session.
        turn_id: The message's turn.
    """

    session_id: str
    turn_id: str
    _runtime: Runtime = field(repr=False, compare=False)

    @property
    def runtime(self) -> Runtime:
        """The runtime of its session object. Raises UsageError after `aclose`."""
        self._runtime.check_open()
        return self._runtime

    async def status(self) -> Status:
        """What has become of the turn so far."""
        return await status_of(self.runtime, self.session_id, self.turn_id)

    async def result(
        self,
        timeout: float | None = None,
        *,
        agent: Agent[Any] | None = None,
        wait_for_approvals: bool = True,
    ) -> RunResult:
        """Wait for the turn to finish, and return its run's result.

        Args:
            timeout: Seconds to wait; None for no limit.
            agent: The agent that the run started with. With it the result has this process's
                agents and output types; without it, agents that are only a name.
            wait_for_approvals: Whether to wait also while the turn is parked or stopped, which
                only people end. If not, that raises.

        Returns:
            The SDK's result with final output, usage and new items, but without context.

        Raises:
            BusyTimeout: The turn is not finished yet. It is a TimeoutError too.
            ApprovalPending, SessionStopped: The turn is parked, or its session is stopped at it;
                without `wait_for_approvals`.
            TurnCancelled, TurnAbandoned, DeadLettered: The turn was not committed.
            SessionGone: Nothing is known of the turn.
            AlreadyCommitted: The turn is committed, but its result was not recorded.
        """
        error = await self._committed(timeout, wait_for_approvals)
        first = error.end - len(error.items)
        before = await self.runtime.reader.before(self.session_id, first, None, error.items)
        return RebuiltRun(error, agent, None, before).result()

    async def output(
        self,
        timeout: float | None = None,
        *,
        agent: Agent[Any] | None = None,
        wait_for_approvals: bool = True,
    ) -> Any:
        """The final output alone: that of `result`, without reading the history before the turn."""
        error = await self._committed(timeout, wait_for_approvals)
        return RebuiltRun(error, agent, None, ()).final_output

    async def _committed(self, timeout: float | None, wait_for_approvals: bool) -> AlreadyCommitted:
        """Wait for the turn to finish: what was committed. Raises what `result` does."""
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        raises = not wait_for_approvals
        try:
            answer = await self._finished_now(parked=raises)  # once, however short the timeout
            if answer is None:
                await refuse_to_wait_for_own_turn(self.runtime, self.session_id)
            async with asyncio.timeout_at(deadline):
                answer = answer or await self._finished(parked=raises)
        except TimeoutError:
            where = await standing(self.runtime, self.session_id, self.turn_id)
            raise BusyTimeout(
                f"turn {self.turn_id!r} did not finish within {timeout:g} s: {where}. Ask for its "
                "result again",
                session_id=self.session_id,
            ) from None
        error = await self._error(answer)
        if not isinstance(error, AlreadyCommitted):
            raise error
        return error

    async def ending(self) -> TurnwiseError:
        """Wait for the turn to finish: the error that whoever sends its turn_id again gets.

        Raises:
            ApprovalPending: The turn is parked.
            SessionStopped: The session is stopped at the turn.
            SessionGone: Nothing is known of the turn.
        """
        answer = await self._finished_now(parked=True) or await self._finished(parked=True)
        return await self._error(answer)

    async def events(self, after: str | None = None) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Follow the run's events as they happen, until the turn is finished.

        An event is a JSON object with a `type`. Those of the SDK's stream have the SDK's names:
        `raw_response_event`, `run_item_stream_event`, `agent_updated_stream_event`. Besides:

        - `turn.begun`: an attempt begins (`attempt`).
        - `turn.retry`: an attempt failed (`error`) and will be retried.
        - `turn.parked`: the turn is parked until its `approvals` are decided. There are none if
          what was approved could not be carried out: see "Deciding without running".
        - `turn.resumed`: the parked turn resumes. Events since `turn.parked` are void.
        - `turn.stopped`: it failed for good (`error`), and its session is stopped.
        - `turn.finished`: with its `state`. `incomplete` is true, here or in `turn.parked`, if
          events are missing: they were too many, the store refused them, or their worker died
          before it sent them. What the turn did is in the history.
        - `turn.reset`: all events so far are void, because another attempt has begun or the event
          `after` is gone. All events there are follow. Its id is "".

        Args:
            after: The id of an event: follow from behind it. None for the beginning.

        Yields:
            Each event's id and the event.

        Raises:
            SessionGone: Nothing is known of the turn.
        """
        enclosing = enclosing_turns(self.session_id, self.runtime.origin)
        if enclosing and not (await self.status()).finished:
            await refuse_to_wait_for_own_turn(self.runtime, self.session_id)
        cursor, is_over, pauses, state = after or None, False, Backoff(), ""
        patience, is_finished = POLL_INTERVAL, False
        while not is_over:
            log = self.runtime.store.events
            found = await log.read(self.session_id, self.turn_id, cursor, patience)
            silent = not (found.events or found.reset or found.ended)
            patience = min(2 * patience, MAX_POLL_INTERVAL) if silent else POLL_INTERVAL
            if found.reset:
                cursor, is_finished = None, False
                pauses.reset()
                yield "", {"type": "turn.reset"}
            for event in found.events:
                cursor, content = event.id, self.runtime.codec.decode(event.content)
                state = content.get("state", "")
                yield event.id, content
            if found.ended:
                is_over = await self._is_last(state, in_doubt=not pauses.is_at_maximum)
                if not is_over:  # its message is retried, which is not announced here
                    await pauses.pause()
            elif silent:
                status, was_finished = await self._known_status(), is_finished
                is_finished = status.finished
                # Looked at twice: who finished a turn publishes its last events right after that.
                if is_finished and was_finished:
                    last = {"type": "turn.finished", "state": status.state, "incomplete": True}
                    yield cursor or "", last
                    return
                if is_finished:
                    patience = _time_for_last_events(status)

    async def _is_last(self, state: str, *, in_doubt: bool) -> bool:
        """Whether nothing follows events that end with the turn finished in this state.

        Something follows if the turn was dead and is retried. The retry may even be done before
        its events are appended: if the turn's state is not theirs, this is `in_doubt` at first.
        """
        if state == "committed":
            return True
        status = await self.status()
        if status.finished and state not in ("", status.state):
            return not in_doubt
        return status.finished or status.state == "unknown"

    async def _known_status(self) -> Status:
        status = await self.status()
        if status.state == "unknown":
            raise self._unknown()
        return status

    async def _finished(self, *, parked: bool) -> Duplicate:
        """Wait for the record of a turn that was not finished a moment ago.

        `parked`: raise ApprovalPending if the turn is parked.
        """
        ending, answer = TurnEndWaiter(self.runtime, self.session_id, self.turn_id), None
        while answer is None:
            await refuse_to_wait_for_own_turn(self.runtime, self.session_id)
            await ending.wait()
            answer = await self._finished_now(parked=parked)
        return answer

    async def _finished_now(self, *, parked: bool) -> Duplicate | None:
        answer = await self.runtime.store.status(self.session_id, self.turn_id)
        if isinstance(answer, Duplicate) and answer.record is not None:
            return answer
        if isinstance(answer, Absent):
            raise self._unknown()
        if parked and isinstance(answer, Parked | Stopped):
            raise session_suspended(self.session_id, answer)
        return None

    async def _error(self, answer: Duplicate) -> TurnwiseError:
        record = answer.record
        assert record is not None
        if record.kind == "dead":
            return await self._dead_lettered(record.payload.decode())
        return await finished_turn_error(self.runtime, self.session_id, self.turn_id, answer)

    async def _dead_lettered(self, dead_letter_id: str) -> DeadLettered:
        letter = await find_dead_letter(self.runtime, dead_letter_id)
        why = (
            f"failed for good after {letter.attempts} attempts; the last error was {letter.error}. "
            "Retry or delete its dead letter"
            if letter
            else "failed for good, and its dead letter was deleted"
        )
        return DeadLettered(
            f"the message of turn {self.turn_id!r} {why}",
            session_id=self.session_id,
            dead_letter_id=dead_letter_id,
            reason=letter.error if letter else "",
        )

    def _unknown(self) -> SessionGone:
        return SessionGone(
            f"nothing is known of turn {self.turn_id!r}: it was never submitted, it finished "
            "longer ago than the retention, or its session was deleted",
            session_id=self.session_id,
        )


def _time_for_last_events(status: Status) -> float:
    """Seconds to wait for them, since who finished the turn publishes them right after it."""
    since = time.time() - (status.finished_at or 0.0)  # by two clocks
    return min(max(_LAST_EVENTS - since, 0.0), _LAST_EVENTS)
