"""A drop-in for the SDK's Runner: one run is one turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeVar, Unpack, cast

import agents
from agents import (
    Agent,
    AgentsException,
    RunResult,
    RunResultStreaming,
    RunState,
    TResponseInputItem,
)
from agents.memory import Session as SDKSession
from agents.run import DEFAULT_MAX_TURNS

from turnwise.approvals import DecidedState, Decisions, check_not_decided
from turnwise.durable import check_agent, check_options, checked_input, install
from turnwise.errors import AlreadyCommitted, UsageError
from turnwise.runner.attempt import RunAttempt
from turnwise.runner.enqueue import begin_or_enqueue, check_can_be_queued
from turnwise.runner.options import KNOWN, RunOptions, check_foreign, named
from turnwise.runner.resume import Resumption
from turnwise.runner.shared_items import TurnResult, keep_from_caller, may_share
from turnwise.runner.streaming import STREAM_IDLE_TIMEOUT, OnDisconnect, Reading, stream_turn
from turnwise.runner.sync import run_until_complete
from turnwise.session import Session
from turnwise.turn_session import TurnSession
from turnwise.turns import (
    BusyPolicy,
    OnError,
    RollBack,
    Turn,
    begin_turn,
    block,
    check_on_error,
    end,
    failure,
)

TContext = TypeVar("TContext")
Input = str | list[TResponseInputItem] | RunState[TContext]


class Runner:
    """Runs agents as `agents.Runner` does. With a Turnwise session, a run is one turn.

    Without a session, or with another one than Turnwise's, it is `agents.Runner`.
    """

    @classmethod
    async def run(
        cls,
        starting_agent: Agent[TContext],
        input: str | list[TResponseInputItem] | RunState[TContext],
        *,
        session: Session | SDKSession | None = None,
        session_id: str | None = None,
        turn_id: str | None = None,
        busy: BusyPolicy = "wait",
        timeout: float | None = 30.0,
        on_error: OnError = "rollback",
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResult:
        """Run the agent to its final output, as one turn.

        If the run asks for approvals, its turn is parked: see `resume`. If the task that awaits
        this is cancelled, the run is too, and its turn is rolled back; if it has a turn_id, it
        continues when that is sent again.

        Args:
            starting_agent: The agent.
            input: The user's text, items, or the state of an earlier run.
            session: Stands for all sessions of its store, or is bound to one.
            session_id: The session; None for the one that `session` is bound to.
            turn_id: Makes the run safe to send again: it is committed once. After a worker's death
                the next call takes the turn over; once it is committed, the same input and agent
                get the same result (final output, usage and new items, but neither context nor
                guardrail results). None for a turn that nobody sends again.
            busy: What to do while another turn runs on the session. "wait" waits in its queue.
                "reject" raises SessionBusy. "interrupt" and "rollback" cancel the running turn, the
                first committing what it has finished, and wait in the queue. "enqueue" queues the
                input as a message, which outlives this process; a worker's agent of the same name
                answers it, and this call waits for the result. It takes JSON as input and no
                options.
            timeout: Seconds to wait in the queue; None for no limit. "enqueue" ignores it.
            on_error: "rollback", or "keep" to commit what the SDK saved before an exception. With a
                turn_id, a turn that is rolled back continues when it is sent again; if each attempt
                would end with the error (a tripped guardrail, say) and a tool has run, what the
                turn had finished is committed.
            **options: Arguments of `agents.Runner.run`.

        Returns:
            The SDK's result.

        Raises:
            SessionBusy, BusyTimeout, QueueFull, ApprovalPending, SessionStopped: The turn did not
                begin.
            TurnIdReused: The turn_id stands for another input or agent.
            TurnAbandoned, TurnCancelled, DeadLettered: The turn_id is finished.
            TurnCancelled, LeaseLost, HistoryChanged, SessionGone: The turn was not committed.
            ReplayMismatch: After a takeover the run did not repeat what its journal holds.
            OutcomeUnknown: The turn may or may not be committed. Send its turn_id again.
            Exception: Whatever the run raises.
        """
        if not isinstance(session, Session):
            check_foreign(session, session_id, turn_id)
            return await agents.Runner.run(starting_agent, input, session=session, **options)
        attempt = _attempt(
            starting_agent, input, session, session_id, turn_id, busy, on_error, options
        )
        if attempt.state is not None:
            resumption = _resumption_of(attempt)
            resumed = await resumption.given_by(attempt.state, turn_id)
            if resumed is not None:
                return await resumption.run(resumed)
        given = cast("Any", attempt.input)
        shared = may_share(starting_agent, given, options)
        install()
        try:
            begun = await _begin(attempt, busy, timeout)
            async with block(begun, partial(failure, on_error=on_error)) as turn:
                if attempt.state is not None:
                    await check_not_decided(turn, attempt.state)
                held = TurnSession(turn, session.session_settings, shared=shared)
                try:
                    result = await agents.Runner.run(starting_agent, given, session=held, **options)
                except AgentsException as error:
                    keep_from_caller(error.run_data)
                    raise
                await end(turn, attempt.outcome(turn, result))
        except AlreadyCommitted as error:
            rebuilt = await attempt.rebuilt(error)
            max_turns = options.get("max_turns", DEFAULT_MAX_TURNS)
            return rebuilt.result(options.get("context"), max_turns)
        if shared:
            # Its class changes: a copy of its input is made only if somebody looks at it.
            result.__class__ = TurnResult
        return result

    @classmethod
    def run_sync(
        cls,
        starting_agent: Agent[TContext],
        input: Input[TContext],
        **options: Any,
    ) -> RunResult:
        """Like `run`, with the same arguments, for code without an event loop."""
        return run_until_complete(cls.run(starting_agent, input, **options))

    @classmethod
    def run_streamed(
        cls,
        starting_agent: Agent[TContext],
        input: str | list[TResponseInputItem] | RunState[TContext],
        *by_position: Any,
        session: Session | SDKSession | None = None,
        session_id: str | None = None,
        turn_id: str | None = None,
        busy: BusyPolicy = "wait",
        timeout: float | None = 30.0,
        on_error: OnError = "rollback",
        on_disconnect: OnDisconnect = "finish",
        stream_idle_timeout: float | None = STREAM_IDLE_TIMEOUT,
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResultStreaming:
        """Start a run in the background, as one turn, and stream its events.

        The turn ends when the run ends, whether or not anybody reads the stream. `stream_events`
        returns when the turn is committed, or raises why it is not: what `run` raises. An error
        that nobody reads is logged. `cancel()` rolls the turn back; `cancel("after_turn")` commits
        the finished steps.

        Args:
            starting_agent: See `run`, as for all other arguments that are not listed here.
            *by_position: Options of `agents.Runner.run_streamed`, in its order, context first.
            on_disconnect: What becomes of the turn if its reader goes away before the end, since
                its task is cancelled or fails, or since it leaves the loop. "finish": the run goes
                on and is committed. "rollback": it is rolled back, and continues if its turn_id is
                sent again.
            stream_idle_timeout: Seconds that a reader may take between two events. Then it has gone
                away, and gets StreamIdle if it comes back. None for no limit. A stream that nobody
                reads is not idle.

        Returns:
            The SDK's result.
        """
        if by_position:
            options, session = named(by_position, options, session)
        if not isinstance(session, Session):
            check_foreign(session, session_id, turn_id)
            return agents.Runner.run_streamed(starting_agent, input, session=session, **options)
        attempt = _attempt(
            starting_agent, input, session, session_id, turn_id, busy, on_error, options
        )
        reading = Reading(on_disconnect, stream_idle_timeout)

        async def begin() -> Turn:
            if attempt.state is not None:
                resumption = _resumption_of(attempt)
                if await resumption.is_of(attempt.state, turn_id):
                    return await resumption.opened(attempt.state, attempt)
            turn = await _begin(attempt, busy, timeout)
            try:
                if attempt.state is not None:
                    await check_not_decided(turn, attempt.state)
            except BaseException as error:
                await end(turn, RollBack(error))
                raise
            return turn

        return stream_turn(
            lambda turn: agents.Runner.run_streamed(
                starting_agent, cast("Any", attempt.input), session=turn, **options
            ),
            begin,
            attempt,
            on_error=on_error,
            reading=reading,
        )

    @classmethod
    async def resume(
        cls,
        agent: Agent[TContext],
        *,
        session: Session,
        session_id: str | None = None,
        approve: Iterable[str] = (),
        reject: Mapping[str, str | None] | None = None,
        always_approve: Iterable[str] = (),
        always_reject: Mapping[str, str | None] | None = None,
        busy: BusyPolicy = "wait",
        timeout: float | None = 30.0,
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResult:
        """Decide pending approvals of a parked turn and resume it, in any process.

        The decisions are journaled before anything else happens. If this raises, or the process
        dies, the turn is parked again (unless each attempt would end with the error: then what it
        had finished is committed); the next `resume`, which need not decide anything, continues
        where this one stopped, and no tool runs twice. `session.cancel` ends a parked turn.

        Args:
            agent: The agent that the turn began with; building it anew is fine.
            session: Stands for all sessions of its store, or is bound to one.
            session_id: The session; None for the one that `session` is bound to.
            approve: Ids from `session.pending_approvals()`. What is neither approved nor rejected
                stays pending.
            reject: Ids, each with the text that the model gets instead of the tool's output; None
                for the SDK's text.
            always_approve, always_reject: The same, for good: as in the SDK, the decision holds for
                every call of that tool by that agent in this turn, pending ones included.
            busy: As in `run`, if another process resumes the turn already.
            timeout: Seconds to wait for that; None for no limit.
            **options: Arguments of `agents.Runner.run`; `context` has to be given again, unless it
                was a mapping of JSON values.

        Returns:
            The SDK's result; its `interruptions` are not empty if the turn is parked again.

        Raises:
            NoPendingApproval: There is no such pending approval, or no parked turn.
            NotResumable: The run cannot be restored with this agent or SDK version.
            SessionBusy, BusyTimeout: Another process resumes the turn.
            Exception: What `run` raises.
        """
        resumption = _resumption(session, session_id, agent, busy, timeout, options)
        decisions = Decisions.of(
            resumption.session_id, approve, reject, always_approve, always_reject
        )
        return await resumption.run(decisions)

    @classmethod
    def resume_sync(cls, agent: Agent[TContext], *, session: Session, **options: Any) -> RunResult:
        """Like `resume`, with the same arguments, for code without an event loop."""
        return run_until_complete(cls.resume(agent, session=session, **options))

    @classmethod
    async def resume_streamed(
        cls,
        agent: Agent[TContext],
        *,
        session: Session,
        session_id: str | None = None,
        approve: Iterable[str] = (),
        reject: Mapping[str, str | None] | None = None,
        always_approve: Iterable[str] = (),
        always_reject: Mapping[str, str | None] | None = None,
        busy: BusyPolicy = "wait",
        timeout: float | None = 30.0,
        on_disconnect: OnDisconnect = "finish",
        stream_idle_timeout: float | None = STREAM_IDLE_TIMEOUT,
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResultStreaming:
        """Like `resume`, streamed as by `run_streamed`. Awaiting it waits for the turn to begin."""
        resumption = _resumption(session, session_id, agent, busy, timeout, options)
        decisions = Decisions.of(
            resumption.session_id, approve, reject, always_approve, always_reject
        )
        return await resumption.stream(decisions, Reading(on_disconnect, stream_idle_timeout))


def _attempt(
    agent: Agent[Any],
    input: object,
    session: Session,
    session_id: str | None,
    turn_id: str | None,
    busy: BusyPolicy,
    on_error: OnError,
    options: Any,
) -> RunAttempt:
    """The attempt that a call asks for. Raises UsageError."""
    session.check_for_turns()
    session_id = session.resolve_id(session_id)
    check_agent(session_id, agent)
    check_options(session_id, options, KNOWN)
    check_on_error(session_id, on_error)
    given = checked_input(session_id, input)
    state = DecidedState(given) if isinstance(given, RunState) else None
    attempt = RunAttempt(session, session_id, turn_id, agent, given, options, state)
    if busy == "enqueue":
        check_can_be_queued(attempt, on_error)
    return attempt


async def _begin(attempt: RunAttempt, busy: BusyPolicy, timeout: float | None) -> Turn:
    """Begin the run's turn. Raises AlreadyCommitted if the turn is committed, or a worker's now."""
    if busy == "enqueue":
        return await begin_or_enqueue(attempt)
    return await begin_turn(
        attempt.session.runtime, attempt.session_id, attempt.turn_id, busy=busy, timeout=timeout
    )


def _resumption(
    session: object,
    session_id: str | None,
    agent: Agent[Any],
    busy: BusyPolicy,
    timeout: float | None,
    options: Any,
) -> Resumption:
    if not isinstance(session, Session):
        raise UsageError(f"only a Turnwise session keeps parked turns, not {type(session)!r}")
    session.check_for_turns()
    session_id = session.resolve_id(session_id)
    check_agent(session_id, agent)
    check_options(session_id, options, KNOWN)
    return Resumption(session, session_id, agent, busy, timeout, options)


def _resumption_of(attempt: RunAttempt) -> Resumption:
    """The resumption of the parked turn that a run state may be of."""
    return Resumption(
        attempt.session, attempt.session_id, attempt.agent, "reject", None, attempt.options
    )
