"""The checker on messages: one end each, in order, after the attempts that are due."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.histories import Book


@pytest.fixture
def book() -> Book:
    return Book()


def _answered(book: Book, op: str, start: float) -> None:
    text = book.store(op)
    book.call(op, start, start + 1, kind="await", value={"text": text, "added": 2})


def test_a_message_that_was_accepted_and_forgotten(book: Book) -> None:
    book.message("1", 1, 2)
    assert book.rules() == ["message"]
    _answered(book, "1", 3)
    assert book.rules() == []


def test_a_message_that_was_lost_to_a_failover(book: Book) -> None:
    book.message("1", 1, 2)
    book.fault("primary killed", 2, 3, lossy=True)
    assert book.excuses() == ["messages that went through a failover"]


def test_a_message_that_has_two_ends(book: Book) -> None:
    book.message("1", 1, 2)
    _answered(book, "1", 3)
    book.ended("1", "dead")
    book.letter("1", 3)
    assert book.rules() == ["message"]


def test_a_message_that_was_answered_twice(book: Book) -> None:
    book.message("1", 1, 2)
    _answered(book, "1", 3)
    book.store("1")
    assert "twice" in book.rules()


def test_messages_that_were_answered_in_another_order(book: Book) -> None:
    book.message("2", 3, 4)
    book.message("1", 1, 2)
    book.store("2")
    book.store("1")
    assert book.rules() == ["message order"]
    book.stored.clear()
    book.store("1")
    book.store("2")
    assert book.rules() == []


def test_messages_that_were_sent_at_the_same_time(book: Book) -> None:
    book.message("2", 1, 4)
    book.message("1", 1, 2)
    book.store("2")
    book.store("1")
    assert book.rules() == []


@pytest.mark.parametrize("attempts", [None, 2])
def test_a_message_that_was_given_up_too_soon(book: Book, attempts: int | None) -> None:
    book.message("1", 1, 2)
    book.ended("1", "dead")
    if attempts is not None:
        book.letter("1", attempts)
    assert book.rules() == ["message"]
    book.letter("1", 3)
    assert book.rules() == []


def test_a_message_whose_tool_raised_and_may_not_repeat(book: Book) -> None:
    call = book.message("1", 1, 2, params={"plan": "n", "stumbles": "charge"})
    book.ended("1", "dead")
    book.letter("1", 1)
    assert book.rules() == ["message"]
    book.executed(call, "1.00", tool="charge")
    assert book.rules() == []
    book.executed(call, "1.00", tool="charge", attempt=2)
    assert book.rules() == ["message"]


def test_a_message_whose_tool_raised_and_may_repeat(book: Book) -> None:
    call = book.message("1", 1, 2, params={"plan": "r", "stumbles": "look_up"})
    book.ended("1", "dead")
    book.letter("1", 3)
    for attempt in (1, 2):
        book.executed(call, "1.00", tool="look_up", attempt=attempt)
    assert book.rules() == []
    book.letter("1", 1)
    assert book.rules() == ["message"]


def test_a_message_that_was_attempted_too_often(book: Book) -> None:
    book.message("1", 1, 2)
    book.ended("1", "dead")
    book.letter("1", 3)
    for number in (1, 2, 3):
        book.attempt("1", number)
    assert book.rules() == []
    book.attempt("1", 4)
    assert book.rules() == ["message"]


def test_a_message_that_nobody_cancelled(book: Book) -> None:
    book.message("1", 1, 2)
    book.ended("1", "cancelled")
    assert book.rules() == ["message"]
    book.call("2", 2, 3, kind="cancel", outcome="unknown", params={"turn_id": "t1", "op": "1"})
    assert book.rules() == []


@pytest.mark.parametrize("told", [{"end": "dead"}, {"end": "cancelled"}])
def test_an_end_that_is_another(book: Book, told: dict[str, Any]) -> None:
    book.message("1", 1, 2)
    book.call("1", 3, 4, kind="await", value=told)
    book.store("1")
    assert book.rules() == ["message"]


def test_a_receipt_and_events_that_tell_something_else(book: Book) -> None:
    book.message("1", 1, 2)
    text = book.store("1")
    told = book.call("1", 3, 4, kind="await", value={"text": text, "added": 2})
    told.value["streamed"] = text
    assert book.rules() == []
    told.value["streamed"] = 2 * text
    assert book.rules() == ["answer"]
    told.value["streamed"] = text
    told.value["added"] = 3
    assert book.rules() == ["answer"]
