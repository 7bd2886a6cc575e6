"""The checker on turns: good histories pass, and each rule is broken by one that is bad."""

from __future__ import annotations

import pytest

from chaos.history import Leftover
from tests.chaos.histories import LEASE, Book


@pytest.fixture
def book() -> Book:
    return Book()


def test_turns_in_order_pass(book: Book) -> None:
    book.turn("1", 1, 2)
    book.turn("2", 3, 4)
    book.call("3", 5, 6, kind="read", value={"items": 4, "last": "2"})
    assert book.rules() == []


def test_turns_at_the_same_time_stand_in_any_order(book: Book) -> None:
    book.turn("2", 1, 4)
    book.turn("1", 1, 4)
    assert book.rules() == []


def test_an_unknown_outcome_may_be_there_or_not(book: Book) -> None:
    book.store("1")
    book.call("1", 1, 2, outcome="unknown", error="WorkerDied")
    book.call("2", 3, 4, outcome="unknown", error="WorkerDied")
    book.turn("3", 5, 6)
    assert book.rules() == []


def test_a_turn_that_stands_twice(book: Book) -> None:
    book.turn("1", 1, 2)
    book.store("1")
    assert "twice" in book.rules()


def test_an_acknowledged_turn_that_is_not_there(book: Book) -> None:
    book.call("1", 1, 2, value={"text": "x", "added": 2})
    assert book.rules() == ["lost"]


def test_a_failover_may_lose_what_it_came_close_to(book: Book) -> None:
    book.fault("primary killed", 2, 5, lossy=True)
    book.call("1", 1, 2.5, value={"text": "x", "added": 2})
    assert book.excuses() == ["acknowledged turns lost to a failover"]


def test_a_failover_may_lose_what_was_acknowledged_late(book: Book) -> None:
    """Its worker was paused between the commit and the answer, say."""
    book.fault("primary paused", 2, 5, lossy=True)
    book.call("1", 4.5, 20, value={"text": "x", "added": 2})
    assert book.excuses() == ["acknowledged turns lost to a failover"]


def test_a_failover_does_not_lose_what_was_sent_again_and_acknowledged_after_it(book: Book) -> None:
    book.fault("primary killed", 2, 5, lossy=True)
    book.call("1", 1, 2.5, outcome="unknown")
    book.call("1", 10, 11, value={"text": "x", "added": 2})
    assert book.rules() == ["lost"]


def test_a_failover_does_not_lose_what_was_acknowledged_long_before(book: Book) -> None:
    book.fault("primary killed", 20, 25, lossy=True)
    book.call("1", 1, 2.5, value={"text": "x", "added": 2})
    assert book.rules() == ["lost"]


def test_a_fault_that_loses_nothing_excuses_nothing(book: Book) -> None:
    book.fault("server killed", 2, 5)
    book.call("1", 1, 2.5, value={"text": "x", "added": 2})
    assert book.rules() == ["lost"]


def test_a_turn_that_failed_and_is_there(book: Book) -> None:
    book.store("1")
    book.call("1", 1, 2, outcome="fail", error="SessionBusy")
    assert "undead" in book.rules()


def test_a_turn_that_nobody_asked_for(book: Book) -> None:
    book.turn("1", 1, 2)
    book.store("7")
    assert "from nowhere" in book.rules()


def test_a_turn_that_did_not_see_the_one_before_it(book: Book) -> None:
    book.turn("1", 1, 4)
    book.turn("2", 1, 4)
    book.stored["s"].reverse()
    assert set(book.rules()) == {"saw something else"}


def test_a_turn_that_stands_before_one_acknowledged_earlier(book: Book) -> None:
    book.turn("2", 3, 4)
    book.turn("1", 1, 2)
    assert book.rules() == ["order"]


def test_a_turn_that_is_not_whole(book: Book) -> None:
    book.turn("1", 1, 2)
    del book.stored["s"][0].items[1]
    assert "not whole" in book.rules()


def test_a_call_without_its_output(book: Book) -> None:
    call = book.run("1", "n", {"1.00": "1.00 done for call 0"})
    book.executed(call, "1.00")
    assert book.rules() == []
    del book.stored["s"][0].items[2]
    assert "not whole" in book.rules()


def test_a_record_that_counts_wrongly(book: Book) -> None:
    book.turn("1", 1, 2)
    book.stored["s"][0].counted = 1
    assert book.rules() == ["count"]


def test_a_second_answer_that_is_another(book: Book) -> None:
    book.turn("1", 1, 2)
    book.call("1", 3, 4, value={"text": "op 1 saw 7 after 6 try 1", "added": 2})
    assert book.rules() == ["answer"]


def test_a_stream_that_told_something_else(book: Book) -> None:
    book.turn("1", 1, 2).value["streamed"] = "op 1 saw"
    assert book.rules() == ["answer"]


