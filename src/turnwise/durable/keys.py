"""For tools: the mark that they may run again, and a key that names the call at hand."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

from turnwise.durable.context import UntrackedRun, current_call
from turnwise.errors import UsageError

Tool = TypeVar("Tool")
_MARK = "_turnwise_repeatable"


def repeatable(tool: Tool) -> Tool:
    """Mark a tool of the Agents SDK as safe to run again.

    When a worker dies in a tool, nobody knows whether the tool has done its work. The worker that
    takes the turn over runs a marked tool again. For any other tool, the model gets an output which
    says that the outcome is unknown. As a decorator, `@repeatable` stands above `@function_tool`.

    Args:
        tool: a tool of the SDK.

    Returns:
        The same tool.
    """
    setattr(tool, _MARK, True)
    return tool


def is_repeatable(tool: object) -> bool:
    return bool(getattr(tool, _MARK, False))


def idempotency_key() -> str:
    """Inside a tool: a key for this very call, the same after every takeover.

    It is unique to the session, the turn, the calls around this one (of agents as tools) and the
    call's id. Pass it to services that do a thing once per key.

    Returns:
        40 hexadecimal characters.

    Raises:
        UsageError: this code is not in a tool of a durable run, or in a tool of an agent that
            another tool runs in a thread.
    """
    call = current_call()
    if call is None:
        raise UsageError(
            "idempotency_key() works in tools that an agent calls in a turn of a session: pass the "
            "turn, or a session to Turnwise's Runner, to the run"
        )
    if isinstance(call, UntrackedRun):
        raise UsageError(
            f"tool {call.call.tool!r} runs an agent in a thread. The journal has that as a part of "
            "the one call, and the calls of the inner agent have no keys of their own. Make "
            f"{call.call.tool!r} async, and let it await agents.Runner.run"
        )
    turn = call.run.turn
    assert turn is not None
    names: list[Any] = [turn.session_id, turn.turn_id, *call.path]
    return hashlib.blake2b(msgspec.json.encode(names), digest_size=20).hexdigest()
