"""The checker on tools: what the ledger says against what the turns say."""

from __future__ import annotations

import pytest

from chaos.checker import check
from chaos.script import output
from tests.chaos.histories import Book
from turnwise.durable.calls import UNKNOWN

N = "1.00"


@pytest.fixture
def book() -> Book:
    return Book()


def test_each_call_once(book: Book) -> None:
    call = book.run("1", "rn", {"1.00": output("1.00", 0), "1.01": output("1.01", 0)})
    book.executed(call, "1.00")
    book.executed(call, "1.01")
    assert book.rules() == []


def test_a_call_that_never_ran(book: Book) -> None:
    book.run("1", "n", {N: output(N, 0)})
    assert book.rules() == ["tool"]


def test_an_output_that_nobody_gave(book: Book) -> None:
    call = book.run("1", "n", {N: output(N, 5)})
    book.executed(call, N)
    assert book.rules() == ["tool"]


def test_a_call_that_ran_twice(book: Book) -> None:
    first = book.call("1", 0, 3, kind="run", outcome="unknown", error="WorkerDied")
    second = book.run("1", "n", {N: output(N, 1)}, attempt=2)
    book.executed(first, N)
    book.executed(second, N, attempt=2, at=3.0)
    book.takeover(second, 2, 2.5)
    assert book.rules() == ["tool"]


def test_a_repeatable_call_may_run_again_after_a_takeover(book: Book) -> None:
    first = book.call("1", 0, 3, kind="run", outcome="unknown", error="WorkerDied")
    second = book.run("1", "r", {N: output(N, 1)}, attempt=2)
    book.executed(first, N)
    book.executed(second, N, attempt=2, at=3.0)
    assert book.rules() == ["tool"]
    book.takeover(second, 2, 2.5)
    assert book.rules() == []


def test_a_call_may_run_again_after_its_turn_was_rolled_back(book: Book) -> None:
    first = book.call("1", 0, 3, kind="run", outcome="unknown", error="! RuntimeError")
    second = book.run("1", "n", {N: output(N, 1)})
    book.executed(first, N)
    book.executed(second, N, at=3.0)
    assert book.rules() == ["unforeseen error"]
    first.outcome, first.error = "unknown", "CancelledError"
    assert book.rules() == ["tool"]


def test_an_unknown_outcome_after_a_takeover(book: Book) -> None:
    first = book.call("1", 0, 3, kind="run", outcome="unknown", error="WorkerDied")
    second = book.run("1", "n", {N: UNKNOWN}, attempt=2)
    book.executed(first, N)
    assert book.rules() == ["tool"]
    book.takeover(second, 2, 2.5)
    assert book.rules() == []


def test_an_unknown_outcome_of_a_call_whose_end_was_journaled(book: Book) -> None:
    first = book.call("1", 0, 3, kind="run", outcome="unknown", error="WorkerDied")
    second = book.run("1", "n/n", {"1.00": UNKNOWN, "1.10": output("1.10", 0)}, attempt=2)
    book.executed(first, "1.00")
    book.executed(first, "1.10")
    book.takeover(second, 2, 2.5)
    assert book.rules() == ["tool"]


def test_keys_that_differ_or_are_shared(book: Book) -> None:
    call = book.run("1", "nn", {"1.00": output("1.00", 0), "1.01": output("1.01", 0)})
    book.executed(call, "1.00", key="a")
    book.executed(call, "1.01", key="a")
    assert book.rules() == ["key"]


def test_a_worker_that_goes_on_after_the_takeover(book: Book) -> None:
    first = book.call(
        "1", 0, 9, kind="run", outcome="fail", error="LeaseLost", granted=0.5, attempt=1
    )
    plan = {"1.00": output("1.00", 0), "1.10": output("1.10", 1)}
    second = book.run("1", "r/r", plan, attempt=2)
    book.takeover(second, 2, 2.5)
    book.executed(first, "1.00", at=3.0)
    book.executed(second, "1.10", attempt=2, at=4.0)
    assert book.rules() == []
    book.executed(first, "1.10", at=3.5)
    assert book.rules() == ["went on"]


def test_after_a_failover_tools_may_run_again(book: Book) -> None:
    book.fault("primary killed", 2, 3, lossy=True)
    first = book.call("1", 0, 3, kind="run", outcome="unknown", error="WorkerDied")
    second = book.run("1", "n", {N: output(N, 1)})
    book.executed(first, N)
    book.executed(second, N, at=3.0)
    verdict = check(book.close())
    assert verdict.violations == []
    assert list(verdict.excused) == ["tools run again after a failover"]
