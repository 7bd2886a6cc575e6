"""When workers are killed, and in the middle of which call."""

from __future__ import annotations

from dataclasses import dataclass

from demo.recording import RecordedCall, RecordedTurn


@dataclass(frozen=True, slots=True)
class Kill:
    """The worker that runs this turn is killed during this call."""

    turn_id: str
    call: RecordedCall


class KillSchedule:
    """Kills spread evenly over the demo, alternately in a tool and in a model call.

    A kill is assigned to a turn before the turn is dispatched. Its worker then blocks in that call,
    so that the kill hits in mid-call however slow or fast the machine is.
    """

    def __init__(self, turns: int, kills: int) -> None:
        self._due = [turns * number // (kills + 1) for number in range(kills, 0, -1)]
        self._in_tool = True
        self._next: Kill | None = None

    @property
    def is_done(self) -> bool:
        return not self._due

    def block_at(self, turn: RecordedTurn, completed_turns: int) -> int | None:
        """`output_index` of the call in which this turn's worker blocks; None if it does not."""
        if self._next is None and self._due and completed_turns >= self._due[-1]:
            calls = [call for call in turn.calls if call.is_tool == self._in_tool]
            if calls and calls[-1].output_index:  # an earlier call is in the journal by then
                self._next = Kill(turn.id, calls[-1])
        if self._next is None or self._next.turn_id != turn.id:
            return None
        return self._next.call.output_index

    def take(self, turn_id: str, output_index: int) -> Kill | None:
        """Remove and return the kill that is due once this call runs, if there is one."""
        kill = self._next
        if kill is None or (kill.turn_id, kill.call.output_index) != (turn_id, output_index):
            return None
        self._due.pop()
        self._next = None
        self._in_tool = not self._in_tool
        return kill
