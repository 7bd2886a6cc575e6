"""The Agents SDK's Session protocol, for one conversation, for a turn, and for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from agents.items import TResponseInputItem
from agents.memory.session_settings import SessionSettings, coerce_session_settings

from turnwise import background
from turnwise.approvals import BlockRuns, find_parked
from turnwise.background import Agents, DeadLetter, Policy, Processor, Receipt, Status
from turnwise.durable import install
from turnwise.errors import InvalidTTL, UnboundSession
from turnwise.turns import (
    GRACE,
    BusyPolicy,
    OnError,
    Runtime,
    Turn,
    add_items,
    begin_turn,
    block,
    cancel,
    check_on_error,
    check_session_id,
    clear_items,
    end,
    failure,
    is_expired,
    pop_item,
)
from turnwise.types import Absent, Cancellation, Info, PendingApproval

Items = list[TResponseInputItem]
SDKSettings = SessionSettings | dict[str, Any] | None


class TurnSession:
    """One open turn as the SDK's session: what is added here becomes history with the turn.

    `get_items` is the raw tail of the history and the turn, halves of pairs included: the SDK's
    run loop needs it so.
    """

    def __init__(
        self,
        turn: Turn,
        settings: SessionSettings | None,
        *,
        shared: bool,
        runs: BlockRuns | None = None,
    ) -> None:
        self.session_id = turn.session_id
        self.session_settings = settings
        self.turn = turn
        self.runs: BlockRuns | None = runs
        self._shared = shared

    @property
    def durable_turn(self) -> Turn:
        """What makes the SDK's runs with this session durable."""
        return self.turn

    async def open_turn(self) -> Turn:
        return self.turn

    @property
    def turn_id(self) -> str:
        return self.turn.turn_id

    @property
    def attempt(self) -> int:
        """1, or more if earlier workers died in this turn."""
        return self.turn.attempt

    async def get_items(self, limit: int | None = None) -> Items:
        last = effective_limit(limit, self.session_settings)
        return cast(Items, await self.turn.items(last, shared=self._shared))

    async def add_items(self, items: Items) -> None:
        self._check()
        await self.turn.add(cast(list[dict[str, Any]], items))

    async def pop_item(self) -> TResponseInputItem | None:
        self._check()
        return cast(TResponseInputItem | None, await self.turn.pop())

    async def clear_session(self) -> None:
        self._check()
        await self.turn.clear()

    def _check(self) -> None:
        if self.runs is not None:
            self.runs.check()


