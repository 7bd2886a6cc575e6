"""The checker on messages over HTTP: what a client holds in the end is what is stored."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.clients import WIRES
from tests.chaos.histories import HistoryBuilder


@pytest.fixture
def builder() -> HistoryBuilder:
    return HistoryBuilder()


def _answered(builder: HistoryBuilder, op: str, wire: str, **value: Any) -> None:
    text = builder.store(op, session="turns-1", attempt=0)
    told = {"text": text, "streamed": text} | value
    builder.invocation(op, 1, 2, kind=f"http-{wire}", session="turns-1", value=told)


@pytest.mark.parametrize("wire", WIRES)
def test_a_client_holds_what_is_stored(builder: HistoryBuilder, wire: str) -> None:
    _answered(builder, "1", wire)
    assert builder.rules() == []


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("value", [{"text": "op 1"}, {"streamed": "op op 1"}])
def test_a_client_holds_something_else(
    builder: HistoryBuilder, wire: str, value: dict[str, str]
) -> None:
    _answered(builder, "1", wire, **value)
    assert builder.rules() == ["answer mismatch"]


def test_an_answer_that_is_not_stored(builder: HistoryBuilder) -> None:
    told = {"text": "op 1 saw 0 after - attempt 0", "streamed": ""}
    builder.invocation("1", 1, 2, kind="http-chat", session="turns-1", value=told)
    assert "lost" in builder.rules()


@pytest.mark.parametrize(("status", "rules"), [(404, []), (200, ["owner"])])
def test_for_a_stranger_there_is_no_turn(
    builder: HistoryBuilder, status: int, rules: list[str]
) -> None:
    params, value = {"turn_id": "t1", "op": "1"}, {"status": status}
    _answered(builder, "1", "chat")
    builder.invocation(
        "2", 1, 2, kind="http-peek", session="turns-1", params=params, value=value, turn_id=None
    )
    assert builder.rules() == rules


@pytest.mark.parametrize(("outcome", "rules"), [("committed", []), ("cancelled", ["cancel"])])
def test_a_cancel_over_http_says_how_the_turn_ended(
    builder: HistoryBuilder, outcome: str, rules: list[str]
) -> None:
    params, value = {"turn_id": "t1", "op": "1"}, {"outcome": outcome, "items": 0}
    _answered(builder, "1", "chat")
    builder.invocation(
        "2", 1, 2, kind="http-cancel", session="turns-1", params=params, value=value, turn_id=None
    )
    assert builder.rules() == rules
