"""The checker on tools: the execution log against the turns."""

from __future__ import annotations

import pytest

from chaos.checker import check
from chaos.script import output
from tests.chaos.histories import HistoryBuilder
from turnwise.durable.calls import OUTCOME_UNKNOWN

N = "1.00"


@pytest.fixture
def builder() -> HistoryBuilder:
    return HistoryBuilder()


def test_each_call_once(builder: HistoryBuilder) -> None:
    invocation = builder.run("1", "rn", {"1.00": output("1.00", 0), "1.01": output("1.01", 0)})
    builder.execution(invocation, "1.00")
    builder.execution(invocation, "1.01")
    assert builder.rules() == []


def test_a_call_never_ran(builder: HistoryBuilder) -> None:
    builder.run("1", "n", {N: output(N, 0)})
    assert builder.rules() == ["tool executions"]


def test_an_output_that_no_execution_returned(builder: HistoryBuilder) -> None:
    invocation = builder.run("1", "n", {N: output(N, 5)})
    builder.execution(invocation, N)
    assert builder.rules() == ["tool executions"]


def test_a_call_ran_twice(builder: HistoryBuilder) -> None:
    first = builder.invocation("1", 0, 3, kind="run", outcome="info", error="WorkerDied")
    second = builder.run("1", "n", {N: output(N, 1)}, attempt=2)
    builder.execution(first, N)
    builder.execution(second, N, attempt=2, at=3.0)
    builder.takeover(second, 2, 2.5)
    assert builder.rules() == ["tool executions"]


def test_a_repeatable_call_may_run_again_after_a_takeover(builder: HistoryBuilder) -> None:
    first = builder.invocation("1", 0, 3, kind="run", outcome="info", error="WorkerDied")
    second = builder.run("1", "r", {N: output(N, 1)}, attempt=2)
    builder.execution(first, N)
    builder.execution(second, N, attempt=2, at=3.0)
    assert builder.rules() == ["tool executions"]
    builder.takeover(second, 2, 2.5)
    assert builder.rules() == []


def test_a_call_may_run_again_after_its_turn_was_rolled_back(builder: HistoryBuilder) -> None:
    first = builder.invocation("1", 0, 3, kind="run", outcome="info", error="! RuntimeError")
    second = builder.run("1", "n", {N: output(N, 1)})
    builder.execution(first, N)
    builder.execution(second, N, at=3.0)
    assert builder.rules() == ["unexpected error"]
    first.outcome, first.error = "info", "CancelledError"
    assert builder.rules() == ["tool executions"]


def test_an_unknown_outcome_after_a_takeover(builder: HistoryBuilder) -> None:
    first = builder.invocation("1", 0, 3, kind="run", outcome="info", error="WorkerDied")
    second = builder.run("1", "n", {N: OUTCOME_UNKNOWN}, attempt=2)
    builder.execution(first, N)
    assert builder.rules() == ["tool executions"]
    builder.takeover(second, 2, 2.5)
    assert builder.rules() == []


def test_an_unknown_outcome_though_the_end_was_journaled(builder: HistoryBuilder) -> None:
    first = builder.invocation("1", 0, 3, kind="run", outcome="info", error="WorkerDied")
    second = builder.run(
        "1", "n/n", {"1.00": OUTCOME_UNKNOWN, "1.10": output("1.10", 0)}, attempt=2
    )
    builder.execution(first, "1.00")
    builder.execution(first, "1.10")
    builder.takeover(second, 2, 2.5)
    assert builder.rules() == ["tool executions"]


def test_two_calls_share_a_key(builder: HistoryBuilder) -> None:
    invocation = builder.run("1", "nn", {"1.00": output("1.00", 0), "1.01": output("1.01", 0)})
    builder.execution(invocation, "1.00", key="a")
    builder.execution(invocation, "1.01", key="a")
    assert builder.rules() == ["idempotency key"]


def test_a_worker_begins_another_step_after_the_takeover(builder: HistoryBuilder) -> None:
    first = builder.invocation(
        "1", 0, 9, kind="run", outcome="fail", error="LeaseLost", granted=0.5, attempt=1
    )
    plan = {"1.00": output("1.00", 0), "1.10": output("1.10", 1)}
    second = builder.run("1", "r/r", plan, attempt=2)
    builder.takeover(second, 2, 2.5)
    builder.execution(first, "1.00", at=3.0)
    builder.execution(second, "1.10", attempt=2, at=4.0)
    assert builder.rules() == []
    builder.execution(first, "1.10", at=3.5)
    assert builder.rules() == ["zombie"]


def test_after_a_failover_tools_may_run_again(builder: HistoryBuilder) -> None:
    builder.fault("primary killed", 2, 3, lossy=True)
    first = builder.invocation("1", 0, 3, kind="run", outcome="info", error="WorkerDied")
    second = builder.run("1", "n", {N: output(N, 1)})
    builder.execution(first, N)
    builder.execution(second, N, at=3.0)
    verdict = check(builder.close())
    assert verdict.violations == []
    assert list(verdict.excused) == ["tools run again after a failover"]
