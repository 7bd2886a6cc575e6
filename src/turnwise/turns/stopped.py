"""What is left of a turn that was asked to stop, and what its record says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from turnwise.cache import Item
from turnwise.call_pairs import open_calls, output_saying, paired

INTERRUPTED = (
    "This call was interrupted before it ended, because the turn was asked to stop. It may have "
    "done its work, or a part of it, or nothing."
)
"""What the model is told later of a call that had begun in a turn that was interrupted."""


@runtime_checkable
class Work(Protocol):
    """What goes on in a turn, as those know who do it."""

    def unsaved(self, added: Sequence[Item]) -> list[Item]:
        """What is finished and not among the items that the turn has added: in order."""

    def running_tools(self) -> list[str]:
        """The names of the tools that still run, or may: those in threads are not followed."""

    async def quiet(self, seconds: float) -> None:
        """Return when no tool runs, or when that much time is over."""


def kept(added: Sequence[Item], work: object) -> list[Item]:
    """All that the turn has finished, each call with an output."""
    items = [*added, *(work.unsaved(added) if isinstance(work, Work) else ())]
    outputs = (output_saying(call, INTERRUPTED) for call in open_calls(items))
    return paired([*items, *(output for output in outputs if output is not None)])


def note(reason: str | None) -> str:
    """What the store keeps of a reason: the payload of a turn that no worker of its own ends."""
    return "" if reason is None else json.dumps({"reason": reason}, ensure_ascii=False)


def packed(running: Sequence[str], reason: str | None) -> bytes:
    """The payload of the record of a turn that its worker stopped."""
    told: dict[str, Any] = {"running_tools": list(running)}
    if reason is not None:
        told["reason"] = reason
    return json.dumps(told, ensure_ascii=False).encode()


def running_tools(payload: bytes) -> tuple[str, ...] | None:
    """The tools that such a payload names; None if it does not tell."""
    tools = _told(payload).get("running_tools")
    return tuple(map(str, tools)) if isinstance(tools, list) else None


def reason_in(payload: bytes | str) -> str | None:
    """Why the turn was to stop, if anybody said."""
    reason = _told(payload).get("reason")
    return reason if isinstance(reason, str) else None


def _told(payload: bytes | str) -> dict[str, Any]:
    try:
        told = json.loads(payload or "{}")
    except ValueError:  # another version's
        return {}
    return told if isinstance(told, dict) else {}
