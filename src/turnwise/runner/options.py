"""The options of runs: the SDK's own, by name and by position, and ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypedDict, TypeVar

from agents import RunConfig, RunErrorHandlers, RunHooks

from turnwise.errors import UsageError

TContext = TypeVar("TContext")

_BY_POSITION = (
    "context",
    "max_turns",
    "hooks",
    "run_config",
    "previous_response_id",
    "auto_previous_response_id",
    "conversation_id",
    "session",
)
"""The options that the SDK's `run_streamed` takes by position too."""


class RunOptions(TypedDict, Generic[TContext], total=False):
    """Arguments of `agents.Runner.run` that are passed on unchanged."""

    context: TContext | None
    max_turns: int | None
    hooks: RunHooks[TContext] | None
    run_config: RunConfig | dict[str, Any] | None
    error_handlers: RunErrorHandlers[TContext] | None
    previous_response_id: str | None
    auto_previous_response_id: bool
    conversation_id: str | None


KNOWN = (
    "session",
    "session_id",
    "turn_id",
    "busy",
    "timeout",
    "on_error",
    "on_disconnect",
    "stream_idle_timeout",
    "approve",
    "reject",
    "always_approve",
    "always_reject",
    *RunOptions.__annotations__,
)
"""The names of all options, for the error that tells of a misspelt one."""


def named(by_position: Sequence[Any], options: Any, session: Any) -> tuple[Any, Any]:
    """The SDK's options with those that were given by position, and the session."""
    named = dict(zip(_BY_POSITION, by_position, strict=False))
    if len(by_position) > len(named) or named.keys() & options.keys():
        raise UsageError(
            f"run_streamed got {len(by_position)} options by position, and some of them twice or "
            f"too many. By position come {', '.join(_BY_POSITION)}; give the others by name"
        )
    given = named.pop("session", None)
    return {**named, **options}, session if given is None else given


def check_foreign(session: object, session_id: str | None, turn_id: str | None) -> None:
    """Raise UsageError if a session that is not Turnwise's cannot be what the caller means."""
    if isinstance(session, str):
        raise UsageError(
            f"session={session!r} is a string. Pass a session object, connect(url) say, and the "
            "session's id as session_id="
        )
    if session_id is not None or turn_id is not None:
        raise UsageError(
            f"session_id and turn_id need a Turnwise session, not {type(session)!r}: RedisSession, "
            "SQLiteSession, MemorySession or connect(url)"
        )
