"""The worker processes, as their parent sees them."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from typing import Any, Self

from chaos import worker
from chaos.protocol import Answer, Begun, Leave, Left, Order, Setup, ToWorker, from_worker, line

_context = multiprocessing.get_context("forkserver")
_LONGEST = 2**20


def warm_up() -> None:
    """Let the process from which workers are forked import what they need, once."""
    _context.set_forkserver_preload(["chaos.worker"])
    can(_nothing)


def can(work: Callable[..., None], *arguments: Any) -> bool:
    """Whether a worker process gets through this."""
    process = _context.Process(target=work, args=arguments)
    process.start()
    process.join()
    return process.exitcode == 0


def _nothing() -> None:
    """The first process to be forked has nothing to do."""


class WorkerDied(Exception):
    """The worker went without an answer."""


class Member:
    """One worker process."""

    def __init__(self, setup: Setup, hear: Callable[[Begun], None]) -> None:
        self.setup = setup
        self.waiting: dict[int, asyncio.Future[Answer]] = {}
        self.stopped = False
        self.left: Left | None = None
        self.gone = asyncio.Event()
        self._hear = hear
        self._process: ForkServerProcess
        self._writer: asyncio.StreamWriter
        self._reading: asyncio.Task[None]

    @property
    def name(self) -> str:
        return self.setup.name

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    async def start(self) -> None:
        ours, theirs = _context.Pipe()
        self._process = _context.Process(target=worker.main, args=(theirs, self.setup), daemon=True)
        self._process.start()
        theirs.close()
        end = socket.socket(fileno=os.dup(ours.fileno()))
        ours.close()
        reader, self._writer = await asyncio.open_connection(sock=end, limit=_LONGEST)
        self._reading = asyncio.create_task(self._read(reader))

    def send(self, message: ToWorker) -> None:
        """Without waiting: a worker that stands still does not hold up its parent."""
        if not self.gone.is_set():
            self._writer.write(line(message))

    async def ask(self, order: Order) -> Answer:
        """Raises WorkerDied."""
        if self.gone.is_set():
            raise WorkerDied
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting[order.call] = future
        self.send(order)
        try:
            return await future
        finally:
            self.waiting.pop(order.call, None)

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self) -> None:
        self.stopped = True
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.stopped = False
        self.signal(signal.SIGCONT)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.gone.wait()

    async def leave(self, timeout: float) -> bool:
        """Ask it to finish and go; whether it did in time. If not, it shows where it stands."""
        self.send(Leave())
        with suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), timeout)
        went = self.gone.is_set()
        if not went:
            self.signal(signal.SIGUSR1)
            await asyncio.sleep(1.0)
        return went

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.readline():
                message = from_worker(data)
                if isinstance(message, Answer):
                    future = self.waiting.get(message.call)
                    if future is not None and not future.done():
                        future.set_result(message)
                elif isinstance(message, Begun):
                    self._hear(message)
                else:
                    self.left = message
        self.gone.set()
        self._writer.close()
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(WorkerDied())


class Crew:
    """Some workers, by number; one that died is replaced under a new name."""

    def __init__(self, size: int, make: Callable[[int, str], Setup]) -> None:
        self._make = make
        self._size = size
        self._born = 0
        self.members: list[Member] = []
        self.listeners: list[Callable[[Begun], None]] = []
        self.left: list[tuple[str, Left | None]] = []

    async def __aenter__(self) -> Self:
        self.members = [await self._new(number) for number in range(self._size)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for member in self.members:
            await member.kill()

    async def replace(self, member: Member) -> None:
        """Start another one in its place."""
        number = self.members.index(member)
        self.members[number] = await self._new(number)

    async def leave(self, timeout: float = 30.0) -> None:
        """All finish what they do, and go. Those that do not are left to be killed."""
        await asyncio.gather(*(self.dismiss(member, timeout) for member in self.members))

    async def dismiss(self, member: Member, timeout: float = 30.0) -> bool:
        """Whether it left in time; what it left behind is noted."""
        went = await member.leave(timeout)
        self.left.append((member.name, member.left if went else None))
        return went

    async def _new(self, number: int) -> Member:
        self._born += 1
        member = Member(self._make(number, f"w{number}.{self._born}"), self._told)
        await member.start()
        return member

    def _told(self, begun: Begun) -> None:
        for listener in self.listeners:
            listener(begun)
