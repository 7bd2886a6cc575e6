"""When workers are killed, and in the middle of what."""

from __future__ import annotations

from dataclasses import dataclass

from demo.recording import MODEL, RecordedCall, RecordedTurn


@dataclass(frozen=True, slots=True)
class Strike:
    """A worker is to be killed while this call is under way."""

    turn: str
    call: RecordedCall

    @property
    def is_in_tool(self) -> bool:
        return self.call.callee != MODEL


class Strikes:
    """Spread evenly over the demo: the first in a tool, the next in a call of the model, and so on.

    A strike is aimed at a turn before that is handed out. Its worker holds the call there: it
    takes until the kill comes, so that on no machine it can have ended before.
    """

    def __init__(self, turns: int, kills: int) -> None:
        self._due = [turns * number // (kills + 1) for number in range(kills, 0, -1)]
        self._in_tool = True
        self._aimed: Strike | None = None

    @property
    def are_over(self) -> bool:
        return not self._due

    def aim(self, turn: RecordedTurn, served: int) -> int | None:
        """The place of the call in which this turn's worker is to be killed, if it is."""
        if self._aimed is None and self._due and served >= self._due[-1]:
            calls = [call for call in turn.calls if (call.callee != MODEL) == self._in_tool]
            if calls and calls[-1].place:  # something is to have ended before
                self._aimed = Strike(turn.id, calls[-1])
        if self._aimed is None or self._aimed.turn != turn.id:
            return None
        return self._aimed.call.place

    def struck(self, turn: str, place: int) -> Strike | None:
        """The strike that is to come now that this call is under way; once."""
        aimed = self._aimed
        if aimed is None or (aimed.turn, aimed.call.place) != (turn, place):
            return None
        self._due.pop()
        self._aimed = None
        self._in_tool = not self._in_tool
        return aimed
