"""Answers to what a turn waits for: decisions on its tools, and outputs of the client's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnwise.http.stored import Decision
from turnwise.http.wires.responses.errors import OpenAIError, invalid
from turnwise.http.wires.responses.items import APPROVAL_PREFIX, output_text
from turnwise.types import PendingApproval

_OUTPUT = "function_call_output"
_DECISION = "mcp_approval_response"
_NAMES = {"function_call": "call_id", "mcp_approval_request": "id"}
"""What is answered, and what an answer calls it by."""


@dataclass
class Answers:
    """The answers in an input.

    Attributes:
        outputs: The outputs of the client's tools, by call id.
        decisions: By the id of the approval.
        calls: What is answered in the input itself: ids of calls and of approvals.
        others: How many items are no answers.
    """

    outputs: dict[str, Any] = field(default_factory=dict)
    decisions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    others: int = 0

    @property
    def alone(self) -> bool:
        """Whether the input is nothing but answers."""
        return bool(self.outputs or self.decisions) and not self.others

    @property
    def needs_call(self) -> bool:
        """Whether there is an answer to what the input itself does not have."""
        return not self.calls.issuperset({*self.outputs, *self.decisions})

    def without(self, ids: Collection[str]) -> Answers:
        """The answers to all but these calls and approvals."""
        outputs = {one: output for one, output in self.outputs.items() if one not in ids}
        made = {one: decision for one, decision in self.decisions.items() if one not in ids}
        return Answers(outputs, made, self.calls, self.others)

    def refuse(self) -> None:
        """Raise the error 400 for an answer to something that nobody asked, if there is one."""
        for call_id in self.outputs:
            raise no_call(call_id)
        for approval_id in self.decisions:
            raise no_request(approval_id)


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
            if (name := _NAMES.get(str(item.get("type")))) is not None:
                answers.calls.add(str(item.get(name)).removeprefix(APPROVAL_PREFIX))
    return answers


def decisions(
    pending: Sequence[PendingApproval], answers: Answers, client_tools: Collection[str]
) -> Made:
    """What the answers decide. Raises the error 400 unless they answer all that is pending.

    A client's tool is answered by a rejection with its output: so the model is told the output,
    and nothing is run.
    """
    made, answered = Made(), set[str]()
    for approval in pending:
        if approval.tool_name in client_tools:
            if approval.call_id not in answers.outputs:
                raise _unanswered(f"No tool output found for function call {approval.call_id}.")
            made.reject[approval.id] = output_text(answers.outputs[approval.call_id])
            answered.add(approval.call_id)
        elif (decision := answers.decisions.get(approval.id)) is None:
            request_id = APPROVAL_PREFIX + approval.id
            raise _unanswered(f"No approval response found for approval request {request_id}.")
        else:
            _decide(made, approval.id, decision)
            answered.add(approval.id)
    answers.without(answered).refuse()
    if answers.others:
        raise _unanswered(
            "The turn waits for answers: send them alone, and messages after its response."
        )
    return made


def _decide(made: Made, approval_id: str, decision: Mapping[str, Any]) -> None:
    approved, reason = decision_in(decision)
    if approved:
        made.approve.append(approval_id)
    else:
        made.reject[approval_id] = reason


def decision_in(item: Mapping[str, Any]) -> Decision:
    """What an `mcp_approval_response` says."""
    approved = item.get("approve") is True
    return approved, None if approved else item.get("reason")


def no_call(call_id: str) -> OpenAIError:
    return _unanswered(f"No tool call found for function call output with call_id {call_id}.")


def no_request(approval_id: str) -> OpenAIError:
    return _unanswered(f"No approval request found with id {APPROVAL_PREFIX + approval_id}.")


def _unanswered(message: str) -> OpenAIError:
    return invalid(message, "input")
