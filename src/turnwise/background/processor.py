"""Runs the messages in sessions' queues, one after the other, each as one turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import agents as sdk
import msgspec
from agents import Agent, RunResultStreaming, SessionSettings

from turnwise import hooks
from turnwise.approvals import Decisions, ResumedTurn, parked_entry, resumed_turn
from turnwise.background.dead_letters import encode_dead_letter, error_text
from turnwise.background.event_publisher import (
    OTHERS_MAY_CONTINUE,
    EventPublisher,
    resumed_publisher,
    stream_event,
)
from turnwise.background.message import Message, decode_message
from turnwise.background.policy import UNFIT, Agents, Policy, agents_by_name
from turnwise.durable import install
from turnwise.durable.digests import began_with
from turnwise.durable.replay import Replay
from turnwise.durable.sdk import failure_of
from turnwise.errors import (
    TurnCancelled,
    UnknownAgent,
    UnreadableMessage,
    WorkersDied,
)
from turnwise.results import pack_record
from turnwise.turn_session import TurnSession
from turnwise.turns import (
    ANY_COMPANY,
    Backoff,
    Commit,
    Company,
    DeadLetter,
    Park,
    Release,
    RollBack,
    Runtime,
    StayParked,
    Stop,
    Turn,
    end,
    is_cancelled,
    is_lasting,
    next_turn,
    refuse_to_wait_for_own_turn,
    until_done,
)
from turnwise.types import Busy, Idle, Parked, Stopped, Suspect

_MAX_LAST_ERRORS = 1000
_MAX_UNFIT = 100_000
_log = logging.getLogger("turnwise")


@dataclass
class Visit:
    """What a visit to a session's queue did and found.

    Attributes:
        state: "idle": the queue is empty. "busy": another turn runs, for about `pause` seconds.
            "parked": the open turn is parked, or the session is stopped. "failed": an attempt
            failed; the next one is due in `pause` seconds. "unfit": the message is left to
            workers of another version. "more": there may be more messages.
        pause: Seconds until the next visit makes sense.
        finished: The ids of the turns that were finished.
        unfit: Why the message is left to others; None if it is not.
    """

    state: Literal["idle", "busy", "parked", "failed", "unfit", "more"] = "more"
    pause: float = 0.0
    finished: list[str] = field(default_factory=list)
    unfit: BaseException | None = None


class Processor:
    """Runs queued messages with these agents; `Session.processor` makes it."""

    def __init__(
        self,
        runtime: Runtime,
        agents: Agents,
        policy: Policy,
        session_settings: SessionSettings | None,
    ) -> None:
        self.runtime = runtime
        self.policy = policy
        self._agents = agents_by_name(agents)
        self._session_settings = session_settings
        self._last_errors: dict[tuple[str, str], str] = {}
        self._unfit_since: dict[tuple[str, str, int], float] = {}
        install()

    async def visit(
        self, session_id: str, is_stopping: Callable[[], bool] = lambda: False
    ) -> Visit:
        """Run messages until the queue is empty, one fails, or `turns_per_visit` are finished.

        If it is cancelled, the current turn is released for another worker.

        Args:
            session_id: The session.
            is_stopping: Asked before each message: whether to begin no more.

        Raises:
            StoreError: The store failed.
        """
        visit, company, isolation = Visit(), ANY_COMPANY, self.runtime.isolation.get()
        while len(visit.finished) < self.policy.turns_per_visit and visit.state == "more":
            async with isolation.room(company):
                if is_stopping():
                    break
                company = await self._visit_next(session_id, visit, company)
        return visit

    async def _visit_next(self, session_id: str, visit: Visit, company: Company) -> Company:
        """Run the next message, if it may run in this company; the company of the one to try next.

        So who died beside others is asked for again when there is room for it.
        """
        turn = await next_turn(
            self.runtime,
            session_id,
            alone=company == "none",
            max_deaths=self.policy.deaths_in(company),
        )
        if isinstance(turn, Suspect):
            return self.policy.company(turn.deaths)
        if isinstance(turn, Idle):
            visit.state = "idle"
        elif isinstance(turn, Parked | Stopped):
            visit.state = "parked"
        elif isinstance(turn, Busy):
            visit.state, visit.pause = "busy", max(0, turn.remaining_ms) / 1000
        elif not await self._run(turn):
            visit.state, visit.pause = "failed", self._backoff(turn)
            if isinstance(turn.outcome, Release) and not turn.outcome.counted:
                visit.state, visit.unfit = "unfit", turn.outcome.reason
        elif not isinstance(turn.outcome, Park | StayParked):
            visit.finished.append(turn.turn_id)
        return ANY_COMPANY

    async def drain(self, session_id: str) -> int:
        """Run messages until the queue is empty, or the session is parked or stopped.

        Returns:
            How many messages were finished.

        Raises:
            UnknownAgent, NotResumable, ReplayMismatch: The message needs a worker of another
                version. It stays in the queue.
        """
        count, pauses = 0, Backoff()
        while (visit := await self.visit(session_id)).state not in ("idle", "parked"):
            count += len(visit.finished)
            if visit.unfit is not None:
                raise visit.unfit
            if visit.state == "busy":
                await refuse_to_wait_for_own_turn(self.runtime, session_id)
                await pauses.pause(visit.pause)
            else:
                pauses.reset()
                await asyncio.sleep(visit.pause)
        return count + len(visit.finished)

    async def _run(self, turn: Turn) -> bool:
        """Run one attempt of a turn; False if another attempt is needed."""
        try:
            return await self._run_message(turn)
        except BaseException as error:
            if not turn.ended:  # an unforeseen error
                self._remember(turn, error)
                failed = isinstance(error, Exception)
                await end(turn, Release(error, counted=failed, delay=self._backoff(turn)))
            raise

    async def _run_message(self, turn: Turn) -> bool:
        try:
            message = decode_message(self.runtime.codec, turn.message or b"")
        except UnreadableMessage as error:
            self.runtime.emit(hooks.TurnBegunEvent.of(turn.session_id, turn.grant))
            publisher = EventPublisher(self.runtime, turn.session_id, turn.turn_id, turn.attempt)
            return await self._failed(turn, publisher, error)
        with hooks.attach(self.runtime.settings.hooks, message.trace):
            self.runtime.emit(hooks.TurnBegunEvent.of(turn.session_id, turn.grant))
            publisher = await self._publisher(turn, message)
            try:
                return await self._attempt(turn, message, publisher)
            finally:
                await publisher.stop()  # it is not closed if the store failed at the turn's end

    async def _publisher(self, turn: Turn, message: Message) -> EventPublisher:
        resumed = resumed_turn(turn)
        if resumed is not None and resumed.parked.entry.event is not None:
            return await resumed_publisher(self.runtime, turn, resumed.parked.entry.event)
        number = message.attempt_offset + turn.attempt
        return EventPublisher(self.runtime, turn.session_id, turn.turn_id, number)

    async def _attempt(self, turn: Turn, message: Message, publisher: EventPublisher) -> bool:
        try:
            if self._is_given_up(turn):
                return await self._failed(turn, publisher, _workers_died(turn))
            if turn.open_error is not None:
                raise turn.open_error
            if resumed_turn(turn) is None:
                await publisher.publish({"type": "turn.begun", "attempt": turn.attempt})
            await self._run_agent(turn, message, publisher)
        except BaseException as error:
            if not is_cancelled(error):  # a run may also raise what is no Exception
                return await self._failed(turn, publisher, turn.lost or error)
            exited = _exited(turn)
            delay = self._backoff(turn) if exited else 0
            await end(turn, Release(counted=exited, delay=delay))
            await publisher.close()
            raise
        self._last_errors.pop((turn.session_id, turn.turn_id), None)
        if isinstance(turn.outcome, Park):
            await publisher.close({"type": "turn.parked"})
        else:
            await publisher.close({"type": "turn.finished", "state": "committed"}, last=True)
        return True

    async def _run_agent(self, turn: Turn, message: Message, publisher: EventPublisher) -> None:
        """Run the agent, then commit or park the turn."""
        agent = self._agent(turn.session_id, message.agent)
        context = self.policy.context(message) if self.policy.context is not None else None
        session = TurnSession(turn, self._session_settings)
        options = {"context": context, **self.policy.run_options}
        given: Any = message.input
        began = began_with(agent, message.input)
        if (resumed := resumed_turn(turn)) is not None:
            began = resumed.parked.entry.began
            given = await resumed.restore(Decisions(), agent, context)
        result = sdk.Runner.run_streamed(agent, given, session=session, **options)
        await self._follow(turn, result, publisher)
        if result.interruptions:
            entry = parked_entry(turn, result, began)
            entry = msgspec.structs.replace(entry, event=publisher.cursor)
            await end(turn, Park(entry))
        else:
            given_items = partial(turn.loaded, None)
            payload = pack_record(result, agent, began, turn.added(), given_items)
            await end(turn, Commit(payload))

    async def _follow(
        self, turn: Turn, result: RunResultStreaming, publisher: EventPublisher
    ) -> None:
        """Publish the run's events to its end. Raises what it raised, or what ended its turn."""
        turn.interrupt_with(result.cancel)
        try:
            async for event in result.stream_events():
                await publisher.publish(stream_event(event))
        finally:
            error = await _run_ended(result)
            if isinstance(error, SystemExit) and isinstance(turn.replay, Replay):
                turn.replay.progress.exited = True  # before all other tasks are cancelled
        if turn.lost is not None:
            raise turn.lost
        if error is not None:
            raise error

    def _agent(self, session_id: str, name: str) -> Agent[Any]:
        agent = self._agents.get(name)
        if agent is None:
            known = ", ".join(map(repr, self._agents)) or "none"
            raise UnknownAgent(
                f"this worker knows no agent {name!r}; it knows {known}. Give it the agent, or run "
                "a worker that knows it",
                session_id=session_id,
            )
        return agent

    async def _failed(self, turn: Turn, publisher: EventPublisher, error: BaseException) -> bool:
        """An attempt failed: end the turn, or release it for the next attempt."""
        if isinstance(error, TurnCancelled):
            await end(turn, RollBack(error))  # which ends it as the cancel request asks
            await publisher.close({"type": "turn.finished", "state": "cancelled"}, last=True)
            return True
        if isinstance(error, OTHERS_MAY_CONTINUE) or turn.ended:
            self._remember(turn, error)
            await end(turn, Release(error, delay=self._backoff(turn)))
            await publisher.close()
            return False
        if self._is_for_others(turn, error):
            await end(turn, Release(error, counted=False))
            await publisher.close({"type": "turn.retry", "error": type(error).__name__})
            return False
        if (resumed := resumed_turn(turn)) is not None:
            if (ended := await self._resumption_failed(resumed, publisher, error)) is not None:
                return ended
        elif self._is_last(turn, error) or is_lasting(turn, error):
            return await self._dead_letter(turn, publisher, error)
        _log.warning(
            "attempt %d of turn %r of session %r failed: %s",
            turn.failures + 1,
            turn.turn_id,
            turn.session_id,
            type(error).__name__,
        )
        await publisher.close({"type": "turn.retry", "error": type(error).__name__})
        await end(turn, Release(error, delay=self._backoff(turn)))
        return False

    def _is_for_others(self, turn: Turn, error: BaseException) -> bool:
        """Whether to leave the turn to workers of another version.

        They have `deploy_timeout` since this worker saw it first, or since they did more of it.
        """
        if not isinstance(error, UNFIT):
            return False
        now, state = self.runtime.now(), (*turn.names, len(turn.grant.journal))
        since = self._unfit_since.setdefault(state, now)
        if len(self._unfit_since) > _MAX_UNFIT:
            del self._unfit_since[next(iter(self._unfit_since))]
        return now - since < self.policy.deploy_timeout

    def _is_given_up(self, turn: Turn) -> bool:
        """Whether it failed too often, or its workers died, the last one of nothing else."""
        if turn.failures >= self.policy.max_attempts:
            return True
        return turn.deaths >= self.policy.max_deaths and turn.grant.died_alone

    async def _resumption_failed(
        self, resumed: ResumedTurn, publisher: EventPublisher, error: BaseException
    ) -> bool | None:
        """A decided turn failed: end it, or give it to others; None if it is to be retried.

        It is not dead-lettered: what approved tools did would be lost with it.
        """
        turn, outcome = resumed.turn, resumed.failure(error)
        if isinstance(outcome, Commit):
            await end(turn, outcome)
            await publisher.close({"type": "turn.finished", "state": "committed"}, last=True)
            return True
        if not self._is_last(turn, error):
            return None
        _log.error(
            "turn %r of session %r failed %d times after its approval and stays parked for "
            "Runner.resume or a cancel: %s",
            *(turn.turn_id, turn.session_id, turn.failures + 1, type(error).__name__),
        )
        await publisher.close({"type": "turn.parked"})
        await end(turn, replace(outcome, decided=False))
        return True

    def _is_last(self, turn: Turn, error: BaseException) -> bool:
        """Whether no attempt follows this one, which failed by the error."""
        return isinstance(error, WorkersDied) or turn.failures + 1 >= self.policy.max_attempts

    def _backoff(self, turn: Turn) -> float:
        """Seconds until the next attempt, if this one failed."""
        return self.policy.backoff_after(turn.failures + 1)

    async def _dead_letter(
        self, turn: Turn, publisher: EventPublisher, error: BaseException
    ) -> bool:
        """Dead-letter the message, or stop its session; True if the turn is finished."""
        attempts = turn.failures + turn.deaths + (0 if isinstance(error, WorkersDied) else 1)
        why = error_text(error)
        if isinstance(error, WorkersDied):
            why = self._last_errors.pop((turn.session_id, turn.turn_id), why)
        number, _ = publisher.cursor
        letter = encode_dead_letter(self.runtime, turn.message or b"", attempts, number, why)
        reason = why.partition(":")[0]
        if self.policy.on_dead == "stop":
            await end(turn, Stop(letter, attempts, reason))
            await publisher.close({"type": "turn.stopped", "error": why})
            return False
        await end(turn, DeadLetter(letter, attempts, reason))
        event = {"type": "turn.finished", "state": "dead", "error": why}
        await publisher.close(event, last=True)
        return True

    def _remember(self, turn: Turn, error: BaseException) -> None:
        """Keep the error for the dead letter, in case this worker is the one that writes it."""
        self._last_errors[turn.session_id, turn.turn_id] = error_text(error)
        if len(self._last_errors) > _MAX_LAST_ERRORS:
            del self._last_errors[next(iter(self._last_errors))]


async def _run_ended(result: RunResultStreaming) -> BaseException | None:
    """Wait until no task of the run is left; return the error that it ended with."""
    task = result.run_loop_task
    cancellation = None if task is None else await until_done(task, result.cancel)
    if cancellation is not None:
        raise cancellation
    if task is not None and task.cancelled():  # by its own code; the stream does not raise that
        return asyncio.CancelledError()
    return await failure_of(result)


def _exited(turn: Turn) -> bool:
    """Whether code in the run ends this process (SystemExit)."""
    return isinstance(turn.replay, Replay) and turn.replay.progress.exited


def _workers_died(turn: Turn) -> WorkersDied:
    return WorkersDied(
        f"{turn.deaths} workers that ran turn {turn.turn_id!r} died or lost its lease before they "
        "could report why; one of them ran nothing else",
        session_id=turn.session_id,
    )
