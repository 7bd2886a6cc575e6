"""Answers to what a turn waits for: decisions on its tools, and outputs of the client's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnwise.http.wires.responses.errors import OpenAIError, invalid
from turnwise.http.wires.responses.items import APPROVAL_PREFIX, output_text
from turnwise.types import PendingApproval

_OUTPUT = "function_call_output"
_DECISION = "mcp_approval_response"


@dataclass
class Answers:
    """The answers in an input.

    Attributes:
        outputs: The outputs of the client's tools, by call id.
        decisions: By the id of the approval.
        others: How many items are no answers.
    """

    outputs: dict[str, Any] = field(default_factory=dict)
    decisions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    others: int = 0

    @property
    def alone(self) -> bool:
        """Whether the input is nothing but answers."""
        return bool(self.outputs or self.decisions) and not self.others


@dataclass
class Made:
    """What `Session.decide` is to be told."""

    approve: list[str] = field(default_factory=list)
    reject: dict[str, str | None] = field(default_factory=dict)


def answers_in(items: Sequence[Mapping[str, Any]]) -> Answers:
    """The answers among the items of an input."""
    answers = Answers()
    for item in items:
        if item.get("type") == _OUTPUT and isinstance(item.get("call_id"), str):
            answers.outputs[item["call_id"]] = item.get("output")
        elif item.get("type") == _DECISION and isinstance(item.get("approval_request_id"), str):
            answers.decisions[item["approval_request_id"].removeprefix(APPROVAL_PREFIX)] = item
        else:
            answers.others += 1
    return answers


def decisions(
    pending: Sequence[PendingApproval], answers: Answers, client_tools: Collection[str]
) -> Made:
    """What the answers decide. Raises the error 400 unless they answer all that is pending.

    A client's tool is answered by a rejection with its output: so the model is told the output,
    and nothing is run.
    """
    made = Made()
    for approval in pending:
        if approval.tool_name in client_tools:
            if approval.call_id not in answers.outputs:
                raise _unanswered(f"No tool output found for function call {approval.call_id}.")
            made.reject[approval.id] = output_text(answers.outputs.pop(approval.call_id))
        elif (decision := answers.decisions.pop(approval.id, None)) is None:
            request_id = APPROVAL_PREFIX + approval.id
            raise _unanswered(f"No approval response found for approval request {request_id}.")
        elif decision.get("approve") is True:
            made.approve.append(approval.id)
        else:
            made.reject[approval.id] = decision.get("reason")
    for call_id in answers.outputs:
        raise _unanswered(f"No tool call found for function call output with call_id {call_id}.")
    for approval_id in answers.decisions:
        request_id = APPROVAL_PREFIX + approval_id
        raise _unanswered(f"No approval request found with id {request_id}.")
    if answers.others:
        raise _unanswered(
            "The turn waits for answers: send them alone, and messages after its response."
        )
    return made


def _unanswered(message: str) -> OpenAIError:
    return invalid(message, "input")
