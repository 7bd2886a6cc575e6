"""The checker on interrupted turns, approvals, and turns that do not let themselves be ended."""

from __future__ import annotations

from typing import Any

import pytest

from chaos import script
from tests.chaos.histories import Book
from turnwise.turns.stopped import INTERRUPTED

_CALL = {"type": "function_call", "name": "charge", "call_id": "1.00"}
_OUTPUT = {"type": "function_call_output", "call_id": "1.00"}


@pytest.fixture
def book() -> Book:
    book = Book()
    book.call("1", 1, 4, kind="run", outcome="fail", error="TurnCancelled", value={"kept": True})
    return book


def _interrupt(book: Book, busy: str = "interrupt") -> None:
    book.call("2", 2, 9, kind="pushy-run", outcome="unknown", params={"busy": busy})


def _left(book: Book, *middle: dict[str, Any], plan: str = "n") -> None:
    book.ended("1", "cancelled", [script.user(script.question("1", plan)), *middle])


def test_what_an_interrupted_turn_keeps(book: Book) -> None:
    _interrupt(book)
    _left(book, _CALL, _OUTPUT | {"output": INTERRUPTED})
    assert book.rules() == []


def test_a_call_without_its_output(book: Book) -> None:
    _interrupt(book)
    _left(book, _CALL)
    assert book.rules() == ["interrupted"]


def test_an_output_that_comes_before_its_call_or_is_of_another(book: Book) -> None:
    _interrupt(book)
    _left(book, _OUTPUT | {"output": INTERRUPTED}, _CALL)
    assert book.rules() == ["interrupted"]
    book.stored.clear()
    _left(book, _CALL, _OUTPUT | {"output": "1.01 done for call 0"})
    assert book.rules() == ["interrupted"]


def test_a_step_of_which_a_part_is_kept(book: Book) -> None:
    _interrupt(book)
    _left(book, _CALL, _OUTPUT | {"output": INTERRUPTED}, plan="nn")
    assert book.rules() == ["interrupted"]


def test_a_step_in_which_a_tool_raised(book: Book) -> None:
    """What is kept of it, the SDK decides; an output is still nobody's invention."""
    _interrupt(book)
    book.history.calls[0].params["stumbles"] = "look_up"
    book.executed(book.history.calls[0], "1.01", tool="look_up")
    _left(book, _CALL, _OUTPUT | {"output": "1.00 done for call 7"}, plan="nr/n")
    assert book.rules() == []
    book.stored.clear()
    _left(book, plan="nr/n")
    assert book.rules() == []
    book.stored.clear()
    _left(book, _CALL, _OUTPUT | {"output": "1.00"}, plan="nr")
    assert book.rules() == ["interrupted"]


def test_a_tool_that_ran_and_is_not_kept(book: Book) -> None:
    _interrupt(book)
    _left(book)
    assert book.rules() == []
    book.executed(book.history.calls[0], "1.00")
    assert book.rules() == ["interrupted"]


def test_a_turn_that_was_rolled_back_and_left_something(book: Book) -> None:
    _interrupt(book, "rollback")
    _left(book)
    assert book.rules() == ["interrupted"]


def test_a_turn_that_was_said_to_have_left_nothing(book: Book) -> None:
    _interrupt(book)
    _left(book)
    book.history.calls[0].value["kept"] = False
    assert book.rules() == ["interrupted"]


def test_a_turn_that_was_acknowledged_and_stands_as_interrupted(book: Book) -> None:
    _interrupt(book)
    _left(book)
    book.call("1", 5, 6, value={"text": "x", "added": 2})
    assert set(book.rules()) == {"interrupted", "lost"}


def _asked(reject: bool = False) -> tuple[Book, Any]:
    book = Book()
    output = script.REJECTED if reject else script.output("1.00", 1)
    book.call("1", 1, 2, kind="ask", value={"parked": 1}, params={"plan": "a"})
    call = book.run("1", "a", {"1.00": output})
    call.kind, call.params = "resume", {"reject": reject}
    return book, call


def test_a_tool_that_ran_after_it_was_approved() -> None:
    book, call = _asked()
    assert book.rules() == ["tool"]
    book.history.ledger.clear()
    book.executed(call, "1.00")
    book.history.ledger[0].tool = script.TOOLS["a"]
    assert book.rules() == []
    book.executed(call, "1.00")
    assert book.rules() == ["tool"]


def test_a_tool_that_ran_before_it_was_approved() -> None:
    book, _ = _asked()
    book.executed(book.history.calls[0], "1.00")
    book.history.ledger[0].tool = script.TOOLS["a"]
    assert "approval" in book.rules()


def test_a_tool_that_ran_though_it_was_refused() -> None:
    book, call = _asked(reject=True)
    assert book.rules() == []
    book.executed(call, "1.00")
    book.history.ledger[0].tool = script.TOOLS["a"]
    assert book.rules() == ["tool", "approval"]


def test_a_message_that_fails_each_time_may_be_interrupted(book: Book) -> None:
    _interrupt(book)
    _left(book, plan=script.DOOM)
    assert book.rules() == []


def test_a_run_that_waited_and_is_lost() -> None:
    book = Book()
    book.call("1", 1, 2, kind="ask", value={"parked": 1})
    assert book.rules() == ["approval"]
    book.fault("primary killed", 2, 3, lossy=True)
    assert book.excuses() == ["turns that waited and were lost to a failover"]
    book.history.faults.clear()
    book.call("c", 3, 4, kind="cancel", value={"outcome": "dropped"}, params=_of("1"))
    assert book.rules() == []


def _of(op: str) -> dict[str, Any]:
    return {"turn_id": f"t{op}", "op": op}


def test_turns_that_do_not_let_themselves_be_ended() -> None:
    book = Book()
    for number in range(4):
        start = 10.0 * number
        book.call(str(number), start, start + 3, outcome="unknown", error="WorkerDied")
        value = {"outcome": "forced", "items": 0}
        params = _of(str(number))
        book.call(f"c{number}", start, start + 2, kind="cancel", value=value, params=params)
        if number < 3:
            assert book.rules() == []
    assert book.rules() == ["cancel"]
    book.fault("worker paused", 0, 40)
    assert book.rules() == []