class Session:
    """All sessions of one store, or after `bind` one of them, as the SDK's session.

    `session_id` is "" while it stands for all. `session_settings.limit` limits what `get_items`
    returns where the caller names no limit.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        session_id: str | None = None,
        limit: int | None = None,
        session_settings: SDKSettings = None,
    ) -> None:
        self.runtime = runtime
        self.session_id = "" if session_id is None else check_session_id(session_id)
        self.session_settings: SessionSettings | None = _settings(limit, session_settings)

    def bind(
        self,
        session_id: str,
        *,
        limit: int | None = None,
        session_settings: SDKSettings = None,
    ) -> Self:
        """The session of this id, on the same store. Raises InvalidSessionId."""
        bound = copy(self)
        bound.session_id = check_session_id(session_id)
        if session_settings is None:
            session_settings = self.session_settings
        bound.session_settings = _settings(limit, session_settings)
        return bound

    @property
    def limit(self) -> int | None:
        """How many items at most `get_items` returns by default; None for all."""
        return self.session_settings.limit if self.session_settings else None

    # The SDK's session.

    async def get_items(self, limit: int | None = None) -> Items:
        """The caller's own copies of the last `limit` items, or all.

        Halves of pairs (a call without its output, say) are left out, as a model provider would
        refuse them. Raises UndecodableItem.
        """
        session_id = self.named(None)
        last = effective_limit(limit, self.session_settings)
        return cast(Items, await self.runtime.reader.items(session_id, last))

    async def add_items(self, items: Items) -> None:
        """Add items at the end, all or none; waits while a turn runs."""
        await add_items(self.runtime, self.named(None), cast(list[dict[str, Any]], items))

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove and return the last item; None if there is none. Waits while a turn runs."""
        return cast(TResponseInputItem | None, await pop_item(self.runtime, self.named(None)))

    async def clear_session(self) -> None:
        """Remove all items. Waits while a turn runs."""
        await clear_items(self.runtime, self.named(None))

    # Turns.

    @asynccontextmanager
    async def turn(
        self,
        session_id: str | None = None,
        *,
        turn_id: str | None = None,
        busy: BusyPolicy = "wait",
        timeout: float | None = 30.0,
        on_error: OnError = "rollback",
        shared: bool = False,
    ) -> AsyncIterator[TurnSession]:
        """All that happens in the block is one turn: committed at its end, or rolled back.

        `busy` says what to do while another turn runs: "wait" in line for up to `timeout` seconds
        (None: for ever), or "reject"; or end that turn and wait likewise, behind those who do so
        already: "interrupt" keeps what it has finished, "rollback" nothing. "enqueue" waits in line
        for as long as it takes; the block is this process's, so its place goes with it: what is to
        outlive the process is left with `submit`, or with `Runner.run`. `on_error="keep"`
        commits on an exception what was added until then. `shared` hands out the cache's own items,
        which must not be changed. If the last run of `agents.Runner` with the turn as its session
        waits for approvals, the turn does from the end of the block on: see `pending`.

        Raises SessionBusy, BusyTimeout, QueueFull, ApprovalPending; AlreadyCommitted,
        TurnAbandoned, TurnCancelled if the turn_id is finished; LeaseLost, HistoryChanged,
        SessionGone if the turn could not be committed; OutcomeUnknown; StoreError.
        """
        session_id = self.named(session_id)
        check_on_error(session_id, on_error)
        install()
        begun = await begin_turn(self.runtime, session_id, turn_id, busy=busy, timeout=timeout)
        runs = BlockRuns(begun)
        async with block(begun, partial(failure, on_error=on_error)):
            yield TurnSession(begun, self.session_settings, shared=shared, runs=runs)
            await end(begun, runs.outcome())

    # Background turns.

    async def submit(
        self,
        session_id: str | None,
        input: str | Items,
        *,
        agent: str,
        turn_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        busy: BusyPolicy = "enqueue",
    ) -> Receipt:
        """Leave a message for a background worker; returns when it is durable.

        It waits behind what is there already, unless `busy` says otherwise: with "reject" it is
        left only with a session that is free, with no turn and nothing in its queue. "interrupt"
        and "rollback" take its place in the queue, then end the turn that ran, and return when
        that has ended: the first keeps what it has finished. ("wait" is "enqueue".)

        `agent` names the agent that is to answer, `metadata` (JSON) goes with the message. A
        turn_id makes it safe to send again: it is run once, and the receipt is the same. Raises
        QueueFull, TurnIdReused, InvalidItem, ItemTooLarge, TurnTooLarge, InvalidTurnId; with
        another `busy` than the default SessionBusy, ApprovalPending; OutcomeUnknown if the store
        stopped run_attempt.
        """
        named = self.named(session_id)
        return await background.submit(
            self.runtime, named, cast("Any", input), agent, turn_id, metadata, busy
        )

    def receipt(self, session_id: str | None, turn_id: str) -> Receipt:
        """The receipt of a message that was submitted here or elsewhere. No I/O."""
        return Receipt(self.named(session_id), turn_id, self.runtime)

    async def status(self, session_id: str | None, turn_id: str) -> Status:
        """What became of a turn so far."""
        return await background.status_of(self.runtime, self.named(session_id), turn_id)

    async def drain(
        self, session_id: str | None, agents: Agents, policy: Policy | None = None
    ) -> int:
        """Run the session's waiting messages, in order, until none is left: how many.

        For the job of a queue that the application has: one job after each `submit`. While another
        turn runs it waits, and a message that failed is tried again after a pause, until it is
        answered or a dead letter. Cancelled, it gives the turn at hand back for another job.
        """
        return await self.processor(agents, policy).drain(self.named(session_id))

    def processor(self, agents: Agents, policy: Policy | None = None) -> Processor:
        """What runs the messages of this store's sessions, for workers."""
        return Processor(
            self.runtime,
            agents,
            policy or Policy(),
            lambda turn: TurnSession(turn, self.session_settings, shared=False),
        )

    async def dead_letters(self, count: int = 100, after: str | None = None) -> list[DeadLetter]:
        """Dead letters of all sessions, the oldest first: those behind the id `after`."""
        return await background.listed(self.runtime, count, after)

    def stopped_sessions(self) -> AsyncIterator[DeadLetter]:
        """The messages at which sessions were stopped (`on_dead="stop"`), as dead letters.

        All sessions are looked through. `retry` or `drop` one, and its session goes on.
        """
        return background.all_stopped(self.runtime)

    async def retry_dead_letter(self, letter: DeadLetter | str) -> None:
        """Submit a dead letter's message again, behind what waits; its attempts count anew.

        Raises UsageError if there is no letter of this id, QueueFull.
        """
        await background.retry(self.runtime, letter)

    async def delete_dead_letter(self, letter: DeadLetter | str) -> None:
        """Throw a dead letter away, if it is there; its turn stays dead."""
        await background.drop(self.runtime, letter)

    # Approvals.

    async def pending_approvals(self, session_id: str | None = None) -> list[PendingApproval]:
        """The calls of tools that wait for an approval, in order; none if no turn is parked.

        Nor if their time (`approval_timeout`) is over: nobody can decide them any more.
        `Runner.resume` takes their ids, in any process.
        """
        parked = await find_parked(self.runtime, self.named(session_id))
        return [] if parked is None or is_expired(parked.entry) else parked.pending

    async def cancel(
        self,
        session_id: str | None = None,
        turn_id: str | None = None,
        *,
        reason: str | None = None,
        timeout: float = GRACE,
    ) -> Cancellation:
        """End a turn, whichever process runs it, and tell what became of it.

        Without a turn_id the one that is open: running, dead or waiting for an approval. Its worker
        is told at once, and has `timeout` seconds to end it; then it is ended without the worker,
        which can commit nothing any more. Nothing of the turn is kept, and whoever sends its
        turn_id again gets TurnCancelled. `reason` (at most 1,000 bytes) is stored with the turn, so
        that they and the hooks get it; the first one stays. A caller that still stands in line has
        no turn yet. Raises UsageError, StoreError.
        """
        named = self.named(session_id)
        return await cancel(self.runtime, named, turn_id, reason=reason, timeout=timeout)

    # For operators.

    async def info(self, session_id: str | None = None) -> Info | None:
        """What there is to know about a session without its content; None if there is none."""
        found = await self.runtime.store.info(self.named(session_id))
        return None if isinstance(found, Absent) else found

    def scan(self, match: str = "*") -> AsyncIterator[str]:
        """The ids of all sessions that match a glob, from all nodes of a cluster; in no order.

        A session that changes meanwhile may come twice or, if created or deleted, not at all.
        """
        return self.runtime.store.scan(match)

    async def delete(self, session_id: str | None = None) -> bool:
        """Remove a session with everything in it, a running turn too; False if there was none."""
        return await self.runtime.store.delete(self.named(session_id))

    async def expire(self, session_id: str | None = None, ttl: float | None = None) -> bool:
        """Let a session expire in `ttl` seconds, or never; False if there is none."""
        return await self.runtime.store.expire(self.named(session_id), ttl_ms(ttl))

    async def ping(self) -> None:
        """Return if the store answers. Raises StoreUnavailable."""
        await self.runtime.store.ping()

    async def aclose(self) -> None:
        """Close what this object opened; a client of the application's own stays open."""
        await self.runtime.store.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def named(self, session_id: str | None) -> str:
        """The session that a call is about. Raises UnboundSession, InvalidSessionId."""
        if session_id is not None:
            return check_session_id(session_id)
        if not self.session_id:
            raise UnboundSession(
                f"this {type(self).__name__} stands for all sessions of its store; name one: "
                "session.bind('user-1') is what the SDK's Runner takes, and Turnwise's Runner "
                "takes session_id='user-1'"
            )
        return self.session_id


def ttl_ms(ttl: object) -> int | None:
    """Seconds as the stores count them. Raises InvalidTTL."""
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0.001 <= ttl < 1e11:
        raise InvalidTTL(f"ttl={ttl!r}: a ttl is a number of seconds above 0, or None for ever")
    return round(ttl * 1000)


def effective_limit(limit: int | None, settings: SessionSettings | None) -> int | None:
    """How many of the last items are asked for; None for all, as a negative limit says too."""
    if limit is None and settings is not None:
        limit = settings.limit
    return None if limit is None or limit < 0 else limit


def _settings(limit: int | None, settings: SDKSettings) -> SessionSettings:
    """Settings of this object's own: the SDK's can be changed."""
    known = SessionSettings() if settings is None else coerce_session_settings(settings)
    return dataclasses.replace(known, limit=known.limit if limit is None else limit)
