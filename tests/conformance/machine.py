"""A Hypothesis state machine: clients that die between any two of their calls, against the model.

Several clients each do one thing after the other (see `clients`), call by call and in any order. A
client may die after any call; the call that it was about to make may arrive nevertheless, much
later. Any call may arrive again. After every call the session must be what the model says, and
once all clients are dead, a single worker must bring every message to its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.conformance import clients
from tests.conformance.clients import Operation, Task
from tests.conformance.machine_tasks import (
    ALL,
    CLIENTS,
    another,
    based,
    begun,
    changes,
    direct,
    heirs,
    some,
    submits,
    tasks,
    who,
    workers,
)
from turnwise.codec.elements import MARKER, is_item, parse_record
from turnwise.contracts import Store
from turnwise.limits import ACK_IDLE_AFTER_MS, LATE_MS, Limits
from turnwise.testing.conformance.lab import Lab, expect
from turnwise.testing.conformance.model import Call, Model
from turnwise.testing.conformance.model_state import Waiting
from turnwise.types import Base, History, Info, Late, Renewed

LEASE = 5_000
SESSION = "s"
ROUNDS = 5
"""How often the last worker looks for messages. Each time, all leases and claims have expired."""

UNMODELED: dict[str, Callable[[Store, dict[str, Any]], Awaitable[Any]]] = {
    "read": lambda store, a: store.read(SESSION),
    "status": lambda store, a: store.status(SESSION, **a),
    "expire": lambda store, a: store.expire(SESSION, **a),
    "announce": lambda store, a: store.ready.announce(SESSION, **a),
    "claim": lambda store, a: store.ready.claim(a["worker"], 10, 0),
    "ack": lambda store, a: store.ready.ack(**a),
    "requeue": lambda store, a: store.ready.requeue(delay_ms=0, **a),
}
"""The calls that the model does not know."""


@dataclass(slots=True)
class Client:
    """A process: its connection, and what it is about to do."""

    name: str
    store: Store | None = None
    task: Task | None = None
    operation: Operation | None = None
    call: Call | None = None


@dataclass
class World:
    """One lab under one machine; `run` is its event loop's."""

    lab: Lab
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    close: Callable[[], Coroutine[Any, Any, None]]
    model: Model = field(default_factory=Model)
    sent: list[Call] = field(default_factory=list)
    tips: list[tuple[Base, list[bytes], int]] = field(default_factory=list)
    count: int = 0
    deleted: bool = False
    failed: bool = False

    def __post_init__(self) -> None:
        self.looker = self.lab.store()

    def new(self, what: str) -> str:
        self.count += 1
        return f"{what}-{self.count}"

    async def send(self, who: str, store: Store, call: Call) -> Any:
        """Make a call, and see that its answer is right and what it did as well."""
        self.failed = True
        answer = await self._ask(store, call)
        note(f"{who}: {_told(call)} -> {answer}")
        if call not in self.sent:
            self.sent.append(call)
        await self._judge(store, call, answer)
        await self._look(call)
        self.failed = False
        return answer

    async def _ask(self, store: Store, call: Call) -> Any:
        verb, args = call
        if verb in UNMODELED:
            return await UNMODELED[verb](store, args)
        options = dict(args)
        if verb in ("begin", "next"):
            options |= {"lease_ms": LEASE, "worker": "w"}
            if options.pop("ticket_ms", False):
                options["ticket_ms"] = 4 * LEASE
        return await getattr(store, verb)(SESSION, **options)

    async def _judge(self, store: Store, call: Call, answer: Any) -> None:
        verb, args = call
        if verb == "expire":
            assert answer is True
        elif verb == "delete":
            await self._made_anew(store)
        elif isinstance(answer, Late):
            assert await self.lab.now() - args["announced_at"] > LATE_MS
        elif verb not in UNMODELED:
            known = {name: value for name, value in args.items() if name != "announced_at"}
            if verb in ("begin", "next"):
                known["mortal"] = False
            self.model.accept((verb, known), answer)
            if isinstance(answer, Renewed) and self.model.open is not None:
                self.model.open.mortal = False

    async def _made_anew(self, store: Store) -> None:
        """The model knows no absent session: it is there again at once, and another one."""
        self.deleted, cuts = True, self.model.cuts
        self.model = Model()
        self.model.cuts = cuts + 1
        await self.first(store)

    async def first(self, store: Store) -> None:
        call: Call = "append", {"op_id": self.new("first"), "items": []}
        self.model.accept(call, await self._ask(store, call))
        await self._look(call)

    async def _look(self, call: Call) -> None:
        """The history and all that is known of turns are the model's; each base is right or not."""
        store, model = self.looker, self.model
        history = expect(History, await store.read(SESSION))
        assert [e for e in history.elements if is_item(e)] == model.items
        _check_turns(history)
        model.compare(expect(Info, await store.info(SESSION)))
        for turn_id in self._in_doubt(call):
            model.look(turn_id, await store.status(SESSION, turn_id))
        model.tip = history.tip
        for base, before, cuts in self.tips[-1:]:
            since = expect(History, await store.read(SESSION, base))
            assert since.follows or cuts < model.cuts
            if since.follows:
                new = [e for e in since.elements if is_item(e)]
                assert before + new == model.items
        if not self.tips or self.tips[-1][0] != history.tip:
            self.tips.append((history.tip, list(model.items), model.cuts))

    def waiting(self) -> list[Waiting]:
        """The messages in the queue."""
        return [entry for entry in self.model.queue if not entry.token]

    def _in_doubt(self, call: Call) -> set[str]:
        """Turns whose state may have changed: the last call's, the one that is open, the next."""
        opened = self.model.open.turn_id if self.model.open else None
        first = [entry.turn_id for entry in self.waiting()[:1]]
        return {turn_id for turn_id in (call[1].get("turn_id"), opened, *first) if turn_id}

    async def pass_time(self, ms: int) -> None:
        await self.lab.passed(ms)
        if (turn := self.model.open) is not None and not turn.parked and turn.letter is None:
            turn.mortal, turn.delayed = True, False


