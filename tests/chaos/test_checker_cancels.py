"""The checker on cancelled turns."""

from __future__ import annotations

import pytest

from tests.chaos.histories import HistoryBuilder


def _cancel(builder: HistoryBuilder, outcome: str) -> None:
    value = {"outcome": outcome, "items": 0}
    builder.invocation("9", 1, 4, kind="cancel", value=value, params={"turn_id": "t1", "op": "1"})


@pytest.mark.parametrize("outcome", ["cancelled", "forced", "dropped"])
def test_a_cancelled_turn_is_stored(outcome: str) -> None:
    builder = HistoryBuilder()
    builder.invocation("1", 1, 3, outcome="info", error="WorkerDied")
    _cancel(builder, outcome)
    assert builder.rules() == []
    builder.store("1")
    assert builder.rules() == ["cancel"]


def test_a_turn_reported_as_committed_is_not_stored() -> None:
    builder = HistoryBuilder()
    builder.invocation("1", 1, 3, outcome="info", error="WorkerDied")
    _cancel(builder, "committed")
    assert builder.rules() == ["cancel"]
    builder.store("1")
    assert builder.rules() == []


def test_a_forced_cancel_ends_a_lease_early() -> None:
    builder = HistoryBuilder()
    builder.turn("2", 1.5, 3)
    builder.invocation("1", 1, 2, outcome="fail", error="LeaseLost", granted=1.0, active_until=1.9)
    assert builder.rules() == ["lease", "lease"]
    _cancel(builder, "forced")
    assert builder.rules() == []
