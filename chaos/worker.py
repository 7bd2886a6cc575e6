"""A worker process: does what the parent orders, many things at once, until it is told to leave."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import time
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from redis.asyncio import Redis, RedisCluster, Sentinel

from chaos import planted, stacks
from chaos.desk import Desk, Doing, doing
from chaos.operations import OPERATIONS
from chaos.operations.messages import MOST_ATTEMPTS
from chaos.protocol import (
    Answer,
    Cancel,
    FromWorker,
    Leave,
    Left,
    Order,
    Setup,
    Stall,
    line,
    to_worker,
)
from turnwise import RedisSession, connect
from turnwise.background import Policy
from turnwise.errors import (
    ApprovalPending,
    HistoryChanged,
    LeaseLost,
    NoPendingApproval,
    OutcomeUnknown,
    QueueFull,
    SessionBusy,
    SessionGone,
    StoreRefused,
    StoreUnavailable,
    TurnAbandoned,
    TurnCancelled,
)
from turnwise.session import Session
from turnwise.stores.redis.clients import close
from turnwise.worker import Worker

_MESSAGES = 8
"""How many messages a process runs at a time, beside what it is ordered."""
_GRACE = 10.0
"""How long (s) messages may go on when it is to leave. Then they are handed over, which takes some
calls, each of which a store in trouble may keep waiting for some seconds."""

# After these the operation has certainly not taken effect, as far as this sending goes.
FAILED = (
    HistoryChanged,
    LeaseLost,
    NoPendingApproval,
    QueueFull,
    SessionBusy,
    SessionGone,
    ApprovalPending,
    StoreRefused,
    StoreUnavailable,
    TurnCancelled,
    TurnAbandoned,
)


def main(pipe: Connection, setup: Setup) -> None:
    """Run as a process of its own. `pipe` leads to the parent."""
    logging.disable(logging.CRITICAL)  # faults are what is wanted here
    random.seed()
    planted.plant(os.environ.get(planted.VARIABLE, ""))
    asyncio.run(_serve(pipe, setup))


async def _serve(pipe: Connection, setup: Setup) -> None:
    end = socket.socket(fileno=os.dup(pipe.fileno()))
    pipe.close()
    reader, writer = await asyncio.open_connection(sock=end, limit=2**20)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, stacks.show)
    try:
        await Server(setup, writer).serve(reader)
    finally:
        writer.close()


class Server:
    """Carries out orders, each in a task of its own."""

    def __init__(self, setup: Setup, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._desk = Desk(setup, self._tell)
        self._session, self._client = open_session(setup, self._desk)
        self._desk.session = self._session
        policy = Policy(max_attempts=MOST_ATTEMPTS, backoff=0.05, context=self._desk.taken)
        agents = {"agent": self._desk.agent}
        self._queue = Worker(
            self._session, agents, concurrency=_MESSAGES, policy=policy, grace=_GRACE
        )
        self._queueing = asyncio.create_task(self._queue.run(), name="queue worker")

    async def serve(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.readline():
            message = to_worker(data)
            if isinstance(message, Order):
                task = asyncio.create_task(self._carry_out(message), name=f"order {message.kind}")
                self._tasks[message.call] = task
                task.add_done_callback(partial(self._carried_out, message.call))
            elif isinstance(message, Cancel):
                if message.call in self._tasks:
                    self._tasks[message.call].cancel()
            elif isinstance(message, Stall):
                time.sleep(message.seconds)  # standing still is what is wanted
            else:
                assert isinstance(message, Leave)
                await self._leave()
                return

    async def _carry_out(self, order: Order) -> None:
        here = Doing(order)
        doing.set(here)
        value: dict[str, Any] = {}
        outcome, error = "ok", ""
        try:
            value = await OPERATIONS[order.kind].run(self._desk, order)
        except (OutcomeUnknown, asyncio.CancelledError) as unknown:
            outcome, error = "unknown", type(unknown).__name__
        except FAILED as refused:
            # Retries of redis-py's own hide what became of an earlier sending.
            hidden = isinstance(refused, StoreRefused) and self._client is not None
            outcome, error = "unknown" if hidden else "fail", type(refused).__name__
            if isinstance(refused, TurnCancelled):
                value = {"kept": refused.kept}
        except Exception as strange:
            outcome, error = "unknown", f"! {type(strange).__name__}: {strange}"[:2000]
        self._tell(
            Answer(order.call, outcome, error, value, here.granted, here.held, here.attempt)  # type: ignore[arg-type]  # one of the words
        )

    def _carried_out(self, call: int, task: asyncio.Task[None]) -> None:
        del self._tasks[call]
        if task.cancelled():  # before it began
            self._tell(Answer(call, "unknown", "CancelledError", {}, None, None, 0))

    def _tell(self, message: FromWorker) -> None:
        self._writer.write(line(message))

    async def _leave(self) -> None:
        self._queue.stop()
        while self._tasks:
            await asyncio.wait(self._tasks.values())
        await self._queueing
        await self._session.aclose()
        if self._client is not None:
            await close(self._client)
        self._desk.close()
        self._tell(Left(await _remaining()))
        await self._writer.drain()


async def _remaining() -> list[str]:
    """The tasks that do not end by themselves within a second."""
    deadline = time.monotonic() + 1.0
    while True:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if not tasks or time.monotonic() > deadline:
            return [task.get_name() for task in tasks]
        with suppress(TimeoutError):
            await asyncio.wait(tasks, timeout=0.05)


def open_session(setup: Setup, desk: Desk) -> tuple[Session, Any]:
    """All sessions of the store, and the client that is to be closed, if it is ours to close."""
    options: dict[str, Any] = {"lease": setup.lease, "worker": setup.name, "hooks": (desk.hear,)}
    if setup.client == "ours":
        return connect(setup.url, ttl=setup.ttl, key_prefix=setup.prefix, **options), None
    client = _default_client(setup.url)
    return RedisSession(client, ttl=setup.ttl, key_prefix=setup.prefix, **options), client


def _default_client(url: str) -> Any:
    """With redis-py's own retries, which send writes again."""
    scheme, _, rest = url.partition("://")
    if scheme == "redis+cluster":
        return RedisCluster.from_url(f"redis://{rest}")
    if scheme == "redis+sentinel":
        hosts, name, _ = rest.split("/")
        addresses = [(h, int(p)) for h, _, p in (host.partition(":") for host in hosts.split(","))]
        # redis-py leaves its constructor untyped
        sentinel = Sentinel(addresses)  # type: ignore[no-untyped-call]
        return sentinel.master_for(name)
    return Redis.from_url(url)
