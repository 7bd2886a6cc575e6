"""Sessions that do not go on by themselves: since when, who, why, and what to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import escape

from turnwise.errors import NewerFormat, NotASession
from turnwise.fleet.orders import Pause, list_pauses, pause_of
from turnwise.fleet.queues import QueuedEntry, queue_of
from turnwise.fleet.workers import list_workers
from turnwise.printable import quoted
from turnwise.stores.header import unreadable
from turnwise.turns import Runtime, pages
from turnwise.types import Absent, OpenTurn, SessionState, SessionSummary, WorkerInfo

PATIENCE = 30.0
"""For so many seconds a message, or a turn without a worker, waits for one before it is stuck."""
_MOST_SUSPECTS = 1000
"""How many sessions that wait for workers a quick look takes, the longest waiting ones."""
_BATCH = 50
_LOOK_AT = 20
"""How many entries of a queue are looked at: callers that wait may be ahead of its messages."""
Looked = Callable[[int], None]
_START = "start a worker that knows it: turnwise worker MODULE:NAME"
_START_ANOTHER = "start another one: turnwise worker MODULE:NAME"
_SEE_LOGS = "see how busy they are, and their logs: turnwise workers list"


@dataclass(frozen=True, slots=True)
class StuckSession:
    """A session that does not go on by itself.

    Attributes:
        session_id: The session.
        state: As in `SessionSummary`.
        since: Since when, in POSIX seconds; None if that is unknown.
        why: What it waits for.
        remedy: What lets it go on: a command, or what to do if there is none.
        turn_id: The turn that it is stuck at; "" if there is none.
        worker: Who runs that turn, or ran it last; "" if nobody did.
        agent: The agent of the message that waits; "" if it is none, or unknown.
    """

    session_id: str
    state: SessionState
    since: float | None
    why: str
    remedy: str
    turn_id: str = ""
    worker: str = ""
    agent: str = ""


async def stuck_sessions(
    runtime: Runtime, match: str, *, quick: bool = False, looked: Looked = lambda count: None
) -> AsyncIterator[StuckSession]:
    """See `Session.stuck`. `looked` is called with the number of sessions after each batch."""
    workers = await list_workers(runtime)
    search = _Search(runtime, workers, await list_pauses(runtime))
    batches = _suspects(runtime, match, workers) if quick else _all(runtime, match)
    async for batch in batches:
        for found in batch:
            if (stuck := await search.stuck(found)) is not None:
                yield stuck
        looked(len(batch))


async def _all(runtime: Runtime, match: str) -> AsyncIterator[list[SessionSummary]]:
    async for page in pages(runtime.store, match):
        yield page.sessions


async def _suspects(
    runtime: Runtime, match: str, workers: Iterable[WorkerInfo]
) -> AsyncIterator[list[SessionSummary]]:
    """What silent workers held, and what waits for workers."""
    held = [turn.session_id for each in workers if not each.alive for turn in each.turns]
    waiting = await runtime.store.ready.announced(_MOST_SUSPECTS)
    names = [name for name in dict.fromkeys([*held, *waiting]) if fnmatchcase(name, match)]
    for start in range(0, len(names), _BATCH):
        some = names[start : start + _BATCH]
        found = await asyncio.gather(*(_summary(runtime, name) for name in some))
        yield [summary for summary in found if summary is not None]


async def _summary(runtime: Runtime, session_id: str) -> SessionSummary | None:
    """As a listing has it; None if the session is gone."""
    try:
        info = await runtime.store.info(session_id)
    except (NewerFormat, NotASession) as error:
        return unreadable(session_id, error)
    if isinstance(info, Absent):
        return None
    known = info.items, info.bytes, info.queued, info.updated_at, info.open_turn
    return SessionSummary(session_id, info.state, info.since, *known)


class _Search:
    """Looks at sessions, with the workers that there are, and the pauses."""

    def __init__(
        self, runtime: Runtime, workers: Iterable[WorkerInfo], pauses: Sequence[Pause]
    ) -> None:
        self._runtime, self._pauses = runtime, pauses
        self._workers = {worker.name: worker for worker in workers}
        self._ready = [worker for worker in self._workers.values() if worker.state == "alive"]
        self._agents = {agent for worker in self._ready for agent in worker.agents}

    async def stuck(self, found: SessionSummary) -> StuckSession | None:
        turn = found.open_turn
        if turn is None:
            return await self._without_turn(found)
        stuck = self._suspended(found)
        if stuck is None and found.state == "running":
            stuck = self._running(found, turn)
        if stuck is None and found.state == "dead":
            stuck = await self._dead(found, turn)
        return stuck and replace(stuck, turn_id=turn.turn_id, worker=turn.worker)

    async def _without_turn(self, found: SessionSummary) -> StuckSession | None:
        if found.state == "queued":
            return await self._queued(found)
        if found.state == "newer":
            return _stuck(found, found.error or "", "upgrade the workers and this command")
        if found.state == "unreadable":
            remedy = "restore it from a backup, or move what is not Turnwise's to another prefix"
            return _stuck(found, found.error or "", remedy)
        return None

    def _suspended(self, found: SessionSummary) -> StuckSession | None:
        if found.state == "parked":
            remedy = command(("approvals", "list"), escape(found.session_id))
            return _stuck(found, "it waits for approvals", remedy)
        if found.state == "stopped":
            letter = f"stopped:{found.session_id}"
            instead = command(("dead-letters", "delete"), letter)
            why = f"its message failed for good, and it is stopped there; to drop it: {instead}"
            return _stuck(found, why, command(("dead-letters", "retry"), letter))
        return None

    def _running(self, found: SessionSummary, turn: OpenTurn) -> StuckSession | None:
        worker = self._workers.get(turn.worker)
        if worker is None or worker.alive:
            return None
        left = max(0.0, turn.lease_remaining or 0.0)
        silent = f"its worker has been silent for {worker.silent_for:.0f} s"
        why = f"{silent}; its lease ends in {left:.0f} s"
        since = time.time() - worker.silent_for
        verb = ("turns", "release" if turn.background else "cancel")
        remedy = command(verb, found.session_id, turn.turn_id)
        return replace(_stuck(found, why, remedy), since=since)

    async def _dead(self, found: SessionSummary, turn: OpenTurn) -> StuckSession | None:
        is_long = _passed(found.since) >= PATIENCE
        if not turn.background:
            if not is_long:
                return None
            why = "nobody holds its turn, and its sender did not come back"
            remedy = command(("turns", "cancel"), found.session_id, turn.turn_id)
            return _stuck(found, why, remedy)
        message = await self._message(found.session_id, turn.turn_id)
        if message is None or message.waiting_for < PATIENCE:
            return None
        # Workers that lack its agent take it and give it back, again and again.
        if not is_long and message.agent in self._agents:
            return None
        stuck = self._unclaimed(found, message.agent, "nobody holds its turn")
        return stuck if is_long else replace(stuck, since=time.time() - message.waiting_for)

    async def _queued(self, found: SessionSummary) -> StuckSession | None:
        message = await self._message(found.session_id)
        if message is None or message.waiting_for < PATIENCE:
            return None
        if message.agent in self._agents and _passed(found.updated_at) < PATIENCE:
            return None  # messages before it were answered just now
        stuck = self._unclaimed(found, message.agent, "nobody claims its message")
        since = time.time() - message.waiting_for
        return replace(stuck, since=since, turn_id=message.turn_id)

    async def _message(self, session_id: str, turn_id: str | None = None) -> QueuedEntry | None:
        """The first message, or that of this turn; None if it is gone by now."""
        try:
            queue = await queue_of(self._runtime, session_id, _LOOK_AT)
        except (NewerFormat, NotASession):
            return None
        messages = (entry for entry in queue if entry.kind == "message")
        return next((m for m in messages if turn_id in (None, m.turn_id)), None)

    def _unclaimed(self, found: SessionSummary, agent: str, what: str) -> StuckSession:
        if pause := pause_of(self._pauses, agent):
            why, remedy = f"{what}: {_told(pause)}", _resume(pause)
        elif quiet := self._quiet_only(agent):
            why = f"{what}: the workers that know its agent are quiet"
            remedy = command(("workers", "resume"), quiet)
        elif not self._workers:
            why, remedy = f"{what}: there is no worker", _START
        elif not self._agents:
            why, remedy = f"{what}: no worker is alive and takes messages", _START
        elif agent and agent not in self._agents:
            why, remedy = f"{what}: no worker knows the agent {agent!r}", _START
        elif self._are_full(agent):
            why, remedy = f"{what}: all that know its agent are busy", _START_ANOTHER
        else:
            why, remedy = f"{what}: those that know its agent are busy, or fail", _SEE_LOGS
        return replace(_stuck(found, why, remedy), agent=agent)

    def _are_full(self, agent: str) -> bool:
        """Whether the workers that know the agent serve as many sessions as they may."""
        able = [worker for worker in self._ready if not agent or agent in worker.agents]
        return all(worker.active >= worker.concurrency for worker in able)

    def _quiet_only(self, agent: str) -> str | None:
        """A worker that knows the agent and is quiet, if no other one takes its messages."""
        if not agent or agent in self._agents:
            return None
        quiet = (worker for worker in self._workers.values() if worker.state == "quiet")
        return next((worker.name for worker in quiet if agent in worker.agents), None)


def _told(pause: Pause) -> str:
    which = "all messages are" if pause.agent is None else f"the agent {pause.agent!r} is"
    reason = f" ({pause.reason})" if pause.reason else ""
    return f"{which} paused by {pause.by}{reason}"


def _resume(pause: Pause) -> str:
    if pause.agent is None:
        return "turnwise queue resume"
    return f"turnwise queue resume --agent={quoted(pause.agent)}"


def _stuck(found: SessionSummary, why: str, remedy: str) -> StuckSession:
    return StuckSession(found.session_id, found.state, found.since, why, remedy)


def _passed(since: float | None) -> float:
    return 0.0 if since is None else time.time() - since


def command(verb: tuple[str, str], *words: str) -> str:
    """A command of `turnwise`, as a shell takes it; no id can change what it does."""
    dashes = ["--"] if any(word.startswith("-") for word in words) else []
    return " ".join(["turnwise", *verb, *dashes, *map(quoted, words)])
