"""A turn's events as the Vercel AI SDK's UI message stream, which `useChat` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from turnwise.http.wires.answer_encoder import AnswerEncoder
from turnwise.http.wires.steps import Call, Chunk, Steps, parsed
from turnwise.http.wires.vercel_sent import Diverged, Sent
from turnwise.types import PendingApproval

AISDK = Literal[5, 6, 7]
"""The client's major version of the package `ai`."""

RESUME = "The answer begins again: resume the stream."
"""The text of the error after which a client is to resume: what it holds of the answer is void."""

_ANSWER = "answer-"


def answer_id(turn_id: str) -> str:
    """The id of the message that answers a turn's."""
    return _ANSWER + turn_id


def turn_answered_by(message_id: str) -> str | None:
    """The turn that a message answers; None if the id is of another kind."""
    return message_id.removeprefix(_ANSWER) if message_id.startswith(_ANSWER) else None


def approval_id(approval: PendingApproval, event_id: str) -> str:
    """What the client names: the approval, and the event from behind which the turn goes on."""
    return f"{approval.id}.{event_id}"


def split_approval_id(text: str) -> tuple[str, str | None]:
    """An approval's id, and the event."""
    approval, _, event = text.partition(".")
    return approval, event or None


class ChunkEncoder(AnswerEncoder[Chunk]):
    """One answer, as a client of the AI SDK reads it. The same events give the same chunks.

    When another attempt at the turn begins, what it repeats is not sent again. Once it says
    something else than the client holds, version 7 drops the last step; where that is not enough,
    or not known, the stream ends with the error `RESUME`: resumed, it begins from the start.

    Args:
        turn_id: The turn.
        ai_sdk: The client's version: an unknown chunk would break it.
        held: The calls in the client's message, where it holds the answer up to the approvals that
            it has decided, and only what follows is sent. None if it holds nothing.

    Attributes:
        is_over: Whether nothing follows.
    """

    def __init__(
        self, turn_id: str, *, ai_sdk: AISDK = 6, held: Iterable[str] | None = None
    ) -> None:
        self._turn_id = turn_id
        self._ai_sdk = ai_sdk
        self._held = None if held is None else set(held)
        self._steps = Steps(held or ())
        self._sent = Sent()
        self.is_over = False

    def start(self) -> list[Chunk]:
        """What begins the stream."""
        return [{"type": "start", "messageId": answer_id(self._turn_id)}]

    def _items(self, items: Iterable[Mapping[str, Any]]) -> list[Chunk]:
        """All of the answer, whose events are gone."""
        lacking = self._begin_again(since_start=True)
        if not self.is_over:
            lacking = self._add(chunk for item in items for chunk in self._steps.item(item))
        return lacking

    def _parked(self, event_id: str, pending: Sequence[PendingApproval]) -> list[Chunk]:
        """The answer ends here if approvals are pending. Without them it goes on."""
        chunks = self._add(self._approvals(event_id, pending))
        if pending and not self.is_over:
            self.is_over = True
            chunks.append({"type": "finish", "finishReason": "tool-calls"})
        self._sent = Sent()  # what a turn had done when it was parked stays
        self._held = self._steps.calls
        return chunks

    def _finished(self, event: Mapping[str, Any]) -> list[Chunk]:
        if event["state"] not in ("committed", "cancelled"):
            return self._failed(event)
        self.is_over = True
        if event["state"] == "cancelled":
            return [{"type": "abort"}]
        last = {"type": "finish", "finishReason": "stop"}
        return self._add([*self._steps.close(), last])

    def _failed(self, event: Mapping[str, Any]) -> list[Chunk]:
        """Only operators are told more than the error's name."""
        name = str(event.get("error") or "").partition(":")[0]
        self.is_over = True
        text = f"The turn failed{f' ({name})' if name else ''}."
        return [{"type": "error", "errorText": text}]

    def _begin_again(self, *, since_start: bool) -> list[Chunk]:
        """What came before is void: all of it, or what came since the turn was parked."""
        if since_start and self._held is not None:
            return self._give_up()
        self._steps = Steps(self._held or ())
        self._sent.say_again()
        return []

    def _add(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        lacking: list[Chunk] = []
        for chunk in chunks:
            try:
                new = self._sent.lacking(chunk)
            except Diverged as diverged:
                again = self._sent.drop_step() if self._ai_sdk == 7 else None
                if again is None:
                    return [*lacking, *self._give_up()]
                lacking += [{"type": "reset-step"}, *again]
                new = self._sent.lacking(diverged.chunk)
            if new is not None:
                lacking.append(new)
        return lacking

    def _give_up(self) -> list[Chunk]:
        """What the client holds is void, and it is to ask for the answer again."""
        self.is_over = True
        error = {"type": "error", "errorText": RESUME}
        if self._ai_sdk > 5:
            return [error]
        # Version 5 keeps a message with an unfinished call when it resumes.
        begun = self._sent.unfinished_inputs()
        return [*(_broken_off(call) for call in begun), error]

    def _approvals(self, event_id: str, pending: Sequence[PendingApproval]) -> Iterator[Chunk]:
        asked: set[str] = set()
        for approval in pending:
            call_id = approval.call_id
            if call_id in asked or call_id not in self._steps.calls:  # of an agent within a tool
                call_id = approval.id
                given = parsed(approval.arguments)
                yield from self._steps.call(Call(call_id, approval.tool_name, given, False))
            asked.add(call_id)
            yield self._approval(approval_id(approval, event_id), call_id, approval)
        yield from self._steps.close()

    def _approval(self, name: str, call_id: str, approval: PendingApproval) -> Chunk:
        if self._ai_sdk > 5:
            return {"type": "tool-approval-request", "approvalId": name, "toolCallId": call_id}
        data = {
            "approvalId": approval.id,
            "toolCallId": call_id,
            "toolName": approval.tool_name,
            "input": parsed(approval.arguments),
        }
        return {"type": "data-approval", "id": approval.id, "data": data}


def _broken_off(call: Chunk) -> Chunk:
    names = {name: call[name] for name in ("toolCallId", "toolName")}
    return {"type": "tool-input-error", **names, "input": None, "errorText": RESUME}
