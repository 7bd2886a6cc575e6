"""Messages of the Vercel AI SDK: what a client sends, and a session's history as it shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from turnwise.errors import UsageError
from turnwise.fleet import PastTurn
from turnwise.http.wires.steps import Chunk, Item, Steps
from turnwise.http.wires.vercel_chunks import answer_id, split_approval_id

UIMessage = dict[str, Any]

_CAMEL = ConfigDict(alias_generator=to_camel)
_VERSION = re.compile(r"~(\d+)$")


class Approval(BaseModel):
    """A client's decision about a tool call."""

    id: str
    approved: bool | None = None
    reason: str | None = None


class Part(BaseModel):
    """A part of a message. What is not named here is not looked at."""

    model_config = _CAMEL

    type: str
    text: str = ""
    url: str = ""
    media_type: str = ""
    filename: str | None = None
    state: str = ""
    tool_call_id: str = ""
    approval: Approval | None = None


class Message(BaseModel):
    """A message as the client holds it."""

    id: str = Field(min_length=1)
    role: Literal["system", "user", "assistant"]
    parts: list[Part]

    def input(self) -> str | list[Item]:
        """What a user's message asks. Raises UsageError if it asks nothing."""
        texts = [part.text for part in self.parts if part.type == "text"]
        files = [_file(part) for part in self.parts if part.type == "file"]
        if not files and any(texts):
            return "\n".join(texts)
        content = [{"type": "input_text", "text": text} for text in texts if text]
        if not content and not files:
            raise UsageError("the message has neither text nor files")
        return [{"role": "user", "content": [*content, *files]}]

    def decided(self) -> list[Approval]:
        """The approvals that the client's user has decided, and that have no outcome yet."""
        return [
            part.approval
            for part in self.parts
            if part.state == "approval-responded"
            and part.approval is not None
            and part.approval.approved is not None
        ]

    def calls(self) -> list[str]:
        """The ids of the tool calls that it shows."""
        return [part.tool_call_id for part in self.parts if part.tool_call_id]


def _last(messages: Any) -> Any:
    return messages[-1:] if isinstance(messages, list) else messages


class ChatRequest(BaseModel):
    """What a chat sends. Only the last message is looked at: the session has the others.

    Attributes:
        id: The chat: the session's id.
        messages: The last one is a user's, or the answer whose approvals were decided.
        trigger: Whether the last message is new, or is to be answered again.
        message_id: The message that is edited, continued or answered again.
        agent: The agent that answers; None for the default.
    """

    model_config = _CAMEL

    id: str
    messages: Annotated[list[Message], Field(min_length=1), BeforeValidator(_last)]
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    message_id: str | None = None
    agent: str | None = None

    @property
    def last(self) -> Message:
        """The last message."""
        return self.messages[-1]


class Stopped(BaseModel):
    """Whether a turn was cancelled."""

    stopped: bool


class Messages(BaseModel):
    """A part of a chat.

    Attributes:
        messages: As `useChat` takes them, the oldest first.
        before: What the next request takes to go on with older ones; None at the beginning.
    """

    messages: list[UIMessage]
    before: str | None


class Decisions:
    """What a client's user has decided about a parked turn, and from where its stream goes on."""

    def __init__(self, approvals: Iterable[Approval]) -> None:
        self.approve: list[str] = []
        self.reject: dict[str, str | None] = {}
        self.after: str | None = None
        for approval in approvals:
            name, self.after = split_approval_id(approval.id)
            if approval.approved:
                self.approve.append(name)
            else:
                self.reject[name] = approval.reason


def version_of(message_id: str, number: int) -> str:
    """The turn that answers a user's message: the first time, or once more."""
    return f"{message_id}~{number}" if number else message_id


def is_version_of(turn_id: str, message_id: str) -> bool:
    """Whether the turn answers this message."""
    return _VERSION.sub("", turn_id) == message_id


def history(turns: Iterable[PastTurn]) -> list[UIMessage]:
    """The messages of these turns: of each the user's, and the answer."""
    found: list[UIMessage] = []
    for turn in turns:
        asked = [item for item in turn.items if item.get("role") == "user"]
        found += asked_messages(turn.turn_id, asked)
        answer = [item for item in turn.items if "role" not in item or _is_answer(item)]
        if parts := _parts(answer):
            found.append({"id": answer_id(turn.turn_id), "role": "assistant", "parts": parts})
    return found


def asked_messages(turn_id: str, input: str | Iterable[Item]) -> list[UIMessage]:
    """The user's message of a turn; empty if it has none."""
    items = [{"content": input}] if isinstance(input, str) else input
    parts = [part for item in items for part in _asked(item.get("content"))]
    message_id = _VERSION.sub("", turn_id)
    return [{"id": message_id, "role": "user", "parts": parts}] if parts else []


def _is_answer(item: Item) -> bool:
    return bool(item["role"] == "assistant")


def _file(part: Part) -> Item:
    if part.media_type.startswith("image/"):
        return {"type": "input_image", "image_url": part.url, "detail": "auto"}
    where = "file_data" if part.url.startswith("data:") else "file_url"
    named = {"filename": part.filename} if part.filename else {}
    return {"type": "input_file", where: part.url, **named}


def _asked(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    parts: list[dict[str, Any]] = []
    for each in content or ():
        if each.get("type") == "input_text":
            parts.append({"type": "text", "text": each["text"]})
        elif each.get("type") == "input_image" and each.get("image_url"):
            parts.append({"type": "file", "mediaType": "image/*", "url": each["image_url"]})
        elif url := each.get("file_data") or each.get("file_url"):
            media = "application/octet-stream"
            named = {"filename": each["filename"]} if each.get("filename") else {}
            parts.append({"type": "file", "mediaType": media, "url": url, **named})
    return parts


def _parts(items: Iterable[Item]) -> list[dict[str, Any]]:
    """What a client would have made of the answer's chunks."""
    steps = Steps()
    chunks = [chunk for item in items for chunk in steps.item(item)]
    parts: list[dict[str, Any]] = []
    open_parts: dict[str, dict[str, Any]] = {}
    for chunk in [*chunks, *steps.close()]:
        _apply(chunk, parts, open_parts)
    return parts


def _apply(
    chunk: Chunk, parts: list[dict[str, Any]], open_parts: dict[str, dict[str, Any]]
) -> None:
    kind = chunk["type"]
    named = chunk.get("id") or chunk.get("toolCallId") or ""
    new: dict[str, Any] | None = None
    if kind == "start-step":
        new = {"type": "step-start"}
    elif kind in ("text-start", "reasoning-start"):
        new = {"type": kind.removesuffix("-start"), "text": "", "state": "done"}
    elif kind in ("text-delta", "reasoning-delta"):
        open_parts[named]["text"] += chunk["delta"]
    elif kind == "tool-input-start":
        executed: Mapping[str, Any] = {k: v for k, v in chunk.items() if k == "providerExecuted"}
        new = {"type": f"tool-{chunk['toolName']}", "toolCallId": named, **executed}
    elif kind == "tool-input-available":
        open_parts[named] |= {"state": "input-available", "input": chunk["input"]}
    elif kind == "tool-output-available":
        open_parts[named] |= {"state": "output-available", "output": chunk["output"]}
    elif kind in ("source-url", "file"):
        new = chunk
    if new is not None:
        parts.append(new)
        open_parts[named] = new
