"""A parked turn: the approvals that are pending, and its run restored with what was decided."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from agents import Agent, RunResult, RunResultStreaming, RunState
from agents.sandbox import SandboxAgent
from agents.tool import DEFAULT_APPROVAL_REJECTION_MESSAGE

from turnwise.approvals.decisions import Decisions, listed
from turnwise.durable.sdk_states import (
    PendingCall,
    context_of,
    decision_on,
    is_sticky,
    pending_calls,
)
from turnwise.errors import NoPendingApproval, NotResumable, UsageError
from turnwise.journal_entries import DecidedEntry, Entry, ParkedEntry, read_parked
from turnwise.turns import Runtime, Turn
from turnwise.types import Info, Parked, PendingApproval

_InState = tuple[bool | list[str | None] | None, bool]
"""What `decision_on` says of a call, and `is_sticky`."""
_RESUMED = "_turnwise_resumed"
_CALLS = ("function_call", "custom_tool_call")
REJECTED = DEFAULT_APPROVAL_REJECTION_MESSAGE
"""The output of a call that was rejected without a message, unless the application words it."""


def parked_entry(
    turn: Turn, result: RunResult | RunResultStreaming, began: tuple[str, str]
) -> ParkedEntry:
    """The journal's entry that parks a turn.

    Args:
        turn: the turn, which keeps what its buffer holds.
        result: its last run, which asks for approvals.
        began: name of the agent, and digest of the input, that the turn began with.
    """
    state = result.to_state()
    context = context_of(state).context
    context_type = None if context is None or _is_json(context) else type(context).__qualname__
    if context_type is not None and isinstance(context, Mapping):
        context_of(state).context = None
    timeout = turn.runtime.settings.approval_timeout
    return ParkedEntry(
        approvals=[_approval(turn.turn_id, call) for call in pending_calls(state)],
        kept=turn.kept,
        items=turn.added(),
        began=began,
        state=state.to_json(context_serializer=lambda _: {}),
        context_type=context_type,
        expires_at=None if timeout is None else time.time() + timeout,
        usage=list(turn.usage.counts) or None,
        at=time.time(),
        attempt=turn.attempt,
        times=times_parked(turn) + 1,
    )


def times_parked(turn: Turn) -> int:
    """How often the turn was parked."""
    entries = reversed(turn.journal.entries)
    return next((entry.times or 1 for entry in entries if isinstance(entry, ParkedEntry)), 0)


def _is_json(context: object) -> bool:
    try:
        return isinstance(context, Mapping) and bool(json.dumps(dict(context)))
    except (TypeError, ValueError):
        return False


def _approval(turn_id: str, call: PendingCall) -> PendingApproval:
    item = call.item
    named = [turn_id, *call.path, call.responses, item.agent.name, item.name, item.call_id]
    return PendingApproval(
        id=hashlib.blake2b(msgspec.json.encode(named), digest_size=9).hexdigest(),
        tool_name=item.name or "",
        arguments=item.arguments or "",
        agent_name=item.agent.name,
        call_id=item.call_id or "",
        turn_id=turn_id,
    )


class DecidedState:
    """A run's state that the application decided, as it was handed over.

    Look at it before the SDK continues it: what was rejected is then no longer pending in it.

    Attributes:
        state: The state.
        calls: The calls that need approvals.
    """

    def __init__(self, state: RunState[Any, Any]) -> None:
        self.state = state
        self.calls = pending_calls(state)
        self._decided = [_decision_in_state(call) for call in self.calls]

    @property
    def context(self) -> Any:
        """The run's context, as the application gave it."""
        return context_of(self.state).context

    def decisions(self, turn_id: str) -> Decisions:
        """What is decided in it, by the ids of the approvals in this turn."""
        return _decisions(turn_id, zip(self.calls, self._decided, strict=True))


def _decision_in_state(call: PendingCall) -> _InState:
    decision = decision_on(call)
    return decision, decision is not None and is_sticky(call)


