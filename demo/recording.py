"""The recorded conversations, cut into turns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

Item = dict[str, Any]

MODEL = "model"
"""What is called, where it is not a tool by its name."""

RECORDING = Path(__file__).parent / "data" / "airline_conversations.jsonl"


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call of the MODEL or of a tool; in the turn's output, what it gave begins at `place`."""

    place: int
    callee: str


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """What the user said, what the agent did, and all that had been said and done before."""

    id: str
    conversation: str
    history: tuple[Item, ...] = field(repr=False)
    input: str = field(repr=False)
    output: tuple[Item, ...] = field(repr=False)

    @property
    def items(self) -> tuple[Item, ...]:
        """What this turn adds to the history."""
        return {"type": "message", "role": "user", "content": self.input}, *self.output

    def step(self, done: int) -> tuple[Item, ...]:
        """What the model answered when `done` items of the output were there: up to its calls."""
        rest = self.output[done:]
        for count, item in enumerate(rest):
            if item["type"] == "function_call_output":
                return rest[:count]
        return rest

    @property
    def calls(self) -> list[RecordedCall]:
        """What the output came about by, one after the other: no answer asks for two tools."""
        names = {item["call_id"]: item["name"] for item in self.output if "name" in item}
        calls: list[RecordedCall] = []
        done = 0
        while done < len(self.output):
            step = self.step(done)
            callee = MODEL if step else names[self.output[done]["call_id"]]
            calls.append(RecordedCall(done, callee))
            done += len(step) or 1
        return calls

    def place_of(self, call_id: str) -> int:
        """Where the tool's output is. Raises KeyError for a call that was not recorded."""
        for place, item in enumerate(self.output):
            if item["type"] == "function_call_output" and item["call_id"] == call_id:
                return place
        raise KeyError(call_id)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One recorded conversation. `renamed` counts calls that got an id of their own."""

    id: str
    turns: tuple[RecordedTurn, ...] = field(repr=False)
    renamed: int

    @property
    def items(self) -> tuple[Item, ...]:
        """The whole history."""
        return (*self.turns[-1].history, *self.turns[-1].items)


class Recording:
    """The first `count` recorded conversations, or all."""

    def __init__(self, count: int | None = None, path: Path = RECORDING) -> None:
        with path.open(encoding="utf-8") as lines:
            self.conversations = [_conversation(json.loads(line)) for line in islice(lines, count)]
        self.turns = {turn.id: turn for each in self.conversations for turn in each.turns}

    @property
    def model_calls(self) -> int:
        """How many there were, when nobody was killed."""
        return sum(callee == MODEL for callee in self._called())

    @property
    def tool_calls(self) -> int:
        """How many there were, when nobody was killed."""
        return sum(callee != MODEL for callee in self._called())

    def tool_names(self) -> list[str]:
        """Every tool that the recorded agent called."""
        return sorted(set(self._called()) - {MODEL})

    def _called(self) -> Iterator[str]:
        return (call.callee for turn in self.turns.values() for call in turn.calls)


def _conversation(line: dict[str, Any]) -> Conversation:
    ids = _CallIds()
    turns: list[RecordedTurn] = []
    history: tuple[Item, ...] = ()
    for number, recorded in enumerate(line["turns"], start=1):
        turn = RecordedTurn(
            id=f"{line['id']}/{number}",
            conversation=line["id"],
            history=history,
            input=recorded["input"],
            output=tuple(ids.distinct(recorded["output"])),
        )
        turns.append(turn)
        history += turn.items
    return Conversation(line["id"], tuple(turns), ids.renamed)


class _CallIds:
    """Appends #2, #3 ... to an id that a conversation uses for another call again.

    The recorded model did that now and then. The SDK's loop shows a model only the last of the
    calls that share an id, so a model could not see what had happened before.
    """

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}
        self.renamed = 0

    def distinct(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            yield self._renamed(item) if "call_id" in item else item

    def _renamed(self, item: Item) -> Item:
        call_id = item["call_id"]
        if item["type"] == "function_call":
            self._uses[call_id] = self._uses.get(call_id, 0) + 1
            self.renamed += self._uses[call_id] > 1
        uses = self._uses[call_id]
        return item if uses == 1 else {**item, "call_id": f"{call_id}#{uses}"}
