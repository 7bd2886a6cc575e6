"""Which calls the demo counts as run again, and when its checks pass."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from demo.call_tracker import CallTracker, ResumePoint
from demo.checks import CheckResult
from demo.kill_schedule import KillSchedule
from demo.recording import RecordedTurn, Recording
from demo.status import Status
from demo.summary import passed


class Harness:
    """One recorded turn, whose calls are: the model, a tool, the model, a tool, and more."""

    def __init__(self) -> None:
        recording = Recording()
        self.turn = next(turn for turn in recording.turns.values() if len(turn.calls) > 4)
        self.tracker = CallTracker(recording)

    def make(self, *numbers: int, interrupted: int | None = None) -> None:
        """Make these calls of the turn, one after the other, then start one that does not end."""
        for number in numbers:
            self.tracker.started(self.turn.id, self.turn.calls[number].output_index)
            self.tracker.finished(self.turn.id, self.turn.calls[number].output_index)
        if interrupted is not None:
            self.tracker.started(self.turn.id, self.turn.calls[interrupted].output_index)

    def take_over(self, entries: int) -> ResumePoint:
        return self.tracker.taken_over(self.turn.id, entries)

    def run_again(self) -> dict[str, list[int]]:
        """Calls that ran again, of the model and of tools."""
        return {
            why: [getattr(counts, why) for counts in (self.tracker.model, self.tracker.tools)]
            for why in ("interrupted", "unjournaled", "repeated")
        }


def test_an_interrupted_call_may_run_again() -> None:
    harness = Harness()
    tool = harness.turn.calls[1].callee
    harness.make(0, interrupted=1)
    assert harness.take_over(2) == ResumePoint(1, 0, interrupted=tool, tool_started=True)
    harness.make(1, interrupted=2)
    assert harness.take_over(3) == ResumePoint(1, 1, interrupted="model", tool_started=False)
    harness.make(2, 3)

    assert harness.run_again() == {"interrupted": [1, 1], "unjournaled": [0, 0], "repeated": [0, 0]}
    assert (harness.tracker.model.reused, harness.tracker.tools.reused) == (2, 1)


@pytest.mark.parametrize(("number", "repeated"), [(0, [1, 0]), (1, [0, 1])])
def test_a_call_with_a_result_in_the_journal_must_not_run_again(
    number: int, repeated: list[int]
) -> None:
    harness = Harness()
    harness.make(0, 1)
    harness.take_over(3)
    harness.make(number)

    assert harness.run_again() == {
        "interrupted": [0, 0],
        "unjournaled": [0, 0],
        "repeated": repeated,
    }


@pytest.mark.parametrize(("number", "repeated"), [(0, [1, 0]), (1, [0, 1])])
def test_a_call_whose_result_the_run_has_used_must_not_run_again(
    number: int, repeated: list[int]
) -> None:
    """Whatever the store says: here, that the journal is empty."""
    harness = Harness()
    harness.make(0, 1, interrupted=2)
    harness.take_over(0)
    harness.make(number)

    assert harness.run_again() == {
        "interrupted": [0, 0],
        "unjournaled": [0, 0],
        "repeated": repeated,
    }


def test_one_attempt_makes_no_call_twice() -> None:
    harness = Harness()
    harness.make(0, 0)

    assert harness.run_again()["repeated"] == [1, 0]


def test_a_call_that_ended_before_it_was_journaled_may_run_again() -> None:
    harness = Harness()
    harness.make(0, 1)
    harness.take_over(2)
    harness.make(1)

    assert harness.run_again() == {"interrupted": [0, 0], "unjournaled": [0, 1], "repeated": [0, 0]}


def status_after(turns: Iterable[RecordedTurn], tracker: CallTracker) -> Status:
    """A demo in which each call of these turns was made once."""
    for turn in turns:
        for call in turn.calls:
            tracker.started(turn.id, call.output_index)
            tracker.finished(turn.id, call.output_index)
    return Status(total_turns=0, total_conversations=0, calls=tracker)


def test_the_demo_fails_if_a_journaled_call_ran_again() -> None:
    recording = Recording(5)
    turn = next(turn for turn in recording.turns.values() if len(turn.calls) > 1)
    status = status_after(recording.turns.values(), CallTracker(recording))
    assert passed(status, CheckResult())

    status.calls.taken_over(turn.id, 3)
    status.calls.started(turn.id, turn.calls[1].output_index)
    assert not passed(status, CheckResult())


def test_the_demo_fails_if_a_call_was_never_made() -> None:
    recording = Recording(5)
    _, *others = recording.turns.values()

    assert not passed(status_after(others, CallTracker(recording)), CheckResult())


def test_the_demo_fails_without_a_takeover_after_a_kill_in_a_tool() -> None:
    recording = Recording(5)
    status = status_after(recording.turns.values(), CallTracker(recording))
    status.tool_kills = 1
    assert not passed(status, CheckResult())

    status.tool_takeovers = 1
    assert passed(status, CheckResult())


def test_workers_are_killed_in_a_tool_first_and_then_in_a_model_call() -> None:
    turn = next(
        turn
        for turn in Recording().turns.values()
        if len(turn.calls) > 2 and not turn.calls[-1].is_tool
    )
    schedule = KillSchedule(turns=30, kills=2)
    assert schedule.block_at(turn, completed_turns=9) is None

    tool_index = turn.calls[-2].output_index
    assert schedule.block_at(turn, completed_turns=10) == tool_index
    kill = schedule.take(turn.id, tool_index)
    assert kill is not None
    assert kill.call.is_tool
    assert schedule.take(turn.id, tool_index) is None
    assert not schedule.is_done

    model_index = turn.calls[-1].output_index
    assert schedule.block_at(turn, completed_turns=20) == model_index
    assert schedule.take(turn.id, model_index) is not None
    assert schedule.is_done
