"""Processor the messages of a session, one after the other, each as one turn."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import agents as sdk
import msgspec
from agents import (
    Agent,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    OutputGuardrailTripwireTriggered,
    RunResultStreaming,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
)

from turnwise import hooks
from turnwise.approvals import parked_entry
from turnwise.background import dead_letters
from turnwise.background.event_publisher import EventPublisher, of_stream
from turnwise.background.message import Message, Unreadable, unpacked
from turnwise.durable import HoldsTurn, install
from turnwise.durable.digests import began_with
from turnwise.durable.replay import Replay
from turnwise.durable.sdk import failure_of
from turnwise.errors import (
    LeaseLost,
    LimitError,
    ReplayMismatch,
    SessionGone,
    StoreUnavailable,
    TurnCancelled,
    UsageError,
)
from turnwise.journal_entries import ParkedEntry
from turnwise.results import pack_record
from turnwise.turns import (
    Backoff,
    Commit,
    DeadLetter,
    Park,
    Release,
    RollBack,
    Runtime,
    Turn,
    can_park,
    end,
    next_turn,
    shielded,
)
from turnwise.types import Busy, Idle, Parked

Agents = Mapping[str, Agent[Any]] | Iterable[Agent[Any]] | Agent[Any]
_log = logging.getLogger("turnwise")

HOPELESS: tuple[type[BaseException], ...] = (
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    ReplayMismatch,
    LimitError,
    Unreadable,
)
"""Errors after which another attempt would end the same way: the message is given up at once.

So it is after the error of a tool that may not run again.
"""

_REMEMBERED = 1000
_NOT_OURS = (LeaseLost, SessionGone, StoreUnavailable)


class UnknownAgent(UsageError):
    """No agent of the message's name is known here; a newer worker may know it."""


class AttemptsDied(UsageError):
    """Each worker that took the message died or lost it before it could say why."""


