"""What the demo counts as done again, and when it says that all is well."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from demo.board import Board
from demo.ledger import Found, Ledger
from demo.recording import MODEL, RecordedTurn, Recording
from demo.statement import is_good
from demo.strikes import Strikes
from demo.verdict import Verdict


class Lab:
    """One recorded turn, in which the model, a tool, the model and a tool are called, and more."""

    def __init__(self) -> None:
        recording = Recording()
        self.turn = next(turn for turn in recording.turns.values() if len(turn.calls) > 4)
        self.ledger = Ledger(recording)

    def made(self, *numbers: int, cut_off: int | None = None) -> None:
        """These calls of the turn are made, one after the other, and one that is cut off."""
        for number in numbers:
            self.ledger.called(self.turn.id, self.turn.calls[number].place)
            self.ledger.returned(self.turn.id, self.turn.calls[number].place)
        if cut_off is not None:
            self.ledger.called(self.turn.id, self.turn.calls[cut_off].place)

    def taken_over(self, entries: int) -> Found:
        return self.ledger.taken_over(self.turn.id, entries)

    def again(self) -> dict[str, list[int]]:
        """What was made again: of the model, and of tools."""
        return {
            why: [getattr(tally, why) for tally in (self.ledger.model, self.ledger.tools)]
            for why in ("cut_off", "unsaved", "repeated")
        }


def test_what_was_cut_off_may_be_made_again() -> None:
    lab = Lab()
    tool = lab.turn.calls[1].callee
    lab.made(0, cut_off=1)
    assert lab.taken_over(2) == Found(answers=1, outputs=0, cut_off=tool, has_start=True)
    lab.made(1, cut_off=2)
    assert lab.taken_over(3) == Found(answers=1, outputs=1, cut_off=MODEL, has_start=False)
    lab.made(2, 3)

    assert lab.again() == {"cut_off": [1, 1], "unsaved": [0, 0], "repeated": [0, 0]}
    assert (lab.ledger.model.spared, lab.ledger.tools.spared) == (2, 1)


@pytest.mark.parametrize(("number", "of"), [(0, [1, 0]), (1, [0, 1])])
def test_what_was_in_the_journal_must_not_be_made_again(number: int, of: list[int]) -> None:
    lab = Lab()
    lab.made(0, 1)
    lab.taken_over(3)
    lab.made(number)

    assert lab.again() == {"cut_off": [0, 0], "unsaved": [0, 0], "repeated": of}


@pytest.mark.parametrize(("number", "of"), [(0, [1, 0]), (1, [0, 1])])
def test_what_the_run_had_gone_on_from_must_have_been_journaled(number: int, of: list[int]) -> None:
    """Whatever the store says: here, that the journal is empty."""
    lab = Lab()
    lab.made(0, 1, cut_off=2)
    lab.taken_over(0)
    lab.made(number)

    assert lab.again() == {"cut_off": [0, 0], "unsaved": [0, 0], "repeated": of}


def test_nothing_is_made_twice_by_one_worker() -> None:
    lab = Lab()
    lab.made(0, 0)

    assert lab.again()["repeated"] == [1, 0]


def test_what_ended_just_before_the_kill_may_be_made_again() -> None:
    lab = Lab()
    lab.made(0, 1)
    lab.taken_over(2)
    lab.made(1)

    assert lab.again() == {"cut_off": [0, 0], "unsaved": [0, 1], "repeated": [0, 0]}


def board_of(turns: Iterable[RecordedTurn], ledger: Ledger) -> Board:
    """A demo in which each call of these turns was made once."""
    for turn in turns:
        for call in turn.calls:
            ledger.called(turn.id, call.place)
            ledger.returned(turn.id, call.place)
    return Board(turns=0, conversations=0, ledger=ledger)


def test_the_demo_is_not_good_if_something_was_done_again() -> None:
    recording = Recording(5)
    turn = next(turn for turn in recording.turns.values() if len(turn.calls) > 1)
    board = board_of(recording.turns.values(), Ledger(recording))
    assert is_good(board, Verdict())

    board.ledger.taken_over(turn.id, 3)
    board.ledger.called(turn.id, turn.calls[1].place)
    assert not is_good(board, Verdict())


def test_the_demo_is_not_good_if_a_call_was_never_made() -> None:
    recording = Recording(5)
    _, *others = recording.turns.values()

    assert not is_good(board_of(others, Ledger(recording)), Verdict())


def test_the_demo_is_not_good_without_a_takeover_from_mid_tool() -> None:
    recording = Recording(5)
    board = board_of(recording.turns.values(), Ledger(recording))
    board.kills_in_tool = 1
    assert not is_good(board, Verdict())

    board.tools_taken_over = 1
    assert is_good(board, Verdict())


def test_strikes_come_in_a_tool_first_and_then_in_a_model_call() -> None:
    turn = next(
        t for t in Recording().turns.values() if t.calls[2:] and t.calls[-1].callee == MODEL
    )
    strikes = Strikes(turns=30, kills=2)
    assert strikes.aim(turn, served=9) is None

    assert strikes.aim(turn, served=10) == turn.calls[-2].place
    strike = strikes.struck(turn.id, turn.calls[-2].place)
    assert strike is not None
    assert strike.is_in_tool
    assert strikes.struck(turn.id, turn.calls[-2].place) is None
    assert not strikes.are_over

    assert strikes.aim(turn, served=20) == turn.calls[-1].place
    assert strikes.struck(turn.id, turn.calls[-1].place) is not None
    assert strikes.are_over
