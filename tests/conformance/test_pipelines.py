"""Commands of many sessions in one pipeline: what happens to one of them is its own affair."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from tests.conformance.labs import PREFIX
from turnwise.errors import NotASession, StoreRefused, StoreUnavailable
from turnwise.stores.redis import RedisStore, standalone_client
from turnwise.stores.redis.clients import Client, close
from turnwise.stores.redis.pipeline import LARGE, MAX_UNDER_WAY
from turnwise.stores.redis.scripts import script
from turnwise.testing.conformance.lab import added, contents, item, items, mint
from turnwise.testing.proxy import (
    Command,
    CutReply,
    DelayReply,
    DropRequest,
    Fault,
    FaultProxy,
    LoseReply,
    RefuseRequest,
    lose_replies,
)
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until
from turnwise.types import Done, Info

NAMES = [f"s{number}" for number in range(12)]
MIDDLE = NAMES[6]
LONG = 30.0


class Wire:
    """A store behind a proxy, whose next commands share a pipeline while it is `busy`."""

    def __init__(self, proxy: FaultProxy, store: RedisStore) -> None:
        self.proxy = proxy
        self.store = store
        self.sent: dict[str, list[int]] = {}
        self.fault: Callable[[str], Fault | None] = lambda session_id: None
        """Of a session's first command."""
        self.second_fault: Callable[[str], Fault | None] = lambda session_id: None
        proxy.faults = self._judge

    def _judge(self, command: Command) -> Fault | None:
        if command.name not in ("EVALSHA", "EVAL"):
            return None
        session_id = command.args[2].decode().removeprefix(PREFIX)
        connections = self.sent.setdefault(session_id, [])
        connections.append(command.connection)
        if len(connections) > 2:
            return None
        return (self.fault if len(connections) == 1 else self.second_fault)(session_id)

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """As many commands are under way as may be, until the block ends."""
        await self.store.info("known script")
        held = [DelayReply() for _ in range(MAX_UNDER_WAY)]
        fault, self.fault = self.fault, lambda session_id: held[int(session_id[4:])]
        calls = [asyncio.create_task(self.store.info(f"busy{n}")) for n in range(MAX_UNDER_WAY)]
        for each in held:
            await each.arrived.wait()
        self.fault = fault
        try:
            yield
        finally:
            for each in held:
                each.release()
            await asyncio.gather(*calls)

    async def append_to_all(self, names: Collection[str] = NAMES) -> None:
        answers = await asyncio.gather(*(self.append(name) for name in names))
        assert all(isinstance(answer, Done) for answer in answers)

    async def append(self, name: str) -> object:
        return await self.store.append(name, mint(), items(name))

    @property
    def shared_by(self) -> set[str]:
        """The sessions whose first commands went through one connection, the busiest."""
        first = [connections[0] for connections in self.sent.values()]
        busiest = max(first, key=first.count)
        return {name for name, (connection, *_) in self.sent.items() if connection == busiest}


@pytest.fixture
async def wire(valkey: ValkeyServer) -> AsyncIterator[Wire]:
    await valkey.command("FLUSHALL")
    async with wired(valkey, standalone_client) as wire:
        yield wire


@asynccontextmanager
async def wired(
    valkey: ValkeyServer, connect: Callable[[str], Client], **options: Any
) -> AsyncIterator[Wire]:
    async with FaultProxy.before(valkey.url) as proxy:
        client = connect(proxy.url)
        store = RedisStore(client, key_prefix=PREFIX, **options)
        try:
            yield Wire(proxy, store)
        finally:
            await store.aclose()
            await close(client)


async def each_has_its_own(store: RedisStore, names: Collection[str] = NAMES) -> None:
    for name in names:
        assert await contents(store, name) == items(name)


async def test_commands_that_are_ready_together_share_a_pipeline(wire: Wire) -> None:
    await added(wire.store, "other", "known script")
    async with wire.busy():
        await wire.append_to_all()  # those that are held back hold nobody else up
    assert wire.shared_by >= set(NAMES)
    assert all(len(wire.sent[name]) == 1 for name in NAMES)
    await each_has_its_own(wire.store)


