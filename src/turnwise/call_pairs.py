"""Calls and their outputs: a history that a model provider accepts holds both or neither.

Providers reject a call without its output, an output without its call, and a reasoning item
without what followed it; one such half makes a session unusable. The kinds of pairs are those of
the Responses API, as the Agents SDK knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """Whether no item depends on one that is missing here."""
    if all(_kind(item) not in _HALVES for item in items):
        return True
    return not _halves(items)


def paired(items: Sequence[Item], before: Item | None = None) -> list[Any]:
    """The items without halves. `before` is the item before them, which was cut off."""
    if before is None and is_whole(items):
        return list(items)
    dropped = _halves(items)
    if before is not None and _kind(before) == "reasoning":
        dropped |= _cut_from_reasoning(items)
    _drop_reasoning(items, dropped)
    return [item for index, item in enumerate(items) if index not in dropped]


def open_calls(items: Sequence[Item]) -> list[Item]:
    """The calls without an output after them, in order."""
    open_by_key: dict[Key, list[int]] = {}
    for index, item in enumerate(items):
        if (call := _call(item)) is not None:
            open_by_key.setdefault(call, []).append(index)
        elif (output := _output(item)) is not None and open_by_key.get(output):
            open_by_key[output].pop(0)
    return [items[index] for index in sorted(i for left in open_by_key.values() for i in left)]


def output_of(item: Item) -> str | None:
    """The id of the call whose output this is; None for any other item."""
    output = _output(item)
    return None if output is None else output[1]


def text_output(call: Item, text: str) -> dict[str, Any] | None:
    """An output of this call with this text; None for kinds of calls whose output is not text."""
    kind = _kind(call)
    if kind not in _TEXT_OUTPUTS:
        return None
    output = {"type": _CALLS[kind][0], "call_id": call.get("call_id"), **_TEXT_OUTPUTS[kind](text)}
    if call.get("caller") is not None:
        output["caller"] = call["caller"]
    return output


def _shell(text: str) -> dict[str, Any]:
    outcome = {"type": "exit", "exit_code": 1}
    return {"output": [{"stdout": "", "stderr": text, "outcome": outcome}]}


_TEXT_OUTPUTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "function_call": lambda text: {"output": text},
    "custom_tool_call": lambda text: {"output": text},
    "local_shell_call": lambda text: {"output": text},
    "apply_patch_call": lambda text: {"output": text, "status": "failed"},
    "shell_call": _shell,
}
_HALVES = {*_CALLS, *_OUTPUTS, "reasoning"}


def _kind(item: Item) -> str | None:
    kind = item.get("type")
    return kind if isinstance(kind, str) else None


def _call(item: Item) -> Key | None:
    output = _CALLS.get(_kind(item) or "")
    return (output[0], _name(item.get(output[1]))) if output else None


def _output(item: Item) -> Key | None:
    field = _OUTPUTS.get(_kind(item) or "")
    return (str(item["type"]), _name(item.get(field))) if field else None


def _name(value: object) -> object:
    """What links the two halves: a string; None for the searches that providers run."""
    return value if value is None or isinstance(value, str) else repr(value)


def _is_from_model(item: Item) -> bool:
    """Whether a model gave this item: only then can reasoning belong to it."""
    role = item.get("role")
    return _output(item) is None and (role == "assistant" or role is None)


def _halves(items: Sequence[Item]) -> set[int]:
    """The indices of calls without an output after them, and of outputs without a call before."""
    open_calls: dict[Key, list[int]] = {}
    dropped: set[int] = set()
    for index, item in enumerate(items):
        if (call := _call(item)) is not None:
            open_calls.setdefault(call, []).append(index)
        elif (output := _output(item)) is not None:
            if calls := open_calls.get(output):
                calls.pop(0)
            else:
                dropped.add(index)
    dropped.update(index for calls in open_calls.values() for index in calls)
    _drop_reasoning(items, dropped)
    return dropped


def _drop_reasoning(items: Sequence[Item], dropped: set[int]) -> None:
    """Drop reasoning with what the model gave next; and where nothing follows it."""
    alone = True
    for index in range(len(items) - 1, -1, -1):
        if _kind(items[index]) == "reasoning" and alone:
            dropped.add(index)
        alone = index in dropped or not _is_from_model(items[index])


def _cut_from_reasoning(items: Sequence[Item]) -> set[int]:
    """What belongs to reasoning before the items: more of it, and what the model gave next."""
    index = 0
    while index < len(items) and _kind(items[index]) == "reasoning":
        index += 1
    cut = set(range(index))
    if index < len(items) and _is_from_model(items[index]):
        cut |= _with_partner(items, index)
    return cut


def _with_partner(items: Sequence[Item], index: int) -> set[int]:
    """An item, and the output that belongs to it if it is a call."""
    call = _call(items[index])
    outputs = (i for i, item in enumerate(items) if call is not None and _output(item) == call)
    return {index, *[next(outputs, index)]}
