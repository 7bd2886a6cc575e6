"""A run that waits for approvals: what the journal keeps of it, and how it goes on from there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from agents import Agent, RunResult, RunResultStreaming, RunState

from turnwise.codec import Codec
from turnwise.contracts import Store
from turnwise.durable.sdk import PendingCall, context_of, decision_on, pending_calls
from turnwise.errors import NoPendingApproval, NotResumable, UsageError
from turnwise.journal_entries import DecidedEntry, Entry, ParkedEntry, read_parked
from turnwise.types import Info, Parked, PendingApproval

_CALLS = ("function_call", "custom_tool_call")


@dataclass
class Decisions:
    """Approvals and rejections by id. Of a rejection, the message to the model, if there is one."""

    approve: set[str] = field(default_factory=set)
    reject: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls, session_id: str, approve: Iterable[str], reject: Mapping[str, str | None] | None
    ) -> Decisions:
        """Raises UsageError for an id that is both approved and rejected."""
        if isinstance(approve, str):
            raise UsageError("approve takes a list of ids, not one text", session_id=session_id)
        made = cls(set(approve), dict(reject or {}))
        if both := made.approve & set(made.reject):
            raise UsageError(f"approved and rejected: {_listed(both)}", session_id=session_id)
        return made

    @property
    def ids(self) -> set[str]:
        return self.approve | set(self.reject)

    def says(self, name: str) -> object:
        """What is decided about this one: True, or the message of its rejection in a list."""
        return True if name in self.approve else [self.reject[name]]

    def entry(self) -> DecidedEntry:
        return DecidedEntry(approve=sorted(self.approve), reject=self.reject)


def parked_entry(
    result: RunResult | RunResultStreaming,
    turn_id: str,
    *,
    kept: int,
    items: Sequence[Any],
    began: tuple[str, str],
    timeout: float | None,
) -> ParkedEntry:
    """The entry for a run that was interrupted.

    `kept` of the items before the turn it keeps, and it has added `items`; `began` is the name of
    the agent and the digest of the input that the turn began with. Acks `timeout` seconds it
    waits in vain.
    """
    state = result.to_state()
    context = context_of(state).context
    needs = None if context is None or _is_json(context) else type(context).__qualname__
    if needs is not None and isinstance(context, Mapping):
        context_of(state).context = None
    return ParkedEntry(
        approvals=[_pending(turn_id, found) for found in pending_calls(state)],
        kept=kept,
        items=list(items),
        began=began,
        state=state.to_json(context_serializer=lambda _: {}),
        context_type=needs,
        expires_at=None if timeout is None else time.time() + timeout,
    )


def _is_json(context: object) -> bool:
    try:
        return isinstance(context, Mapping) and bool(json.dumps(dict(context)))
    except (TypeError, ValueError):
        return False


def _pending(turn_id: str, found: PendingCall) -> PendingApproval:
    item = found.item
    named = [turn_id, *found.path, found.responses, item.agent.name, item.name, item.call_id]
    return PendingApproval(
        id=hashlib.blake2b(msgspec.json.encode(named), digest_size=9).hexdigest(),
        tool_name=item.name or "",
        arguments=item.arguments or "",
        agent_name=item.agent.name,
        call_id=item.call_id or "",
        turn_id=turn_id,
    )


class ParkedTurn:
    """What waits in a session: a parked entry, and what was decided since."""

    def __init__(
        self, session_id: str, turn_id: str, entry: ParkedEntry, since: Iterable[Entry] = ()
    ) -> None:
        self.session_id = session_id
        self.turn_id = turn_id
        self.entry = entry
        self.decided = Decisions()
        for later in since:
            if isinstance(later, DecidedEntry):
                self.decided.approve |= set(later.approve)
                self.decided.reject |= later.reject

    @property
    def asks(self) -> list[PendingApproval]:
        """All that the run asked for when it was parked."""
        return self.entry.approvals

    @property
    def pending(self) -> list[PendingApproval]:
        """What nobody has decided yet."""
        return [ask for ask in self.asks if ask.id not in self.decided.ids]

    @property
    def began(self) -> tuple[str, str]:
        return self.entry.began

    def add(self, new: Decisions) -> Decisions | None:
        """Join new decisions to earlier ones; those that are new, None if there are none.

        Raises NoPendingApproval for an id that does not wait, or was decided otherwise before, and
        UsageError if nothing is decided at all.
        """
        before = self.decided
        if not new.ids and not before.ids:
            raise UsageError(
                "nothing is decided: name what to approve or reject, by the ids that "
                "session.pending_approvals() gives",
                session_id=self.session_id,
            )
        waiting = {ask.id for ask in self.pending}
        again = {name for name in new.ids & before.ids if new.says(name) == before.says(name)}
        if unknown := new.ids - waiting - again:
            raise NoPendingApproval(
                f"these do not wait for an approval, or not any more: {_listed(unknown)}. Nothing "
                "was decided; session.pending_approvals() tells what waits",
                session_id=self.session_id,
            )
        fresh = Decisions(
            new.approve - again, {k: v for k, v in new.reject.items() if k not in again}
        )
        before.approve |= fresh.approve
        before.reject |= fresh.reject
        return fresh if fresh.ids else None

    def refuse_rest(self, message: str) -> Decisions | None:
        """Reject all that nobody has decided; those that are new, None if there are none."""
        late = {ask.id: message for ask in self.pending}
        self.decided.reject |= late
        return Decisions(reject=dict(late)) if late else None

    async def rebuilt(self, agent: Agent[Any], context: object) -> RunState[Any, Any]:
        """The run's state, with this agent, and with all that is decided. Raises NotResumable."""
        self._check_context(context)
        try:
            state = await RunState.from_json(
                agent, dict(self.entry.state), context_deserializer=_plain
            )
        except Exception as error:
            raise self._refusal(f"the Agents SDK cannot restore it ({error})") from error
        found = {_pending(self.turn_id, one).id: one for one in pending_calls(state)}
        if missing := [ask for ask in self.asks if ask.id not in found]:
            raise self._refusal(
                "with this agent it does not ask for "
                + ", ".join(f"{ask.tool_name!r} of {ask.agent_name!r}" for ask in missing)
            )
        for one in found.values():
            await self._check_tool(one, context)
        self._decide(found)
        return state

    def _check_context(self, context: object) -> None:
        needs = self.entry.context_type
        if needs and context is None:
            raise UsageError(
                f"its run had a context of the type {needs}, which is not kept: only a mapping of "
                "JSON values is. Pass context= to resume; it was kept parked",
                session_id=self.session_id,
            )

    async def _check_tool(self, one: PendingCall, context: object) -> None:
        raw = one.item.raw_item
        kind = raw.get("type") if isinstance(raw, dict) else getattr(raw, "type", None)
        if kind not in _CALLS:
            return
        wrapper = context_of(one.state)
        before = wrapper.context
        if context is not None:
            wrapper.context = getattr(context, "context", context)
        try:
            tools = await one.item.agent.get_all_tools(wrapper)
        except Exception as error:
            raise self._refusal(f"the tools of its agent cannot be listed ({error})") from error
        finally:
            wrapper.context = before
        if one.item.name not in {tool.name for tool in tools}:
            raise self._refusal(f"agent {one.item.agent.name!r} has no tool {one.item.name!r}")

    def _decide(self, found: Mapping[str, PendingCall]) -> None:
        for name in self.decided.approve & set(found):
            found[name].state.approve(found[name].item)
        for name, message in self.decided.reject.items():
            if name in found:
                found[name].state.reject(found[name].item, rejection_message=message)

    def adopt(self, state: RunState[Any, Any]) -> Decisions | None:
        """Join what this state of the run says to earlier decisions, and those to it.

        Those that are new, None if there are none. Raises NoPendingApproval for what was decided
        otherwise before.
        """
        found = {_pending(self.turn_id, one).id: one for one in pending_calls(state)}
        said = {name: decision_on(one) for name, one in found.items()}
        new = Decisions(
            {name for name, what in said.items() if what is True},
            {name: what[0] for name, what in said.items() if isinstance(what, list)},
        )
        fresh = self.add(new) if new.ids else None
        self._decide({name: one for name, one in found.items() if said[name] is None})
        return fresh

    def fits(self, state: RunState[Any, Any]) -> bool:
        """Whether this state, restored by the application itself, is of the run that waits."""
        waiting = {_pending(self.turn_id, one).id for one in pending_calls(state)}
        return waiting == {ask.id for ask in self.asks}

    def _refusal(self, why: str) -> NotResumable:
        return NotResumable(
            f"turn {self.turn_id!r} waits for an approval and cannot go on here: {why}. It was "
            "kept parked: resume it with the agents, tools and version of the SDK that it was "
            "parked with, or cancel it",
            session_id=self.session_id,
        )


