"""A turn's events as AG-UI's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ag_ui.core import (
    BaseEvent,
    Interrupt,
    Message,
    MessagesSnapshotEvent,
    ReasoningEndEvent,
    ReasoningMessage,
    ReasoningMessageContentEvent,
    ReasoningMessageEndEvent,
    ReasoningMessageStartEvent,
    ReasoningStartEvent,
    RunErrorEvent,
    RunFinishedCancelledOutcome,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    RunFinishedOutcome,
    RunFinishedSuccessOutcome,
    RunStartedEvent,
    StepFinishedEvent,
    StepStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)

from turnwise.http.wires.answer_encoder import AnswerEncoder
from turnwise.http.wires.steps import Call, Chunk, Steps, parsed
from turnwise.types import PendingApproval

RECONNECT = RunErrorEvent(message="The run goes on: connect again.", code="reconnect")
"""Ends a stream whose client is to come back."""

_ANSWER = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["approved"],
}
"""What an interrupt's answer looks like."""


def interrupt_id(approval: PendingApproval, event_id: str) -> str:
    """What the client answers: the approval, the event behind which its turn goes on, the turn."""
    return f"{approval.id}.{event_id}.{approval.turn_id}"


def split_interrupt_id(text: str) -> tuple[str, str, str] | None:
    """An approval's id, the event and the turn; None if it is no interrupt's id."""
    parts = text.split(".", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else None


class EventEncoder(AnswerEncoder[BaseEvent]):
    """One run, as a client of AG-UI reads it. The same events give the same ones.

    When another attempt at the turn begins, a snapshot takes back what the client got of the
    earlier one, and all of the answer follows again.

    Args:
        thread_id, run_id: What the client calls the conversation and the run.
        turn_id: The turn.
        before: The messages before the turn's answer.
        held: The calls that the client knows, if only what follows an approval is sent. None if
            all of the answer is.
        after: The event that this follows.
        version: The protocol's version, as the client said it; None before 1.0.

    Attributes:
        is_over: Whether nothing follows.
    """

    def __init__(
        self,
        thread_id: str,
        run_id: str,
        turn_id: str,
        before: Sequence[Message],
        *,
        held: Iterable[str] | None = None,
        after: str = "",
        version: str | None = None,
    ) -> None:
        self._version = version
        self._thread_id, self._run_id = thread_id, run_id
        self._before = list(before)
        self._held = None if held is None else set(held)
        self._prefix = f"{turn_id}-{after}" if after else turn_id
        self._turn_id = turn_id
        self._thoughts: set[str] = set()
        self._begin(held or ())
        self.is_over = False

    def start(self, *, snapshot: bool = False) -> list[BaseEvent]:
        """What begins the stream; with a snapshot of the messages before."""
        begun = RunStartedEvent(thread_id=self._thread_id, run_id=self._run_id)
        return [begun, MessagesSnapshotEvent(messages=self._before)] if snapshot else [begun]

    def finish(self) -> list[BaseEvent]:
        """The run has ended well."""
        return self._finish(RunFinishedSuccessOutcome())

    def _items(self, items: Iterable[Mapping[str, Any]]) -> list[BaseEvent]:
        """All of the answer, whose events are gone."""
        events = self._begin_again(since_start=True)
        if self.is_over:
            return events
        return [*events, *self._add(chunk for item in items for chunk in self._steps.item(item))]

    def _parked(self, event_id: str, pending: Sequence[PendingApproval]) -> list[BaseEvent]:
        """The run ends here if approvals are pending. Without them it goes on."""
        interrupts: list[Interrupt] = []
        events: list[BaseEvent] = []
        for approval in pending:
            call_id = approval.call_id
            if call_id not in self._steps.calls:  # of an agent within a tool
                given = Call(approval.id, approval.tool_name, parsed(approval.arguments), False)
                call_id = approval.id
                events += self._add(self._steps.call(given))
            interrupts.append(_interrupt(approval, call_id, event_id))
        if interrupts:
            events += self._finish(RunFinishedInterruptOutcome(interrupts=interrupts))
        else:
            events += self._close()
        self._prefix = f"{self._turn_id}-{event_id}"
        self._held = self._steps.calls
        self._begin(self._held)
        return events

    def _finished(self, event: Mapping[str, Any]) -> list[BaseEvent]:
        if event["state"] == "committed":
            return self.finish()
        if event["state"] != "cancelled":
            return self._failed(event)
        if self._version is None:  # such a client stops at an outcome that it does not know
            self.is_over = True
            return [RunErrorEvent(message="The run was cancelled.", code="cancelled")]
        return self._finish(RunFinishedCancelledOutcome())

    def _finish(self, outcome: RunFinishedOutcome) -> list[BaseEvent]:
        self.is_over = True
        names = self._thread_id, self._run_id
        finished = RunFinishedEvent(thread_id=names[0], run_id=names[1], outcome=outcome)
        return [*self._close(), finished]

    def _failed(self, event: Mapping[str, Any]) -> list[BaseEvent]:
        """Only operators are told more than the error's name."""
        self.is_over = True
        name = str(event.get("error") or "").partition(":")[0]
        return [RunErrorEvent(message="The turn failed.", code=name or "failed")]

    def _begin(self, calls: Iterable[str]) -> None:
        """What is encoded from here on is of an attempt of its own."""
        self._steps = Steps(calls)
        self._step = 0
        self._message: str | None = None
        self._inputs: dict[str, bool] = {}
        """The calls that have begun and not ended: whether some of the input was sent."""
        self._has_sent = False

    def _begin_again(self, *, since_start: bool) -> list[BaseEvent]:
        """What came before is void: all of it, or what came since the turn was parked."""
        if self._held is not None and (since_start or self._has_sent):
            self.is_over = True
            return [RECONNECT]
        events: list[BaseEvent] = []
        if self._has_sent:
            messages = [*self._before, *self._taken_back()]
            events = [*self._close(), MessagesSnapshotEvent(messages=messages)]
        self._begin(self._held or ())
        return events

    def _close(self) -> list[BaseEvent]:
        """End what is open."""
        calls = [ToolCallEndEvent(tool_call_id=call_id) for call_id in self._inputs]
        self._inputs.clear()
        return [*calls, *self._add(self._steps.close())]

    def _taken_back(self) -> list[Message]:
        """A snapshot takes reasoning back only if it names it."""
        return [ReasoningMessage(id=each, content="") for each in sorted(self._thoughts)]

    def _add(self, chunks: Iterable[Chunk]) -> list[BaseEvent]:
        events = [event for chunk in chunks for event in self._events(chunk)]
        self._has_sent = self._has_sent or bool(events)
        return events

    def _events(self, chunk: Chunk) -> Iterator[BaseEvent]:
        kind = chunk["type"]
        if "-step" in kind:
            yield self._step_event(kind)
        elif kind.startswith("text-"):
            yield self._text(kind, f"{self._prefix}-{chunk['id']}", chunk)
        elif kind.startswith("reasoning-"):
            yield from self._reasoning(kind, f"{self._prefix}-{chunk['id']}", chunk)
        elif kind.startswith("tool-"):
            yield from self._tool(kind, chunk["toolCallId"], chunk)

    def _step_event(self, kind: str) -> BaseEvent:
        if kind == "finish-step":
            return StepFinishedEvent(step_name=f"step {self._step}")
        self._step, self._message = self._step + 1, None
        return StepStartedEvent(step_name=f"step {self._step}")

    def _text(self, kind: str, message_id: str, chunk: Chunk) -> BaseEvent:
        if kind == "text-start":
            self._message = message_id
            return TextMessageStartEvent(message_id=message_id, role="assistant")
        if kind == "text-delta":
            return TextMessageContentEvent(message_id=message_id, delta=chunk["delta"])
        return TextMessageEndEvent(message_id=message_id)

    def _reasoning(self, kind: str, message_id: str, chunk: Chunk) -> Iterator[BaseEvent]:
        if kind == "reasoning-start":
            self._thoughts.add(message_id)
            yield ReasoningStartEvent(message_id=message_id)
            yield ReasoningMessageStartEvent(message_id=message_id, role="reasoning")
        elif kind == "reasoning-delta":
            yield ReasoningMessageContentEvent(message_id=message_id, delta=chunk["delta"])
        else:
            yield ReasoningMessageEndEvent(message_id=message_id)
            yield ReasoningEndEvent(message_id=message_id)

    def _tool(self, kind: str, call_id: str, chunk: Chunk) -> Iterator[BaseEvent]:
        if kind == "tool-input-start":
            self._inputs[call_id] = False
            yield ToolCallStartEvent(
                tool_call_id=call_id,
                tool_call_name=chunk["toolName"],
                parent_message_id=self._message,
            )
        elif kind == "tool-input-delta":
            self._inputs[call_id] = True
            yield ToolCallArgsEvent(tool_call_id=call_id, delta=chunk["inputTextDelta"])
        elif kind == "tool-input-available":
            if not self._inputs.pop(call_id, False):
                yield ToolCallArgsEvent(tool_call_id=call_id, delta=_text_of(chunk["input"]))
            yield ToolCallEndEvent(tool_call_id=call_id)
        else:
            yield ToolCallResultEvent(
                message_id=f"{self._prefix}-{call_id}-result",
                tool_call_id=call_id,
                content=_text_of(chunk["output"]),
                role="tool",
            )


def _interrupt(approval: PendingApproval, call_id: str, event_id: str) -> Interrupt:
    return Interrupt(
        id=interrupt_id(approval, event_id),
        reason="tool_call",
        message=f"{approval.agent_name} asks to call {approval.tool_name}.",
        tool_call_id=call_id,
        response_schema=_ANSWER,
    )


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