async def test_many_sessions_at_once_hold_few_connections(wire: Wire) -> None:
    names = [f"many{number}" for number in range(100)]
    for _ in range(3):
        await asyncio.gather(*(wire.store.info(name) for name in names))
    used = {connection for name in names for connection in wire.sent[name]}
    assert len(used) <= 2 * MAX_UNDER_WAY


async def test_a_single_caller_holds_one_connection(wire: Wire) -> None:
    for name in NAMES:
        await wire.append(name)
        await wire.store.read(name)
    assert len({connection for name in NAMES for connection in wire.sent[name]}) == 1


async def test_a_large_command_goes_alone(wire: Wire) -> None:
    await added(wire.store, "other", "known script")
    held = DelayReply()  # else the pipeline might find its connection free
    async with wire.busy():
        wire.fault = lambda name: held if name == "large" else None
        appending = wire.store.append("large", mint(), [item("x" * LARGE)])
        large = asyncio.create_task(appending)
        await held.arrived.wait()
        await wire.append_to_all()
        held.release()
        await large
    assert wire.shared_by >= set(NAMES)
    assert "large" not in wire.shared_by


@pytest.mark.parametrize(
    "fault", [LoseReply(), CutReply(), DropRequest()], ids=lambda f: type(f).__name__
)
async def test_a_connection_that_breaks_in_mid_pipeline(wire: Wire, fault: Fault) -> None:
    await added(wire.store, "other", "known script")
    wire.fault = lambda name: fault if name == MIDDLE else None
    async with wire.busy():
        await wire.append_to_all()
    assert len(wire.proxy.injected) == MAX_UNDER_WAY + 1
    assert len(wire.sent[MIDDLE]) == 2
    resent = [name for name in NAMES if len(wire.sent[name]) == 2]
    assert len({wire.sent[name][1] for name in resent}) == len(resent), "a resend goes alone"
    await each_has_its_own(wire.store)


async def test_a_cancelled_caller_leaves_its_neighbours_their_replies(wire: Wire) -> None:
    await added(wire.store, "other", "known script")
    held = DelayReply()
    wire.fault = lambda name: held if name == NAMES[0] else None
    async with wire.busy():
        calls = {name: asyncio.create_task(wire.append(name)) for name in NAMES}
        await held.arrived.wait()
        calls[MIDDLE].cancel()
        await asyncio.wait({calls[MIDDLE]})
        held.release()
        others = [call for name, call in calls.items() if name != MIDDLE]
        answers = await asyncio.gather(*others)
    assert calls[MIDDLE].cancelled()
    assert all(isinstance(answer, Done) for answer in answers)
    assert all(len(wire.sent[name]) == 1 for name in NAMES)
    await each_has_its_own(wire.store)


async def test_a_caller_that_is_cancelled_before_the_pipeline_is_sent(wire: Wire) -> None:
    async with wire.busy():
        calls = [asyncio.create_task(wire.store.info(name)) for name in NAMES]
        await asyncio.sleep(0)  # now they wait
        calls[0].cancel()
        await asyncio.wait(calls)
    assert [call.cancelled() for call in calls] == [True] + [False] * (len(calls) - 1)
    assert NAMES[0] not in wire.sent


async def test_a_command_whose_time_is_over_leaves_its_neighbours_their_replies(
    wire: Wire,
) -> None:
    await added(wire.store, "other", "known script")
    held = DelayReply()
    wire.fault = lambda name: held if name == NAMES[0] else None
    transport = wire.store._transport
    async with wire.busy():
        timeout, transport.timeout = transport.timeout, 0.1
        hasty = asyncio.create_task(wire.append(MIDDLE))
        await asyncio.sleep(0)  # now it waits, for so long
        transport.timeout = timeout
        patient = [name for name in NAMES if name != MIDDLE]
        others = [asyncio.create_task(wire.append(name)) for name in patient]
        assert isinstance(await hasty, Done)
        assert not any(call.done() for call in others)
        assert MIDDLE in wire.shared_by
        held.release()
        answers = await asyncio.gather(*others)
    assert all(isinstance(answer, Done) for answer in answers)
    assert [len(wire.sent[name]) for name in NAMES] == [1 + (name == MIDDLE) for name in NAMES]
    await each_has_its_own(wire.store)


