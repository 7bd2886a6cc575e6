"""What a wire asks of Turnwise. Nothing else in this package touches a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from agents import Agent, RunResult

from turnwise.background import Agents, Message, Receipt, Status, encoded_message
from turnwise.background.policy import agents_by_name
from turnwise.durable import checked_input
from turnwise.errors import UnknownAgent
from turnwise.fleet import QueuedEntry
from turnwise.fleet.webhooks import PendingWebhooks
from turnwise.hooks import TurnEvent
from turnwise.http.following import Event, Following
from turnwise.http.history_pages import HistoryPage, history_page
from turnwise.http.principals import Principal
from turnwise.http.problems import ServerStopping
from turnwise.http.quotas import Quotas
from turnwise.http.sse import Streams
from turnwise.http.stored import Stored
from turnwise.http.waits import Waits
from turnwise.http.webhook import Webhook
from turnwise.session import Session
from turnwise.turns import BusyPolicy, check_turn_id, mint
from turnwise.types import Cancellation, Info, PendingApproval, SessionPage

_PAUSE = 0.02
NO_WORKER = (
    "the worker of this app does not run, since the app's lifespan does not. An app that mounts it "
    "has to run it: FastAPI(lifespan=app.router.lifespan_context)"
)
"""An app learns by the first request, and not before, that its lifespan was left out."""


class Gateway:
    """Sends messages, and follows their answers, for principals.

    A turn never runs inside a request: it is submitted, a worker takes it, and who asked follows it
    from the store. So each method does the same on any replica. A session of another owner is
    treated as one that does not exist.

    Args:
        session: Stands for all sessions of the store.
        agents: The agents that messages may name, the default first.
        quotas: Counts what principals send, and their streams; None for no limits.
        webhook: Is told how responses in the background end; None: nobody is.

    Attributes:
        agents: The agents by their names.
        streams: Makes the responses that stream.
        waits: The requests that wait for a turn.
        is_stopping: Whether it takes no new messages.
        lacks_worker: Whether the worker that this process was given does not run.
        quotas: What counts.
        webhook: Who is told.
    """

    def __init__(
        self,
        session: Session,
        agents: Agents,
        quotas: Quotas | None = None,
        webhook: Webhook | None = None,
    ) -> None:
        self.agents: Mapping[str, Agent[Any]] = agents_by_name(agents)
        self.quotas = quotas
        self.webhook = webhook
        self.streams = Streams(quotas)
        self.waits = Waits()
        self.is_stopping = False
        self.lacks_worker = False
        self._sessions = session
        self._following = Following()

    def stop(self) -> None:
        """Take no new messages. Who waits for an answer, or follows one, goes on."""
        self.is_stopping = True

    async def emptied(self, timeout: float) -> None:
        """Return when nobody waits or follows any more, or after `timeout` seconds."""
        for _ in range(round(timeout / _PAUSE)):
            if not len(self.waits) and not len(self.streams):
                return
            await asyncio.sleep(_PAUSE)

    def end(self) -> None:
        """Send everybody away who waits or follows; each is told to come back."""
        self.streams.end()
        self.waits.end()

    def _session(self, principal: Principal) -> Session:
        """The sessions as the principal has them; the store checks it in each call."""
        return self._sessions.for_owner(principal.owner)

    def stored(self, principal: Principal) -> Stored:
        """What the store has of single turns and items of the principal's sessions."""
        return Stored(self._session(principal))

    def webhooks(self) -> PendingWebhooks:
        """The webhooks of the fleet that are still to be delivered."""
        return PendingWebhooks(self._sessions.runtime)

    def emit(self, event: TurnEvent) -> None:
        """Call the hooks of this process."""
        self._sessions.runtime.emit(event)

    async def ping(self) -> None:
        """Return if the store answers. Raises StoreError."""
        await self._sessions.ping()

    def agent(self, name: str | None) -> str:
        """The name of the agent that answers; None names the first.

        Raises:
            UnknownAgent: There is no agent of this name.
        """
        if name is None:
            return next(iter(self.agents))
        if name not in self.agents:
            raise UnknownAgent(
                f"there is no agent {name!r}; the agents are {', '.join(map(repr, self.agents))}"
            )
        return name

    async def send(
        self,
        principal: Principal,
        session_id: str,
        input: str | list[Any],
        *,
        turn_id: str | None = None,
        agent: str | None = None,
        busy: BusyPolicy = "enqueue",
        metadata: Mapping[str, Any] | None = None,
        after: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Receipt:
        """Submit a message: see `Session.submit`.

        Raises:
            ServerStopping: Nothing was queued.
            UnknownAgent: There is no agent of this name.
            HTTPException: 429 or 413: it is more than the principal's quota. Nothing was queued.
            RuntimeError: No worker would take it: see `NO_WORKER`.
            TurnwiseError: What `Session.submit` raises.
        """
        turn_id = mint() if turn_id is None else turn_id
        name = await self._admit(principal, session_id, turn_id, input, agent)
        return await self._session(principal).submit(
            session_id,
            input,
            agent=name,
            turn_id=turn_id,
            busy=busy,
            metadata=metadata,
            after=after,
            tools=tools,
        )

    async def rewind_and_send(
        self,
        principal: Principal,
        session_id: str,
        to: str | None,
        input: str | list[Any],
        *,
        turn_id: str,
        agent: str | None = None,
    ) -> Receipt:
        """Take a session back as `rewind`, and submit a message there.

        What refuses the message does so before anything of the history is removed.

        Raises:
            HTTPException, TurnwiseError: What `send` and `Session.rewind` raise.
        """
        name = await self._admit(principal, session_id, turn_id, input, agent)
        session = self._session(principal)
        check_turn_id(session_id, turn_id)
        message = Message(name, checked_input(session_id, input))
        encoded_message(session.runtime, session_id, message)
        await session.rewind(session_id, to=to)
        return await session.submit(session_id, input, agent=name, turn_id=turn_id)

    async def _admit(
        self,
        principal: Principal,
        session_id: str,
        turn_id: str,
        input: str | list[Any],
        agent: str | None,
    ) -> str:
        """Count a message, unless something refuses it. Returns the name of its agent."""
        name = self.agent(agent)
        if self.lacks_worker:
            raise RuntimeError(NO_WORKER)
        if self.is_stopping:
            raise ServerStopping(
                "this server stops, and nothing was queued. Send it again, with the same id",
                session_id=session_id,
            )
        if self.quotas is not None:
            await self.quotas.message(principal, session_id, turn_id, input)
        return name

    async def admit_items(
        self, principal: Principal, session_id: str, items: Sequence[Mapping[str, Any]]
    ) -> None:
        """Count items that come without a message, and the session if they begin it.

        Raises:
            HTTPException: 429 or 413: it is more than the principal's quota.
        """
        if self.quotas is not None:
            self.quotas.check_size(items)
            await self.quotas.session(principal, session_id)

    async def follow(
        self, principal: Principal, session_id: str, turn_id: str, after: str | None = None
    ) -> AsyncIterator[tuple[str, Event]]:
        """The turn's events as they come, from behind event `after`: see `Receipt.events`.

        However many follow a turn in this process, the store is read once.
        """
        receipt = self._receipt(principal, session_id, turn_id)
        async with aclosing(cast(Any, self._following.follow(receipt, after))) as events:
            async for event in events:
                yield event

    async def result(
        self,
        principal: Principal,
        session_id: str,
        turn_id: str,
        timeout: float | None,
        *,
        agent: str | None = None,
    ) -> RunResult:
        """Wait for the turn to finish, or to need somebody: see `Receipt.result`.

        Args:
            principal, session_id, turn_id: Whose turn it is.
            timeout: Seconds to wait; None for no limit.
            agent: The name of the agent that the turn started with, for its output type.

        Raises:
            ServerStopping: The server stops, and the turn goes on elsewhere.
            ApprovalPending: The turn is parked.
            SessionStopped: The session is stopped at the turn.
            TurnwiseError: What `Receipt.result` raises besides.
        """
        receipt, known = self._receipt(principal, session_id, turn_id), self._known(agent)
        async with self.waits.until_end(session_id):
            return await receipt.result(timeout, agent=known, wait_for_approvals=False)

    async def output(
        self,
        principal: Principal,
        session_id: str,
        turn_id: str,
        timeout: float | None,
        *,
        agent: str | None = None,
    ) -> Any:
        """The final output alone, however long the history is; otherwise as `result`."""
        receipt, known = self._receipt(principal, session_id, turn_id), self._known(agent)
        async with self.waits.until_end(session_id):
            return await receipt.output(timeout, agent=known, wait_for_approvals=False)

    def _receipt(self, principal: Principal, session_id: str, turn_id: str) -> Receipt:
        return self._session(principal).receipt(session_id, turn_id)

    def _known(self, agent: str | None) -> Agent[Any] | None:
        return None if agent is None else self.agents[agent]

    async def status(self, principal: Principal, session_id: str, turn_id: str) -> Status:
        """What has become of a turn so far."""
        return await self._session(principal).status(session_id, turn_id)

    async def info(self, principal: Principal, session_id: str) -> Info | None:
        """What is known of a session besides its content; None if there is none."""
        return await self._session(principal).info(session_id)

    async def open_turn(self, principal: Principal, session_id: str) -> str | None:
        """What a reload follows: the turn of a message that runs, is parked or stopped, or is next.

        None if there is none. Direct turns have no events to follow.
        """
        info = await self.info(principal, session_id)
        if info is None:
            return None
        turn = info.open_turn
        if turn is not None and turn.background:
            return turn.turn_id
        queue = await self._session(principal).queue(session_id) if info.queued else []
        return next((entry.turn_id for entry in queue if entry.kind == "message"), None)

    async def waiting(
        self, principal: Principal, session_id: str, count: int = 20
    ) -> list[QueuedEntry]:
        """The messages whose turns have not ended, the oldest first: the open turn's too.

        Args:
            principal, session_id: Whose.
            count: How many entries of the queue are looked at, from 1 to 256.
        """
        queue = await self._session(principal).queue(session_id, count)
        return [entry for entry in queue if entry.kind == "message"]

    async def cancel(
        self,
        principal: Principal,
        session_id: str,
        turn_id: str | None = None,
        reason: str | None = None,
    ) -> Cancellation:
        """Cancel a turn, or the open one: see `Session.cancel`."""
        return await self._session(principal).cancel(session_id, turn_id, reason=reason)

    async def approvals(self, principal: Principal, session_id: str) -> list[PendingApproval]:
        """The tool calls of the parked turn that nobody has decided yet."""
        return await self._session(principal).pending_approvals(session_id)

    async def decide(
        self,
        principal: Principal,
        session_id: str,
        *,
        approve: Iterable[str] = (),
        reject: Mapping[str, str | None] | None = None,
        always_approve: Iterable[str] = (),
        always_reject: Mapping[str, str | None] | None = None,
        reason: str | None = None,
    ) -> list[PendingApproval]:
        """Decide pending approvals; a worker goes on with the turn: see `Session.decide`."""
        return await self._session(principal).decide(
            session_id,
            approve=approve,
            reject=reject,
            always_approve=always_approve,
            always_reject=always_reject,
            reason=reason,
        )

    async def history(
        self, principal: Principal, session_id: str, count: int, before: str | None = None
    ) -> HistoryPage | None:
        """The last `count` turns before the cursor `before`.

        Returns:
            None if there is no such session.

        Raises:
            UsageError: The history does not have the turn that the cursor names, or not any more.
        """
        return await history_page(self._session(principal), session_id, count, before)

    async def sessions(
        self, principal: Principal, match: str = "*", cursor: str | None = None, count: int = 100
    ) -> SessionPage:
        """A part of the owner's sessions: see `Session.sessions`."""
        return await self._session(principal).sessions(match, cursor=cursor, count=count)

    async def copy(
        self, principal: Principal, session_id: str, new_id: str, at: str | None = None
    ) -> int:
        """Copy a session's history, to the end of turn `at`: see `Session.copy`.

        Raises:
            HTTPException: 429: it is one more session than the principal's quota. Nothing was made.
            TurnwiseError: What `Session.copy` raises.
        """
        if self.quotas is not None:
            await self.quotas.session(principal, new_id)
        return await self._session(principal).copy(session_id, new_id, at=at)

    async def rewind(self, principal: Principal, session_id: str, to: str | None) -> int:
        """Take a session back to the end of turn `to`, or to its beginning: `Session.rewind`."""
        return await self._session(principal).rewind(session_id, to=to)

    async def delete(self, principal: Principal, session_id: str) -> bool:
        """Delete a session; False if there is none: see `Session.delete`."""
        return await self._session(principal).delete(session_id)
