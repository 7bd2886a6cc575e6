"""Calls and their outputs: a history that a model provider accepts holds both or neither.

Providers answer a call without its output, an output without its call, and a reasoning item cut
from what follows it with an error; one such half makes a session unusable. The kinds of pairs are
those of the Responses API as the Agents SDK knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Item = Mapping[str, Any]

_CALLS = {
    "function_call": ("function_call_output", "call_id"),
    "custom_tool_call": ("custom_tool_call_output", "call_id"),
    "shell_call": ("shell_call_output", "call_id"),
    "apply_patch_call": ("apply_patch_call_output", "call_id"),
    "computer_call": ("computer_call_output", "call_id"),
    "local_shell_call": ("local_shell_call_output", "call_id"),
    "program": ("program_output", "call_id"),
    "tool_search_call": ("tool_search_output", "call_id"),
    "mcp_approval_request": ("mcp_approval_response", "id"),
}
_OUTPUTS = {
    output: "approval_request_id" if output == "mcp_approval_response" else "call_id"
    for output, _ in _CALLS.values()
}
Key = tuple[str, Any]


def is_whole(items: Sequence[Item]) -> bool:
    """Whether no item here depends on one that is elsewhere or nowhere."""
    if all(item.get("type") not in _HALVES for item in items):
        return True
    return not _halves(items)


def paired(items: Sequence[Item], before: Item | None = None) -> list[Any]:
    """The items without halves. `before` is the item in front of them that was cut off."""
    if before is None and is_whole(items):
        return list(items)
    dropped = _halves(items)
    if before is not None and before.get("type") == "reasoning" and items:
        dropped |= _with_partner(items, 0)
    _drop_reasoning(items, dropped)
    return [item for index, item in enumerate(items) if index not in dropped]


_HALVES = {*_CALLS, *_OUTPUTS, "reasoning"}


def _call(item: Item) -> Key | None:
    output = _CALLS.get(str(item.get("type")))
    return (output[0], item.get(output[1])) if output else None


def _output(item: Item) -> Key | None:
    field = _OUTPUTS.get(str(item.get("type")))
    return (str(item["type"]), item.get(field)) if field else None


def _halves(items: Sequence[Item]) -> set[int]:
    """The indices of calls without an output behind them, and of outputs without a call before."""
    open_calls: dict[Key, list[int]] = {}
    dropped: set[int] = set()
    for index, item in enumerate(items):
        if (call := _call(item)) is not None:
            open_calls.setdefault(call, []).append(index)
        elif (output := _output(item)) is not None:
            if waiting := open_calls.get(output):
                waiting.pop(0)
            else:
                dropped.add(index)
    dropped.update(index for waiting in open_calls.values() for index in waiting)
    _drop_reasoning(items, dropped)
    return dropped


def _drop_reasoning(items: Sequence[Item], dropped: set[int]) -> None:
    """Reasoning goes with what follows it; at the very end it has nothing to go with."""
    follower_dropped = True
    for index in range(len(items) - 1, -1, -1):
        if items[index].get("type") == "reasoning" and follower_dropped:
            dropped.add(index)
        follower_dropped = index in dropped


def _with_partner(items: Sequence[Item], index: int) -> set[int]:
    """An item, and the output that belongs to it if it is a call."""
    call = _call(items[index])
    outputs = (i for i, item in enumerate(items) if call is not None and _output(item) == call)
    return {index, *[next(outputs, index)]}
