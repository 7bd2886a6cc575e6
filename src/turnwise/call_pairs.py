"""Calls and their outputs: a history that a model provider accepts holds both or neither.

Providers reject a call without its output, an output without its call, and a reasoning item
without what followed it; one such half makes a session unusable. A program that calls tools has an
output for each pause; it is a half without any, and so are its calls without the program. The kinds
of pairs are those of the Responses API, as the Agents SDK knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
_PROGRAMS = ("program", "program_output")
Key = tuple[str, Any]
_MISSING = -1


def is_whole(items: Sequence[Item]) -> bool:
    """Whether no item depends on one that is missing here."""
    if all(_kind(item) not in _HALVES and "caller" not in item for item in items):
        return True
    return not _halves(items, 0)


def paired(items: Sequence[Item], first: int = 0, later: Sequence[Item] = ()) -> list[Any]:
    """The items from index `first` on, without halves.

    Args:
        items: the end of a history. What stands before `first` was cut off; it tells whether the
            cut parted a response from its reasoning.
        first: the index of the first item to return.
        later: what follows the items: it may hold the outputs of their last calls.
    """
    dropped = _halves([*items, *later], first)
    return [item for index, item in enumerate(items[first:], first) if index not in dropped]


def is_undecided(items: Sequence[Item], first: int) -> bool:
    """Whether it takes items before these to tell if a cut at `first` parts a response."""
    return first < len(items) and all(
        _is_from_model(item) and _kind(item) != "reasoning" for item in items[: first + 1]
    )


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


def _halves(items: Sequence[Item], first: int) -> set[int]:
    """The indices of what depends, at one or more removes, on an item that is not there.

    Items before `first` are not there.
    """
    dependents: dict[int, list[int]] = {}
    for dependent, needed in (
        *_partners(items, first),
        *_programs(items, first),
        *_reasoned(items, first),
    ):
        dependents.setdefault(needed if needed >= first else _MISSING, []).append(dependent)
    dropped: set[int] = set()
    found = dependents.get(_MISSING, [])
    while found:
        dropped.update(found)
        found = [
            later for index in found for later in dependents.get(index, ()) if later not in dropped
        ]
    return dropped


def _partners(items: Sequence[Item], first: int) -> Iterator[tuple[int, int]]:
    """Each call with the index of its output, and each output with that of its call."""
    open_calls: dict[Key, list[int]] = {}
    for index, item in enumerate(items[first:], first):
        if _kind(item) in _PROGRAMS:
            continue
        if (call := _call(item)) is not None:
            open_calls.setdefault(call, []).append(index)
        elif (output := _output(item)) is not None:
            if calls := open_calls.get(output):
                partner = calls.pop(0)
                yield partner, index
                yield index, partner
            else:
                yield index, _MISSING
    yield from ((index, _MISSING) for calls in open_calls.values() for index in calls)


def _programs(items: Sequence[Item], first: int) -> Iterator[tuple[int, int]]:
    """Outputs of programs, and what programs called, each with the index of its program.

    A program has an output for each pause. One without any depends on what is missing. Of programs
    of one id, each gets one first.
    """
    programs: dict[object, int] = {}
    unfinished: dict[object, list[int]] = {}
    for index, item in enumerate(items[first:], first):
        if (caller := _caller(item)) is not None:
            yield index, programs.get(caller, _MISSING)
        if _kind(item) == "program":
            name = _name(item.get("call_id"))
            programs[name] = index
            unfinished.setdefault(name, []).append(index)
        elif _kind(item) == "program_output":
            name = _name(item.get("call_id"))
            waiting = unfinished.get(name)
            yield index, waiting.pop(0) if waiting else programs.get(name, _MISSING)
    yield from ((index, _MISSING) for waiting in unfinished.values() for index in waiting)


def _caller(item: Item) -> object:
    """The id of the program that made this call, or whose call has this output."""
    caller = item.get("caller")
    if not isinstance(caller, Mapping) or caller.get("type") != "program":
        return None
    return _name(caller.get("caller_id"))


def _reasoned(items: Sequence[Item], first: int) -> Iterator[tuple[int, int]]:
    """Reasoning with the index of what follows it; what a model gave, with that of its reasoning.

    A response's items stand together, and all that follow its reasoning belong to it.
    """
    reasoning: int | None = None  # of the response that the item belongs to
    for index, item in enumerate(items):
        thinks = _kind(item) == "reasoning"
        if not _is_from_model(item) or (thinks and reasoning != index - 1):
            reasoning = None
        if index >= first and reasoning is not None:
            yield index, reasoning
        if index >= first and thinks:
            yield index, index + 1 if _can_follow(items[index + 1 : index + 2]) else _MISSING
        if thinks:
            reasoning = index


def _can_follow(following: Sequence[Item]) -> bool:
    """Whether a provider accepts reasoning before these items: not before a user's, or nothing."""
    return any(_is_from_model(item) or _output(item) is not None for item in following)
