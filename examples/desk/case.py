"""The data of one customer message: request, plan, draft and outcome."""

from dataclasses import dataclass, field
from typing import Any, Literal

from agents import RunContextWrapper
from pydantic import BaseModel, Field

from examples.desk.shop import Action

Intent = Literal["status", "refund", "cancel", "question"]
ToolName = Literal["find_order", "track_parcel", "read_policy"]


class Request(BaseModel):
    """What the customer wants. `order` is a number from this message or an earlier one."""

    intent: Intent
    order: str = Field(description="Number such as A-1001, or empty if none is known")
    summary: str


class Plan(BaseModel):
    """The steps, and the only tools that the agent gets, in order of use."""

    steps: list[str]
    tools: list[ToolName]


class Draft(BaseModel):
    """An answer before the policy check. `amount` is in cents, 0 without a refund."""

    reply: str
    action: Action
    order: str
    amount: int
    next_action: str


class Outcome(BaseModel):
    """The reply to the customer, the action taken, and what happens next."""

    status: Literal["resolved", "escalated", "failed"]
    reply: str
    action: Action
    verified: bool
    next_action: str


@dataclass
class Case:
    """The run's context: the results of this turn so far."""

    request: Request | None = None
    plan: Plan | None = None
    rejections: list[str] = field(default_factory=list)


def case_of(context: RunContextWrapper[Any]) -> Case:
    """The run's case; a new one if the run was started without a context."""
    if context.context is None:
        context.context = Case()
    case: Case = context.context
    return case
