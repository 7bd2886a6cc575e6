"""What of the SDK's RunState it does not promise to keep, all in one place, with a canary test."""

from __future__ import annotations

from typing import Any, NamedTuple

from agents import RunItem, RunState
from agents.agent_tool_state import peek_agent_tool_run_result
from agents.items import ToolApprovalItem
from agents.run_internal.items import REJECTION_MESSAGE
from agents.run_internal.run_steps import NextStepInterruption

State = RunState[Any, Any]


class Asking(NamedTuple):
    """One call that waits for an approval.

    `state` is of the run that asks, `path` the calls of agents as tools around that run, and
    `responses` how often its models have answered.
    """

    state: State
    item: ToolApprovalItem
    path: tuple[str, ...]
    responses: int


def asking(state: State, path: tuple[str, ...] = ()) -> list[Asking]:
    """All that waits in a run and in the agents it called as tools, in order.

    A run lists what waits inside of it together with its own calls; here each is told once, by
    the run whose call it is, as call ids repeat in agents that run side by side.
    """
    inside = [
        found
        for call_id, inner in _inner_states(state)
        for found in asking(inner, (*path, call_id))
    ]
    theirs = [_name(found.item) for found in inside]
    own = []
    for item in _interruptions(state):
        name = _name(item)
        if name in theirs:
            theirs.remove(name)
        else:
            own.append(Asking(state, item, path, len(state._model_responses)))
    return own + inside


def rejected(state: State) -> dict[str, str]:
    """The run's own calls that were rejected, by id: what its model is told of each."""
    context: Any = state._context
    texts: dict[str, str] = {}
    for item in (one.item for one in asking(state) if not one.path):
        name, call_id = item.name or "", item.call_id or ""
        if context.get_approval_status(name, call_id, existing_pending=item) is False:
            text = context.get_rejection_message(name, call_id, existing_pending=item)
            texts[call_id] = REJECTION_MESSAGE if text is None else text
    return texts


def context_of(state: State) -> Any:
    """The run's own context wrapper."""
    return state._context


def decision_on(one: Asking) -> bool | list[str | None] | None:
    """What its state says: True, or the message of its rejection in a list; None if nothing."""
    name, call_id, item = one.item.name or "", one.item.call_id or "", one.item
    context = one.state._context
    if context is None or not call_id:
        return None
    said = context.get_approval_status(name, call_id, existing_pending=item)
    if said is not False:
        return said
    return [context.get_rejection_message(name, call_id, existing_pending=item)]


def items_of(state: State) -> list[RunItem]:
    """What the run has made so far: the very objects that its result will begin with."""
    return list(state._session_items)


def _interruptions(state: State) -> list[ToolApprovalItem]:
    step = state._current_step
    return list(step.interruptions) if isinstance(step, NextStepInterruption) else []


def _inner_states(state: State) -> list[tuple[str, State]]:
    response = state._last_processed_response
    found = []
    for run in response.functions if response is not None else ():
        result = peek_agent_tool_run_result(
            run.tool_call, scope_id=state._agent_tool_state_scope_id
        )
        if result is not None and result.interruptions:
            found.append((run.tool_call.call_id, result.to_state()))
    return found


def _name(item: ToolApprovalItem) -> tuple[str, str | None, str | None]:
    return item.agent.name, item.name, item.call_id
