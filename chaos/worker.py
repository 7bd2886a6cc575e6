"""A worker process: executes the parent's requests concurrently until it is shut down."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from redis.asyncio import Redis, RedisCluster, Sentinel

from chaos import planted, script, task_stacks
from chaos.clients.site import principal
from chaos.executors import LoopThread, in_forked_child
from chaos.operation_context import OperationContext, RunningOperation, current_operation
from chaos.operations import KINDS
from chaos.operations.messages import MAX_ATTEMPTS
from chaos.protocol import (
    CancelTask,
    FromWorker,
    Request,
    Response,
    Shutdown,
    ShutdownReport,
    Stall,
    WorkerConfig,
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
from turnwise.http import Gateway
from turnwise.http.replica import Replica
from turnwise.http.serve import serve
from turnwise.process import is_running
from turnwise.session import Session
from turnwise.stores.redis.clients import close
from turnwise.testing.servers.ports import HOST
from turnwise.worker import Worker

_MESSAGE_CONCURRENCY = 8
"""How many messages a process runs at a time, in addition to the parent's requests."""
_THREAD_EVERY, _FORK_EVERY = 3, 20
"""One in so many requests is executed by the other thread, or in a forked child."""
_GRACE = 10.0
"""Seconds that messages may continue at a shutdown. Then the worker requeues them, which takes a
few calls to the store, each of which may take some seconds while the store is in trouble."""

# This invocation certainly had no effect.
DEFINITE_FAILURES = (
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
    script.Overloaded,
)


def main(pipe: Connection, config: WorkerConfig) -> None:
    """Run as a process of its own. `pipe` leads to the parent."""
    logging.disable(logging.CRITICAL)  # faults are expected here
    random.seed()
    planted.plant(os.environ.get(planted.VARIABLE, ""))
    asyncio.run(_serve(pipe, config))


async def _serve(pipe: Connection, config: WorkerConfig) -> None:
    end = socket.socket(fileno=os.dup(pipe.fileno()))
    pipe.close()
    reader, writer = await asyncio.open_connection(sock=end, limit=2**20)
    task_stacks.install()
    try:
        await RequestServer(config, writer).serve(reader)
    finally:
        writer.close()


