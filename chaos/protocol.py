"""What the parent and a worker say to each other: one JSON object a line."""

from __future__ import annotations

from typing import Any

import msgspec

from chaos.history import Outcome


class Setup(msgspec.Struct):
    """What a worker is told when it starts.

    `client` is "ours", or "default" for a client of redis-py's making with its own retries.
    """

    name: str
    url: str
    lease: float
    ledger: str
    client: str = "ours"
    ttl: float | None = None
    prefix: str = "chaos:"


class Order(msgspec.Struct, tag="order"):
    """Do this."""

    call: int
    op: str
    kind: str
    session: str
    turn_id: str | None
    params: dict[str, Any]


class Cancel(msgspec.Struct, tag="cancel"):
    """Cancel the task of this call."""

    call: int


class Stall(msgspec.Struct, tag="stall"):
    """Let the event loop stand still for so many seconds."""

    seconds: float


class Leave(msgspec.Struct, tag="leave"):
    """Finish what was begun, close everything, tell what is left, and go."""


class Answer(msgspec.Struct, tag="answer"):
    """What became of an order."""

    call: int
    outcome: Outcome
    error: str
    value: dict[str, Any]
    granted: float | None
    held: float | None
    attempt: int


class Begun(msgspec.Struct, tag="begun"):
    """A turn was taken over from an earlier attempt. No `call` (-1): a message's."""

    call: int
    session: str
    turn_id: str
    attempt: int
    at: float


class Left(msgspec.Struct, tag="left"):
    """The worker goes; these tasks still ran after everything was closed."""

    tasks: list[str]


ToWorker = Order | Cancel | Stall | Leave
FromWorker = Answer | Begun | Left

_encode = msgspec.json.Encoder().encode
to_worker = msgspec.json.Decoder(ToWorker).decode
from_worker = msgspec.json.Decoder(FromWorker).decode


def line(message: ToWorker | FromWorker) -> bytes:
    return _encode(message) + b"\n"
