"""What a run may be told, as the Agents SDK's Runner takes it."""

from __future__ import annotations

from typing import Any, Generic, TypedDict, TypeVar

from agents import RunConfig, RunErrorHandlers, RunHooks

TContext = TypeVar("TContext")


class RunOptions(TypedDict, Generic[TContext], total=False):
    """The arguments of `agents.Runner.run` besides agent, input and session, passed on as given."""

    context: TContext | None
    max_turns: int | None
    hooks: RunHooks[TContext] | None
    run_config: RunConfig | dict[str, Any] | None
    error_handlers: RunErrorHandlers[TContext] | None
    previous_response_id: str | None
    auto_previous_response_id: bool
    conversation_id: str | None
