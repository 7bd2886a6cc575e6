"""What a proxy can do to a command, and when."""

import asyncio
import random
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

# What clients send by themselves when they connect.
HANDSHAKE = frozenset({"AUTH", "CLIENT", "HELLO", "READONLY", "SELECT"})


@dataclass(frozen=True, slots=True)
class Command:
    """A command a client sent: `name` in capitals, `args` without it.

    `ordinal` counts the commands through this proxy, and `connection` its connections, from 1.
    """

    name: str
    args: tuple[bytes, ...]
    ordinal: int
    connection: int


class Fault:
    """What the proxy does to a command. One of the classes below."""


@dataclass(frozen=True, slots=True)
class DropRequest(Fault):
    """Cut the connection instead of forwarding the command: it is not executed."""


@dataclass(frozen=True, slots=True)
class RefuseRequest(Fault):
    """Answer with this error, its code first, instead of forwarding the command."""

    error: str


@dataclass(frozen=True, slots=True)
class LoseReply(Fault):
    """Forward the command, wait for the server's whole reply, and cut the connection instead of
    delivering it: it has been executed."""


@dataclass(frozen=True, slots=True)
class CutReply(Fault):
    """Like LoseReply, but deliver this share of the reply's bytes first."""

    share: float = 0.5


@dataclass(eq=False, slots=True)
class Delay(Fault):
    """Holds something back for `seconds`, or if None until `release()`.

    `arrived` is set when it holds something back. Other connections are not affected.
    """

    seconds: float | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _released: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def release(self) -> None:
        """Forward it. Later commands are not held back either."""
        self._released.set()

    async def hold(self) -> None:
        """Wait for the release, or for `seconds`."""
        self.arrived.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                await self._released.wait()


class DelayRequest(Delay):
    """Hold the command back. It is forwarded later, even if its client is gone by then: the late
    write of a client that was taken for dead."""


class DelayReply(Delay):
    """Hold the reply back; when it has `arrived`, the command has been executed."""


Faults = Callable[[Command], Fault | None]


def once(which: str | Callable[[Command], bool], fault: Fault) -> Faults:
    """`fault` for the first command that is named `which`, or for which it is true.

    The name is the one that is sent: redis-py's `incr()` sends INCRBY, say.
    """
    left = [fault]

    def faults(command: Command) -> Fault | None:
        matches = command.name == which.upper() if isinstance(which, str) else which(command)
        return left.pop() if matches and left else None

    return faults


def lose_next(which: str | Callable[[Command], bool]) -> Faults:
    """Lose the reply to the next command named `which`, or for which it is true."""
    return once(which, LoseReply())


def lose_replies(
    probability: float, rng: random.Random, names: Collection[str] | None = None
) -> Faults:
    """Lose each reply with this probability: those to `names`, or to all but a handshake."""

    def faults(command: Command) -> Fault | None:
        if command.name in HANDSHAKE if names is None else command.name not in names:
            return None
        return LoseReply() if rng.random() < probability else None

    return faults
