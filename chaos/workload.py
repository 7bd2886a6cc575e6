"""The workload: clients that invoke operations, generated from a seed, on many sessions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chaos.clients.site import owner_of
from chaos.history import History, Invocation, SessionKind
from chaos.invoker import Invoker, Operation, should_retry
from chaos.operations import ALL_KINDS, KINDS, OperationKind
from chaos.operations.http import HttpKind
from chaos.operations.turns import TIMEOUT
from chaos.scenarios import Scenarios, is_accepted, is_final, may_be_parked

_MAX_TRIES = 4
T = TypeVar("T")


@dataclass(frozen=True)
class WorkloadConfig:
    """How many clients work on how many sessions, and how.

    A session is replaced after about `session_length` operations and has at most `max_in_flight`
    of them at once; the first `hot_sessions` get more. `duplicate_share` and `cancel_share` are the
    shares of turns that are invoked on two workers at once, and that are cancelled from a third.
    `weights` overrides those of the kinds of operations. `twin_share` and `peek_share` are the
    shares of messages over HTTP whose turn_id somebody else uses for a message of their own, and
    whose turn somebody else asks for. `max_pause`: seconds that a short turn
    pauses at most. `no_retry_share`: the share of unknown outcomes that nobody retries, at once
    and in the end. `quiesce_timeout`: seconds within which a session must come to rest.
    """

    clients: int = 128
    turn_sessions: int = 80
    plain_sessions: int = 6
    approval_sessions: int = 3
    policy_sessions: int = 3
    hot_sessions: int = 2
    session_length: int = 50
    plain_session_length: int = 40
    max_in_flight: int = 4
    duplicate_share: float = 0.06
    cancel_share: float = 0.02
    twin_share: float = 0.0
    peek_share: float = 0.0
    weights: dict[str, float] = field(default_factory=dict)
    max_pause: float = 0.0
    no_retry_share: float = 0.15
    quiesce_timeout: float = 30.0


@dataclass
class LiveSession:
    """A session in use. `remaining`: the number of operations until it is replaced."""

    id: str
    kind: SessionKind
    weight: float
    remaining: int
    max_in_flight: int
    in_flight: int = 0


class Workload:
    """`rng` decides what is invoked; the timing is not repeatable."""

    def __init__(
        self,
        config: WorkloadConfig,
        rng: random.Random,
        invoker: Invoker,
        history: History,
        lease: float,
    ) -> None:
        self._config = config
        self._rng = rng
        self._invoker = invoker
        self._history = history
        self._lease = lease
        self._stopping = False
        self._ops = 0
        self._scenarios = Scenarios(invoker, rng, lease, min(TIMEOUT, config.quiesce_timeout))
        self.sessions: dict[str, SessionKind] = {}
        kinds: list[SessionKind] = []
        kinds += ["turns"] * config.turn_sessions
        kinds += ["plain"] * config.plain_sessions
        kinds += ["approvals"] * config.approval_sessions
        kinds += ["policies"] * config.policy_sessions
        self._live = [
            self._new_session(kind, n < config.hot_sessions) for n, kind in enumerate(kinds)
        ]
        self._operation_kinds = {kind: self._kinds_and_weights(kind) for kind in kinds}

    def live_sessions(self) -> list[str]:
        """The ids of the sessions in use."""
        return [session.id for session in self._live]

    async def run(self, seconds: float) -> None:
        """Run all clients for so long; return when their last operations are completed."""
        clients = [asyncio.create_task(self._client()) for _ in range(self._config.clients)]
        await asyncio.sleep(seconds)
        self._stopping = True
        await asyncio.gather(*clients)

    # Once the faults are over.

    async def retry_unknown(self) -> None:
        """Retry most turns whose outcome is unknown, and decide all parked ones."""
        last: dict[str, Invocation] = {}
        known = {one.op for one in self._history.invocations if one.outcome == "ok"}
        for invocation in self._history.invocations:
            if invocation.turn_id is not None and invocation.op not in known:
                last[invocation.op] = invocation
        unknown = [one for one in last.values() if should_retry(one)]
        chosen = [one for one in unknown if self._rng.random() > self._config.no_retry_share]
        await self._for_each(chosen, lambda one: self._invoke_until_known(_operation_of(one)))
        await self._for_each(self._unfinished(may_be_parked), self._scenarios.decide_or_cancel)

    async def probe_sessions(self) -> None:
        """Change each session once more: nothing may block it. Then await all messages."""
        await self._for_each(list(self.sessions.items()), self._probe)
        scenarios, timeout = self._scenarios, self._config.quiesce_timeout / 3
        await self._for_each(
            self._unfinished(is_accepted), lambda one: scenarios.await_result(one, 3, timeout)
        )

    def _unfinished(self, is_first_step: Callable[[Invocation], bool]) -> list[Operation]:
        """The operations that began with such a step and have no final response."""
        begun = {one.op: one for one in self._history.invocations if is_first_step(one)}
        # A failover may bring back a parked turn that had already ended.
        lossy = any(fault.lossy for fault in self._history.faults)
        for one in self._history.invocations:
            if is_final(one) and not (lossy and one.kind in ("approval-run", "resume")):
                begun.pop(one.op, None)
        return [_operation_of(one) for one in begun.values()]

    async def _for_each(self, items: Sequence[T], function: Callable[[T], Awaitable[None]]) -> None:
        remaining = list(reversed(items))

        async def client() -> None:
            while remaining:
                await function(remaining.pop())

        await asyncio.gather(*(client() for _ in range(self._config.clients)))

    async def _probe(self, session: tuple[str, SessionKind]) -> None:
        """With a turn: unlike an add, it passes over what killed callers left in the queue."""
        session_id, session_kind = session
        kind = KINDS["rewrite" if session_kind == "plain" else "short-turn"]
        params: dict[str, Any] = (
            {} if session_kind == "plain" else {"timeout": self._config.quiesce_timeout}
        )
        op = self._next_op()
        turn_id = f"t{op}" if kind.takes_turn_id else None
        await self._invoke_until_known(Operation(kind, op, session_id, turn_id, params))

    async def _invoke_until_known(self, operation: Operation) -> None:
        for _ in range(_MAX_TRIES):
            invocation = await self._invoker.invoke(operation)
            if not should_retry(invocation) or operation.turn_id is None:
                return

    # One operation.

    async def _client(self) -> None:
        while not self._stopping:
            session = self._choose_session()
            session.in_flight += 1
            try:
                await self._perform(self._generate(session))
            finally:
                session.in_flight -= 1

    async def _perform(self, operation: Operation) -> None:
        if operation.turn_id is None:
            await self._invoker.invoke(operation)
            return
        copies = 2 if self._rng.random() < self._config.duplicate_share else 1
        invocations = [self._invoke_hedged(operation) for _ in range(copies)]
        if isinstance(operation.kind, HttpKind):
            invocations += map(self._invoker.invoke, self._strangers(operation))
        if self._rng.random() < self._config.cancel_share:
            await asyncio.gather(*invocations, self._cancel(operation))
        else:
            completed = (await asyncio.gather(*invocations))[:copies]
            await self._retry(operation, completed)
            await self._scenarios.continue_after(operation, completed)

    async def _invoke_hedged(self, operation: Operation) -> Invocation:
        return await self._invoker.invoke_hedged(operation, 1.3 * self._lease, 0.6)

    async def _cancel(self, operation: Operation) -> Invocation:
        """Cancel it at some moment, on any worker; it is not retried then."""
        await asyncio.sleep(self._rng.choice([0.0, 0.01, 0.1, self._lease]))
        params = {"turn_id": operation.turn_id, "op": operation.op}
        kind = KINDS["http-cancel" if isinstance(operation.kind, HttpKind) else "cancel"]
        return await self._invoker.invoke(
            Operation(kind, self._next_op(), operation.session, None, params)
        )

    def _strangers(self, operation: Operation) -> list[Operation]:
        """What somebody else does meanwhile, who must neither disturb it nor learn of it."""
        found = []
        if self._rng.random() < self._config.peek_share:
            params = {"turn_id": operation.turn_id, "op": operation.op}
            op = self._next_op()
            found.append(Operation(KINDS["http-peek"], op, operation.session, None, params))
        if self._rng.random() < self._config.twin_share:
            mine = owner_of(operation.session)
            others = [one.id for one in self._live if owner_of(one.id) != mine]
            twin = self._rng.choice(others), operation.turn_id, {"plan": ""}
            found.append(Operation(operation.kind, f"{operation.op}.twin", *twin))
        return found

    async def _retry(self, operation: Operation, invocations: list[Invocation]) -> None:
        """Retry a few times while the outcome is unknown, as most callers do."""
        for _ in range(_MAX_TRIES):
            known = any(one.outcome == "ok" for one in invocations)
            is_last = self._stopping or self._rng.random() < self._config.no_retry_share
            if known or is_last or not should_retry(invocations[-1]):
                return
            await asyncio.sleep(self._rng.uniform(0, 0.3))
            invocations.append(await self._invoke_hedged(operation))

    def _generate(self, session: LiveSession) -> Operation:
        rng = self._rng
        [kind] = rng.choices(*self._operation_kinds[session.kind])
        op = self._next_op()
        turn_id = f"t{op}" if kind.takes_turn_id and rng.random() < kind.turn_id_share else None
        params = kind.generate(rng, self._lease)
        if self._config.max_pause and kind.name == "short-turn":
            seconds = rng.uniform(0, self._config.max_pause)
            params[rng.choice(["pause_before_answer", "pause_after_answer"])] = seconds
        return Operation(kind, op, session.id, turn_id, params)

    def _choose_session(self) -> LiveSession:
        """One below its limit; it is replaced when it has had enough operations."""
        free = [one for one in self._live if one.in_flight < one.max_in_flight] or self._live
        [chosen] = self._rng.choices(free, [one.weight for one in free])
        chosen.remaining -= 1
        if chosen.remaining <= 0:
            replacement = self._new_session(chosen.kind, chosen.weight > 1.0)
            self._live[self._live.index(chosen)] = replacement
        return chosen

    def _new_session(self, kind: SessionKind, is_hot: bool) -> LiveSession:
        session_id = f"{kind}-{len(self.sessions)}"
        self.sessions[session_id] = kind
        config = self._config
        length = config.plain_session_length if kind == "plain" else config.session_length
        remaining = self._rng.randint(length // 2, 3 * length // 2)
        limit = config.max_in_flight
        if is_hot:
            return LiveSession(session_id, kind, 6.0, remaining, 3 * limit)
        return LiveSession(session_id, kind, 1.0, remaining, limit)

    def _kinds_and_weights(
        self, session_kind: SessionKind
    ) -> tuple[list[OperationKind], list[float]]:
        chosen = [
            kind
            for kind in ALL_KINDS
            if kind.session_kind == session_kind or kind.weight_on(session_kind)
        ]
        weights = self._config.weights
        return chosen, [weights.get(kind.name, kind.weight_on(session_kind)) for kind in chosen]

    def _next_op(self) -> str:
        self._ops += 1
        return str(self._ops)


def _operation_of(invocation: Invocation) -> Operation:
    """The operation of an invocation, to be invoked again."""
    return Operation(
        KINDS[invocation.kind],
        invocation.op,
        invocation.session,
        invocation.turn_id,
        invocation.params,
    )