def test_a_read_that_is_too_old(book: Book) -> None:
    book.turn("1", 1, 2)
    book.call("2", 3, 4, kind="read", value={"items": 0, "last": "-"})
    assert book.rules() == ["old read"]


def test_a_read_before_what_a_failover_lost_was_done_anew(book: Book) -> None:
    book.turn("1", 1, 2)
    book.fault("primary killed", 3, 4, lossy=True)
    book.call("2", 6, 7, kind="read", value={"items": 0, "last": "-"})
    assert book.rules() == ["old read"]
    book.call("1", 8, 9, value={"text": "op 1 saw 0 after - try 1", "added": 2})
    assert book.rules() == []


def test_a_read_of_what_never_was(book: Book) -> None:
    book.turn("1", 1, 2)
    book.call("2", 3, 4, kind="read", value={"items": 1, "last": "1"})
    assert book.rules() == ["odd read"]


def test_a_takeover_before_the_lease_was_over(book: Book) -> None:
    book.call("1", 1, 9, outcome="unknown", error="WorkerDied")
    second = book.turn("1", 1.2, 4, attempt=2, worker="v")
    book.takeover(second, 2, 1 + LEASE / 2)
    assert book.rules() == ["lease"]


def test_a_takeover_after_the_lease(book: Book) -> None:
    book.call("1", 1, 9, outcome="unknown", error="WorkerDied")
    second = book.turn("1", 1.2, 4, attempt=2, worker="v")
    book.takeover(second, 2, 1.1 + LEASE)
    assert book.rules() == []


def test_a_takeover_is_no_business_of_the_turn_that_is_begun_anew_later(book: Book) -> None:
    book.call("1", 1, 4, outcome="fail", error="LeaseLost", granted=1.1, attempt=1)
    taker = book.call("1", 1, 5, outcome="unknown", error="OutcomeUnknown", granted=3, attempt=2)
    book.takeover(taker, 2, 3)
    anew = book.turn("1", 2.5, 9, worker="v")
    anew.granted = 8
    assert book.rules() == []


def test_a_takeover_from_one_that_was_killed_before_it_told_of_its_grant(book: Book) -> None:
    book.call("1", 1, 1.2, outcome="unknown", error="WorkerDied")
    taker = book.call("1", 1.5, 5, outcome="fail", error="LeaseLost", granted=3, attempt=2)
    book.takeover(taker, 2, 3)
    anew = book.turn("1", 2.5, 9, worker="v")
    anew.granted = 8
    assert book.rules() == []


def test_a_takeover_from_the_last_of_several_that_had_its_number(book: Book) -> None:
    book.call("1", 1, 2.8, outcome="unknown", error="WorkerDied", granted=1.1, attempt=1)
    book.call("1", 3, 9, outcome="unknown", error="WorkerDied", granted=3.1, attempt=1)
    taker = book.turn("1", 3.2, 5, attempt=2, worker="v")
    book.takeover(taker, 2, 3 + LEASE / 2)
    assert book.rules() == ["lease"]


def test_a_clock_that_was_set_ends_leases(book: Book) -> None:
    book.fault("clock stepped", 1, 2)
    book.call("1", 1, 9, outcome="unknown", error="WorkerDied")
    second = book.turn("1", 1.2, 4, attempt=2, worker="v")
    book.takeover(second, 2, 1 + LEASE / 2)
    assert book.rules() == []


def test_two_at_a_time(book: Book) -> None:
    book.turn("1", 1, 2, held=1.9)
    book.turn("2", 1.5, 3)
    assert book.rules() == ["lease"]


def test_a_lease_lost_within_its_length(book: Book) -> None:
    book.call("1", 1, 2, outcome="fail", error="LeaseLost")
    assert book.rules() == ["lease"]


def test_a_commit_by_whom_the_turn_was_taken_from(book: Book) -> None:
    book.turn("1", 1, 9)
    second = book.call("1", 4, 8, outcome="fail", error="LeaseLost", granted=5.0, attempt=2)
    book.takeover(second, 2, 5.0)
    assert book.rules() == ["superseded"]


def test_what_is_left_behind(book: Book) -> None:
    book.turn("1", 1, 2)
    book.history.leftovers.append(Leftover("open turn t1", "session", "s"))
    assert book.rules() == ["left behind"]


def test_an_error_that_nobody_foresaw(book: Book) -> None:
    book.turn("1", 1, 2)
    book.call("1", 3, 4, outcome="unknown", error="! AttributeError: x")
    assert book.rules() == ["unforeseen error"]


def test_a_run_that_fails_mostly(book: Book) -> None:
    for number in range(5):
        book.call(str(number), 1, 4, outcome="fail", error="BusyTimeout")
    assert book.rules() == []
    assert book.rules(least_ok=0.5) == ["failing"]
