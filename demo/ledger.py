"""What the workers really did, as they tell it over their pipes: nothing here is from the store.

But for one thing: how many entries a takeover found in the journal. A call whose end is among them
must not be made again; nor must one that the run had gone on from, whatever the store has of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from demo.recording import MODEL, RecordedCall, RecordedTurn, Recording


@dataclass
class Tally:
    """Calls of the model, or of tools.

    `made` counts all; of these are made again, after a takeover: those that were `cut_off` in
    mid-work, those that had ended `unsaved`, just before their end could be journaled, and those
    that are `repeated` though it was, of which there must be none. `spared` were not made again.
    """

    recorded: int
    made: int = 0
    cut_off: int = 0
    unsaved: int = 0
    repeated: int = 0
    spared: int = 0

    @property
    def missing(self) -> int:
        """How many of the recorded calls nobody made."""
        return self.recorded - (self.made - self.cut_off - self.unsaved - self.repeated)


@dataclass(frozen=True, slots=True)
class Found:
    """What a takeover finds: so many answers of the model, outputs of tools, and what is cut off.

    `cut_off` is the model or the tool that had begun and had not ended when the worker died.
    `has_start` says that this is a tool, whose start is the last thing in the journal.
    """

    answers: int
    outputs: int
    cut_off: str | None
    has_start: bool


class Ledger:
    """Every call of every turn, from its beginning to its end."""

    def __init__(self, recording: Recording) -> None:
        self.model = Tally(recording.model_calls)
        self.tools = Tally(recording.tool_calls)
        self._pages = {turn.id: _Page(turn) for turn in recording.turns.values()}

    def called(self, turn: str, place: int) -> None:
        """A call begins its work."""
        page = self._pages[turn]
        tally = self._tally(page.calls[page.index(place)])
        tally.made += 1
        match page.called(page.index(place)):
            case "cut off":
                tally.cut_off += 1
            case "unsaved":
                tally.unsaved += 1
            case "repeated":
                tally.repeated += 1

    def returned(self, turn: str, place: int) -> None:
        """Its work is done; that is not in the journal yet."""
        page = self._pages[turn]
        page.returned.add(page.index(place))

    def taken_over(self, turn: str, entries: int) -> Found:
        """Another worker goes on with the turn, and found so many entries in its journal."""
        page = self._pages[turn]
        found = page.taken_over(entries)
        self.model.spared += found.answers
        self.tools.spared += found.outputs
        return found

    def _tally(self, call: RecordedCall) -> Tally:
        return self.model if call.callee == MODEL else self.tools


class _Page:
    """One turn. Its calls come one after the other, and are known by their number."""

    def __init__(self, turn: RecordedTurn) -> None:
        self.calls = turn.calls
        self.returned: set[int] = set()
        self._made: set[int] = set()
        self._here: set[int] = set()
        self._done = 0

    def index(self, place: int) -> int:
        return next(index for index, call in enumerate(self.calls) if call.place == place)

    def called(self, index: int) -> str:
        """Why this call is made: for the first time, or why again."""
        why = self._why(index)
        self._made.add(index)
        self._here.add(index)
        self.returned.discard(index)
        # A run goes on only from what is in the journal.
        self._done = max(self._done, index)
        return why

    def _why(self, index: int) -> str:
        if index < self._done or index in self._here:
            return "repeated"
        if index not in self._made:
            return "first"
        return "unsaved" if index in self.returned else "cut off"

    def taken_over(self, entries: int) -> Found:
        """An answer is one entry of a journal, a tool is two: its start and its end."""
        answers = outputs = 0
        for call in self.calls:
            size = 1 if call.callee == MODEL else 2
            if size > entries:
                break
            entries -= size
            answers += size == 1
            outputs += size == 2
        self._done = max(self._done, answers + outputs)
        self._here.clear()
        under_way = self._made - self.returned - set(range(self._done))
        cut_off = next((self.calls[index].callee for index in under_way), None)
        has_start = entries == 1 and under_way == {answers + outputs}
        return Found(answers, outputs, cut_off, has_start)
