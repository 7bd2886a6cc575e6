"""The checker on interrupted turns, approvals and forced cancels."""

from __future__ import annotations

from typing import Any

import pytest

from chaos import script
from tests.chaos.histories import HistoryBuilder
from turnwise.turns.cancelled import INTERRUPTED

_CALL = {"type": "function_call", "name": "charge", "call_id": "1.00"}
_OUTPUT = {"type": "function_call_output", "call_id": "1.00"}


@pytest.fixture
def builder() -> HistoryBuilder:
    builder = HistoryBuilder()
    builder.invocation(
        "1", 1, 4, kind="run", outcome="fail", error="TurnCancelled", value={"kept": True}
    )
    return builder


def _interrupt(builder: HistoryBuilder, busy: str = "interrupt") -> None:
    builder.invocation("2", 2, 9, kind="preempting-run", outcome="info", params={"busy": busy})


def _keep(builder: HistoryBuilder, *middle: dict[str, Any], plan: str = "n") -> None:
    builder.store_part("1", "cancelled", [script.user(script.question("1", plan)), *middle])


def test_an_interrupted_turn_keeps_a_paired_call(builder: HistoryBuilder) -> None:
    _interrupt(builder)
    _keep(builder, _CALL, _OUTPUT | {"output": INTERRUPTED})
    assert builder.rules() == []


def test_a_call_without_its_output(builder: HistoryBuilder) -> None:
    _interrupt(builder)
    _keep(builder, _CALL)
    assert builder.rules() == ["interrupted"]


def test_an_output_before_its_call_or_of_another_call(builder: HistoryBuilder) -> None:
    _interrupt(builder)
    _keep(builder, _OUTPUT | {"output": INTERRUPTED}, _CALL)
    assert builder.rules() == ["interrupted"]
    builder.stored.clear()
    _keep(builder, _CALL, _OUTPUT | {"output": "1.01 done by invocation 0"})
    assert builder.rules() == ["interrupted"]


def test_a_part_of_a_step_is_kept(builder: HistoryBuilder) -> None:
    _interrupt(builder)
    _keep(builder, _CALL, _OUTPUT | {"output": INTERRUPTED}, plan="nn")
    assert builder.rules() == ["interrupted"]


def test_a_step_with_a_failing_tool(builder: HistoryBuilder) -> None:
    """The SDK decides what is kept of it; an output must still come from a tool."""
    _interrupt(builder)
    builder.history.invocations[0].params["failing_tool"] = "look_up"
    builder.execution(builder.history.invocations[0], "1.01", tool="look_up")
    _keep(builder, _CALL, _OUTPUT | {"output": "1.00 done by invocation 7"}, plan="nr/n")
    assert builder.rules() == []
    builder.stored.clear()
    _keep(builder, plan="nr/n")
    assert builder.rules() == []
    builder.stored.clear()
    _keep(builder, _CALL, _OUTPUT | {"output": "1.00"}, plan="nr")
    assert builder.rules() == ["interrupted"]


def test_a_call_that_ran_is_not_kept(builder: HistoryBuilder) -> None:
    _interrupt(builder)
    _keep(builder)
    assert builder.rules() == []
    builder.execution(builder.history.invocations[0], "1.00")
    assert builder.rules() == ["interrupted"]


def test_a_part_of_a_rolled_back_turn_is_kept(builder: HistoryBuilder) -> None:
    _interrupt(builder, "rollback")
    _keep(builder)
    assert builder.rules() == ["interrupted"]


def test_a_part_of_a_turn_reported_as_dropped_is_kept(builder: HistoryBuilder) -> None:
    _interrupt(builder)
    _keep(builder)
    builder.history.invocations[0].value["kept"] = False
    assert builder.rules() == ["interrupted"]


def test_an_acknowledged_turn_is_stored_as_interrupted(builder: HistoryBuilder) -> None:
    _interrupt(builder)
    _keep(builder)
    builder.invocation("1", 5, 6, value={"text": "x", "added": 2})
    assert set(builder.rules()) == {"interrupted", "lost"}


def _parked_and_resumed(reject: bool = False) -> tuple[HistoryBuilder, Any]:
    builder = HistoryBuilder()
    output = script.REJECTED if reject else script.output("1.00", 1)
    builder.invocation("1", 1, 2, kind="approval-run", value={"parked": 1}, params={"plan": "a"})
    invocation = builder.run("1", "a", {"1.00": output})
    invocation.kind, invocation.params = "resume", {"reject": reject}
    return builder, invocation


def test_a_tool_runs_after_its_approval() -> None:
    builder, invocation = _parked_and_resumed()
    assert builder.rules() == ["tool executions"]
    builder.history.executions.clear()
    builder.execution(invocation, "1.00")
    builder.history.executions[0].tool = script.TOOLS["a"]
    assert builder.rules() == []
    builder.execution(invocation, "1.00")
    assert builder.rules() == ["tool executions"]


def test_a_tool_runs_before_its_approval() -> None:
    builder, _ = _parked_and_resumed()
    builder.execution(builder.history.invocations[0], "1.00")
    builder.history.executions[0].tool = script.TOOLS["a"]
    assert "approval" in builder.rules()


def test_a_rejected_tool_runs() -> None:
    builder, invocation = _parked_and_resumed(reject=True)
    assert builder.rules() == []
    builder.execution(invocation, "1.00")
    builder.history.executions[0].tool = script.TOOLS["a"]
    assert builder.rules() == ["tool executions", "approval"]


def test_a_message_that_always_fails_may_be_interrupted(builder: HistoryBuilder) -> None:
    _interrupt(builder)
    _keep(builder, plan=script.ALWAYS_FAILS)
    assert builder.rules() == []


def test_a_parked_run_is_lost() -> None:
    builder = HistoryBuilder()
    builder.invocation("1", 1, 2, kind="approval-run", value={"parked": 1})
    assert builder.rules() == ["approval"]
    builder.fault("primary killed", 2, 3, lossy=True)
    assert builder.excuses() == ["parked turns lost to a failover"]
    builder.history.faults.clear()
    builder.invocation("c", 3, 4, kind="cancel", value={"outcome": "dropped"}, params=_target("1"))
    assert builder.rules() == []


def _target(op: str) -> dict[str, Any]:
    return {"turn_id": f"t{op}", "op": op}


def test_many_cancels_have_to_be_forced() -> None:
    builder = HistoryBuilder()
    for number in range(4):
        start = 10.0 * number
        builder.invocation(str(number), start, start + 3, outcome="info", error="WorkerDied")
        value = {"outcome": "forced", "items": 0}
        params = _target(str(number))
        builder.invocation(
            f"c{number}", start, start + 2, kind="cancel", value=value, params=params
        )
        if number < 3:
            assert builder.rules() == []
    assert builder.rules() == ["cancel"]
    builder.fault("worker paused", 0, 40)
    assert builder.rules() == []
