"""A drop-in for the SDK's Runner: one run is one turn."""

from __future__ import annotations

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

from turnwise.errors import AlreadyCommitted, UsageError
from turnwise.runner.answered import Answering
from turnwise.runner.blocking import run_until_complete
from turnwise.runner.options import RunOptions
from turnwise.runner.sharing import TurnResult, keep_from_caller, may_share
from turnwise.runner.streaming import STREAM_IDLE_TIMEOUT, streamed
from turnwise.session import Session
from turnwise.turns import Busyness, OnError, check_on_error

TContext = TypeVar("TContext")
Input = str | list[TResponseInputItem] | RunState[TContext]


class Runner:
    """Runs agents. With a session of Turnwise a run is one turn: committed at its end, or not.

    `session` stands for all sessions (then `session_id` names one) or is bound to one. `turn_id`
    makes a run safe to send again: once committed it does not run a second time, and whoever sends
    it again, with the same input and starting agent (else TurnIdReused is raised), gets the same
    result: final output, usage and new items, but not the context, nor the results of guardrails.
    A run whose worker died goes on where that worker had come to.

    `busy` says what to do while another turn runs on the session: "wait" in line for up to
    `timeout` seconds (None: for ever), or "reject". `on_error="keep"` commits, when the run raises,
    what the SDK had saved until then. Everything else is what `agents.Runner` takes. Without a
    session, or with one that is not of Turnwise's making, a run is the SDK's own.

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
        busy: Busyness = "wait",
        timeout: float | None = 30.0,
        on_error: OnError = "rollback",
        **options: Unpack[RunOptions[TContext]],
    ) -> RunResult:
        """Run to the end, as one turn."""
        if not isinstance(session, Session):
            _check_foreign(session, session_id, turn_id)
            return await agents.Runner.run(starting_agent, input, session=session, **options)
        shared = may_share(starting_agent, input, options)
        named = session.named(session_id)
        config = options.get("run_config")
        answering = Answering(session, named, turn_id, starting_agent, input, config)
        try:
            async with session.turn(
                named,
                turn_id=turn_id,
                busy=busy,
                timeout=timeout,
                on_error=on_error,
                shared=shared,
            ) as turn:
                try:
                    result = await agents.Runner.run(starting_agent, input, session=turn, **options)
                except AgentsException as error:
                    keep_from_caller(error.run_data)
                    raise
                answering.keep(turn.turn, result)
        except AlreadyCommitted as error:
            return (await answering.again(error)).result(options.get("context"))
        if shared:
            result.__class__ = TurnResult
        return result

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
        busy: Busyness = "wait",
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
        return streamed(
            lambda turn: agents.Runner.run_streamed(starting_agent, input, session=turn, **options),
            session,
            lambda: session.worker.begin(named, turn_id, busy=busy, timeout=timeout),
            session_id=named,
            on_error=on_error,
            idle_timeout=stream_idle_timeout,
            answering=Answering(
                session, named, turn_id, starting_agent, input, options.get("run_config")
            ),
        )


def _check_foreign(session: object, session_id: str | None, turn_id: str | None) -> None:
    if session_id is not None or turn_id is not None:
        raise UsageError(
            f"session_id and turn_id need a session of Turnwise's making, not {type(session)!r}: "
            "RedisSession, SQLiteSession, MemorySession or connect(url)"
        )
