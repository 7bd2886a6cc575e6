"""What is put into a session's queue: one small JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from turnwise.codec import Codec, DecodeError
from turnwise.errors import UsageError

VERSION = 1


class Unreadable(UsageError):
    """The message was not written by this version of Turnwise, or is damaged."""


@dataclass(frozen=True, slots=True)
class Message:
    """A user's input for the agent of this name. `metadata` is the sender's, JSON.

    `trace` names the trace in which it was submitted. Of one that was taken from the dead letters,
    `earlier` counts the attempts that failed before, and `told` is the number under which the last
    of them told its events: those that follow are numbered on from there.
    """

    agent: str
    input: str | list[Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    trace: Mapping[str, str] = field(default_factory=dict)
    earlier: int = 0
    told: int = 0

    def again(self, attempts: int, told: int) -> Message:
        """The same for another try after so many attempts, the last of which was told as `told`."""
        return replace(self, earlier=self.earlier + attempts, told=told)

    def as_dict(self) -> dict[str, Any]:
        told: dict[str, Any] = {"v": VERSION, "agent": self.agent, "input": self.input}
        names = ("metadata", "trace", "earlier", "told")
        return told | {name: value for name in names if (value := getattr(self, name))}


def packed(codec: Codec, message: Message) -> bytes:
    """Raises EncodeError if input or metadata is not JSON."""
    return codec.encode(message.as_dict())


def unpacked(codec: Codec, content: bytes) -> Message:
    """Raises Unreadable."""
    try:
        return of_dict(codec.decode(content))
    except DecodeError as error:
        raise Unreadable(f"the message cannot be decoded: {error}") from None


def of_dict(told: Mapping[str, Any]) -> Message:
    """Raises Unreadable."""
    if told.get("v") != VERSION or not isinstance(told.get("agent"), str) or "input" not in told:
        raise Unreadable("the message was written by a newer version, or by something else")
    return Message(
        told["agent"],
        told["input"],
        told.get("metadata", {}),
        told.get("trace", {}),
        int(told.get("earlier", 0)),
        int(told.get("told", 0)),
    )
