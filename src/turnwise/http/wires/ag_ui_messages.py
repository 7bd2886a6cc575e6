"""Messages of AG-UI: what a client sends, and a session's history as it shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ag_ui.core import (
    AssistantMessage,
    FunctionCall,
    Message,
    ReasoningMessage,
    ResumeEntry,
    ToolCall,
    ToolMessage,
    UserMessage,
)

from turnwise.errors import UsageError
from turnwise.fleet import PastTurn
from turnwise.http.wires.ag_ui_events import split_interrupt_id
from turnwise.http.wires.steps import Item, call_of

Content = str | list[dict[str, Any]]


def input_of(message: UserMessage) -> Content:
    """What a user's message asks.

    Raises:
        UsageError: It asks nothing, or has a part that models are not given.
    """
    if isinstance(message.content, str):
        if not message.content:
            raise UsageError("the last message is empty")
        return message.content
    content = [_part(part.model_dump(by_alias=False)) for part in message.content]
    if not content:
        raise UsageError("the last message is empty")
    return [{"role": "user", "content": content}]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    if kind == "text":
        return {"type": "input_text", "text": part["text"]}
    source = part.get("source") or {}
    if kind not in ("image", "document") or source.get("type") not in ("data", "url"):
        raise UsageError(f"the last message has a part {kind!r}: send texts, images and documents")
    url = source["value"]
    if source["type"] == "data":
        url = f"data:{source['mime_type']};base64,{source['value']}"
    if kind == "image":
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    where = "file_data" if source["type"] == "data" else "file_url"
    return {"type": "input_file", where: url}


class Answers:
    """A client's answers to interrupts: what they decide, and from where the turn goes on."""

    def __init__(self, entries: Iterable[ResumeEntry]) -> None:
        self.approve: list[str] = []
        self.reject: dict[str, str | None] = {}
        self.after = self.turn_id = ""
        for entry in entries:
            named = split_interrupt_id(entry.interrupt_id)
            if named is None:
                raise UsageError(f"there is no interrupt {entry.interrupt_id!r}")
            approval, self.after, self.turn_id = named
            approved, reason = _decision(entry)
            if approved:
                self.approve.append(approval)
            else:
                self.reject[approval] = reason


def _decision(entry: ResumeEntry) -> tuple[bool, str | None]:
    if entry.status == "cancelled":
        return False, None
    payload = entry.payload if isinstance(entry.payload, Mapping) else {}
    approved, reason = payload.get("approved"), payload.get("reason")
    if not isinstance(approved, bool):
        raise UsageError(
            f"interrupt {entry.interrupt_id!r} is answered without a decision: its payload has to "
            'be {"approved": true} or {"approved": false, "reason": "…"}'
        )
    return approved, None if reason is None else str(reason)


def calls_in(messages: Iterable[Message]) -> set[str]:
    """The ids of the tool calls that a client shows."""
    return {
        call.id
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in message.tool_calls or ()
    }


def history(turns: Iterable[PastTurn]) -> list[Message]:
    """The messages of these turns."""
    return [message for turn in turns for message in messages_of(turn.turn_id, turn.items)]


def messages_of(turn_id: str, input: str | Iterable[Item]) -> list[Message]:
    """A turn's messages, from its input or its items. The first one has the turn's id."""
    items = [{"role": "user", "content": input}] if isinstance(input, str) else list(input)
    found: list[Message] = []
    for item in items:
        name = f"{turn_id}-item-{len(found)}" if found else turn_id
        message = _message(name, item)
        if message is not None:
            found.append(message)
    return found


def _message(name: str, item: Item) -> Message | None:
    kind = item.get("type", "message")
    if kind == "message" and item.get("role") == "user":
        return UserMessage(id=name, content=_text(item.get("content")))
    if kind == "message" and item.get("role") == "assistant":
        return AssistantMessage(id=name, content=_text(item.get("content")))
    if kind == "reasoning" and (thought := _text(item.get("summary"))):
        return ReasoningMessage(id=name, content=thought)
    if kind.endswith("_output"):
        output = item.get("output")
        content = output if isinstance(output, str) else _text(output)
        return ToolMessage(id=name, tool_call_id=str(item.get("call_id")), content=content)
    if (call := call_of(item)) is not None:
        function = FunctionCall(name=call.name, arguments=str(item.get("arguments") or ""))
        return AssistantMessage(id=name, tool_calls=[ToolCall(id=call.id, function=function)])
    return None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(
        part.get("text") or part.get("refusal") or "" for part in parts if isinstance(part, dict)
    )
