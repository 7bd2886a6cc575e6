"""What is left of a turn that was asked to stop, and what its record says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from turnwise.cache import Item
from turnwise.pairs import open_calls, output_saying, paired

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


def packed(running: Sequence[str]) -> bytes:
    """The payload of the record of a turn that was stopped."""
    return json.dumps({"running_tools": list(running)}).encode()


def running_tools(payload: bytes) -> tuple[str, ...]:
    """The tools that such a payload names."""
    try:
        told: Any = json.loads(payload or b"{}")
        return tuple(map(str, told.get("running_tools", ())))
    except (ValueError, AttributeError):  # another version's
        return ()
