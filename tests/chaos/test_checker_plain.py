"""The checker on plain operations: is the history linearizable?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.histories import HistoryBuilder


@pytest.fixture
def builder() -> HistoryBuilder:
    return HistoryBuilder()


def _ok(
    builder: HistoryBuilder, op: str, kind: str, start: float, end: float, value: Any = None
) -> None:
    names = {"pop": "item", "read-all": "items", "rewrite": "items"}
    seen = {names[kind]: value} if kind in names else {}
    builder.invocation(
        op, start, end, kind=kind, session_kind="plain", value=seen, params={"count": 1}
    )


def _unknown(builder: HistoryBuilder, op: str, kind: str, start: float) -> None:
    builder.invocation(
        op, start, start + 1, kind=kind, session_kind="plain", outcome="info", params={"count": 1}
    )


def test_sequential_operations(builder: HistoryBuilder) -> None:
    _ok(builder, "1", "add", 1, 2)
    _ok(builder, "2", "add", 3, 4)
    _ok(builder, "3", "pop", 5, 6, "2.0")
    _ok(builder, "4", "rewrite", 7, 8, ["1.0"])
    _ok(builder, "5", "clear", 9, 10)
    _ok(builder, "6", "add", 11, 12)
    builder.plain("s", "6.0")
    assert builder.rules() == []


def test_concurrent_operations_may_take_effect_in_any_order(builder: HistoryBuilder) -> None:
    _ok(builder, "1", "add", 1, 9)
    _ok(builder, "2", "add", 1, 9)
    _ok(builder, "3", "read-all", 1, 9, ["2.0"])
    builder.plain("s", "2.0", "1.0")
    assert builder.rules() == []


def test_an_unknown_operation_may_take_effect_late_or_never(builder: HistoryBuilder) -> None:
    _unknown(builder, "1", "add", 1)
    _ok(builder, "2", "read-all", 5, 6, [])
    builder.plain("s")
    assert builder.rules() == []
    builder.plain("s", "1.0")
    assert builder.rules() == []
    builder.plain("s", "1.0", "1.0")
    assert builder.rules() == ["not linearizable"]


def test_two_pops_return_one_item(builder: HistoryBuilder) -> None:
    _ok(builder, "1", "add", 1, 2)
    _ok(builder, "2", "pop", 3, 5, "1.0")
    _ok(builder, "3", "pop", 3, 5, "1.0")
    builder.plain("s")
    assert builder.rules() == ["not linearizable"]


def test_a_read_sees_half_a_clear(builder: HistoryBuilder) -> None:
    _ok(builder, "1", "add", 1, 2)
    _ok(builder, "2", "add", 3, 4)
    _ok(builder, "3", "clear", 5, 9)
    _ok(builder, "4", "read-all", 6, 7, ["1.0"])
    builder.plain("s")
    assert builder.rules() == ["not linearizable"]


def test_a_stale_read(builder: HistoryBuilder) -> None:
    _ok(builder, "1", "add", 1, 2)
    _ok(builder, "2", "read-all", 3, 4, [])
    builder.plain("s", "1.0")
    assert builder.rules() == ["not linearizable"]


def test_a_failed_operation_took_effect(builder: HistoryBuilder) -> None:
    builder.invocation(
        "1", 1, 2, kind="add", session_kind="plain", outcome="fail", error="StoreRefused"
    )
    _ok(builder, "2", "add", 3, 4)
    builder.plain("s", "1.0", "2.0")
    assert "not linearizable" in builder.rules()


def test_after_a_failover_only_duplicates_are_checked(builder: HistoryBuilder) -> None:
    builder.fault("primary killed", 2, 3, lossy=True)
    _ok(builder, "1", "add", 1, 2.5)
    _ok(builder, "2", "add", 4, 5)
    builder.plain("s", "2.0")
    assert builder.excuses() == ["plain sessions that went through a failover, checked less"]
    builder.plain("s", "2.0", "2.0")
    assert builder.rules() == ["duplicate"]
