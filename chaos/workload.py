"""What the workers are asked to do, drawn from a seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chaos.courses import Courses, is_accepted, is_answer, may_wait
from chaos.history import Call, History, Home
from chaos.operations import ALL, OPERATIONS, Operation
from chaos.operations.turns import TIMEOUT
from chaos.sender import Request, Sender, is_doubtful

_MOST_SENDINGS = 4
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Plan:
    """How much is done, to how many sessions.

    A session is left alone after about `life` operations, and has at most `busy` of them at once;
    `hot` of the sessions get more. `duplicates` and `cancels` are the shares of turns that are sent
    to two workers at once, and that are cancelled from a third. `weights` replaces those of the
    kinds of operations. `hold`: seconds that a brief turn lasts at the most. `gives_up`: the share
    of unknown outcomes that nobody asks after, at once and in the end. `patience`: seconds that a
    session may take to come to rest.
    """

    pumps: int = 128
    turn_sessions: int = 80
    plain_sessions: int = 6
    approval_sessions: int = 3
    policy_sessions: int = 3
    hot: int = 2
    life: int = 50
    plain_life: int = 40
    busy: int = 4
    duplicates: float = 0.06
    cancels: float = 0.02
    weights: dict[str, float] = field(default_factory=dict)
    hold: float = 0.0
    gives_up: float = 0.15
    patience: float = 30.0


@dataclass
class Conversation:
    """A session in use. `left`: operations to come; `busy`: those that go on, `most` at once."""

    id: str
    home: Home
    weight: float
    left: int
    most: int
    busy: int = 0


class Workload:
    """`rng` decides what is asked; when what happens, nobody can repeat."""

    def __init__(
        self, plan: Plan, rng: random.Random, sender: Sender, history: History, lease: float
    ) -> None:
        self._plan = plan
        self._rng = rng
        self._sender = sender
        self._history = history
        self._lease = lease
        self._stopping = False
        self._ops = 0
        self._courses = Courses(sender, rng, lease, min(TIMEOUT, plan.patience))
        self.sessions: dict[str, Home] = {}
        homes: list[Home] = []
        homes += ["turns"] * plan.turn_sessions
        homes += ["plain"] * plan.plain_sessions
        homes += ["approvals"] * plan.approval_sessions
        homes += ["policies"] * plan.policy_sessions
        self._live = [self._new(home, n < plan.hot) for n, home in enumerate(homes)]
        self._kinds = {home: self._weighted(home) for home in homes}

    def live(self) -> list[str]:
        """The ids of the sessions in use."""
        return [conversation.id for conversation in self._live]

    async def run(self, seconds: float) -> None:
        """Keep all pumps busy for so long; return when what they began is over."""
        pumps = [asyncio.create_task(self._pump()) for _ in range(self._plan.pumps)]
        await asyncio.sleep(seconds)
        self._stopping = True
        await asyncio.gather(*pumps)

    async def settle(self) -> None:
        """Send again most turns of which it is not known what became of them."""
        last: dict[str, Call] = {}
        answered = {call.op for call in self._history.calls if call.outcome == "ok"}
        for call in self._history.calls:
            if call.turn_id is not None and call.op not in answered:
                last[call.op] = call
        doubtful = [call for call in last.values() if is_doubtful(call)]
        chosen = [call for call in doubtful if self._rng.random() > self._plan.gives_up]
        await self._all(chosen, self._until_known)
        await self._all(self._unanswered(may_wait), self._courses.finished)

    def _unanswered(self, begins: Callable[[Call], bool]) -> list[Request]:
        """The operations that began in this way, and of whose end nobody knows."""
        begun = {call.op: call for call in self._history.calls if begins(call)}
        # A failover may bring back a turn that waits, though its end was told.
        lossy = any(fault.lossy for fault in self._history.faults)
        for call in self._history.calls:
            if is_answer(call) and not (lossy and call.kind in ("ask", "resume")):
                begun.pop(call.op, None)
        return [_again(call) for call in begun.values()]

    async def farewell(self) -> None:
        """One more change for each session: nothing must be in its way. Then each message's end."""
        await self._all(list(self.sessions.items()), self._goodbye)
        courses, patience = self._courses, self._plan.patience / 3
        await self._all(
            self._unanswered(is_accepted), lambda request: courses.awaited(request, 3, patience)
        )

    async def _all(self, things: Sequence[Thing], work: Callable[[Thing], Awaitable[None]]) -> None:
        left = list(reversed(things))

        async def some() -> None:
            while left:
                await work(left.pop())

        await asyncio.gather(*(some() for _ in range(self._plan.pumps)))

    async def _goodbye(self, session: tuple[str, Home]) -> None:
        name, home = session
        operation = OPERATIONS["add" if home == "plain" else "brief"]
        params: dict[str, Any] = (
            {"count": 1} if home == "plain" else {"timeout": self._plan.patience}
        )
        op = self._name()
        turn_id = f"t{op}" if operation.by_id else None
        await self._until_known_of(Request(operation, op, name, turn_id, params))

    async def _until_known(self, call: Call) -> None:
        await self._until_known_of(_again(call))

    async def _until_known_of(self, request: Request) -> None:
        for _ in range(_MOST_SENDINGS):
            if not is_doubtful(await self._sender.send(request)) or request.turn_id is None:
                return

    # One operation.

    async def _pump(self) -> None:
        while not self._stopping:
            conversation = self._choose()
            conversation.busy += 1
            try:
                await self._operate(conversation)
            finally:
                conversation.busy -= 1

    async def _operate(self, conversation: Conversation) -> None:
        request = self._drawn(conversation)
        if request.turn_id is None:
            await self._sender.send(request)
            return
        copies = 2 if self._rng.random() < self._plan.duplicates else 1
        sendings = (
            self._sender.send_impatiently(request, 1.3 * self._lease, 0.6) for _ in range(copies)
        )
        if self._rng.random() < self._plan.cancels:
            await asyncio.gather(*sendings, self._cancelled(request))
        else:
            calls = await asyncio.gather(*sendings)
            await self._follow_up(request, calls)
            await self._courses.go_on(request, calls)

    async def _cancelled(self, request: Request) -> Call:
        """Cancel it at some moment, from anywhere; its sender does not insist."""
        await asyncio.sleep(self._rng.choice([0.0, 0.01, 0.1, self._lease]))
        params = {"turn_id": request.turn_id, "op": request.op}
        cancel = Request(OPERATIONS["cancel"], self._name(), request.session, None, params)
        return await self._sender.send(cancel)

    async def _follow_up(self, request: Request, calls: list[Call]) -> None:
        """Do as a caller does who has no answer: send it again, unless it is given up."""
        for _ in range(_MOST_SENDINGS):
            known = any(call.outcome == "ok" for call in calls)
            gives_up = self._stopping or self._rng.random() < self._plan.gives_up
            if known or gives_up or not is_doubtful(calls[-1]):
                return
            await asyncio.sleep(self._rng.uniform(0, 0.3))
            calls.append(await self._sender.send_impatiently(request, 1.3 * self._lease, 0.6))

    def _drawn(self, conversation: Conversation) -> Request:
        rng = self._rng
        [operation] = rng.choices(*self._kinds[conversation.home])
        op = self._name()
        turn_id = f"t{op}" if operation.by_id and rng.random() < operation.named else None
        params = operation.draw(rng, self._lease)
        if self._plan.hold and operation.kind == "brief":
            params[rng.choice(["hold", "linger"])] = rng.uniform(0, self._plan.hold)
        return Request(operation, op, conversation.id, turn_id, params)

    def _choose(self) -> Conversation:
        """One that may have one more; it is replaced when it has had enough."""
        free = [one for one in self._live if one.busy < one.most] or self._live
        [chosen] = self._rng.choices(free, [one.weight for one in free])
        chosen.left -= 1
        if chosen.left <= 0:
            self._live[self._live.index(chosen)] = self._new(chosen.home, chosen.weight > 1.0)
        return chosen

    def _new(self, home: Home, hot: bool) -> Conversation:
        name = f"{home}-{len(self.sessions)}"
        self.sessions[name] = home
        life = self._plan.plain_life if home == "plain" else self._plan.life
        left = self._rng.randint(life // 2, 3 * life // 2)
        busy = self._plan.busy
        return Conversation(name, home, 6.0 if hot else 1.0, left, 3 * busy if hot else busy)

    def _weighted(self, home: Home) -> tuple[list[Operation], list[float]]:
        chosen = [operation for operation in ALL if operation.share(home)]
        return chosen, [self._plan.weights.get(one.kind, one.share(home)) for one in chosen]

    def _name(self) -> str:
        self._ops += 1
        return str(self._ops)


def _again(call: Call) -> Request:
    return Request(OPERATIONS[call.kind], call.op, call.session, call.turn_id, call.params)