def _check_turns(history: History) -> None:
    """Each marker has its record, no turn_id comes twice, and the last record is the tip."""
    marks = [(i, e) for i, e in enumerate(history.elements) if not is_item(e)]
    markers, records = marks[::2], marks[1::2]
    assert all(e.startswith(MARKER) for _, e in markers)
    assert [i + 1 for i, _ in markers] == [i for i, _ in records]
    assert len({e for _, e in markers}) == len(markers)
    assert parse_record(records[-1][1]).commit_id == history.tip.commit_id


def _told(call: Call) -> str:
    verb, args = call
    return f"{verb}({', '.join(f'{name}={value!r}' for name, value in args.items())})"


class StoreMachine(RuleBasedStateMachine):
    """The rules. None depends on what a store answered: so an example shrinks well."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.clients = [Client(f"client {number}") for number in range(CLIENTS)]
        self.world.run(world.first(world.looker))

    def _call(self, client: Client) -> None:
        """The client's next call, if it has one."""
        if client.operation is None or client.call is None:
            return
        client.store = client.store or self.world.lab.store()
        answer = self.world.run(self.world.send(client.name, client.store, client.call))
        try:
            client.call = client.operation.send(answer)
        except StopIteration:
            client.operation = client.call = None

    @rule(number=who, task=tasks, steps=some)
    def start(self, number: int, task: Task, steps: int) -> None:
        """A client begins something else; what it was doing is not gone on with."""
        client = self.clients[number]
        client.task, client.operation = task, task.run(self.world.new)
        client.call = next(client.operation)
        self.go(number, steps)

    @rule(number=who, steps=some)
    def go(self, number: int, steps: int) -> None:
        for _ in range(steps):
            self._call(self.clients[number])

    @rule(
        number=who, by=who, leases=st.sampled_from([0, 1, 1]), steps=some, ghost=st.integers(0, 4)
    )
    def retry(self, number: int, by: int, leases: int, steps: int, ghost: int) -> None:
        """What a client is at is sent to another one; the first comes back as a ghost."""
        task = self.clients[number].task
        if task is not None and by != number:
            if leases:
                self.wait(leases)
            self.start(by, task, steps)
            self.go(number, ghost)

    @rule(number=who, heir=another, ghost=direct, work=heirs, calls=st.integers(2, 4), steps=begun)
    def ghost(
        self,
        number: int,
        heir: int,
        ghost: clients.Work,
        work: clients.Work,
        calls: int,
        steps: int,
    ) -> None:
        """A client outlives its lease, and continues just when its turn has been taken over."""
        turn_id = self.world.new("turn")
        self.start(number, clients.Turn(turn_id, ghost), calls)
        self.wait(1)
        self.start((number + heir) % CLIENTS, clients.Turn(turn_id, work), steps)
        self.go(number, ALL)

    @rule(number=who, other=another, task=based, change=changes)
    def moved(self, number: int, other: int, task: Task, change: clients.Change) -> None:
        """The history changes after a client has read it."""
        self.start(number, task, 1)
        self.start((number + other) % CLIENTS, change, ALL)
        self.go(number, ALL)

    @rule(number=who, other=another, task=submits, worker=workers)
    def answered(self, number: int, other: int, task: Task, worker: Task) -> None:
        """A message is sent, answered, and sent again."""
        for client, does in ((number, task), (number + other, worker), (number, task)):
            self.start(client % CLIENTS, does, ALL)

    @rule(number=who, on_its_way=st.booleans())
    def crash(self, number: int, on_its_way: bool) -> None:
        """Its next call may have left it already: then it can arrive later, as a resend."""
        client = self.clients[number]
        if on_its_way and client.call is not None:
            self.world.sent.append(client.call)
        note(f"{client.name} dies")
        self.clients[number] = Client(client.name)

    @rule(number=who, back=st.integers(0, 12))
    def resend(self, number: int, back: int) -> None:
        """A call of whomever arrives again, `back` calls later."""
        sent = self.world.sent
        if back < len(sent):
            self._again(number, sent[len(sent) - 1 - back])

    def _again(self, number: int, call: Call) -> None:
        client = self.clients[number]
        client.store = client.store or self.world.lab.store()
        self.world.run(self.world.send("again", client.store, call))

    @rule(number=who, other=another, change=changes, then=st.none() | changes)
    def lost(
        self, number: int, other: int, change: clients.Change, then: clients.Change | None
    ) -> None:
        """The reply to a change is lost; it is made again, of a history that may have moved on."""
        self.start(number, change, ALL)
        call = self.world.sent[-1]
        if then is not None:
            self.start((number + other) % CLIENTS, then, ALL)
        self._again(number, call)

    @rule(leases=st.sampled_from([1, 3]))
    def wait(self, leases: int) -> None:
        note(f"{leases} leases run out")
        self.world.run(self.world.pass_time(leases * LEASE + 1))

    def teardown(self) -> None:
        """Also called after a failure, which must be the one that is reported."""
        try:
            if not self.world.failed:
                self.world.run(self._at_last())
        finally:
            self.world.run(self.world.close())

    async def _at_last(self) -> None:
        """All clients are dead; who comes after them finds everything, and leaves it tidy."""
        world = self.world
        store = world.lab.store(Limits(visibility_timeout_ms=0))
        for _ in range(ROUNDS):
            await world.pass_time(ACK_IDLE_AFTER_MS + 3 * LEASE)
            await self._free(store)
            if world.deleted:
                await store.ready.sweep(force=True)
            await self._do(store, clients.Worker(clients.Work(entries=0)).run(world.new))
            if not world.waiting() and not await store.ready.claim("last", 10, 0):
                break
        assert not world.waiting(), "a message was lost"
        assert not await store.ready.claim("last", 10, 0), "a wake-up was left"
        await self._do(store, clients.Turn("last", clients.Work()).run(world.new))
        assert world.model.finished.get("last"), "the session is not free"

    async def _free(self, store: Store) -> None:
        """End a turn that would stay for ever: parked, or stopped, or its resumer is dead."""
        opened = self.world.model.open
        if opened is not None and (opened.parked or opened.resumed or opened.letter is not None):
            options = {"keep": False, "force": False, "open_only": False}
            call: Call = "cancel", {"turn_id": opened.turn_id, **options}
            await self.world.send("last", store, call)

    async def _do(self, store: Store, operation: Operation) -> None:
        answer: Any = None
        try:
            while True:
                answer = await self.world.send("last", store, operation.send(answer))
        except StopIteration:
            pass