class RequestServer:
    """Executes each request in a task of its own, and runs a queue worker.

    Some requests are executed elsewhere, on the same session object: by another thread, or, if the
    configuration says so, in a forked child. (Not in both: a child would wait for ever for a lock
    that a thread held in a library at the fork, as when pydantic builds a model. And in neither if
    the client is the application's: it serves one event loop of one process.)
    """

    def __init__(self, config: WorkerConfig, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._forks = config.forks
        self._thread = LoopThread()
        self._write: Callable[[bytes], object] = self._write_to_parent
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._context = OperationContext(config, self._send)
        self._session, self._client = open_session(config, self._context)
        self._context.session = self._session
        policy = Policy(max_attempts=MAX_ATTEMPTS, backoff=0.05, context=self._context.on_message)
        agents = {"agent": self._context.agent}
        self._queue_worker = Worker(
            self._session, agents, concurrency=_MESSAGE_CONCURRENCY, policy=policy, grace=_GRACE
        )
        self._replica = Replica(Gateway(self._session, agents), self._queue_worker)
        self._queue_task = asyncio.create_task(self._work(config.port), name="queue worker")

    async def _work(self, port: int) -> None:
        """Run messages, and serve HTTP if there is a port."""
        if port:
            await serve(self._replica, HOST, port, authenticate=principal)
        else:
            await self._queue_worker.run()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.readline():
            message = to_worker(data)
            if isinstance(message, Request):
                task = asyncio.create_task(self._execute(message), name=f"request {message.kind}")
                self._tasks[message.invocation] = task
                task.add_done_callback(partial(self._on_done, message.invocation))
            elif isinstance(message, CancelTask):
                if message.invocation in self._tasks:
                    self._tasks[message.invocation].cancel()
            elif isinstance(message, Stall):
                time.sleep(message.seconds)  # blocks the event loop on purpose
            else:
                assert isinstance(message, Shutdown)
                await self._shut_down()
                return

    async def _execute(self, request: Request) -> None:
        if self._client is not None:
            response = await self._respond(request)
        elif self._forks and request.invocation % _FORK_EVERY == 1:
            response = await self._respond_in_child(request)
        elif not self._forks and request.invocation % _THREAD_EVERY == 0:
            response = await self._thread.run(self._respond(request))
        else:
            response = await self._respond(request)
        self._send(response)

    async def _respond_in_child(self, request: Request) -> Response:
        responses: list[Response] = []

        async def work(write: Callable[[bytes], object]) -> None:
            self._write = write
            self._send(await self._respond(request))

        def received(message: FromWorker) -> None:
            if isinstance(message, Response):
                responses.append(message)
            else:
                self._send(message)

        try:
            await in_forked_child(work, partial(self._session.info, request.session), received)
        except asyncio.CancelledError:
            return _unknown(request.invocation, "WorkerDied")  # the child was killed
        return responses[0] if responses else _unknown(request.invocation, "! a child died")

    async def _respond(self, request: Request) -> Response:
        running = RunningOperation(request)
        current_operation.set(running)
        value: dict[str, Any] = {}
        outcome, error = "ok", ""
        try:
            value = await KINDS[request.kind].run(self._context, request)
        except OutcomeUnknown:
            outcome, error = "info", "OutcomeUnknown"
        except asyncio.CancelledError:
            outcome, error = (
                "info",
                "CancelledError" if _was_cancelled() else "! nobody cancelled it",
            )
        except DEFINITE_FAILURES as failure:
            # redis-py's own retries hide the outcome of the first try.
            retried = isinstance(failure, StoreRefused) and self._client is not None
            outcome, error = "info" if retried else "fail", type(failure).__name__
            if isinstance(failure, TurnCancelled):
                value = {"kept": failure.kept}
        except Exception as unexpected:
            outcome, error = "info", f"! {type(unexpected).__name__}: {unexpected}"[:2000]
        return Response(
            request.invocation,
            outcome,  # type: ignore[arg-type]  # one of the literals
            error,
            value,
            running.granted,
            running.active_until,
            running.attempt,
        )

    def _on_done(self, invocation: int, task: asyncio.Task[None]) -> None:
        del self._tasks[invocation]
        if task.cancelled():  # before it began, or in another thread
            self._send(_unknown(invocation, "CancelledError"))

    def _send(self, message: FromWorker) -> None:
        self._write(line(message))

    def _write_to_parent(self, data: bytes) -> None:
        if is_running(self._loop):
            self._writer.write(data)
        else:
            self._loop.call_soon_threadsafe(self._writer.write, data)

    async def _shut_down(self) -> None:
        self._replica.stop()
        while self._tasks:
            await asyncio.wait(self._tasks.values())
        await self._queue_task
        await self._session.aclose()
        self._thread.stop()
        if self._client is not None:
            await close(self._client)
        self._context.close()
        self._send(ShutdownReport(await _leaked_tasks()))
        await self._writer.drain()


def _was_cancelled() -> bool:
    """Whether this task was asked to end; if not, another one's cancellation hit it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _unknown(invocation: int, error: str) -> Response:
    """The response for an invocation that ended in the middle: its effect is unknown."""
    return Response(invocation, "info", error, {}, None, None, 0)


async def _leaked_tasks() -> list[str]:
    """The tasks that do not end by themselves within a second."""
    deadline = time.monotonic() + 1.0
    while True:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if not tasks or time.monotonic() > deadline:
            return [task.get_name() for task in tasks]
        with suppress(TimeoutError):
            await asyncio.wait(tasks, timeout=0.05)


def open_session(config: WorkerConfig, context: OperationContext) -> tuple[Session, Any]:
    """The sessions of the store, and the client that the worker has to close, if there is one."""
    options: dict[str, Any] = {
        "lease": config.lease,
        "worker": config.name,
        "hooks": (context.on_event,),
    }
    if config.client == "turnwise":
        return connect(config.url, ttl=config.ttl, key_prefix=config.prefix, **options), None
    client = _default_client(config.url)
    return RedisSession(client, ttl=config.ttl, key_prefix=config.prefix, **options), client


def _default_client(url: str) -> Any:
    """A client with redis-py's own retries, which send writes again."""
    scheme, _, rest = url.partition("://")
    if scheme == "redis+cluster":
        return RedisCluster.from_url(f"redis://{rest}")
    if scheme == "redis+sentinel":
        hosts, name, _ = rest.split("/")
        addresses = [(h, int(p)) for h, _, p in (host.partition(":") for host in hosts.split(","))]
        # redis-py leaves its constructor untyped
        sentinel = Sentinel(addresses)  # type: ignore[no-untyped-call]  # redis-py leaves it so
        return sentinel.master_for(name)
    return Redis.from_url(url)
