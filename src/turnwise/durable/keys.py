"""What a tool may say of itself, and ask for."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

from turnwise.durable.context import UntrackedRun, place_of_tool
from turnwise.errors import UsageError

Tool = TypeVar("Tool")
_MARK = "_turnwise_repeatable"


def repeatable(tool: Tool) -> Tool:
    """Mark a tool of the Agents SDK as safe to run again.

    When a worker dies in a tool, nobody knows whether the tool has done its work. A marked one is
    run again by the worker that takes the turn over; of any other the model is told that its
    outcome is unknown. Returns the tool: `@repeatable` stands above `@function_tool`.
    """
    setattr(tool, _MARK, True)
    return tool


def is_repeatable(tool: object) -> bool:
    return bool(getattr(tool, _MARK, False))


def idempotency_key() -> str:
    """Inside a tool: a key of 40 characters for this very call, the same after every takeover.

    It is unique to session, turn, the calls around (of agents used as tools) and the call's id.
    Give it to services that do a thing once per key. Raises UsageError outside of a durable run,
    and in the tools of an agent that a tool runs in a thread.
    """
    place = place_of_tool()
    if place is None:
        raise UsageError(
            "idempotency_key() is for tools that are run by an agent in a turn of a session: "
            "pass the turn, or a session of Turnwise's Runner, to the run"
        )
    if isinstance(place, UntrackedRun):
        raise UsageError(
            f"the tool {place.call.tool!r} runs an agent in a thread; to the journal that is "
            "a part of this one call, and the calls of that agent have no keys of their own. Make "
            f"{place.call.tool!r} async, and let it await agents.Runner.run"
        )
    turn = place.run.turn
    assert turn is not None
    names: list[Any] = [turn.session_id, turn.turn_id, *place.path]
    return hashlib.blake2b(msgspec.json.encode(names), digest_size=20).hexdigest()
