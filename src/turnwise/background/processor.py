"""Runs the messages in sessions' queues, one after the other, each as one turn."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import agents as sdk
import msgspec
from agents import Agent, RunResultStreaming, SessionSettings

from turnwise import hooks
from turnwise.approvals import Decisions, parked_entry, resumed_turn, times_parked
from turnwise.background.attempt_log import log_taken_over
from turnwise.background.client_tools import with_client_tools
from turnwise.background.event_publisher import (
    EventPublisher,
    parked_event,
    publisher_of,
    resumed_publisher,
    stream_event,
)
from turnwise.background.failed_attempts import FailedAttempts, workers_died
from turnwise.background.message import Message, decode_message
from turnwise.background.policy import Agents, Policy, agents_by_name
from turnwise.durable import install
from turnwise.durable.digests import began_with
from turnwise.durable.replay import Replay
from turnwise.durable.sdk import failure_of
from turnwise.errors import (
    UnknownAgent,
    UnreadableMessage,
)
from turnwise.results import pack_record
from turnwise.turn_session import TurnSession
from turnwise.turns import (
    ANY_COMPANY,
    Backoff,
    Commit,
    Company,
    Park,
    Release,
    Runtime,
    StayParked,
    Turn,
    end,
    is_cancelled,
    next_turn,
    refuse_to_wait_for_own_turn,
    until_done,
)
from turnwise.types import Busy, Idle, Parked, Stopped, Suspect

_LOOK_AT = 20
"""How many entries of a queue are looked at: callers that wait may be ahead of its messages."""


@dataclass
class Visit:
    """What a visit to a session's queue did and found.

    Attributes:
        state: "idle": the queue is empty. "busy": another turn runs, for about `pause` seconds.
            "parked": the open turn is parked, for at most `pause` seconds, or the session is
            stopped. "paused": the agent of the first message is paused. "failed": an attempt
            failed; the next one is due in `pause` seconds. "unfit": the message is left to
            workers of another version. "more": there may be more messages.
        pause: Seconds until the next visit makes sense.
        finished: The ids of the turns that were finished.
        unfit: Why the message is left to others; None if it is not.
    """

    state: Literal["idle", "busy", "parked", "paused", "failed", "unfit", "more"] = "more"
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
        self._failed = FailedAttempts(runtime, policy)
        install()

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of the agents that messages may name."""
        return tuple(self._agents)

    async def visit(
        self,
        session_id: str,
        is_stopping: Callable[[], bool] = lambda: False,
        paused: Callable[[], frozenset[str]] = frozenset,
    ) -> Visit:
        """Run messages until the queue is empty, one fails, or `turns_per_visit` are finished.

        If it is cancelled, the current turn is released for another worker.

        Args:
            session_id: The session.
            is_stopping: Asked before each message: whether to begin no more.
            paused: Asked likewise: the agents whose messages are left in the queue.

        Raises:
            StoreError: The store failed.
        """
        visit, company, isolation = Visit(), ANY_COMPANY, self.runtime.isolation.get()
        while len(visit.finished) < self.policy.turns_per_visit and visit.state == "more":
            async with isolation.room(company):
                if is_stopping():
                    break
                if (names := paused()) and not await self._may_begin(session_id, names, visit):
                    break
                company = await self._visit_next(session_id, visit, company)
        return visit

    async def _may_begin(self, session_id: str, paused: frozenset[str], visit: Visit) -> bool:
        """Whether the agent of the first message is not paused. If not, the visit says why.

        Nothing begins on an empty queue: what comes a moment later may be for a paused agent.
        """
        queue = await self.runtime.store.queue(session_id, _LOOK_AT)
        if not queue:
            visit.state = "idle"
            return False
        for entry in queue:
            if entry.kind == "message":
                with suppress(UnreadableMessage):
                    if decode_message(self.runtime.codec, entry.content).agent in paused:
                        visit.state = "paused"
                        return False
                break
        return True

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
            visit.pause = turn.expires_in if isinstance(turn, Parked) else math.inf
        elif isinstance(turn, Busy):
            visit.state, visit.pause = "busy", max(0, turn.remaining_ms) / 1000
        elif not await self._run(turn):
            visit.state, visit.pause = "failed", self._failed.backoff(turn)
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
                self._failed.remember(turn, error)
                failed = isinstance(error, Exception)
                await end(turn, Release(error, counted=failed, delay=self._failed.backoff(turn)))
            raise

    async def _run_message(self, turn: Turn) -> bool:
        try:
            message = decode_message(self.runtime.codec, turn.message or b"")
            message = replace(message, owner=turn.grant.owner)
        except UnreadableMessage as error:
            self.runtime.emit(hooks.TurnBegunEvent.of(turn.session_id, turn.grant))
            publisher = publisher_of(turn, turn.attempt)
            return await self._failed.handle(turn, publisher, error)
        if turn.deaths:
            log_taken_over(turn)
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
            return await resumed_publisher(turn, resumed.parked.entry.event)
        number = message.attempt_offset + turn.attempt
        return publisher_of(turn, number)

    async def _attempt(self, turn: Turn, message: Message, publisher: EventPublisher) -> bool:
        try:
            if self._failed.is_given_up(turn):
                return await self._failed.handle(turn, publisher, workers_died(turn))
            if turn.open_error is not None:
                raise turn.open_error
            if resumed_turn(turn) is None:
                await publisher.publish({"type": "turn.begun", "attempt": turn.attempt})
            await self._run_agent(turn, message, publisher)
        except BaseException as error:
            if not is_cancelled(error):  # a run may also raise what is no Exception
                return await self._failed.handle(turn, publisher, turn.lost or error)
            exited = _exited(turn)
            delay = self._failed.backoff(turn) if exited else 0
            await end(turn, Release(counted=exited, delay=delay))
            await publisher.close()
            raise
        self._failed.forget(turn)
        if isinstance(turn.outcome, Park):
            await publisher.close(parked_event(turn))
        else:
            await publisher.close({"type": "turn.finished", "state": "committed"}, last=True)
        return True

    async def _run_agent(self, turn: Turn, message: Message, publisher: EventPublisher) -> None:
        """Run the agent, then commit or park the turn."""
        agent = with_client_tools(self._agent(turn.session_id, message.agent), message.tools)
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
            payload = pack_record(
                *(result, agent, began, turn.added(), given_items),
                metadata=message.metadata,
                parked=times_parked(turn),
            )
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