def _decisions(turn_id: str, found: Iterable[tuple[PendingCall, _InState]]) -> Decisions:
    decisions = Decisions()
    for call, (decision, always) in found:
        approval_id = _approval(turn_id, call).id
        if decision is True:
            decisions.approve.add(approval_id)
        elif isinstance(decision, list):
            decisions.reject[approval_id] = decision[0]
        if always:
            decisions.always.add(approval_id)
    return decisions


class ParkedTurn:
    """A parked turn: its ParkedEntry, and what was decided since."""

    def __init__(
        self, session_id: str, turn_id: str, entry: ParkedEntry, since: Iterable[Entry] = ()
    ) -> None:
        self.session_id = session_id
        self.turn_id = turn_id
        self.entry = entry
        self.decided = Decisions()
        for later in since:
            if isinstance(later, DecidedEntry):
                always = set(later.always or ())
                self.decided.add(Decisions(set(later.approve), later.reject, always))

    @classmethod
    def in_journal(cls, session_id: str, turn_id: str, entries: Sequence[Entry]) -> ParkedTurn:
        """The turn as its journal's last ParkedEntry parks it. Raises NoPendingApproval."""
        for index in reversed(range(len(entries))):
            entry = entries[index]
            if isinstance(entry, ParkedEntry):
                return cls(session_id, turn_id, entry, entries[index + 1 :])
        raise NoPendingApproval("it has no parked turn", session_id=session_id)

    @property
    def pending(self) -> list[PendingApproval]:
        """The approvals that are not decided."""
        return [one for one in self.entry.approvals if one.id not in self.decided.ids]

    @property
    def _parking(self) -> tuple[str, ...]:
        """Names this parking of the turn."""
        return self.session_id, self.turn_id, *sorted(one.id for one in self.entry.approvals)

    @property
    def is_of_message(self) -> bool:
        """Whether a message began it: only then it has events."""
        return self.entry.event is not None

    def decide(self, new: Decisions) -> Decisions | None:
        """Add decisions to the earlier ones.

        Returns:
            Those that were not made before; None if there are none.

        Raises:
            NoPendingApproval: an id is not pending, or was decided otherwise before.
            UsageError: nothing is decided, now or before.
        """
        before = self.decided
        if not new.ids and not before.ids:
            raise UsageError(
                "nothing is decided: name what to approve or reject, by the ids that "
                "session.pending_approvals() returns",
                session_id=self.session_id,
            )
        pending = {one.id for one in self.pending}
        again = {one for one in new.ids & before.ids if new.on(one) == before.on(one)}
        if unknown := new.ids - pending - again:
            raise NoPendingApproval(
                f"no approval is pending under {listed(unknown)}, or not any more. Nothing was "
                "decided; session.pending_approvals() returns what is pending",
                session_id=self.session_id,
            )
        return self._add(new.without(again))

    def reject_pending(self, message: str) -> Decisions | None:
        """Reject all that is pending; None if nothing is."""
        return self._add(Decisions(reject={one.id: message for one in self.pending}))

    def decide_as_in(self, state: DecidedState) -> None:
        """Add the decisions in the application's own state of the run, and to it the earlier ones.

        Raises what `decide` does, and NoPendingApproval if the state is of another run.
        """
        if not self.matches(state):
            raise NoPendingApproval(
                "this state is not of the run that is parked now. session.pending_approvals() "
                "returns what is pending",
                session_id=self.session_id,
            )
        new = state.decisions(self.turn_id)
        if new.ids:
            self.decide(new)
        calls = self._by_id(state.calls)
        self._decide({one: call for one, call in calls.items() if one not in new.ids})
        vars(state.state)[_RESUMED] = self._parking

    def was_resumed_with(self, state: DecidedState) -> bool:
        """Whether this very object has resumed the turn, in vain: the SDK has changed it since."""
        return vars(state.state).get(_RESUMED) == self._parking

    def matches(self, state: DecidedState) -> bool:
        """Whether a state that the application restored is of the run that is parked."""
        return set(self._by_id(state.calls)) == {one.id for one in self.entry.approvals}

    async def restored_state(self, agent: Agent[Any], context: object) -> RunState[Any, Any]:
        """The run's state, with this agent, and with all that is decided.

        What the SDK takes as decided too, since a decision is for always, is added to `decided`.

        Raises:
            NotResumable: the run cannot be restored with this agent, these tools or this SDK.
            UsageError: its context was not stored, and `context` is None.
        """
        self._check_context(context)
        try:
            state = await RunState.from_json(
                agent, dict(self.entry.state), context_deserializer=_as_dict
            )
        except Exception as error:
            raise self._not_resumable(f"the Agents SDK cannot restore it ({error})") from error
        calls = self._by_id(pending_calls(state))
        if missing := [one for one in self.entry.approvals if one.id not in calls]:
            raise self._not_resumable(
                "with this agent it does not ask for "
                + ", ".join(f"{one.tool_name!r} of {one.agent_name!r}" for one in missing)
            )
        for call in calls.values():
            await self._check_tool(call, context)
        self._decide(calls)
        open_calls = [call for one, call in calls.items() if one not in self.decided.ids]
        implied = [(call, _decision_in_state(call)) for call in open_calls]
        self._add(_decisions(self.turn_id, implied))
        return state

    def _by_id(self, calls: Iterable[PendingCall]) -> dict[str, PendingCall]:
        """The calls that need approvals, by the ids of these."""
        return {self._id(call): call for call in calls}

    def _id(self, call: PendingCall) -> str:
        return _approval(self.turn_id, call).id

    def _add(self, new: Decisions) -> Decisions | None:
        self.decided.add(new)
        return new if new.ids else None

    def _decide(self, calls: Mapping[str, PendingCall]) -> None:
        """Decide in their states; what is for always comes first, and leaves the others as said."""
        for one in sorted(
            self.decided.ids & set(calls), key=lambda one: one not in self.decided.always
        ):
            approved, message, always = self.decided.on(one)
            state, item = calls[one].state, calls[one].item
            if approved:
                state.approve(item, always_approve=always)
            else:
                state.reject(item, always_reject=always, rejection_message=message)

    def _check_context(self, context: object) -> None:
        if self.entry.context_type and context is None:
            raise UsageError(
                f"its run had a context of the type {self.entry.context_type}, which was not "
                "stored: only a mapping of JSON values is. Pass context= to resume. The turn stays "
                "parked",
                session_id=self.session_id,
            )

    async def _check_tool(self, call: PendingCall, context: object) -> None:
        raw = call.item.raw_item
        kind = raw.get("type") if isinstance(raw, dict) else getattr(raw, "type", None)
        if kind not in _CALLS or isinstance(call.item.agent, SandboxAgent):
            return  # the SDK gives an agent in a sandbox its tools only as it runs
        wrapper = context_of(call.state)
        before = wrapper.context
        if context is not None:
            wrapper.context = getattr(context, "context", context)
        try:
            tools = await call.item.agent.get_all_tools(wrapper)
        except Exception as error:
            reason = f"the tools of its agent cannot be listed ({error})"
            raise self._not_resumable(reason) from error
        finally:
            wrapper.context = before
        if call.item.name not in {tool.name for tool in tools}:
            agent = call.item.agent.name
            raise self._not_resumable(f"agent {agent!r} has no tool {call.item.name!r}")

    def _not_resumable(self, why: str) -> NotResumable:
        return NotResumable(
            f"parked turn {self.turn_id!r} cannot be resumed here: {why}. It stays parked. Resume "
            "it with the agents, tools and version of the SDK that it was parked with, or cancel "
            "it",
            session_id=self.session_id,
        )


async def find_parked(runtime: Runtime, session_id: str) -> ParkedTurn | None:
    """The session's parked turn; None if it has none. Changes nothing.

    Raises:
        UndecodableJournal: another version parked it.
        StoreError: the store did not answer, or refused.
    """
    info = await runtime.store.info(session_id)
    if not isinstance(info, Info) or info.open_turn is None:
        return None
    names = session_id, info.open_turn.turn_id
    status = await runtime.store.status(*names)
    if not isinstance(status, Parked):
        return None
    return ParkedTurn.in_journal(*names, read_parked(runtime.codec, *names, status.journal))


def _as_dict(context: Mapping[str, Any]) -> dict[str, Any]:
    """A context that is a mapping comes back as one; of another kind nothing was stored."""
    return dict(context)
