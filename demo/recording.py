"""The recorded conversations, split into turns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

Item = dict[str, Any]

MODEL = "model"
"""The callee of a model call. Any other callee is the name of a tool."""

RECORDING = Path(__file__).parent / "data" / "airline_conversations.jsonl"


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call of the model or a tool. Its result starts at `output_index` of the turn's output."""

    output_index: int
    callee: str

    @property
    def is_tool(self) -> bool:
        return self.callee != MODEL


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """The user's input and the agent's output. `history` is what the session holds before them."""

    id: str
    conversation: str
    history: tuple[Item, ...] = field(repr=False)
    input: str = field(repr=False)
    output: tuple[Item, ...] = field(repr=False)

    @property
    def items(self) -> tuple[Item, ...]:
        """What this turn adds to the history."""
        return {"type": "message", "role": "user", "content": self.input}, *self.output

    def response(self, output_index: int) -> tuple[Item, ...]:
        """The model response that starts there, or nothing: it ends before the next tool output."""
        rest = self.output[output_index:]
        for count, item in enumerate(rest):
            if item["type"] == "function_call_output":
                return rest[:count]
        return rest

    @property
    def calls(self) -> list[RecordedCall]:
        """The calls that produced the output, in order. No response asks for two tools."""
        names = {item["call_id"]: item["name"] for item in self.output if "name" in item}
        calls: list[RecordedCall] = []
        index = 0
        while index < len(self.output):
            response = self.response(index)
            callee = MODEL if response else names[self.output[index]["call_id"]]
            calls.append(RecordedCall(index, callee))
            index += len(response) or 1
        return calls

    def output_index_of(self, call_id: str) -> int:
        """Where this tool call's output is. Raises KeyError for a call that was not recorded."""
        for index, item in enumerate(self.output):
            if item["type"] == "function_call_output" and item["call_id"] == call_id:
                return index
        raise KeyError(call_id)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One recorded conversation. `renamed_calls` counts calls that were given a unique id."""

    id: str
    turns: tuple[RecordedTurn, ...] = field(repr=False)
    renamed_calls: int

    @property
    def items(self) -> tuple[Item, ...]:
        """The whole history."""
        return (*self.turns[-1].history, *self.turns[-1].items)


class Recording:
    """The first `count` recorded conversations; all of them by default."""

    def __init__(self, count: int | None = None, path: Path = RECORDING) -> None:
        with path.open(encoding="utf-8") as lines:
            self.conversations = [_conversation(json.loads(line)) for line in islice(lines, count)]
        self.turns = {turn.id: turn for each in self.conversations for turn in each.turns}
        calls = [call for turn in self.turns.values() for call in turn.calls]
        self.tool_calls = sum(call.is_tool for call in calls)
        self.model_calls = len(calls) - self.tool_calls
        self.tool_names = sorted({call.callee for call in calls if call.is_tool})


def _conversation(line: dict[str, Any]) -> Conversation:
    call_ids = _UniqueCallIds()
    turns: list[RecordedTurn] = []
    history: tuple[Item, ...] = ()
    for number, recorded in enumerate(line["turns"], start=1):
        turn = RecordedTurn(
            id=f"{line['id']}/{number}",
            conversation=line["id"],
            history=history,
            input=recorded["input"],
            output=tuple(call_ids.apply(recorded["output"])),
        )
        turns.append(turn)
        history += turn.items
    return Conversation(line["id"], tuple(turns), call_ids.renamed_calls)


class _UniqueCallIds:
    """Appends #2, #3 ... to a call id that the conversation has used before.

    The recorded model reused ids now and then. The SDK's run loop passes only the last of the calls
    that share an id on to the model, so the model would not see the earlier ones.
    """

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}
        self.renamed_calls = 0

    def apply(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            yield self._renamed(item) if "call_id" in item else item

    def _renamed(self, item: Item) -> Item:
        call_id = item["call_id"]
        if item["type"] == "function_call":
            self._uses[call_id] = self._uses.get(call_id, 0) + 1
            self.renamed_calls += self._uses[call_id] > 1
        uses = self._uses[call_id]
        return item if uses == 1 else {**item, "call_id": f"{call_id}#{uses}"}
