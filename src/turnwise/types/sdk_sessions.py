"""A conversation that the Agents SDK's own sessions keep, as it is read there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from turnwise.types.usage import TokenUsage


@dataclass(frozen=True, slots=True)
class SDKItem:
    """One stored item.

    Attributes:
        data: its JSON.
        at: when it was added, in POSIX seconds; None if that is not known.
        turn: the number of its turn, where the SDK counts them.
    """

    data: bytes | str = field(repr=False)
    at: float | None = None
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class SDKConversation:
    """One conversation.

    Attributes:
        session_id: its id in the SDK.
        items: in order.
        branch: of an AdvancedSQLiteSession; None for any other.
        created_at: in POSIX seconds; None if that is not known.
        expires_at: in POSIX seconds; None for never.
        usage: what turns consumed, by their numbers.
        notes: what is remarkable in how it is stored.
    """

    session_id: str
    items: list[SDKItem] = field(repr=False)
    branch: str | None = None
    created_at: float | None = None
    expires_at: float | None = None
    usage: Mapping[int, TokenUsage] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
