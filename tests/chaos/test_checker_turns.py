"""The checker on turns: good histories pass, and each rule finds a bad one."""

from __future__ import annotations

import pytest

from chaos.history import Fault, Leftover
from tests.chaos.histories import LEASE, HistoryBuilder


@pytest.fixture
def builder() -> HistoryBuilder:
    return HistoryBuilder()


def test_turns_in_order_pass(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    builder.turn("2", 3, 4)
    builder.invocation("3", 5, 6, kind="read", value={"items": 4, "last": "2"})
    assert builder.rules() == []


def test_concurrent_turns_may_be_stored_in_any_order(builder: HistoryBuilder) -> None:
    builder.turn("2", 1, 4)
    builder.turn("1", 1, 4)
    assert builder.rules() == []


def test_a_turn_of_unknown_outcome_may_be_stored_or_not(builder: HistoryBuilder) -> None:
    builder.store("1")
    builder.invocation("1", 1, 2, outcome="info", error="WorkerDied")
    builder.invocation("2", 3, 4, outcome="info", error="WorkerDied")
    builder.turn("3", 5, 6)
    assert builder.rules() == []


def test_a_turn_is_stored_twice(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    builder.store("1")
    assert "duplicate" in builder.rules()


def test_an_acknowledged_turn_is_lost(builder: HistoryBuilder) -> None:
    builder.invocation("1", 1, 2, value={"text": "x", "added": 2})
    assert builder.rules() == ["lost"]


def test_a_failover_may_lose_a_turn_acknowledged_shortly_after_it(builder: HistoryBuilder) -> None:
    builder.fault("primary killed", 2, 5, lossy=True)
    builder.invocation("1", 1, 2.5, value={"text": "x", "added": 2})
    assert builder.excuses() == ["acknowledged turns lost to a failover"]


def test_a_failover_may_lose_a_turn_acknowledged_late(builder: HistoryBuilder) -> None:
    """Its worker was paused between the commit and the response, say."""
    builder.fault("primary paused", 2, 5, lossy=True)
    builder.invocation("1", 4.5, 20, value={"text": "x", "added": 2})
    assert builder.excuses() == ["acknowledged turns lost to a failover"]


def test_a_failover_does_not_excuse_a_turn_retried_after_it(builder: HistoryBuilder) -> None:
    builder.fault("primary killed", 2, 5, lossy=True)
    builder.invocation("1", 1, 2.5, outcome="info")
    builder.invocation("1", 10, 11, value={"text": "x", "added": 2})
    assert builder.rules() == ["lost"]


def test_a_failover_does_not_excuse_a_turn_acknowledged_long_before(
    builder: HistoryBuilder,
) -> None:
    builder.fault("primary killed", 20, 25, lossy=True)
    builder.invocation("1", 1, 2.5, value={"text": "x", "added": 2})
    assert builder.rules() == ["lost"]


def test_a_fault_that_is_not_lossy_excuses_nothing(builder: HistoryBuilder) -> None:
    builder.fault("server killed", 2, 5)
    builder.invocation("1", 1, 2.5, value={"text": "x", "added": 2})
    assert builder.rules() == ["lost"]


def test_a_failed_turn_is_stored(builder: HistoryBuilder) -> None:
    builder.store("1")
    builder.invocation("1", 1, 2, outcome="fail", error="SessionBusy")
    assert "failed but present" in builder.rules()


def test_a_turn_that_nobody_invoked(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    builder.store("7")
    assert "unexpected" in builder.rules()


def test_a_turn_that_did_not_see_the_one_before_it(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 4)
    builder.turn("2", 1, 4)
    builder.stored["s"].reverse()
    assert set(builder.rules()) == {"wrong snapshot"}


def test_a_turn_is_stored_before_one_acknowledged_earlier(builder: HistoryBuilder) -> None:
    builder.turn("2", 3, 4)
    builder.turn("1", 1, 2)
    assert builder.rules() == ["real-time order"]


def test_an_incomplete_turn(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    del builder.stored["s"][0].items[1]
    assert "incomplete" in builder.rules()


def test_a_call_without_its_output(builder: HistoryBuilder) -> None:
    invocation = builder.run("1", "n", {"1.00": "1.00 done by invocation 0"})
    builder.execution(invocation, "1.00")
    assert builder.rules() == []
    del builder.stored["s"][0].items[2]
    assert "incomplete" in builder.rules()


def test_a_record_states_a_wrong_item_count(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    builder.stored["s"][0].item_count = 1
    assert builder.rules() == ["item count"]


def test_a_retry_returns_another_answer(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    builder.invocation("1", 3, 4, value={"text": "op 1 saw 7 after 6 attempt 1", "added": 2})
    assert builder.rules() == ["answer mismatch"]


def test_a_stream_differs_from_the_answer(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2).value["streamed"] = "op 1 saw"
    assert builder.rules() == ["answer mismatch"]


def test_a_stale_read(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    builder.invocation("2", 3, 4, kind="read", value={"items": 0, "last": "-"})
    assert builder.rules() == ["stale read"]


def test_a_read_between_a_failover_and_the_retry_of_a_lost_turn(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    builder.fault("primary killed", 3, 4, lossy=True)
    builder.invocation("2", 6, 7, kind="read", value={"items": 0, "last": "-"})
    assert builder.rules() == ["stale read"]
    builder.invocation("1", 8, 9, value={"text": "op 1 saw 0 after - attempt 1", "added": 2})
    assert builder.rules() == []


def test_an_impossible_read(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    builder.invocation("2", 3, 4, kind="read", value={"items": 1, "last": "1"})
    assert builder.rules() == ["impossible read"]


def test_a_takeover_before_the_lease_expires(builder: HistoryBuilder) -> None:
    builder.invocation("1", 1, 9, outcome="info", error="WorkerDied")
    second = builder.turn("1", 1.2, 4, attempt=2, worker="v")
    builder.takeover(second, 2, 1 + LEASE / 2)
    assert builder.rules() == ["lease"]


def test_a_takeover_after_the_lease_expires(builder: HistoryBuilder) -> None:
    builder.invocation("1", 1, 9, outcome="info", error="WorkerDied")
    second = builder.turn("1", 1.2, 4, attempt=2, worker="v")
    builder.takeover(second, 2, 1.1 + LEASE)
    assert builder.rules() == []


def test_a_takeover_is_not_compared_with_the_turn_begun_anew_later(builder: HistoryBuilder) -> None:
    builder.invocation("1", 1, 4, outcome="fail", error="LeaseLost", granted=1.1, attempt=1)
    taker = builder.invocation(
        "1", 1, 5, outcome="info", error="OutcomeUnknown", granted=3, attempt=2
    )
    builder.takeover(taker, 2, 3)
    again = builder.turn("1", 2.5, 9, worker="v")
    again.granted = 8
    assert builder.rules() == []


def test_a_takeover_from_a_worker_killed_before_it_reported_its_grant(
    builder: HistoryBuilder,
) -> None:
    builder.invocation("1", 1, 1.2, outcome="info", error="WorkerDied")
    taker = builder.invocation("1", 1.5, 5, outcome="fail", error="LeaseLost", granted=3, attempt=2)
    builder.takeover(taker, 2, 3)
    again = builder.turn("1", 2.5, 9, worker="v")
    again.granted = 8
    assert builder.rules() == []


@pytest.mark.parametrize("overloaded", [0.0, 0.5])
def test_a_killed_worker_may_have_released_for_an_overload(
    builder: HistoryBuilder, overloaded: float
) -> None:
    params = {"overloaded": overloaded}
    builder.invocation("1", 1, 1.2, outcome="info", error="WorkerDied", params=params)
    second = builder.turn("1", 1.3, 4, attempt=2, worker="v", params=params)
    builder.takeover(second, 2, 1 + LEASE / 2)
    assert builder.rules() == ([] if overloaded else ["lease"])


def test_a_stream_goes_on_without_its_cancelled_reader_and_releases(
    builder: HistoryBuilder,
) -> None:
    builder.invocation("1", 1, 1.1, kind="streamed-run", outcome="info", error="CancelledError")
    second = builder.turn("1", 1.2, 4, attempt=2, worker="v")
    builder.takeover(second, 2, 1 + LEASE / 2)
    assert builder.rules() == []


def test_a_takeover_from_the_last_of_several_with_the_same_attempt(builder: HistoryBuilder) -> None:
    builder.invocation("1", 1, 2.8, outcome="info", error="WorkerDied", granted=1.1, attempt=1)
    builder.invocation("1", 3, 9, outcome="info", error="WorkerDied", granted=3.1, attempt=1)
    taker = builder.turn("1", 3.2, 5, attempt=2, worker="v")
    builder.takeover(taker, 2, 3 + LEASE / 2)
    assert builder.rules() == ["lease"]


def test_a_clock_step_may_end_leases(builder: HistoryBuilder) -> None:
    builder.fault("clock stepped", 1, 2)
    builder.invocation("1", 1, 9, outcome="info", error="WorkerDied")
    second = builder.turn("1", 1.2, 4, attempt=2, worker="v")
    builder.takeover(second, 2, 1 + LEASE / 2)
    assert builder.rules() == []


def test_two_turns_hold_a_lease_at_once(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2, active_until=1.9)
    builder.turn("2", 1.5, 3)
    assert builder.rules() == ["lease"]


def test_a_lease_is_lost_early(builder: HistoryBuilder) -> None:
    builder.invocation("1", 1, 2, outcome="fail", error="LeaseLost")
    assert builder.rules() == ["lease"]


def test_a_commit_after_a_takeover_is_not_fenced(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 9)
    second = builder.invocation(
        "1", 4, 8, outcome="fail", error="LeaseLost", granted=5.0, attempt=2
    )
    builder.takeover(second, 2, 5.0)
    assert builder.rules() == ["fencing"]


def test_a_leftover(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    builder.history.leftovers.append(Leftover("open turn t1", "session", "s"))
    assert builder.rules() == ["leftover"]


def test_an_unexpected_error(builder: HistoryBuilder) -> None:
    builder.turn("1", 1, 2)
    builder.invocation("1", 3, 4, outcome="info", error="! AttributeError: x")
    assert builder.rules() == ["unexpected error"]


@pytest.mark.parametrize(("seconds", "rules"), [(5.0, []), (20.0, ["recovery"])])
def test_a_worker_that_does_not_reach_its_server(
    builder: HistoryBuilder, seconds: float, rules: list[str]
) -> None:
    builder.turn("1", 0, 1)
    builder.history.faults.append(Fault("failover", 2.0, 3.0))
    invoked = 3.0 + seconds
    builder.invocation("2", invoked, invoked + 6, outcome="fail", error="StoreUnavailable")
    assert builder.rules() == rules


def test_a_round_in_which_most_operations_fail(builder: HistoryBuilder) -> None:
    for number in range(5):
        builder.invocation(str(number), 1, 4, outcome="fail", error="BusyTimeout")
    assert builder.rules() == []
    assert builder.rules(min_ok=0.5) == ["availability"]
