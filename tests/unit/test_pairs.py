"""A session's items are whole: each call with its output, no reasoning alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.items import (
    PAIRS,
    Item,
    assistant,
    call,
    loose_items,
    of_program,
    output,
    reasoning,
    user,
    whole_histories,
    without_halves,
)
from turnwise import MemorySession
from turnwise.call_pairs import is_whole, open_calls, paired, text_output

limits = st.none() | st.integers(0, 12)


@given(st.lists(loose_items, max_size=12), limits)
@example([reasoning("a"), reasoning("b"), assistant("c")], 2)
@example([reasoning("a"), user("b")], 1)
@example([reasoning("a"), call("x"), call("y"), output("x"), output("y")], 4)
def test_no_half_is_answered_and_nothing_else_is_left_out(
    history: list[Item], limit: int | None
) -> None:
    first = 0 if limit is None else max(0, len(history) - limit)
    assert paired(history, first) == without_halves(history, limit)


def test_a_program_is_answered_with_all_its_outputs_or_not_at_all() -> None:
    whole = [
        call("p", "program"),
        of_program("p", call("x")),
        of_program("p", output("x")),
        output("p", "program", "paused"),
        of_program("p", call("y")),
        of_program("p", output("y")),
        output("p", "program", "done"),
    ]
    assert paired(whole) == whole
    unfinished = [item for item in whole if item["type"] != "program_output"]
    assert paired([user("a"), *unfinished, assistant("b")]) == [user("a"), assistant("b")]
    assert paired(whole[1:]) == []


def test_reasoning_between_a_call_and_its_output_is_answered() -> None:
    items = [call("x"), reasoning("a"), output("x"), assistant("b")]
    assert paired(items) == items


@given(whole_histories)
def test_a_whole_history_is_answered_as_it_is(history: list[Item]) -> None:
    assert is_whole(history)
    assert paired(history) == history


@given(st.lists(loose_items, max_size=12))
def test_a_history_is_whole_if_nothing_is_left_out_of_it(history: list[Item]) -> None:
    assert is_whole(history) == (paired(history) == history)


@given(st.lists(loose_items, max_size=10), st.integers(-1, 12))
@example([reasoning("a"), assistant("b")], 1)
@example([reasoning("a"), call("x"), output("x"), user("b")], 3)
@example([user("a"), call("x"), output("x"), user("b")], 2)
async def test_a_session_answers_the_same_at_every_limit(history: list[Item], limit: int) -> None:
    session = MemorySession(session_id="s")
    await session.add_items(history)  # type: ignore[arg-type]  # plain dicts
    assert await session.get_items(limit) == without_halves(history, limit)
    assert await session.get_items() == without_halves(history)
    async with session.turn() as turn:
        first = 0 if limit < 0 else max(0, len(history) - limit)
        assert await turn.get_items(limit) == history[first:]


@pytest.mark.parametrize(
    ("history", "whole"),
    [
        ([user("a"), reasoning("b")], [user("a")]),
        ([reasoning("b"), user("a")], [user("a")]),
        ([reasoning("b"), output("x"), user("a")], [user("a")]),
        ([user("a"), call("x")], [user("a")]),
        ([reasoning("b"), call("x"), user("a")], [user("a")]),
        ([call("x"), call("x"), output("x")], [call("x"), output("x")]),
    ],
)
def test_what_a_crash_leaves_behind_is_not_answered(history: list[Item], whole: list[Item]) -> None:
    assert paired(history) == whole


@pytest.mark.parametrize("odd", [[], {}, 5, None, True, ["function_call"]])
def test_fields_of_another_type_than_the_api_has_are_no_halves(odd: Any) -> None:
    assert paired([{"type": odd}]) == [{"type": odd}]
    pair = [call(odd), output(odd)]
    assert paired(pair) == pair
    assert paired([call(odd), output("x")]) == []


@given(st.lists(loose_items.filter(lambda item: "caller" not in item), max_size=12))
@example([call("x"), call("x"), output("x")])
@example([call("x", "program"), call("x", "program")])
def test_open_calls_are_those_without_an_output(history: list[Item]) -> None:
    outputs = (
        output(waiting.get("call_id", waiting.get("id")), waiting["type"])
        for waiting in open_calls(history)
    )
    closed = [*history, *outputs]
    assert not open_calls(closed)
    calls = [item for item in closed if item.get("type") in PAIRS]
    assert [item for item in paired(closed) if item.get("type") in PAIRS] == calls


@pytest.mark.parametrize(
    "kind",
    ["function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call"],
)
def test_an_output_that_says_something_closes_its_call(kind: str) -> None:
    item = {"type": kind, "call_id": "c", "caller": {"type": "direct"}}
    closing = text_output(item, "interrupted")
    assert closing is not None
    assert is_whole([item, closing])
    assert (closing["caller"], "interrupted" in str(closing["output"])) == (item["caller"], True)


def test_a_call_whose_output_is_not_text_gets_none() -> None:
    assert text_output({"type": "computer_call", "call_id": "c"}, "interrupted") is None
