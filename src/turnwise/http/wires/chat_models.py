"""What the chat wire takes and answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from turnwise.background import Status
from turnwise.fleet import PastTurn, QueuedEntry
from turnwise.types import PendingApproval, SessionSummary

SessionId = str
Busy = Literal["enqueue", "reject", "interrupt", "rollback"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ChatRequest(_Body):
    """A message of a user."""

    session_id: str = Field(description="The conversation. The first message creates it.")
    message: str | list[dict[str, Any]] = Field(description="The user's text, or items.")
    turn_id: str | None = Field(
        None, description="Makes it safe to send again; as the header Idempotency-Key."
    )
    agent: str | None = Field(None, description="Who answers; the default is the first agent.")
    busy: Busy = Field(
        "enqueue",
        description="While another turn runs: wait for it; refuse the message (409); or cancel "
        "that turn, and commit (interrupt) or drop (rollback) what it has finished.",
    )
    timeout: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="Seconds to wait for the answer, without a stream. Then the status is 202, and "
        "the turn goes on.",
    )
    metadata: dict[str, Any] = Field(
        default_factory=dict, description="JSON for the agent's context."
    )


class ChatAnswer(BaseModel):
    """The agent's answer: its final output."""

    response: Any


class Approval(BaseModel):
    """A tool call that waits for a decision."""

    id: str
    tool_name: str
    arguments: str
    agent_name: str
    call_id: str
    turn_id: str

    @classmethod
    def of(cls, pending: PendingApproval) -> Approval:
        """As the wire tells it."""
        return cls(
            id=pending.id,
            tool_name=pending.tool_name,
            arguments=pending.arguments,
            agent_name=pending.agent_name,
            call_id=pending.call_id,
            turn_id=pending.turn_id,
        )


class Approvals(BaseModel):
    """What waits for a decision."""

    approvals: list[Approval]


class Decisions(_Body):
    """Decisions on approvals. An id is that of an approval."""

    approve: list[str] = []
    reject: dict[str, str | None] = Field(
        default={}, description="Each with the text that the model gets; null for the SDK's."
    )
    always_approve: list[str] = Field(default=[], description="For this tool, in this turn.")
    always_reject: dict[str, str | None] = {}


class TurnView(BaseModel):
    """Where a turn stands."""

    session_id: str
    turn_id: str
    state: str
    position: int | None = Field(None, description="How many are ahead of it, if it is queued.")
    attempts: int = 0
    finished_at: float | None = Field(None, description="In POSIX seconds.")
    reason: str | None = Field(None, description="Why it was cancelled.")
    response: Any = Field(None, description="The final output, if it is committed.")
    approvals: list[Approval] = Field([], description="What it waits for, if it is parked.")

    @classmethod
    def of(cls, status: Status) -> TurnView:
        """As the wire tells it."""
        return cls(
            session_id=status.session_id,
            turn_id=status.turn_id,
            state=status.state,
            position=status.position,
            attempts=status.attempts,
            finished_at=status.finished_at,
            reason=status.reason,
            response=None,
            approvals=[],
        )


class CancelRequest(_Body):
    """Which turn to cancel."""

    turn_id: str | None = Field(None, description="The default is the open turn.")
    reason: str | None = Field(None, max_length=1000)


class CancelAnswer(BaseModel):
    """What became of the turn."""

    turn_id: str
    outcome: Literal["cancelled", "forced", "dropped", "committed", "ended"]


class HistoryTurn(BaseModel):
    """A turn that ended, or a change between turns."""

    turn_id: str
    kind: str
    ended_at: float = Field(description="In POSIX seconds.")
    items: list[dict[str, Any]] = Field(description="Of the Responses API, in order.")

    @classmethod
    def of(cls, turn: PastTurn) -> HistoryTurn:
        """As the wire tells it."""
        return cls(turn_id=turn.turn_id, kind=turn.kind, ended_at=turn.ended_at, items=turn.items)


class Waiting(BaseModel):
    """A message whose turn has not ended."""

    turn_id: str
    agent: str = Field(description='Who answers; "" if the message cannot be read.')
    message: Any = Field(description="What was sent: a text, or items.")

    @classmethod
    def of(cls, entry: QueuedEntry) -> Waiting:
        """As the wire tells it."""
        return cls(turn_id=entry.turn_id, agent=entry.agent, message=entry.input)


class History(BaseModel):
    """A part of a conversation."""

    turns: list[HistoryTurn] = Field(description="The newest first.")
    before: str | None = Field(description="Names older turns; null at the beginning.")
    open_turn: str | None = Field(description="The turn that a reload follows, if there is one.")
    waiting: list[Waiting] = Field(
        description="What has not ended when `turns` was read, the oldest first: the open turn too."
    )


class AgentNames(BaseModel):
    """Who can answer."""

    agents: list[str] = Field(description="Their names; the first is the default.")


class Conversation(BaseModel):
    """A session, without its content."""

    session_id: str
    title: str = Field(description='The beginning of the last thing its user said; "" if none is.')
    state: str = Field(description="`idle`, or what it does or waits for.")
    updated_at: float | None = Field(description="When its history changed last: POSIX seconds.")

    @classmethod
    def of(cls, summary: SessionSummary, title: str) -> Conversation:
        """As the wire tells it."""
        return cls(
            session_id=summary.session_id,
            title=title,
            state=summary.state,
            updated_at=summary.updated_at,
        )


class Conversations(BaseModel):
    """A part of the conversations."""

    sessions: list[Conversation] = Field(description="Maybe none, although others follow.")
    cursor: str | None = Field(description="Names the next part; null at the end.")


class CopyRequest(_Body):
    """What to copy, and where to."""

    session_id: str = Field(description="The new conversation.")
    at: str | None = Field(None, description="The last turn to copy; null for all of them.")


class CopyAnswer(BaseModel):
    """The new conversation."""

    session_id: str
    items: int = Field(description="How many it has.")


class RewindRequest(_Body):
    """Where to take a conversation back to."""

    to: str | None = Field(description="The last turn that stays; null if none does.")


class RewindAnswer(BaseModel):
    """What became of the conversation."""

    removed: int = Field(description="How many items were removed.")
