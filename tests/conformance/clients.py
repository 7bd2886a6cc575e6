"""What clients of a store do in several calls, one call at a time.

An operation is a generator: it yields a call and is sent its answer. Whoever drives it can stop
after any call: then its client has died there, and what it knew is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal

from turnwise.limits import ACK_IDLE_AFTER_MS
from turnwise.testing.conformance.lab import item
from turnwise.testing.conformance.model import Call
from turnwise.types import (
    Base,
    Claim,
    Duplicate,
    Grant,
    History,
    Idle,
    Late,
    Queued,
)

Operation = Generator[Call, Any, None]
New = Callable[[str], str]
"""Makes a name that was not used before."""
End = Literal[
    "commit", "cut", "cancelled", "park", "abort", "release", "fail", "dead_letter", "stop"
]
BACKOFF = 1000
"""The delay (ms) after a failed attempt."""
PATIENCE = 3
"""How often a client that waits in the queue, or takes messages, asks before it stops."""


@dataclass(frozen=True)
class Work:
    """What a client does with an open turn.

    No answer stops it, as if all its calls were on their way already: the store must refuse those
    that come too late.
    """

    entries: int = 1
    renewed: bool = False
    items: int = 1
    end: End = "commit"
    base: Literal["granted", "read before"] = "granted"

    def on(self, new: New, token: str, grant: Grant, base: Base) -> Operation:
        ids = {"turn_id": grant.turn_id, "token": token}
        for number in range(self.entries):
            index = len(grant.journal) + number
            entry = item(new("entry"))
            yield "journal", {**ids, "index": index, "entries": [entry]}
        if self.renewed:
            yield "renew", ids
        yield self._ending(new, ids, base)

    def _ending(self, new: New, ids: dict[str, Any], base: Base) -> Call:
        if self.end == "park":
            return "park", {**ids, "state": item(new("state"))}
        if self.end == "abort":
            return "abort", ids
        if self.end in ("release", "fail"):
            failed = self.end == "fail"
            return "release", {**ids, "counted": failed, "delay_ms": BACKOFF if failed else 0}
        if self.end in ("dead_letter", "stop"):
            return self.end, {**ids, "letter": b"letter"}
        items = [item(new("item")) for _ in range(self.items)]
        keep = 0 if self.end == "cut" else None
        kind = "cancelled" if self.end == "cancelled" else "turn"
        change = {"base": base, "commit_id": new("commit"), "items": items}
        return "commit", {**ids, **change, "keep": keep, "kind": kind}


@dataclass(frozen=True)
class Turn:
    """begin → journal … → commit."""

    turn_id: str
    work: Work
    waits: bool = False

    def run(self, new: New) -> Operation:
        read: History = yield "read", {}
        token = new("token")
        begin = "begin", {"turn_id": self.turn_id, "token": token, "ticket_ms": self.waits}
        for _ in range(PATIENCE if self.waits else 1):
            answer = yield begin
            if isinstance(answer, Grant):
                base = answer.tip if self.work.base == "granted" else read.tip
                yield from self.work.on(new, token, answer, base)
                return
            if not isinstance(answer, Queued):
                return
        yield "abort", {"turn_id": self.turn_id, "token": token}


@dataclass(frozen=True)
class Resume:
    """Resume a parked turn."""

    turn_id: str
    work: Work

    def run(self, new: New) -> Operation:
        token = new("token")
        answer = yield "begin", {"turn_id": self.turn_id, "token": token, "resume": True}
        if isinstance(answer, Grant):
            yield from self.work.on(new, token, answer, answer.tip)


@dataclass(frozen=True)
class Change:
    """A change in one call, made for the history that was read before."""

    verb: Literal["append", "pop", "clear", "replace"]
    items: int = 1

    def run(self, new: New) -> Operation:
        read: History = yield "read", {}
        args: dict[str, Any] = {"op_id": new("op")}
        if self.verb in ("pop", "replace"):
            args["base"] = read.tip
        if self.verb == "replace":
            args["keep"] = read.items // 2
        if self.verb in ("append", "replace"):
            args["items"] = [item(new("item")) for _ in range(self.items)]
        yield self.verb, args


@dataclass(frozen=True)
class Submit:
    """announce → submit, until the message is in the queue."""

    turn_id: str
    message: bytes

    def run(self, new: New) -> Operation:
        answer: object = Late()
        while isinstance(answer, Late):
            announced_at = yield "announce", {"turn_id": self.turn_id}
            message = {"turn_id": self.turn_id, "message": self.message}
            answer = yield "submit", {**message, "announced_at": announced_at}


@dataclass(frozen=True)
class Worker:
    """claim → next → … → commit → next until idle → ack."""

    work: Work

    def run(self, new: New) -> Operation:
        name = new("worker")
        for claim in (yield "claim", {"worker": name}):
            yield from self._answer(new, name, claim)

    def _answer(self, new: New, name: str, claim: Claim) -> Operation:
        answer: object = None
        for _ in range(PATIENCE):
            token = new("token")
            answer = yield "next", {"token": token}
            if not isinstance(answer, Grant):
                break
            yield from self.work.on(new, token, answer, answer.tip)
        can_ack = yield from self._can_ack(claim, answer)
        yield "ack" if can_ack else "requeue", {"worker": name, "claims": [claim]}

    def _can_ack(self, claim: Claim, answer: object) -> Generator[Call, Any, bool]:
        """Whether the contract allows an ack here. The claim of a parked session is requeued."""
        if isinstance(answer, Idle) and (
            claim.turn_id is None or claim.age_ms >= ACK_IDLE_AFTER_MS
        ):
            return True
        if claim.turn_id is None:
            return False
        status = yield "status", {"turn_id": claim.turn_id}
        return isinstance(status, Duplicate) and status.record is not None


@dataclass(frozen=True)
class EndStopped:
    """End the turn that the session is stopped at, by its letter."""

    turn_id: str

    def run(self, new: New) -> Operation:
        token = new("token")
        yield "dead_letter", {"turn_id": self.turn_id, "token": token, "letter": b"letter"}


@dataclass(frozen=True)
class Cancel:
    """Cancel a turn."""

    turn_id: str
    keep: bool = False
    force: bool = False
    open_only: bool = False

    def run(self, new: New) -> Operation:
        options = {"keep": self.keep, "force": self.force, "open_only": self.open_only}
        yield "cancel", {"turn_id": self.turn_id, **options}


@dataclass(frozen=True)
class Operate:
    """What an operator does to the whole session."""

    verb: Literal["expire", "delete"]
    ttl_ms: int | None = None

    def run(self, new: New) -> Operation:
        yield self.verb, ({"ttl_ms": self.ttl_ms} if self.verb == "expire" else {})


Task = Turn | Resume | Change | Submit | Worker | EndStopped | Cancel | Operate
