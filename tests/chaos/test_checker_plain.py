"""The checker on plain changes: is there an order that explains all answers?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.histories import Book


@pytest.fixture
def book() -> Book:
    return Book()


def _do(book: Book, op: str, kind: str, start: float, end: float, value: Any = None) -> None:
    names = {"pop": "item", "read-all": "items", "rewrite": "items"}
    told = {names[kind]: value} if kind in names else {}
    book.call(op, start, end, kind=kind, home="plain", value=told, params={"count": 1})


def _doubt(book: Book, op: str, kind: str, start: float) -> None:
    book.call(op, start, start + 1, kind=kind, home="plain", outcome="unknown", params={"count": 1})


def test_one_after_the_other(book: Book) -> None:
    _do(book, "1", "add", 1, 2)
    _do(book, "2", "add", 3, 4)
    _do(book, "3", "pop", 5, 6, "2.0")
    _do(book, "4", "rewrite", 7, 8, ["1.0"])
    _do(book, "5", "clear", 9, 10)
    _do(book, "6", "add", 11, 12)
    book.plain("s", "6.0")
    assert book.rules() == []


def test_at_the_same_time_any_order_will_do(book: Book) -> None:
    _do(book, "1", "add", 1, 9)
    _do(book, "2", "add", 1, 9)
    _do(book, "3", "read-all", 1, 9, ["2.0"])
    book.plain("s", "2.0", "1.0")
    assert book.rules() == []


def test_an_unknown_change_may_come_late_or_never(book: Book) -> None:
    _doubt(book, "1", "add", 1)
    _do(book, "2", "read-all", 5, 6, [])
    book.plain("s")
    assert book.rules() == []
    book.plain("s", "1.0")
    assert book.rules() == []
    book.plain("s", "1.0", "1.0")
    assert book.rules() == ["not explained"]


def test_two_pops_of_one_item(book: Book) -> None:
    _do(book, "1", "add", 1, 2)
    _do(book, "2", "pop", 3, 5, "1.0")
    _do(book, "3", "pop", 3, 5, "1.0")
    book.plain("s")
    assert book.rules() == ["not explained"]


def test_a_read_in_the_middle_of_a_clear(book: Book) -> None:
    _do(book, "1", "add", 1, 2)
    _do(book, "2", "add", 3, 4)
    _do(book, "3", "clear", 5, 9)
    _do(book, "4", "read-all", 6, 7, ["1.0"])
    book.plain("s")
    assert book.rules() == ["not explained"]


def test_an_old_read(book: Book) -> None:
    _do(book, "1", "add", 1, 2)
    _do(book, "2", "read-all", 3, 4, [])
    book.plain("s", "1.0")
    assert book.rules() == ["not explained"]


def test_a_failed_change_that_took_effect(book: Book) -> None:
    book.call("1", 1, 2, kind="add", home="plain", outcome="fail", error="StoreRefused")
    _do(book, "2", "add", 3, 4)
    book.plain("s", "1.0", "2.0")
    assert "not explained" in book.rules()


def test_after_a_failover_less_is_checked_but_never_twice(book: Book) -> None:
    book.fault("primary killed", 2, 3, lossy=True)
    _do(book, "1", "add", 1, 2.5)
    _do(book, "2", "add", 4, 5)
    book.plain("s", "2.0")
    assert book.excuses() == ["plain sessions that went through a failover, checked less"]
    book.plain("s", "2.0", "2.0")
    assert book.rules() == ["twice"]
