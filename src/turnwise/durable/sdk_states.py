"""States of interrupted runs: the names of the SDK that it does not promise to keep.

As in `sdk.py`, each name has a canary test.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from agents import Agent, RunItem, RunState
from agents._tool_invocation import tool_invocation_approval_scope
from agents.agent_tool_state import peek_agent_tool_run_result
from agents.items import ToolApprovalItem
from agents.run_internal.items import REJECTION_MESSAGE
from agents.run_internal.run_steps import NextStepInterruption

State = RunState[Any, Any]


def current_agent(state: State) -> Agent[Any] | None:
    """The agent with which a resumed run continues."""
    return state._current_agent


class PendingCall(NamedTuple):
    """A tool call that needs an approval.

    `state` is the state of the run that made the call, `path` the ids of the calls around that run
    (of agents as tools), `responses` how many responses that run has.
    """

    state: State
    item: ToolApprovalItem
    path: tuple[str, ...]
    responses: int


def pending_calls(state: State, path: tuple[str, ...] = ()) -> list[PendingCall]:
    """The calls that need approvals, in a run and in the agents that it called as tools, in order.

    The SDK lists the calls of inner runs with the outer run's too. Here each comes once, with its
    own run: call ids repeat in agents that run in parallel.
    """
    inside = [
        found
        for call_id, inner in _inner_states(state)
        for found in pending_calls(inner, (*path, call_id))
    ]
    theirs = [_name(found.item) for found in inside]
    own = []
    for item in _interruptions(state):
        name = _name(item)
        if name in theirs:
            theirs.remove(name)
        else:
            own.append(PendingCall(state, item, path, len(state._model_responses)))
    return own + inside


def rejection_texts(state: State) -> dict[str, str]:
    """The output that the model gets for each rejected call of the run itself, by call id."""
    context: Any = state._context
    texts: dict[str, str] = {}
    for item in (one.item for one in pending_calls(state) if not one.path):
        name, call_id = item.name or "", item.call_id or ""
        if context.get_approval_status(name, call_id, existing_pending=item) is False:
            text = context.get_rejection_message(name, call_id, existing_pending=item)
            texts[call_id] = REJECTION_MESSAGE if text is None else text
    return texts


def context_of(state: State) -> Any:
    """The run's context wrapper."""
    return state._context


def decision_on(one: PendingCall) -> bool | list[str | None] | None:
    """The decision in the state: True, or a list of the rejection's message; None if undecided."""
    name, call_id, item = one.item.name or "", one.item.call_id or "", one.item
    context = one.state._context
    if context is None or not call_id:
        return None
    said = context.get_approval_status(name, call_id, existing_pending=item)
    if said is not False:
        return said
    return [context.get_rejection_message(name, call_id, existing_pending=item)]


def is_sticky(one: PendingCall) -> bool:
    """Whether the decision in the state is about all calls of this tool by this agent."""
    item, context = one.item, one.state._context
    key, name = item.tool_lookup_key, item.tool_name
    scope = tool_invocation_approval_scope(item.raw_item, tool_lookup_key=key, tool_name=name)
    if context is None or scope is None:
        return False
    keys = context._matching_sticky_approval_keys(
        item.raw_item,
        tool_lookup_key=key,
        tool_name=name,
        approval_scope=scope[1],
        approval_item=item,
    )
    return bool(keys)


def items_of(state: State) -> list[RunItem]:
    """The run's items so far: the same objects with which its result will begin."""
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
