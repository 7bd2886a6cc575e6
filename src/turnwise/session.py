"""`Session`: all sessions of one store or, once bound, one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from typing import Any, Self, cast

from agents import Agent
from agents.items import TResponseInputItem
from agents.memory.session_settings import SessionSettings

from turnwise import background
from turnwise.approvals import BlockRuns, find_parked
from turnwise.background import Agents, Policy, Processor, Receipt, Status
from turnwise.durable import agent_name, checked_input, checked_items, install, is_bookkeeping
from turnwise.errors import UnboundSession, UsageError
from turnwise.fleet import OperatorActions
from turnwise.turn_session import (
    Items,
    SDKSettings,
    TurnSession,
    effective_limit,
    merged_settings,
)
from turnwise.turns import (
    BusyPolicy,
    OnError,
    Runtime,
    add_items,
    begin_turn,
    block,
    check_on_error,
    check_session_id,
    check_turn_id,
    clear_items,
    end,
    failure,
    is_expired,
    pop_item,
)
from turnwise.types import PendingApproval

_PROTOCOL = ("get_items", "add_items", "pop_item", "clear_session")
"""The SDK's session protocol."""


class Session(OperatorActions):
    """All sessions of one store or, after `bind`, one of them as the SDK's session.

    `RedisSession`, `SQLiteSession`, `MemorySession` and `connect` make it. Where a method takes a
    `session_id`, None means the bound session. Besides the errors that a method lists, it raises
    UnboundSession and InvalidSessionId for its session id, and StoreError if the store fails.

    Attributes:
        session_id: The bound session's id; "" if the object stands for all sessions.
        session_settings: The SDK's settings; `limit` is how many items `get_items` returns where
            the caller names no limit.
    """

    _overridden: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = (name for name in _PROTOCOL if getattr(cls, name) is not getattr(Session, name))
        cls._overridden = tuple(own)

    def __init__(
        self,
        runtime: Runtime,
        *,
        session_id: str | None = None,
        limit: int | None = None,
        session_settings: SDKSettings = None,
    ) -> None:
        self._runtime = runtime
        self.session_id = "" if session_id is None else check_session_id(session_id)
        self.session_settings: SessionSettings | None = merged_settings(limit, session_settings)

    def bind(
        self,
        session_id: str,
        *,
        limit: int | None = None,
        session_settings: SDKSettings = None,
    ) -> Self:
        """The one session of this id, on the same store.

        Args:
            session_id: A non-empty string of at most 512 bytes in UTF-8.
            limit: How many items `get_items` returns at most; None for what the settings say.
            session_settings: The SDK's settings; None for those of this object.
        """
        bound = copy(self)
        bound.session_id = check_session_id(session_id)
        if session_settings is None:
            session_settings = self.session_settings
        bound.session_settings = merged_settings(limit, session_settings)
        return bound

    def for_owner(self, owner: str | None) -> Self:
        """The same sessions, for a caller who may use those of one owner only. Does no I/O.

        A session that the caller creates belongs to the owner, and so do its copies. All others do
        not exist for this object: it reads nothing, changes nothing and lists nothing of them. Only
        who would create a session learns that its id is taken, by SessionTaken. Each call of the
        store checks it. What concerns other owners' sessions, as `dead_letters`, `workers` or
        `audit` do, raises UsageError; and what the owner does leaves no record in the audit.

        Args:
            owner: A name, say a user's id: a non-empty string of at most 256 bytes in UTF-8. None
                for this object itself.

        Raises:
            UsageError: `owner` is no such string, or this object is another owner's.
        """
        view = copy(self)
        view._runtime = self._runtime.for_owner(owner)
        return view

    @property
    def runtime(self) -> Runtime:
        """The process's store, codec, cache and settings. Raises UsageError after `aclose`."""
        self._runtime.check_open()
        return self._runtime

    @property
    def limit(self) -> int | None:
        """How many items `get_items` returns at most by default; None for all."""
        return self.session_settings.limit if self.session_settings else None

    # The SDK's session protocol, for the bound session.

    async def get_items(self, limit: int | None = None) -> Items:
        """Read the history.

        Calls without their output, and outputs without their call, are left out, since models
        reject them; not where the SDK only compares or replaces what a session holds.

        Args:
            limit: How many items to return at most, the last ones; None for the session's limit.

        Returns:
            Copies of the items, oldest first.

        Raises:
            UndecodableItem: An item cannot be decoded.
        """
        session_id, raw = self.resolve_id(None), is_bookkeeping()
        last = effective_limit(limit, self.session_settings)
        return cast(Items, await self.runtime.reader.items(session_id, last, raw=raw))

    async def add_items(self, items: Items) -> None:
        """Append items to the history, all or none. Waits while a turn runs.

        Raises:
            InvalidItem, ItemTooLarge, TurnTooLarge, SessionTooLarge: Nothing was written.
            BusyTimeout: A turn runs, and it did not end in time.
            ApprovalPending, SessionStopped: A parked turn is open, or the session is stopped.
        """
        session_id = self.resolve_id(None)
        await add_items(self.runtime, session_id, checked_items(session_id, items))

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove and return the last item; None if there is none. Waits while a turn runs."""
        return cast(TResponseInputItem | None, await pop_item(self.runtime, self.resolve_id(None)))

    async def clear_session(self) -> None:
        """Remove all items. Waits while a turn runs."""
        await clear_items(self.runtime, self.resolve_id(None))

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
        """Run the block as one turn: committed at its end, rolled back on an exception.

        If the last `agents.Runner` run in the block asks for approvals, the turn is parked at the
        end of the block: see `pending_approvals`.

        Args:
            session_id: The session; None for the bound one.
            turn_id: Makes the turn safe to send again: it commits once. None for a random id.
            busy: What to do while another turn runs. "wait" waits in the session's queue;
                "enqueue" does so without a timeout; "reject" raises SessionBusy; "interrupt" and
                "rollback" cancel the running turn, the first committing what it has finished, and
                wait in the queue. The place in the queue ends with this process: use `submit` or
                `Runner.run` for what has to outlive it.
            timeout: Seconds to wait in the queue; None for no limit.
            on_error: "rollback", or "keep" to commit what was added before an exception; see
                `Runner.run` for a turn with a turn_id.
            shared: Whether `get_items` returns the cache's own items, which must not be changed.

        Yields:
            The turn as the SDK's session.

        Raises:
            SessionBusy, BusyTimeout, QueueFull, ApprovalPending, SessionStopped: It did not begin.
            AlreadyCommitted, TurnAbandoned, TurnCancelled, DeadLettered: The turn_id is finished.
            TurnCancelled, LeaseLost, HistoryChanged, SessionGone: The turn was not committed.
            OutcomeUnknown: The turn may or may not be committed. Send its turn_id again.
        """
        self.check_for_turns()
        session_id = self.resolve_id(session_id)
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
        agent: str | Agent[Any],
        turn_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        busy: BusyPolicy = "enqueue",
        after: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Receipt:
        """Put a message into the session's queue for a background worker.

        Args:
            session_id: The session; None for the bound one.
            input: The user's text, or items.
            agent: The agent that answers, or its name. The message names it; a worker has it.
            turn_id: Makes the message safe to send again: it runs once, and the receipt is the
                same. None for a random id.
            metadata: JSON that goes with the message; `Policy.context` receives it.
            busy: "enqueue" and "wait" queue the message. "reject" queues it only if the session
                has neither an open turn nor a queue. "interrupt" and "rollback" queue it, cancel
                the running turn, the first committing what it has finished, and return when that
                turn has ended.
            after: With "reject": queue it only if this turn is the last that added to the history.
            tools: Functions that the sender runs itself, each a dict with `name`, and maybe
                `description` and `parameters` (a JSON schema). A call of one parks the turn like
                one that needs approval. Reject it with its output as the message.

        Returns:
            The receipt, once the message is durable.

        Raises:
            QueueFull: The queue holds `max_queue` messages and callers.
            TurnIdReused: The turn_id stands for another message, or for a direct turn.
            InvalidItem, ItemTooLarge, TurnTooLarge, InvalidTurnId: Nothing was queued.
            SessionBusy, ApprovalPending, SessionStopped: Not queued, by another `busy`.
            HistoryChanged: Not queued, since another turn than `after` is the last one.
            OutcomeUnknown: The message may or may not be queued. Submit it again.
        """
        session_id = self.resolve_id(session_id)
        turn_id = await background.submit(
            self.runtime,
            session_id,
            checked_input(session_id, input),
            agent_name(session_id, agent),
            turn_id,
            metadata,
            busy,
            after=after,
            tools=tools,
        )
        return Receipt(session_id, turn_id, self.runtime)

    def receipt(self, session_id: str | None, turn_id: str) -> Receipt:
        """The receipt of a message that any process submitted. Does no I/O."""
        session_id = self.resolve_id(session_id)
        return Receipt(session_id, check_turn_id(session_id, turn_id), self.runtime)

    async def status(self, session_id: str | None, turn_id: str) -> Status:
        """What has become of a turn so far."""
        return await self.receipt(session_id, turn_id).status()

    async def drain(
        self, session_id: str | None, agents: Agents, policy: Policy | None = None
    ) -> int:
        """Run the session's queued messages, in order, until none is left.

        For a job queue of the application's own: enqueue one job after each `submit`. A failed
        attempt is retried after its backoff; `drain` waits meanwhile, as it does while another turn
        runs. If it is cancelled, the current turn is released for another job.

        Args:
            session_id: The session; None for the bound one.
            agents: The agents that messages may name: one, several, or a mapping by name.
            policy: How messages are run; None for `Policy()`.

        Returns:
            How many messages were finished.
        """
        return await self.processor(agents, policy).drain(self.resolve_id(session_id))

    def check_for_turns(self) -> None:
        """Raise UsageError if a subclass overrides what a turn does not call."""
        if self._overridden:
            raise UsageError(
                f"{type(self).__name__} overrides {', '.join(self._overridden)}, which a turn does "
                "not call: it adds its items in one commit. Pass it to agents.Runner, or change "
                "what a model is given by RunConfig: session_input_callback, "
                "call_model_input_filter"
            )

    def processor(self, agents: Agents, policy: Policy | None = None) -> Processor:
        """What runs queued messages of this store's sessions. Takes the arguments of `drain`.

        Raises:
            UsageError: `agents` holds something else than agents of the SDK.
        """
        self.check_for_turns()
        return Processor(self.runtime, agents, policy or Policy(), self.session_settings)

    async def pending_approvals(self, session_id: str | None = None) -> list[PendingApproval]:
        """The tool calls of the parked turn that nobody has decided yet.

        Returns:
            In the order of the calls; pass their ids to `decide` or `Runner.resume`, in any
            process. Empty if no turn is parked, or if `approval_timeout` is over.
        """
        parked = await find_parked(self.runtime, self.resolve_id(session_id))
        return [] if parked is None or is_expired(parked.entry) else parked.pending

    async def aclose(self, grace: float = 20.0) -> None:
        """Close what this object opened. A client that was passed in stays open.

        This object, and all that `bind` made of it, raise UsageError from then on.

        Args:
            grace: Seconds that streamed turns of this event loop may take to end. Then they are
                cancelled: rolled back, or given back with their journal if they have a `turn_id`.
        """
        await self._runtime.aclose(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def resolve_id(self, session_id: str | None) -> str:
        """The session that a call is about: the one it names, else the bound one."""
        if session_id is not None:
            if self.session_id not in ("", session_id):
                raise UsageError(
                    f"this {type(self).__name__} is bound to {self.session_id!r}, and the call "
                    f"names {session_id!r}. Leave session_id out, or use the object that stands "
                    "for all sessions"
                )
            return check_session_id(session_id)
        if not self.session_id:
            raise UnboundSession(
                f"this {type(self).__name__} stands for all sessions of its store. Name one: pass "
                "session.bind('user-1') to the SDK's Runner, session_id='user-1' to Turnwise's"
            )
        return self.session_id
