"""The messages between the parent process and its workers: one JSON object per line."""

from __future__ import annotations

from typing import Any

import msgspec

from chaos.history import Outcome, Takeover


class WorkerConfig(msgspec.Struct):
    """The settings of one worker process.

    `client` is "turnwise" for the client that `connect` makes, or "redis-py" for a default client
    of redis-py, with its own retries. It serves HTTP at `port`, if that is not 0. `forks`: whether
    it executes some requests in forked children; else it does by a second thread.
    """

    name: str
    url: str
    lease: float
    execution_log: str
    client: str = "turnwise"
    ttl: float | None = None
    prefix: str = "chaos:"
    port: int = 0
    forks: bool = False


class Request(msgspec.Struct, tag="request"):
    """Execute this operation."""

    invocation: int
    op: str
    kind: str
    session: str
    turn_id: str | None
    params: dict[str, Any]


class CancelTask(msgspec.Struct, tag="cancel"):
    """Cancel the task that executes this invocation."""

    invocation: int


class Stall(msgspec.Struct, tag="stall"):
    """Block the event loop for so many seconds."""

    seconds: float


class Shutdown(msgspec.Struct, tag="shutdown"):
    """Finish all requests, close everything, report leaked tasks, and exit."""


class Response(msgspec.Struct, tag="response"):
    """The outcome of a request."""

    invocation: int
    outcome: Outcome
    error: str
    value: dict[str, Any]
    granted: float | None
    active_until: float | None
    attempt: int


class ShutdownReport(msgspec.Struct, tag="shutdown-report"):
    """The worker exits. These tasks were still running after everything was closed."""

    leaked_tasks: list[str]


ToWorker = Request | CancelTask | Stall | Shutdown
FromWorker = Response | Takeover | ShutdownReport

_encode = msgspec.json.Encoder().encode
to_worker = msgspec.json.Decoder(ToWorker).decode
from_worker = msgspec.json.Decoder(FromWorker).decode


def line(message: ToWorker | FromWorker) -> bytes:
    return _encode(message) + b"\n"
