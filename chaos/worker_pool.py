"""The worker processes, as the parent process sees them."""

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
from chaos.history import Takeover
from chaos.protocol import (
    Request,
    Response,
    Shutdown,
    ShutdownReport,
    ToWorker,
    WorkerConfig,
    from_worker,
    line,
)

_context = multiprocessing.get_context("forkserver")
_LINE_LIMIT = 2**20


def warm_up() -> None:
    """Let the server that forks the workers import what they need, once."""
    _context.set_forkserver_preload(["chaos.worker"])
    succeeds_in_process(_do_nothing)


def succeeds_in_process(function: Callable[..., None], *arguments: Any) -> bool:
    """Whether a fresh process runs the function without an error."""
    process = _context.Process(target=function, args=arguments)
    process.start()
    process.join()
    return process.exitcode == 0


def _do_nothing() -> None:
    """What the first forked process does."""


class WorkerDied(Exception):
    """The worker exited without a response."""


class WorkerProcess:
    """One worker process. `in_flight` holds its invocations without a response yet."""

    def __init__(self, config: WorkerConfig, on_takeover: Callable[[Takeover], None]) -> None:
        self.config = config
        self.in_flight: dict[int, asyncio.Future[Response]] = {}
        self.paused = False
        self.shutdown_report: ShutdownReport | None = None
        self.exited = asyncio.Event()
        self._on_takeover = on_takeover
        self._process: ForkServerProcess
        self._writer: asyncio.StreamWriter
        self._reader_task: asyncio.Task[None]

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    async def start(self) -> None:
        ours, theirs = _context.Pipe()
        self._process = _context.Process(
            target=worker.main, args=(theirs, self.config), daemon=True
        )
        self._process.start()
        theirs.close()
        end = socket.socket(fileno=os.dup(ours.fileno()))
        ours.close()
        reader, self._writer = await asyncio.open_connection(sock=end, limit=_LINE_LIMIT)
        self._reader_task = asyncio.create_task(self._read(reader))

    def send(self, message: ToWorker) -> None:
        """Send without waiting: a paused worker does not block the parent."""
        if not self.exited.is_set():
            self._writer.write(line(message))

    async def execute(self, request: Request) -> Response:
        """Raises WorkerDied."""
        if self.exited.is_set():
            raise WorkerDied
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.in_flight[request.invocation] = future
        self.send(request)
        try:
            return await future
        finally:
            self.in_flight.pop(request.invocation, None)

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def pause(self) -> None:
        self.paused = True
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.paused = False
        self.signal(signal.SIGCONT)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.exited.wait()

    async def shut_down(self, timeout: float) -> bool:
        """Shut it down; whether it exits in time. If not, it prints the stacks of its tasks."""
        self.send(Shutdown())
        with suppress(TimeoutError):
            await asyncio.wait_for(self.exited.wait(), timeout)
        exited = self.exited.is_set()
        if not exited:
            await self.print_stacks()
        return exited

    async def print_stacks(self) -> None:
        """Let it print the stacks of its tasks, and give it a moment."""
        self.signal(signal.SIGUSR1)
        await asyncio.sleep(1.0)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await reader.readline():
                message = from_worker(data)
                if isinstance(message, Response):
                    future = self.in_flight.get(message.invocation)
                    if future is not None and not future.done():
                        future.set_result(message)
                elif isinstance(message, Takeover):
                    self._on_takeover(message)
                else:
                    self.shutdown_report = message
        self.exited.set()
        self._writer.close()
        for future in self.in_flight.values():
            if not future.done():
                future.set_exception(WorkerDied())


class WorkerPool:
    """A fixed number of workers; one that exits is replaced under a new name.

    `shutdowns`: the report of each worker that was shut down, or None if it did not exit in time.
    """

    def __init__(self, size: int, make_config: Callable[[int, str], WorkerConfig]) -> None:
        self._make_config = make_config
        self._size = size
        self._started = 0
        self.workers: list[WorkerProcess] = []
        self.takeover_listeners: list[Callable[[Takeover], None]] = []
        self.shutdowns: list[tuple[str, ShutdownReport | None]] = []

    async def __aenter__(self) -> Self:
        self.workers = [await self._start_worker(number) for number in range(self._size)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.workers:
            await process.kill()

    async def replace(self, process: WorkerProcess) -> None:
        """Start another one in its place."""
        number = self.workers.index(process)
        self.workers[number] = await self._start_worker(number)

    async def shut_down_all(self, timeout: float = 30.0) -> None:
        """Shut all down. Those that do not exit in time are killed when the pool closes."""
        await asyncio.gather(*(self.shut_down(process, timeout) for process in self.workers))

    async def shut_down(self, process: WorkerProcess, timeout: float = 30.0) -> bool:
        """Whether it exits in time; its report is recorded."""
        exited = await process.shut_down(timeout)
        self.shutdowns.append((process.name, process.shutdown_report if exited else None))
        return exited

    async def _start_worker(self, number: int) -> WorkerProcess:
        self._started += 1
        config = self._make_config(number, f"w{number}.{self._started}")
        # Of the first three, the last; the second one's client cannot be used elsewhere.
        config.forks = (number // 2 + self._started) % 2 == 0
        process = WorkerProcess(config, self._publish_takeover)
        await process.start()
        return process

    def _publish_takeover(self, takeover: Takeover) -> None:
        for listener in self.takeover_listeners:
            listener(takeover)
