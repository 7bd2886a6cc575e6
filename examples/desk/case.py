"""One customer message on its way through the desk, and what comes of it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from agents import RunContextWrapper
from pydantic import BaseModel, Field

from examples.desk.shop import Action

Intent = Literal["status", "refund", "cancel", "question"]
ToolName = Literal["find_order", "track_parcel", "read_policy"]


class Request(BaseModel):
    """What the customer wants. `order` is its number, from this message or from earlier ones."""

    intent: Intent
    order: str = Field(description="Number such as A-1001, or empty if none is known")
    summary: str


class Plan(BaseModel):
    """How to get there: the only tools that the agent will be given, in order of use."""

    steps: list[str]
    tools: list[ToolName]


class Draft(BaseModel):
    """An answer that has not passed the policy yet. `amount` is in cents, 0 without a refund."""

    reply: str
    action: Action
    order: str
    amount: int
    next_action: str


class Outcome(BaseModel):
    """What the customer is told, what was done about it, and what happens next."""

    status: Literal["solved", "handed over", "failed"]
    reply: str
    action: Action
    verified: bool
    next_action: str


@dataclass
class Case:
    """The run's context: what has been found out in this turn."""

    request: Request | None = None
    plan: Plan | None = None
    rejections: list[str] = field(default_factory=list)


def case_of(context: RunContextWrapper[Any]) -> Case:
    """The run's case; one is opened if whoever started the run did not bring any."""
    if context.context is None:
        context.context = Case()
    case: Case = context.context
    return case
