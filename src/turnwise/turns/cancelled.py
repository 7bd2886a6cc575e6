"""What a turn leaves that was cancelled or failed: the items that it has finished, its record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from turnwise.cache import Item
from turnwise.call_pairs import open_calls, paired, text_output

INTERRUPTED = (
    "This call was interrupted before it ended, because the turn was cancelled. It may have done "
    "its work, or a part of it, or nothing."
)
"""The output, for later model calls, of a call that had begun when its turn was interrupted."""

FAILED = (
    "This call has no result, because the turn failed. It may have done its work, or a part of it, "
    "or nothing. Find out what it did before you repeat it."
)
"""The output, for later model calls, of a call without one in a turn that an error ended."""


@runtime_checkable
class Work(Protocol):
    """What goes on in a turn, as the runs in it report it."""

    @property
    def has_run_tools(self) -> bool:
        """Whether a tool call that may have had an effect has begun, in any attempt."""

    def is_lasting(self, error: BaseException) -> bool:
        """Whether every attempt would end with this error."""

    async def attempt_failed(self, error: BaseException) -> None:
        """Journal what the next attempt has to know of the error. Never raises."""

    def unsaved(self, added: Sequence[Item], *, failed: bool = False) -> list[Item]:
        """What is finished and not among the items that the turn has added, in order.

        `failed`: an error ended the turn. A response that made no call is not kept then: the error
        may be about it.
        """

    def running_tools(self) -> list[str]:
        """The names of the tools that run or may run: those in threads are not followed."""

    async def quiet(self, seconds: float) -> None:
        """Return when no tool runs, or after that many seconds."""


def finished(added: Sequence[Item], work: object, *, failed: bool = False) -> list[Item]:
    """All that the turn has finished, each call with an output."""
    unsaved = work.unsaved(added, failed=failed) if isinstance(work, Work) else ()
    items = [*added, *unsaved]
    text = FAILED if failed else INTERRUPTED
    outputs = (text_output(call, text) for call in open_calls(items))
    return paired([*items, *(output for output in outputs if output is not None)])


def request_payload(reason: str | None) -> str:
    """A cancel request's reason, as the payload of a turn that the store itself cancels."""
    return "" if reason is None else json.dumps({"reason": reason}, ensure_ascii=False)


def record_payload(running: Sequence[str], reason: str | None) -> bytes:
    """The payload of a turn that its worker ended as cancelled."""
    fields: dict[str, Any] = {"running_tools": list(running)}
    if reason is not None:
        fields["reason"] = reason
    return json.dumps(fields, ensure_ascii=False).encode()


def running_tools(payload: bytes) -> tuple[str, ...] | None:
    """The tools that a payload names; None if it does not say."""
    tools = _fields(payload).get("running_tools")
    return tuple(map(str, tools)) if isinstance(tools, list) else None


def reason_in(payload: bytes | str) -> str | None:
    """The first cancel request's reason; None if it gave none."""
    reason = _fields(payload).get("reason")
    return reason if isinstance(reason, str) else None


def _fields(payload: bytes | str) -> dict[str, Any]:
    try:
        fields = json.loads(payload or "{}")
    except ValueError:  # another version's
        return {}
    return fields if isinstance(fields, dict) else {}
