"""Counts the calls that the workers really make, from their own reports.

The store contributes one number: how many journal entries a takeover found. A call whose result is
among them must not run again. Nor must a call whose result the run has already used, whatever the
store says.
"""

from __future__ import annotations

from dataclasses import dataclass

from demo.recording import RecordedTurn, Recording


@dataclass
class CallCounts:
    """Calls of the model, or calls of tools.

    `made` counts every call, also those that run again after a takeover: `interrupted` ones, whose
    worker died during the call; `unjournaled` ones, whose worker died after the call, before its
    result was in the journal; and `repeated` ones, whose result was in the journal. The last must
    be 0. `reused` counts results that a takeover found in the journal.
    """

    recorded: int
    made: int = 0
    interrupted: int = 0
    unjournaled: int = 0
    repeated: int = 0
    reused: int = 0

    @property
    def missing(self) -> int:
        """How many recorded calls were never made."""
        return self.recorded - (self.made - self.interrupted - self.unjournaled - self.repeated)


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """What a takeover finds: model responses and tool outputs in the journal.

    `interrupted` is the model or the tool that was running when the worker died. `tool_started`
    says that it is a tool, and that its start is the last entry of the journal.
    """

    responses: int
    outputs: int
    interrupted: str | None
    tool_started: bool


class CallTracker:
    """Follows every call of every turn from its start to its end."""

    def __init__(self, recording: Recording) -> None:
        self.model = CallCounts(recording.model_calls)
        self.tools = CallCounts(recording.tool_calls)
        self._turns = {turn.id: _TurnCalls(turn) for turn in recording.turns.values()}

    def started(self, turn_id: str, output_index: int) -> None:
        """A call starts."""
        turn = self._turns[turn_id]
        number = turn.number_of(output_index)
        counts = self.tools if turn.calls[number].is_tool else self.model
        counts.made += 1
        match turn.started(number):
            case "interrupted":
                counts.interrupted += 1
            case "unjournaled":
                counts.unjournaled += 1
            case "repeated":
                counts.repeated += 1

    def finished(self, turn_id: str, output_index: int) -> None:
        """A call ends; its result is not in the journal yet."""
        turn = self._turns[turn_id]
        turn.finished.add(turn.number_of(output_index))

    def taken_over(self, turn_id: str, entries: int) -> ResumePoint:
        """Another worker continues the turn and has found this many entries in its journal."""
        found = self._turns[turn_id].taken_over(entries)
        self.model.reused += found.responses
        self.tools.reused += found.outputs
        return found


class _TurnCalls:
    """The calls of one turn. They run one after the other; each is named by its number."""

    def __init__(self, turn: RecordedTurn) -> None:
        self.calls = turn.calls
        self.finished: set[int] = set()
        self._made: set[int] = set()
        self._made_in_this_attempt: set[int] = set()
        self._journaled = 0

    def number_of(self, output_index: int) -> int:
        numbers = {call.output_index: number for number, call in enumerate(self.calls)}
        return numbers[output_index]

    def started(self, number: int) -> str:
        """Why this call runs: for the first time, or the reason that it runs again."""
        why = self._why(number)
        self._made.add(number)
        self._made_in_this_attempt.add(number)
        self.finished.discard(number)
        # A run starts a call only once the results of all earlier ones are in the journal.
        self._journaled = max(self._journaled, number)
        return why

    def _why(self, number: int) -> str:
        if number < self._journaled or number in self._made_in_this_attempt:
            return "repeated"
        if number not in self._made:
            return "first"
        return "unjournaled" if number in self.finished else "interrupted"

    def taken_over(self, entries: int) -> ResumePoint:
        """A model response is one journal entry, a tool call two: its start and its result."""
        responses = outputs = 0
        for call in self.calls:
            size = 2 if call.is_tool else 1
            if size > entries:
                break
            entries -= size
            outputs += call.is_tool
            responses += not call.is_tool
        self._journaled = max(self._journaled, responses + outputs)
        self._made_in_this_attempt.clear()
        unfinished = self._made - self.finished - set(range(self._journaled))
        interrupted = next((self.calls[number].callee for number in unfinished), None)
        tool_started = entries == 1 and unfinished == {responses + outputs}
        return ResumePoint(responses, outputs, interrupted, tool_started)
