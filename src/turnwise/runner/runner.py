"""A drop-in for the SDK's Runner: one run is one turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeVar, Unpack

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

from turnwise.approvals import Decisions, check_not_decided
from turnwise.durable import install
from turnwise.errors import AlreadyCommitted, UsageError
from turnwise.runner.approvals import Resumption
from turnwise.runner.attempt import RunAttempt
from turnwise.runner.enqueue import begin_or_leave, check_can_be_left
from turnwise.runner.options import RunOptions
from turnwise.runner.sharing import TurnResult, keep_from_caller, may_share
from turnwise.runner.streaming import STREAM_IDLE_TIMEOUT, streamed
from turnwise.runner.sync import run_until_complete
from turnwise.session import Session, TurnSession
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
    """Runs agents. With a session of Turnwise a run is one turn: committed at its end, or not.

    `session` stands for all sessions (then `session_id` names one) or is bound to one. `turn_id`
    makes a run safe to send again: once committed it does not run a second time, and whoever sends
    it again, with the same input and starting agent (else TurnIdReused is raised), gets the same
    result: final output, usage and new items, but not the context, nor the results of guardrails.
    A run whose worker died goes on where that worker had come to. One that is interrupted for an
    approval parks its turn; `resume` goes on with it, in any process.

    `busy` says what to do while another turn runs on the session: "wait" in line for up to
    `timeout` seconds (None: for ever), or "reject"; "interrupt" and "rollback" end that turn,
    keeping what it has finished or nothing of it, and then wait likewise. "enqueue" waits for as
    long as it takes: the input is left with the session's queue, outlives this process, and is
    answered in its turn by a worker's agent of the same name; the call waits for that and gets the
    same result. (On a free session the run is this process's own.) It takes no option that cannot
    travel: no context, hooks, run_config and so on, and only JSON as input. `on_error="keep"`
    commits, when the run raises, what the SDK had saved until then. Everything else is what
    `agents.Runner` takes. Without a session, or with one that is not of Turnwise's making, a run is
    the SDK's own.

    Raises what `Session.turn` raises, and what the run raises.
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
        """Run to the end, as one turn."""
        if not isinstance(session, Session):
            _check_foreign(session, session_id, turn_id)
            return await agents.Runner.run(starting_agent, input, session=session, **options)
        named = session.named(session_id)
        check_on_error(named, on_error)
        config = options.get("run_config")
        run_attempt = RunAttempt(session, named, turn_id, starting_agent, input, config)
        if busy == "enqueue":
            check_can_be_left(run_attempt, on_error, options)
        if isinstance(input, RunState):
            resumed = await _resumed(starting_agent, input, session, session_id, turn_id, options)
            if resumed is not None:
                return resumed
        shared = may_share(starting_agent, input, options)
        install()
        try:
            begun = await _begun(run_attempt, busy, timeout)
            async with block(begun, partial(failure, on_error=on_error)) as turn:
                await check_not_decided(turn, input)
                held = TurnSession(turn, session.session_settings, shared=shared)
                try:
                    result = await agents.Runner.run(starting_agent, input, session=held, **options)
                except AgentsException as error:
                    keep_from_caller(error.run_data)
                    raise
                await end(turn, run_attempt.outcome(turn, result))
        except AlreadyCommitted as error:
            return (await run_attempt.again(error)).result(options.get("context"))
        if shared:
            # Its class changes: a copy of its input is made only if somebody looks at it.
            result.__class__ = TurnResult
        return result

    @classmethod
    async def resume(
        cls,
        agent: Agent[TContext],
        *,
        session: Session,
        session_id: str | None = None,
        approve: Iterable[str] = (),
        reject: Mapping[str, str | None] | None = None,
        busy: BusyPolicy = "wait",
        timeout: float | None = 30.0,
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResult:
        """Go on with a turn that waits for approvals, in any process; it is committed as one.

        `approve` and `reject` name what `session.pending_approvals()` gives, all of it or some:
        what nobody has decided waits on. With a rejection goes the text that the model sees, or
        None for the SDK's. `agent` is the one that the turn began with, built anew as need be.

        What is decided is kept before anything is done about it. If this raises, or this process
        dies, the turn waits again, and the next resume, which need not decide anything, goes on
        where this one had come to: no tool runs twice. `session.cancel` gives it up.

        Raises NoPendingApproval for what does not wait (any more), NotResumable if the run cannot
        be restored with this agent and SDK, SessionBusy, and what the run raises.
        """
        resumption = _resumption(session, session_id, agent, busy, timeout, options)
        decisions = Decisions.of(resumption.session_id, approve, reject)
        return await resumption.run(decisions)

    @classmethod
    async def resume_streamed(
        cls,
        agent: Agent[TContext],
        *,
        session: Session,
        session_id: str | None = None,
        approve: Iterable[str] = (),
        reject: Mapping[str, str | None] | None = None,
        busy: BusyPolicy = "wait",
        timeout: float | None = 30.0,
        stream_idle_timeout: float | None = STREAM_IDLE_TIMEOUT,
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResultStreaming:
        """Like `resume`, streamed; to be awaited: it returns when the turn is taken up."""
        resumption = _resumption(session, session_id, agent, busy, timeout, options)
        decisions = Decisions.of(resumption.session_id, approve, reject)
        return await resumption.stream(decisions, stream_idle_timeout)

    @classmethod
    def resume_sync(cls, agent: Agent[TContext], *, session: Session, **options: Any) -> RunResult:
        """Like `resume`, for code without an event loop; it takes the same arguments."""
        return run_until_complete(cls.resume(agent, session=session, **options))

    @classmethod
    def run_sync(
        cls,
        starting_agent: Agent[TContext],
        input: Input[TContext],
        **options: Any,
    ) -> RunResult:
        """Like `run`, for code without an event loop; it takes the same arguments."""
        return run_until_complete(cls.run(starting_agent, input, **options))

    @classmethod
    def run_streamed(
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
        stream_idle_timeout: float | None = STREAM_IDLE_TIMEOUT,
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResultStreaming:
        """Run in the background, as one turn; the result is the SDK's, and streams its events.

        The turn ends when the run has ended, whether or not anybody reads the stream:
        `stream_events` returns when it is committed, or raises what kept it from being so.
        `cancel()` rolls it back, `cancel("after_turn")` commits the steps that are finished. A
        run goes on no further than its reader: one that takes no next event for
        `stream_idle_timeout` seconds (None: for ever) before the run is over has the turn rolled
        back, and gets StreamIdle.
        """
        if not isinstance(session, Session):
            _check_foreign(session, session_id, turn_id)
            return agents.Runner.run_streamed(starting_agent, input, session=session, **options)
        named = session.named(session_id)
        check_on_error(named, on_error)
        config = options.get("run_config")
        run_attempt = RunAttempt(session, named, turn_id, starting_agent, input, config)
        if busy == "enqueue":
            check_can_be_left(run_attempt, on_error, options)

        async def begin() -> Turn:
            if isinstance(input, RunState):
                resumption = Resumption(session, named, starting_agent, "reject", None, options)
                if await resumption.is_of(input, turn_id):
                    return await resumption.opened(input, run_attempt)
            turn = await _begun(run_attempt, busy, timeout)
            try:
                await check_not_decided(turn, input)
            except BaseException as error:
                await end(turn, RollBack(error))
                raise
            return turn

        return streamed(
            lambda turn: agents.Runner.run_streamed(starting_agent, input, session=turn, **options),
            session,
            begin,
            session_id=named,
            on_error=on_error,
            idle_timeout=stream_idle_timeout,
            run_attempt=run_attempt,
        )


async def _begun(run_attempt: RunAttempt, busy: BusyPolicy, timeout: float | None) -> Turn:
    """The turn that the run is to be. Raises AlreadyCommitted if it was answered before, or now."""
    if busy == "enqueue":
        return await begin_or_leave(run_attempt)
    return await begin_turn(
        run_attempt.session.runtime,
        run_attempt.session_id,
        run_attempt.turn_id,
        busy=busy,
        timeout=timeout,
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
        raise UsageError(
            f"only a session of Turnwise's making keeps turns that wait, not {type(session)!r}"
        )
    return Resumption(session, session.named(session_id), agent, busy, timeout, options)


async def _resumed(
    agent: Agent[Any],
    state: RunState[Any],
    session: Session,
    session_id: str | None,
    turn_id: str | None,
    options: Any,
) -> RunResult | None:
    """The run of a turn that waits for approvals, if this state is of that turn."""
    resumption = Resumption(session, session.named(session_id), agent, "reject", None, options)
    if not await resumption.is_of(state, turn_id):
        return None
    return await resumption.run(state)


def _check_foreign(session: object, session_id: str | None, turn_id: str | None) -> None:
    if session_id is not None or turn_id is not None:
        raise UsageError(
            f"session_id and turn_id need a session of Turnwise's making, not {type(session)!r}: "
            "RedisSession, SQLiteSession, MemorySession or connect(url)"
        )
