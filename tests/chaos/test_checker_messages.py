"""The checker on messages: one end each, in order, after the allowed attempts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.histories import HistoryBuilder


@pytest.fixture
def builder() -> HistoryBuilder:
    return HistoryBuilder()


def _answer(builder: HistoryBuilder, op: str, start: float) -> None:
    text = builder.store(op)
    builder.invocation(op, start, start + 1, kind="await", value={"text": text, "added": 2})


def test_an_accepted_message_never_ends(builder: HistoryBuilder) -> None:
    builder.message("1", 1, 2)
    assert builder.rules() == ["message"]
    _answer(builder, "1", 3)
    assert builder.rules() == []


def test_a_failover_may_lose_a_message(builder: HistoryBuilder) -> None:
    builder.message("1", 1, 2)
    builder.fault("primary killed", 2, 3, lossy=True)
    assert builder.excuses() == ["messages that went through a failover"]


def test_a_message_ends_twice(builder: HistoryBuilder) -> None:
    builder.message("1", 1, 2)
    _answer(builder, "1", 3)
    builder.store_part("1", "dead")
    builder.dead_letter("1", 3)
    assert builder.rules() == ["message"]


def test_a_message_is_answered_twice(builder: HistoryBuilder) -> None:
    builder.message("1", 1, 2)
    _answer(builder, "1", 3)
    builder.store("1")
    assert "duplicate" in builder.rules()


def test_messages_are_answered_out_of_order(builder: HistoryBuilder) -> None:
    builder.message("2", 3, 4)
    builder.message("1", 1, 2)
    builder.store("2")
    builder.store("1")
    assert builder.rules() == ["message order"]
    builder.stored.clear()
    builder.store("1")
    builder.store("2")
    assert builder.rules() == []


def test_concurrent_messages_may_be_answered_in_any_order(builder: HistoryBuilder) -> None:
    builder.message("2", 1, 4)
    builder.message("1", 1, 2)
    builder.store("2")
    builder.store("1")
    assert builder.rules() == []


@pytest.mark.parametrize("attempts", [None, 2])
def test_a_message_is_dead_lettered_too_early(
    builder: HistoryBuilder, attempts: int | None
) -> None:
    builder.message("1", 1, 2)
    builder.store_part("1", "dead")
    if attempts is not None:
        builder.dead_letter("1", attempts)
    assert builder.rules() == ["message"]
    builder.dead_letter("1", 3)
    assert builder.rules() == []


def test_a_message_with_a_failing_tool_that_is_not_repeatable(builder: HistoryBuilder) -> None:
    invocation = builder.message("1", 1, 2, params={"plan": "n", "failing_tool": "charge"})
    builder.store_part("1", "dead")
    builder.dead_letter("1", 1)
    assert builder.rules() == ["message"]
    builder.execution(invocation, "1.00", tool="charge")
    assert builder.rules() == []
    builder.execution(invocation, "1.00", tool="charge", attempt=2)
    assert builder.rules() == ["message"]


def test_a_message_with_a_failing_repeatable_tool(builder: HistoryBuilder) -> None:
    invocation = builder.message("1", 1, 2, params={"plan": "r", "failing_tool": "look_up"})
    builder.store_part("1", "dead")
    builder.dead_letter("1", 3)
    for attempt in (1, 2):
        builder.execution(invocation, "1.00", tool="look_up", attempt=attempt)
    assert builder.rules() == []
    builder.dead_letter("1", 1)
    assert builder.rules() == ["message"]


def test_a_message_is_attempted_too_often(builder: HistoryBuilder) -> None:
    builder.message("1", 1, 2)
    builder.store_part("1", "dead")
    builder.dead_letter("1", 3)
    for number in range(1, 6):  # two that failed, two whose workers died, and the last one
        builder.attempt("1", number)
    assert builder.rules() == []
    builder.attempt("1", 6)
    assert builder.rules() == ["message"]


def test_a_message_is_cancelled_by_nobody(builder: HistoryBuilder) -> None:
    builder.message("1", 1, 2)
    builder.store_part("1", "cancelled")
    assert builder.rules() == ["message"]
    builder.invocation(
        "2", 2, 3, kind="cancel", outcome="info", params={"turn_id": "t1", "op": "1"}
    )
    assert builder.rules() == []


@pytest.mark.parametrize("value", [{"end": "dead"}, {"end": "cancelled"}])
def test_a_receipt_reports_a_wrong_end(builder: HistoryBuilder, value: dict[str, Any]) -> None:
    builder.message("1", 1, 2)
    builder.invocation("1", 3, 4, kind="await", value=value)
    builder.store("1")
    assert builder.rules() == ["message"]


def test_a_receipt_or_its_events_differ_from_the_turn(builder: HistoryBuilder) -> None:
    builder.message("1", 1, 2)
    text = builder.store("1")
    awaited = builder.invocation("1", 3, 4, kind="await", value={"text": text, "added": 2})
    awaited.value["streamed"] = text
    assert builder.rules() == []
    awaited.value["streamed"] = 2 * text
    assert builder.rules() == ["answer mismatch"]
    awaited.value["streamed"] = text
    awaited.value["added"] = 3
    assert builder.rules() == ["answer mismatch"]
