"""The checker on cancelled turns."""

from __future__ import annotations

import pytest

from tests.chaos.histories import Book


def _cancel(book: Book, outcome: str) -> None:
    value = {"outcome": outcome, "items": 0}
    book.call("9", 1, 4, kind="cancel", value=value, params={"turn_id": "t1", "op": "1"})


@pytest.mark.parametrize("outcome", ["cancelled", "forced", "dropped"])
def test_a_turn_that_was_ended_and_stands(outcome: str) -> None:
    book = Book()
    book.call("1", 1, 3, outcome="unknown", error="WorkerDied")
    _cancel(book, outcome)
    assert book.rules() == []
    book.store("1")
    assert book.rules() == ["cancel"]


def test_a_turn_that_was_committed_and_does_not_stand() -> None:
    book = Book()
    book.call("1", 1, 3, outcome="unknown", error="WorkerDied")
    _cancel(book, "committed")
    assert book.rules() == ["cancel"]
    book.store("1")
    assert book.rules() == []


def test_a_lease_that_was_ended_by_force_did_not_stand() -> None:
    book = Book()
    book.turn("2", 1.5, 3)
    book.call("1", 1, 2, outcome="fail", error="LeaseLost", granted=1.0, held=1.9)
    assert book.rules() == ["lease", "lease"]
    _cancel(book, "forced")
    assert book.rules() == []