async def test_after_its_last_caller_a_pipeline_ends(wire: Wire) -> None:
    held = DelayReply()
    wire.fault = lambda name: held if name == NAMES[0] else None
    async with wire.busy():
        calls = [asyncio.create_task(wire.store.info(name)) for name in NAMES]
        await held.arrived.wait()
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        held.release()
        again = await asyncio.gather(*(wire.store.info(name) for name in NAMES))
    assert len(again) == len(NAMES)
    # What the client had not read yet is no later caller's reply.
    assert {wire.sent[name][0] for name in NAMES}.isdisjoint(
        connection for name in NAMES for connection in wire.sent[name][1:]
    )


async def test_a_script_that_the_server_does_not_know_in_mid_pipeline(
    wire: Wire, valkey: ValkeyServer
) -> None:
    async with wire.busy():
        await valkey.command("SCRIPT", "FLUSH")
        await valkey.command("SCRIPT", "LOAD", script("info").text)
        calls = [wire.append(name) for name in NAMES[::2]]
        asked = [wire.store.info(name) for name in NAMES[1::2]]
        mixed = [call for pair in zip(calls, asked, strict=True) for call in pair]
        answers = await asyncio.gather(*mixed)
    assert all(isinstance(answer, Done) for answer in answers[::2])
    assert [len(wire.sent[name]) for name in NAMES] == [2, 1] * (len(NAMES) // 2)
    await each_has_its_own(wire.store, NAMES[::2])


async def test_a_reply_that_is_too_big_fails_its_own_caller_only(valkey: ValkeyServer) -> None:
    limit = "client-output-buffer-limit"
    await valkey.command("FLUSHALL")
    async with wired(valkey, standalone_client, patience=0.5) as wire:
        for number in range(40):
            await added(wire.store, MIDDLE, *(f"{number} {'x' * 50_000}" for _ in range(4)))
        await valkey.command("CONFIG", "SET", limit, "normal 1000000 0 0")
        try:
            async with wire.busy():
                calls = [wire.store.read(name, limit=250) for name in NAMES]
                answers = await asyncio.gather(*calls, return_exceptions=True)
        finally:
            await valkey.command("CONFIG", "SET", limit, "normal 0 0 0")
    failed = [name for name, answer in zip(NAMES, answers, strict=True) if _failed(answer)]
    assert failed == [MIDDLE]
    assert isinstance(answers[NAMES.index(MIDDLE)], StoreUnavailable)


def _failed(answer: object) -> bool:
    return isinstance(answer, BaseException)


async def test_a_refusal_is_its_own_caller_s(wire: Wire, valkey: ValkeyServer) -> None:
    await valkey.command("SET", PREFIX + MIDDLE, "not a session")
    async with wire.busy():
        calls = [wire.store.info(name) for name in NAMES]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [_failed(answer) for answer in answers] == [name == MIDDLE for name in NAMES]
    assert isinstance(answers[NAMES.index(MIDDLE)], NotASession)


async def test_a_server_that_is_read_only_for_a_while(wire: Wire, valkey: ValkeyServer) -> None:
    await added(wire.store, "other", "known script")
    async with wire.busy():
        await valkey.command("REPLICAOF", "127.0.0.1", 1)
        try:
            appending = asyncio.create_task(wire.append_to_all())

            async def refused() -> bool:
                return all(len(wire.sent.get(name, [])) > 1 for name in NAMES)

            await until(refused, LONG, "all were sent again")
        finally:
            await valkey.command("REPLICAOF", "NO", "ONE")
        await appending
    await each_has_its_own(wire.store)


LOADING = RefuseRequest("LOADING Valkey is loading the dataset in memory")
OOM = RefuseRequest("OOM command not allowed when used memory > 'maxmemory'.")


async def test_a_server_that_loads_its_data_for_a_while(wire: Wire) -> None:
    await added(wire.store, "other", "known script")
    wire.fault = lambda name: LOADING if name in (MIDDLE, "alone") else None
    wire.second_fault = wire.fault
    assert isinstance(await wire.append("alone"), Done)
    assert len(wire.sent["alone"]) == 3
    async with wire.busy():
        await wire.append_to_all()
    assert wire.shared_by >= set(NAMES)
    await each_has_its_own(wire.store, [*NAMES, "alone"])


async def test_other_connections_to_a_server_that_loads_its_data_are_replaced(wire: Wire) -> None:
    await added(wire.store, "other", "known script")
    opened = set[int]()
    wire.proxy.faults = lambda command: opened.add(command.connection)
    await asyncio.gather(*(wire.store.client.ping() for _ in NAMES))
    assert len(opened) > MAX_UNDER_WAY + 1, "some stay idle"
    wire.proxy.faults = wire._judge
    async with wire.busy():
        wire.fault = lambda name: LOADING if wire.sent[name][-1] in opened else None
        wire.second_fault = wire.fault
        await wire.append_to_all()
    refused = {command.connection for command, fault in wire.proxy.injected if fault is LOADING}
    assert len(refused) == 1


async def test_a_server_that_loads_its_data_leaves_the_outcome_unknown(wire: Wire) -> None:
    """It may have begun between two commands of a pipeline: the first of them has run."""
    await added(wire.store, "other", "known script")
    first = NAMES[0]
    wire.fault = lambda name: LOADING if name in (MIDDLE, "alone") else None
    wire.second_fault = lambda name: OOM if name in (first, "alone") else None
    with pytest.raises(StoreRefused, match="OOM"):  # nothing had run before
        await wire.append("alone")
    async with wire.busy():
        await wire.append_to_all()
    assert {first, MIDDLE} <= wire.shared_by
    assert len(wire.sent[first]) == 3
    await each_has_its_own(wire.store)


CLIENTS: dict[str, Callable[[str], Client]] = {
    "ours": standalone_client,
    "an application's": Redis.from_url,
    "one that decodes": lambda url: Redis.from_url(url, decode_responses=True),
    "one of one connection": lambda url: Redis.from_url(url, single_connection_client=True),
    "one that blocks": lambda url: Redis.from_pool(
        BlockingConnectionPool.from_url(url, max_connections=2)
    ),
}


@pytest.mark.parametrize("connect", CLIENTS.values(), ids=CLIENTS)
async def test_each_reply_reaches_its_own_caller(
    valkey: ValkeyServer, connect: Callable[[str], Client]
) -> None:
    await valkey.command("FLUSHALL")
    rng = random.Random(7)
    names = [f"s{number}" for number in range(40)]
    async with wired(valkey, connect, patience=60.0) as wire:
        wire.proxy.faults = lose_replies(0.01, rng, {"EVALSHA"})

        async def calls(name: str) -> None:
            for number in range(12):
                if rng.random() < 0.1:
                    call = asyncio.create_task(wire.store.info(name))
                    for _ in range(rng.randrange(8)):
                        await asyncio.sleep(0)
                    call.cancel()
                    await asyncio.wait({call})
                await added(wire.store, name, f"{name} {number}")
                info = await wire.store.info(name)
                assert isinstance(info, Info)
                assert (info.session_id, info.items) == (name, number + 1)
                expected = items(*(f"{name} {earlier}" for earlier in range(number + 1)))
                assert await contents(wire.store, name) == expected

        await asyncio.gather(*map(calls, names))
    assert wire.proxy.injected
