"""Workers that are processes, while their servers are killed, move slots or fail over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.crc import key_slot

from tests.integration.background_fleet import Fleet
from tests.integration.background_lab import output, texts
from tests.integration.forked import ForkedProcess, forks
from tests.integration.programs import STARTED, ready
from turnwise import connect
from turnwise.background import Receipt
from turnwise.errors import OutcomeUnknown
from turnwise.session import Session
from turnwise.testing.servers import ValkeyCluster, ValkeySentinel, ValkeyServer
from turnwise.testing.servers.node import Node
from turnwise.testing.servers.waiting import until

SESSIONS = 6
GONE = "cannot claim messages"


@asynccontextmanager
async def fleet_on(url: str, folder: Path) -> AsyncIterator[Fleet]:
    async with forks(folder) as started:
        yield Fleet(url, folder, started)


async def send(session: Session, session_id: str, turn_id: str, message: str) -> Receipt:
    """Submit until it is acknowledged, as who sends again does: by the same turn_id."""
    while True:
        try:
            return await session.submit(session_id, message, agent="echo", turn_id=turn_id)
        except OutcomeUnknown:
            continue


class Crowd:
    """Messages to several sessions, sent one after the other in each until it is stopped."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stopped = asyncio.Event()
        self.sent: dict[str, list[Receipt]] = {f"s{n}": [] for n in range(SESSIONS)}

    async def backlog(self, count: int) -> None:
        """Send so many to each session; the second of each is slow."""
        for session_id in self.sent:
            for n in range(count):
                await self._send(session_id, "slow " if n == 1 else "")

    @asynccontextmanager
    async def goes_on(self, fleet: Fleet) -> AsyncIterator[None]:
        """More are sent during the block, and some more after it; then all are answered."""
        tasks = [asyncio.create_task(self._go_on(session_id)) for session_id in self.sent]
        yield
        self._stopped.set()
        await asyncio.gather(*tasks)
        fleet.let_go()
        await self.answered()

    async def answered(self) -> None:
        """Each message was answered once, in the order in which they were acknowledged."""
        for session_id, receipts in self.sent.items():
            answers = [await output(receipt) for receipt in receipts]
            assert answers == [f"re: {text(receipt)}" for receipt in receipts]
            history = texts(await self._session.bind(session_id).get_items())
            said = [text(receipt) for receipt in receipts]
            assert history == [line for one in said for line in (one, f"re: {one}")]

    async def _go_on(self, session_id: str) -> None:
        last = 3
        while last:
            last -= self._stopped.is_set()
            await self._send(session_id)
            await output(self.sent[session_id][0])

    async def _send(self, session_id: str, slow: str = "") -> None:
        turn_id = f"{slow}{session_id}-{len(self.sent[session_id])}"
        receipt = await send(self._session, session_id, turn_id, turn_id)
        self.sent[session_id].append(receipt)


def text(receipt: Receipt) -> str:
    return receipt.turn_id


async def said(process: ForkedProcess, text: str) -> None:
    async def logged() -> bool:
        return text in process.log()

    await ready(process, logged, f"{text!r} was logged")


async def test_workers_continue_after_an_outage(tmp_path: Path) -> None:
    """The server is killed while messages wait and run, for longer than a call is sent again."""
    server = ValkeyServer(appendonly="always")
    async with server, fleet_on(server.url, tmp_path) as fleet, connect(server.url) as session:
        crowd = Crowd(session)
        await crowd.backlog(4)
        workers = [fleet.worker("--concurrency", "8") for _ in range(2)]
        for worker in workers:
            await fleet.reached("said", worker)
            await said(worker, "worker is ready")
        async with crowd.goes_on(fleet):
            await server.kill()
            for worker in workers:
                await said(worker, GONE)
            await server.restart()
        for worker in workers:
            await worker.terminate(STARTED)


async def test_workers_continue_while_slots_move(tmp_path: Path) -> None:
    """Those of the sessions and of the fleet's own keys move, each while it is written to."""
    cluster = ValkeyCluster(primaries=2, replicas=0)
    async with cluster, fleet_on(cluster.url, tmp_path) as fleet, connect(cluster.url) as session:
        crowd = Crowd(session)
        await crowd.backlog(4)
        worker = fleet.worker("--concurrency", "8")
        await fleet.reached("said", worker)
        async with crowd.goes_on(fleet):
            for key in await keys_of(cluster):
                await migrate(cluster, key_slot(key))
        await worker.terminate(STARTED)


async def keys_of(cluster: ValkeyCluster) -> list[bytes]:
    """All but the events of turns: their slots are many, and what is lost of them is no message."""
    found = [await node.command("KEYS", "*", decode=False) for node in cluster.living]
    return [key for keys in found for key in keys if b":events:" not in key]


async def migrate(cluster: ValkeyCluster, slot: int) -> None:
    source = await cluster.primary_of(slot)
    (target,) = (node for node in cluster.living if node.port != source.port)
    await cluster.migrate(slot, target)


async def test_workers_continue_after_a_failover(tmp_path: Path) -> None:
    """What its replicas had when the primary was killed is answered, what was lost is run again."""
    sentinel = ValkeySentinel()
    async with (
        sentinel,
        fleet_on(sentinel.url, tmp_path) as fleet,
        connect(sentinel.url) as session,
    ):
        crowd = Crowd(session)
        await crowd.backlog(6)
        old = await sentinel.primary()
        await replicated(old)
        worker = fleet.worker("--concurrency", "8")
        await fleet.reached("said", worker)
        await old.kill()
        await sentinel.wait_primary_changed(old)
        fleet.let_go()
        await crowd.answered()
        await worker.terminate(STARTED)


async def replicated(primary: Node) -> None:
    """What was acknowledged so far is on the replicas too."""
    wanted = int((await primary.info("replication"))["master_repl_offset"])

    async def done() -> bool:
        info = await primary.info("replication")
        replicas = [info[f"slave{n}"] for n in range(int(info["connected_slaves"]))]
        offsets = [int(replica.split("offset=")[1].split(",")[0]) for replica in replicas]
        return bool(offsets) and min(offsets) >= wanted

    await until(done, STARTED, "the replicas had everything")