@dataclass(frozen=True)
class Policy:
    """How messages are run.

    `max_attempts` failed attempts make a dead letter, those of workers that died included. Between
    them lie `backoff` seconds, twice as many each time, at most a minute. `on_dead`: the session
    goes on with its "next" message, or it is to "stop". `visit` is how many turns of one session
    are run before others get their chance. `context` makes the run's context from a message.
    `options` go to the SDK's `Runner.run_streamed` as they are.
    """

    max_attempts: int = 3
    backoff: float = 1.0
    on_dead: Literal["next", "stop"] = "next"
    turns_per_visit: int = 8
    context: Callable[[Message], Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        return min(60.0, float(self.backoff * 2 ** (failures - 1)))


@dataclass
class Visit:
    """What was found at a session: how it stands, and the turns that were run to their ends.

    "idle": nothing waits. "busy": another turn runs, for `pause` seconds more or less. "waiting":
    it waits for an approval, or was stopped. "failed": an attempt failed; the next is to begin
    `pause` seconds later. "more": there may be more.
    """

    state: Literal["idle", "busy", "waiting", "failed", "more"] = "more"
    pause: float = 0.0
    finished: list[str] = field(default_factory=list)


class Processor:
    """Runs the messages of a store's sessions with these agents.

    `opened` gives the session that the SDK's run works with in a turn.
    """

    def __init__(
        self, runtime: Runtime, agents: Agents, policy: Policy, opened: Callable[[Turn], Any]
    ) -> None:
        self.runtime = runtime
        self.policy = policy
        self._agents = by_name(agents)
        self._opened = opened
        self._errors: dict[tuple[str, str], str] = {}
        install()

    async def visit(self, session_id: str, stopped: Callable[[], bool] = lambda: False) -> Visit:
        """Run messages until none waits, one fails, or there were enough for now.

        Cancelled, it gives the turn at hand back for another worker to go on with.
        Raises StoreError.
        """
        visit = Visit()
        while len(visit.finished) < self.policy.turns_per_visit and not stopped():
            turn = await next_turn(self.runtime, session_id)
            if isinstance(turn, Idle):
                visit.state = "idle"
            elif isinstance(turn, Parked):
                visit.state = "waiting"
            elif isinstance(turn, Busy):
                visit.state, visit.pause = "busy", max(0, turn.remaining_ms) / 1000
            elif await self._run(turn):
                if not isinstance(turn.outcome, Park):
                    visit.finished.append(turn.turn_id)
                continue
            else:
                visit.state, visit.pause = "failed", self._pause(turn)
            break
        return visit

    async def drain(self, session_id: str) -> int:
        """Run messages until none waits, or the session waits for an approval: how many."""
        count, pauses = 0, Backoff()
        while (visit := await self.visit(session_id)).state not in ("idle", "waiting"):
            count += len(visit.finished)
            if visit.state == "busy":
                await pauses.pause(visit.pause)
            else:
                pauses.reset()
                await asyncio.sleep(visit.pause)
        return count + len(visit.finished)

    async def _run(self, turn: Turn) -> bool:
        """Run it to its end; False if another attempt is needed."""
        try:
            return await self._told(turn)
        except BaseException as error:
            if not turn.ended:  # something went wrong that nobody foresaw
                self._remember(turn, error)
                failed = isinstance(error, Exception)
                await end(turn, Release(error, counted=failed, delay=self._pause(turn)))
            raise

    async def _told(self, turn: Turn) -> bool:
        try:
            message = unpacked(self.runtime.codec, turn.message or b"")
        except Unreadable as error:
            self.runtime.emit(hooks.TurnBegunEvent.of(turn.session_id, turn.grant))
            publisher = EventPublisher(self.runtime, turn.session_id, turn.turn_id, turn.attempt)
            return await self._failed(turn, publisher, error)
        with hooks.carried(self.runtime.settings.hooks, message.trace):
            self.runtime.emit(hooks.TurnBegunEvent.of(turn.session_id, turn.grant))
            number = message.told + turn.attempt
            publisher = EventPublisher(self.runtime, turn.session_id, turn.turn_id, number)
            return await self._attempt(turn, message, publisher)

    async def _attempt(self, turn: Turn, message: Message, publisher: EventPublisher) -> bool:
        try:
            return await self._attempted(turn, message, publisher)
        finally:
            await publisher.stop()  # also where the store kept the turn from being ended

    async def _attempted(self, turn: Turn, message: Message, publisher: EventPublisher) -> bool:
        try:
            if turn.failures >= self.policy.max_attempts:
                return await self._give_up(turn, publisher, _died(turn))
            if turn.open_error is not None:
                raise turn.open_error
            await publisher.tell({"type": "turn.begun", "attempt": turn.attempt})
            await self._commit(turn, message, publisher)
        except BaseException as error:
            if not _is_told_to_end(error):  # a run may also raise what is no Exception
                return await self._failed(turn, publisher, turn.lost or error)
            exited = _exited(turn)
            delay = self._pause(turn) if exited else 0
            await end(turn, Release(counted=exited, delay=delay))
            await publisher.end()
            raise
        self._errors.pop((turn.session_id, turn.turn_id), None)
        if isinstance(turn.outcome, Park):
            await publisher.end({"type": "turn.waiting"})
        else:
            await publisher.end({"type": "turn.finished", "state": "committed"}, last=True)
        return True

    async def _commit(self, turn: Turn, message: Message, publisher: EventPublisher) -> None:
        agent = self._agent(message.agent)
        context = self.policy.context(message) if self.policy.context is not None else None
        session: HoldsTurn = self._opened(turn)
        options = {"context": context, **self.policy.options}
        result: RunResultStreaming = sdk.Runner.run_streamed(
            agent,
            message.input,
            session=session,  # type: ignore[arg-type]  # the session layer's, which is above this
            **options,
        )
        await self._streamed(turn, result, publisher)
        if result.interruptions:
            entry = parked_entry(turn, result, began_with(agent, message.input))
            entry = msgspec.structs.replace(entry, event=publisher.place)
            await end(turn, Park(entry))
        else:
            payload = pack_record(result, began_with(agent, message.input), turn.added())
            await end(turn, Commit(payload))

    async def _streamed(
        self, turn: Turn, result: RunResultStreaming, publisher: EventPublisher
    ) -> None:
        """Read the run to its end. Raises what it raised, or what ended its turn."""
        turn.interrupt_with(result.cancel)
        try:
            async for event in result.stream_events():
                await publisher.tell(of_stream(event))
        finally:
            error = await _over(result)
            if isinstance(error, SystemExit) and isinstance(turn.replay, Replay):
                turn.replay.progress.exited = True  # all else is cancelled next
        if turn.lost is not None:
            raise turn.lost
        if error is not None:
            raise error

    def _agent(self, name: str) -> Agent[Any]:
        agent = self._agents.get(name)
        if agent is None:
            known = ", ".join(map(repr, self._agents)) or "none"
            raise UnknownAgent(f"there is no agent {name!r} here; there are {known}")
        return agent

    async def _failed(self, turn: Turn, publisher: EventPublisher, error: BaseException) -> bool:
        """An attempt ended with an error: what becomes of the message."""
        if isinstance(error, TurnCancelled):
            await end(turn, RollBack(error))  # which ends it as the cancel asks
            await publisher.end({"type": "turn.finished", "state": "cancelled"}, last=True)
            return True
        if isinstance(error, _NOT_OURS) or turn.ended:
            self._remember(turn, error)
            await end(turn, Release(error, delay=self._pause(turn)))
            await publisher.end()
            return False
        is_last = turn.failures + 1 >= self.policy.max_attempts
        if is_last or isinstance(error, HOPELESS) or _ends_each_attempt(turn, error):
            return await self._give_up(turn, publisher, error)
        _log.warning(
            "session %r: attempt %d of turn %r failed: %s",
            turn.session_id,
            turn.failures + 1,
            turn.turn_id,
            type(error).__name__,
        )
        await publisher.end({"type": "turn.retry", "error": type(error).__name__})
        if isinstance(turn.replay, Replay):
            await shielded(turn.replay.attempt_failed())
        await end(turn, Release(error, delay=self._pause(turn)))
        return False

    def _pause(self, turn: Turn) -> float:
        """Seconds until the next attempt, if this one failed."""
        return self.policy.pause(turn.failures + 1)

    async def _give_up(self, turn: Turn, publisher: EventPublisher, error: BaseException) -> bool:
        attempts = turn.failures + (0 if isinstance(error, AttemptsDied) else 1)
        why = dead_letters.described(error)
        if isinstance(error, AttemptsDied):
            why = self._errors.pop((turn.session_id, turn.turn_id), why)
        letter = dead_letters.written(
            self.runtime, turn.message or b"", attempts, publisher.place[0], why
        )
        park = Park(_stopped(letter))
        if self.policy.on_dead == "stop" and can_park(turn, park):
            await end(turn, park)
            await publisher.end({"type": "turn.stopped", "error": why})
            return False
        await end(turn, DeadLetter(letter, why.partition(":")[0]))
        told = {"type": "turn.finished", "state": "dead", "error": why}
        await publisher.end(told, last=True)
        return True

    def _remember(self, turn: Turn, error: BaseException) -> None:
        """For its letter, should it come to one here: most often another worker ends the turn."""
        self._errors[turn.session_id, turn.turn_id] = dead_letters.described(error)
        if len(self._errors) > _REMEMBERED:
            del self._errors[next(iter(self._errors))]


def _stopped(letter: bytes) -> ParkedEntry:
    """What the session waits by: for somebody to retry, drop or cancel that message."""
    return ParkedEntry(
        approvals=[],
        kept=0,
        items=[],
        began=("", ""),
        state={},
        dead_letter=letter.hex(),
        stopped_at=int(time.time() * 1000),
    )


def by_name(agents: Agents) -> dict[str, Agent[Any]]:
    """Agents by the names that messages call them. Raises UsageError."""
    if isinstance(agents, Mapping):
        known = dict(agents)
    else:
        given = list(agents) if isinstance(agents, Iterable) else [agents]
        known = {getattr(agent, "name", ""): agent for agent in given}
    if not known or not all(isinstance(agent, Agent) for agent in known.values()):
        raise UsageError("agents are a mapping from names to the SDK's agents, or some of these")
    return known


async def _over(result: RunResultStreaming) -> BaseException | None:
    """Return when nothing of the run is at work any more: what it ended with."""
    task = result.run_loop_task
    cancellation: asyncio.CancelledError | None = None
    while task is not None and not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            result.cancel()
            cancellation = error
    if cancellation is not None:
        raise cancellation
    if task is not None and task.cancelled():  # by its own code, which no reader is told
        return asyncio.CancelledError()
    return await failure_of(result)


def _exited(turn: Turn) -> bool:
    """Whether something in its run ended this process."""
    return isinstance(turn.replay, Replay) and turn.replay.progress.exited


def _ends_each_attempt(turn: Turn, error: BaseException) -> bool:
    """Whether a tool that is not to run again raised it."""
    return isinstance(turn.replay, Replay) and turn.replay.is_final(error)


def _is_told_to_end(error: BaseException) -> bool:
    """Whether this task was cancelled, rather than something in the run."""
    task = asyncio.current_task()
    cancelled = isinstance(error, asyncio.CancelledError)
    return cancelled and task is not None and task.cancelling() > 0


def _died(turn: Turn) -> AttemptsDied:
    return AttemptsDied(
        f"each of the {turn.failures} workers that took it died before it could say why",
        session_id=turn.session_id,
    )
