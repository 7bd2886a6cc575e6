"""Items as the Agents SDK stores them, and Hypothesis strategies for histories of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Item = dict[str, Any]
PAIRS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "shell_call": "shell_call_output",
    "apply_patch_call": "apply_patch_call_output",
    "computer_call": "computer_call_output",
    "local_shell_call": "local_shell_call_output",
    "program": "program_output",
    "tool_search_call": "tool_search_output",
    "mcp_approval_request": "mcp_approval_response",
}


def user(text: str) -> Item:
    return {"role": "user", "content": text}


def assistant(text: str) -> Item:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def reasoning(text: str) -> Item:
    return {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": text}


def call(name: str | None, kind: str = "function_call") -> Item:
    field = "id" if kind == "mcp_approval_request" else "call_id"
    return {"type": kind, field: name, "name": "tool", "arguments": "{}"}


def of_program(name: str, item: Item) -> Item:
    """The item as a program makes it: a call, or a call's output."""
    return item | {"caller": {"type": "program", "caller_id": name}}


def output(name: str | None, kind: str = "function_call", text: str = "done") -> Item:
    field = "approval_request_id" if kind == "mcp_approval_request" else "call_id"
    return {"type": PAIRS[kind], field: name, "output": text}


# Text that every JSON library reads back as it was.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ids = st.sampled_from(["call_1", "call_2", "call_3"])
kinds = st.sampled_from(list(PAIRS))
_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
unknown = st.dictionaries(texts, _values, max_size=4).map(lambda item: item | {"type": "from_2031"})
messages = st.builds(user, texts) | st.builds(assistant, texts)


@st.composite
def whole_programs(draw: st.DrawFn) -> list[Item]:
    """A program with what it called, and with an output for each time that it paused."""
    name = draw(ids)
    called: list[Item] = []
    for inner in draw(st.lists(ids, max_size=2, unique=True)):
        called += [of_program(name, call(inner)), of_program(name, output(inner))]
        called += [output(name, "program", "paused")] * draw(st.integers(0, 1))
    return [call(name, "program"), *called, output(name, "program")]


@st.composite
def whole_groups(draw: st.DrawFn) -> list[Item]:
    """Items that belong together, and nothing less than that."""
    thought = [reasoning(draw(texts))] if draw(st.booleans()) else []
    if draw(st.booleans()):
        return [*thought, draw(st.builds(assistant, texts) | unknown)]
    if draw(st.booleans()):
        return [*thought, *draw(whole_programs())]
    names = draw(st.lists(ids, min_size=1, max_size=3, unique=True))
    kind = draw(kinds)
    calls = [call(name, kind) for name in names]
    return [*thought, *calls, *(output(name, kind) for name in draw(st.permutations(names)))]


whole_histories = st.lists(whole_groups() | messages.map(lambda item: [item]), max_size=4).map(
    lambda groups: [item for group in groups for item in group]
)
loose_items = st.one_of(
    messages,
    st.builds(reasoning, texts),
    st.builds(call, ids, kinds),
    st.builds(output, ids, kinds),
    st.just(call(None, "tool_search_call")),
    st.just(output(None, "tool_search_call")),
    st.builds(of_program, ids, st.builds(call, ids) | st.builds(output, ids) | unknown),
    unknown,
)


def without_halves(history: list[Item], limit: int | None = None) -> list[Item]:
    """The last items without what depends on something that is not among them.

    Slow and plain: take away what misses its other half, until nothing does.
    """
    first = 0 if limit is None or limit < 0 else max(0, len(history) - limit)
    partner = _partners(history, first)
    kept = set(range(first, len(history)))

    def is_half(index: int) -> bool:
        item = history[index]
        if item.get("type") == "program":
            outputs = [other for other, program in partner.items() if program == index]
            if not outputs:
                return True
        elif _role_of(item) != "message" and partner.get(index) not in kept:
            return True
        if "caller" in item and _program_of(history, first, index) not in kept:
            return True
        if item.get("type") == "reasoning":
            follows = history[index + 1] if index + 1 in kept else user("")
            if not (_is_from_model(follows) or _role_of(follows) == "output"):
                return True
        thought = _reasoning_of(history, index)
        return thought is not None and thought not in kept

    while halves := {index for index in kept if is_half(index)}:
        kept -= halves
    return [history[index] for index in sorted(kept)]


def _role_of(item: Item) -> str:
    if item.get("type") in PAIRS:
        return "call"
    return "output" if item.get("type") in PAIRS.values() else "message"


def _is_from_model(item: Item) -> bool:
    return _role_of(item) != "output" and item.get("role") in (None, "assistant")


def _reasoning_of(history: list[Item], index: int) -> int | None:
    """Where the reasoning stands that led to an item: before it, and before all it gave since."""
    if not _is_from_model(history[index]):
        return None
    for before in range(index - 1, -1, -1):
        if history[before].get("type") == "reasoning":
            is_apart = history[index].get("type") == "reasoning" and before < index - 1
            return None if is_apart else before
        if not _is_from_model(history[before]):
            return None
    return None


def _partners(history: list[Item], first: int) -> dict[int, int]:
    """For each call its output, and the other way round: the oldest open call gets the output.

    Only the outputs of a program have a partner: it may have several. Of programs of one id, each
    gets one first.
    """
    found: dict[int, int] = {}
    for index in range(first, len(history)):
        if _role_of(history[index]) != "output":
            continue
        if history[index]["type"] == "program_output":
            programs = _programs(history, first, index, history[index]["call_id"])
            waiting = [program for program in programs if program not in found.values()]
            if programs:
                found[index] = waiting[0] if waiting else programs[-1]
            continue
        for before in range(first, index):
            if before not in found and _belong(history[before], history[index]):
                found |= {before: index, index: before}
                break
    return found


def _program_of(history: list[Item], first: int, index: int) -> int | None:
    programs = _programs(history, first, index, history[index]["caller"]["caller_id"])
    return programs[-1] if programs else None


def _programs(history: list[Item], first: int, end: int, name: str) -> list[int]:
    def is_one(item: Item) -> bool:
        return item.get("type") == "program" and item["call_id"] == name

    return [index for index in range(first, end) if is_one(history[index])]


def _belong(call: Item, output: Item) -> bool:
    if PAIRS.get(call.get("type", "")) != output.get("type"):
        return False
    if call["type"] == "mcp_approval_request":
        return bool(call.get("id") == output.get("approval_request_id"))
    return bool(call.get("call_id") == output.get("call_id"))
