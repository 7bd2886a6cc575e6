"""Commands of concurrent callers share round trips.

While fewer than two sendings to a server are under way, a command goes out at once, on a connection
of its own: a single caller waits for nothing. Otherwise it waits for one of them to end, and goes
out in one pipeline with all that wait. A pipeline belongs to none of its callers: one that is
cancelled leaves it, and its neighbours get their replies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import PipelineCommand
from redis.exceptions import AskError, BusyLoadingError, SlotNotCoveredError
from redis.exceptions import ConnectionError as Disconnected

from turnwise.stores.redis.clients import Client
from turnwise.stores.redis.commands import RAW, execute
from turnwise.stores.redis.free_connections import FreeConnections

MAX_UNDER_WAY = 2
MAX_COMMANDS = 64
"""In one pipeline, since the server serves nobody else meanwhile."""
MAX_WAIT = 0.01
"""Seconds that a command waits for others' replies: the server may be slow, a connection dead."""
LARGE = 65_536
"""Bytes in a command that goes alone, since those behind it would wait for it."""

Command = tuple[Any, ...]
SendMany = Callable[[Sequence[Command]], Coroutine[Any, Any, list[Any]]]
"""Returns for each command its reply, or the exception that it got."""


@dataclass(eq=False, slots=True)
class _Call:
    """A command whose reply comes by a pipeline.

    An exception is a reply as well: nobody retrieves that of a cancelled caller.
    """

    command: Command
    reply: asyncio.Future[Any]
    sending: _Sending | None = None


@dataclass(eq=False, slots=True)
class _Sending:
    calls: list[_Call]
    task: asyncio.Task[list[Any]]

    def leave(self) -> None:
        """A caller has left. After the last one nobody needs the sending."""
        if all(call.reply.done() for call in self.calls):
            self.task.cancel()


class Pipeline:
    """Sends the commands of one event loop to one server."""

    def __init__(self, client: Client, free: FreeConnections, many: SendMany) -> None:
        self._client = client
        self._free = free
        self._many = many
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._waiting: list[_Call] = []
        self._timer: asyncio.TimerHandle | None = None

    async def execute(self, *command: Any) -> Any:
        """The command's reply. Raises what the client raises."""
        if self._under_way >= MAX_UNDER_WAY and _size(command) < LARGE:
            return await self._share(command)
        self._under_way += 1
        try:
            return await self._alone(command)
        finally:
            if self._waiting and not self._loop.is_closed():
                # Its caller runs first: what that sends next joins those that wait.
                self._loop.call_soon(self._ended)
            else:
                self._under_way -= 1

    async def _alone(self, command: Command) -> Any:
        return await self._free.use(partial(execute, self._client, *command))

    async def _share(self, command: Command) -> Any:
        call = _Call(command, self._loop.create_future())
        self._waiting.append(call)
        self._limit_wait()
        try:
            reply = await call.reply
        except asyncio.CancelledError:
            if call.sending is not None:
                call.sending.leave()
            raise
        if isinstance(reply, AskError):  # or MOVED: the client follows it
            return await self._alone(command)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _limit_wait(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._loop.call_later(MAX_WAIT, self._send_waiting)

    def _ended(self) -> None:
        self._under_way -= 1
        while self._waiting and self._under_way < MAX_UNDER_WAY:
            self._send_waiting()

    def _send_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        first, self._waiting = self._waiting[:MAX_COMMANDS], self._waiting[MAX_COMMANDS:]
        self._limit_wait()
        if calls := [call for call in first if not call.reply.done()]:
            self._send(calls)

    def _send(self, calls: list[_Call]) -> None:
        self._under_way += 1
        commands = [call.command for call in calls]
        coroutine = self._free.use(partial(self._many, commands))
        # A context of its own: it belongs to no caller's trace.
        task = self._loop.create_task(coroutine, context=Context())
        sending = _Sending(calls, task)
        for call in calls:
            call.sending = sending
        task.add_done_callback(partial(self._deliver, calls))

    def _deliver(self, calls: list[_Call], task: asyncio.Task[list[Any]]) -> None:
        for call, reply in zip(calls, _replies(task, len(calls)), strict=True):
            if not call.reply.done():
                call.reply.set_result(reply)
        self._loop.call_soon(self._ended)


def _replies(task: asyncio.Task[list[Any]], count: int) -> list[Any]:
    """What `task` returned; its failure is that of every command."""
    error = None if task.cancelled() else task.exception()
    if task.cancelled() or not isinstance(error, Exception | None):
        return [Disconnected("the pipeline was cancelled")] * count
    if isinstance(error, BusyLoadingError):  # which says nothing of the commands before it
        error = Disconnected(str(error), status_code=error.status_code)
    return task.result() if error is None else [error] * count


def _size(command: Command) -> int:
    return sum(len(part) for part in command if isinstance(part, bytes))


class Pipelines:
    """The pipelines of one event loop: one for the server, or for each node of a cluster."""

    def __init__(self, client: Callable[[], Client], free: FreeConnections) -> None:
        self._get_client = client
        self._free = free
        self._client: Client | None = None
        self._find: Callable[[str], Pipeline | None] = _alone

    def get(self, key: str) -> Pipeline | None:
        """The pipeline for commands on `key`. None if they have to go alone."""
        client = self._get_client()
        if client is not self._client:
            self._client, self._find = client, _finder(client, self._free)
        return self._find(key)


def _finder(client: Client, free: FreeConnections) -> Callable[[str], Pipeline | None]:
    """Chosen once for a client: `isinstance` takes microseconds with redis-py's classes."""
    if isinstance(client, RedisCluster):
        return _Nodes(client, free).find
    if client.single_connection_client:
        return _alone
    pipeline = Pipeline(client, free, partial(_send_to_server, client))
    return lambda key: pipeline


def _alone(key: str) -> None:
    return None


class _Nodes:
    """The pipelines of a cluster's nodes."""

    def __init__(self, client: RedisCluster, free: FreeConnections) -> None:
        self._client = client
        self._free = free
        self._by_name: dict[str, Pipeline] = {}

    def find(self, key: str) -> Pipeline | None:
        try:
            node = self._client.get_node_from_key(key)
        except SlotNotCoveredError:  # it has not connected yet
            return None
        if node is None:
            return None
        return self._by_name.get(node.name) or self._add(node.name)

    def _add(self, name: str) -> Pipeline:
        added = Pipeline(self._client, self._free, partial(_send_to_node, self._client, name))
        self._by_name[name] = added
        return added


async def _send_to_server(client: Redis, commands: Sequence[Command]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command, **RAW)
    return await pipeline.execute(raise_on_error=False)


async def _send_to_node(client: RedisCluster, name: str, commands: Sequence[Command]) -> list[Any]:
    """By the node, since redis-py's own pipeline for clusters refuses EVALSHA."""
    node = client.get_node(node_name=name)
    if node is None:
        raise Disconnected(f"{name} is no node of the cluster any more")
    sent = [PipelineCommand(at, *command, **RAW) for at, command in enumerate(commands)]
    await node.execute_pipeline(sent)
    return [each.result for each in sent]