async def parked_now(store: Store, codec: Codec, session_id: str) -> ParkedTurn | None:
    """What waits in a session now; None if nothing does. Changes nothing.

    Raises UndecodableJournal.
    """
    info = await store.info(session_id)
    if not isinstance(info, Info) or info.open_turn is None:
        return None
    turn_id = info.open_turn.turn_id
    status = await store.status(session_id, turn_id)
    if not isinstance(status, Parked):
        return None
    return parked_in(session_id, turn_id, read_parked(codec, session_id, turn_id, status.journal))


def parked_in(session_id: str, turn_id: str, entries: Sequence[Entry]) -> ParkedTurn:
    """What waits by a turn's journal, from its last parked entry on. Raises NoPendingApproval."""
    for index in reversed(range(len(entries))):
        entry = entries[index]
        if isinstance(entry, ParkedEntry):
            return ParkedTurn(session_id, turn_id, entry, entries[index + 1 :])
    raise NoPendingApproval("nothing waits for an approval", session_id=session_id)


def calls_that_wait(state: RunState[Any, Any]) -> set[str]:
    """The ids of the run's own calls that wait, or in which an agent waits."""
    found = [(*one.path, one.item.call_id)[0] for one in pending_calls(state)]
    return {call_id for call_id in found if call_id is not None}


def _plain(context: Mapping[str, Any]) -> dict[str, Any]:
    """A context that is a mapping comes back as one; of others nothing was kept."""
    return dict(context)


def _listed(ids: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(ids)))
