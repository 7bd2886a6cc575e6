"""What a session's queue holds: one small JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from turnwise.codec import Codec, DecodeError
from turnwise.errors import UnreadableMessage

VERSION = 1


@dataclass(frozen=True, slots=True)
class Message:
    """A user's input for an agent.

    Attributes:
        agent: The name of the agent that answers.
        input: The user's text, or items.
        metadata: JSON from the submitter.
        trace: The trace in which it was submitted; see `turnwise.hooks.TracePropagator`.
        earlier_attempts: Failed attempts before it was retried from the dead letters.
        tools: The functions that its sender runs itself; see `Session.submit`.
        attempt_offset: How many attempts the turn's event log counts before the first of this
            message; above 0 after a retry from the dead letters.
        owner: Whom its session belongs to, as the store knows it when the turn begins; None if it
            has no owner. It is no part of what is stored.
    """

    agent: str
    input: str | list[Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    trace: Mapping[str, str] = field(default_factory=dict)
    earlier_attempts: int = 0
    attempt_offset: int = 0
    tools: Sequence[Mapping[str, Any]] = ()
    owner: str | None = None

    def retried(self, attempts: int, attempt_offset: int) -> Message:
        """The same message, to be retried after so many failed attempts."""
        return replace(
            self,
            earlier_attempts=self.earlier_attempts + attempts,
            attempt_offset=attempt_offset,
        )

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Message:
        """Raises UnreadableMessage."""
        agent = stored.get("agent")
        if stored.get("v") != VERSION or not isinstance(agent, str) or "input" not in stored:
            raise UnreadableMessage(
                "another version of Turnwise, or something else, wrote the message"
            )
        return cls(
            agent,
            stored["input"],
            stored.get("metadata", {}),
            stored.get("trace", {}),
            int(stored.get("earlier_attempts", 0)),
            int(stored.get("attempt_offset", 0)),
            stored.get("tools", ()),
        )


def stored_form(message: Message) -> dict[str, Any]:
    """The JSON object that is stored; fields at their defaults are left out."""
    fields = {"v": VERSION, "agent": message.agent, "input": message.input}
    optional = ("metadata", "trace", "earlier_attempts", "attempt_offset", "tools")
    return fields | {name: value for name in optional if (value := getattr(message, name))}


def decode_message(codec: Codec, content: bytes) -> Message:
    """Raises UnreadableMessage."""
    try:
        return Message.from_dict(codec.decode(content))
    except DecodeError as error:
        raise UnreadableMessage(f"the message cannot be decoded: {error}") from None
