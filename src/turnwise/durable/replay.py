"""A turn's journal as its runs use it: what earlier attempts finished, and what this one does.

An entry is a JSON object. `k` tells its kind, `r` the path of its run:

    response    a model answered; `n` counts the responses of its run from 0
    start       a tool began; `c` names the call
    end         it ended: with a value, an error, or by its timeout
    failed      an attempt failed: calls whose errors are before this may be made again
    restart     all entries of this path before this one are void
    park        the run waits for an approval; all entries before are in its state (see `parked`)

A path is made of three elements for each run (agent, digest of its input, occurrence), with the
call between them where a tool runs agents.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from turnwise.codec import undecodable_journal
from turnwise.durable.agents_exceptions import as_agents_exception
from turnwise.durable.progress import Progress
from turnwise.durable.turn import DurableTurn, Path
from turnwise.errors import ReplayMismatch, TurnwiseError

Entry = Mapping[str, Any]
Key = tuple[Path, Any]

RESUMED = "resumed"
_ELSEWHERE = ("decided",)
"""Kinds of entries that others look at (see `parked`)."""
_RUN = 3
_SOON = 0.05
_log = logging.getLogger("turnwise")


class Replay:
    """One turn. All runs in it share this object."""

    def __init__(self, turn: DurableTurn) -> None:
        self.turn = turn
        self.responses: dict[Key, Entry] = {}
        self.started: dict[Key, Entry] = {}
        self.ended: dict[Key, Entry] = {}
        self.failed: set[Key] = set()
        """Calls whose errors nobody has answered to, before an attempt failed."""
        self.standing: list[Exception] = []
        """What tools raised here that are not to run again: another attempt would raise it too."""
        self._has_errors = False
        self.parks = 0
        self.progress = Progress()
        self._unclaimed: set[Path] = set()
        self._occurrences: Counter[Path] = Counter()
        self._waiting: list[Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._sending: set[asyncio.Task[None]] = set()
        for index, entry in enumerate(turn.journal.entries):
            try:
                self._absorb(entry)
            except (KeyError, TypeError, ValueError, AttributeError):
                reason = f"element {index} is no entry that this version knows"
                names = turn.session_id, turn.turn_id
                raise as_agents_exception(undecodable_journal(*names, reason)) from None

    # What earlier attempts left.

    def _absorb(self, entry: Entry) -> None:
        kind, path = entry.get("k"), tuple(entry.get("r", ()))
        if kind == "response":
            self.responses[path, entry["n"]] = entry
            self._unclaimed.add(path)
        elif kind == "start":
            self.started[path, entry["c"]] = entry
        elif kind == "end":
            self.ended[path, entry["c"]] = entry
            self.failed.discard((path, entry["c"]))
            self.note(entry)
        elif kind == "failed":
            self.failed = {key for key, end in self.ended.items() if self._is_open_error(key, end)}
        elif kind == "restart":
            self._drop(path)
        elif kind == "park":
            self._drop(())
            self.parks += 1
        elif kind not in _ELSEWHERE:
            raise ValueError

    def _is_open_error(self, key: Key, end: Entry) -> bool:
        """Whether this call ended with an error that its run did not get beyond."""
        path, name = key
        return _is_error(end) and (path, int(name.partition(".")[0])) not in self.responses

    def note(self, end: Entry) -> None:
        """A call has ended, here or in an earlier attempt."""
        self._has_errors |= _is_error(end)

    def ends_each_attempt(self, error: BaseException) -> bool:
        """Whether a run that ended by this would end by it again, as a tool does not run again."""
        cause: BaseException | None = error
        while cause is not None:
            if any(cause is standing for standing in self.standing):
                return True
            cause = cause.__cause__
        return False

    async def attempt_failed(self) -> None:
        """Let the next attempt make the calls again whose errors may have ended this one.

        Never raises: where this was not written, the errors stand for one attempt more.
        """
        if self._has_errors:
            with suppress(TurnwiseError):
                await self.write({"k": "failed"})

    def claim(self, parent: Path, agent: str, digest: str) -> tuple[Path, bool]:
        """The path of a run that begins now, and whether an earlier attempt had begun it."""
        again = str(self.parks) if digest == RESUMED and self.parks else ""
        name = (*parent, agent, digest + again)
        path = (*name, self._occurrences[name])
        self._occurrences[name] += 1
        known = path in self._unclaimed
        self._unclaimed.discard(path)
        return path, known

    def strays(self, path: Path) -> list[Path]:
        """Runs that an earlier attempt made where `path` is now, and that nobody makes any more.

        At the top any other run is one; inside a run only one of the same agent, since what comes
        later in the run may be yet to come.
        """
        parent, agent = path[:-_RUN], path[-_RUN]
        return [
            other
            for other in self._unclaimed
            if other[:-_RUN] == parent and (not parent or other[-_RUN] == agent)
        ]

    def ran(self, paths: Iterable[Path]) -> list[Entry]:
        """The starts of tools that earlier attempts made under these paths."""
        return [
            entry
            for (path, _), entry in self.started.items()
            if any(path[: len(under)] == under for under in paths)
        ]

    async def restart(self, path: Path) -> None:
        """Forget what was done under a path; the run there starts again from its input."""
        self._drop(path)
        self.progress.restarted(path)
        for name in [name for name in self._occurrences if name[: len(path)] == path]:
            del self._occurrences[name]
        await self.write({"k": "restart", "r": path})

    def _drop(self, path: Path) -> None:
        size = len(path)
        for table in (self.responses, self.started, self.ended):
            for key in [key for key in table if key[0][:size] == path]:
                del table[key]
        self._unclaimed = {other for other in self._unclaimed if other[:size] != path}

    # What this one does.

    async def check(self) -> None:
        """To be called before each thing that costs. Raises what ended the turn."""
        try:
            await self.turn.check()
        except TurnwiseError as error:
            raise as_agents_exception(error) from None

    async def write(self, entry: Entry) -> None:
        """Return when the entry is in the store, and all that were left for later before it."""
        try:
            await self.turn.journal.write(*self._taken(), entry)
        except TurnwiseError as error:
            raise as_agents_exception(error) from None

    def write_later(self, entry: Entry) -> None:
        """Write with the next entry, before the next model call, or soon.

        What nobody acts upon yet need not be waited for; the commit of a short turn comes first.
        """
        self._waiting.append(entry)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self.send)

    def send(self) -> None:
        """Begin to write what was left for later. A failure is told by the next write."""
        entries = list(self._taken())
        if entries and not self.turn.ended:
            task = asyncio.create_task(self._send(entries), name="turnwise-journal")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, entries: list[Entry]) -> None:
        try:
            await self.turn.journal.write(*entries)
        except TurnwiseError as error:
            _log.debug("what was journaled in the background was not written: %s", error)

    async def resend_if_cancelled(self) -> None:
        """Return when nothing is being written in the background."""
        if self._sending:
            await asyncio.wait(self._sending)

    def _taken(self) -> Iterator[Entry]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        taken, self._waiting = self._waiting, []
        return iter(taken)

    # When the turn is asked to stop.

    def unsaved(self, added: Sequence[Entry]) -> list[Any]:
        """What is finished of the step at hand and not among the items `added`."""
        return self.progress.unsaved(added, self.turn.changes)

    def running_tools(self) -> list[str]:
        """The names of the tools that still run, or may: those in threads are not followed."""
        return self.progress.running_tools

    async def quiet(self, seconds: float) -> None:
        """Return when no tool runs, or when that much time is over."""
        await self.progress.quiet(seconds)

    # When it does not fit.

    def mismatch(self, what: str, paths: Iterable[Path]) -> ReplayMismatch:
        """The error for a replay that cannot go on; from now on the turn cannot be committed."""
        tools = sorted({entry["tool"] for entry in self.ran(paths)})
        before = "was resumed before" if self.parks else "was begun by a worker that died"
        advice = _advice_if_parked(tools) if self.parks else _advice(tools)
        error = ReplayMismatch(
            f"turn {self.turn.turn_id!r} {before}, and does not go the same way again: {what}. "
            f"{advice}",
            session_id=self.turn.session_id,
            tools=tools,
        )
        self.turn.fail(as_agents_exception(error))
        return error


def _is_error(end: Entry) -> bool:
    return any(end.get(name) for name in ("error", "timeout", "cancelled"))


def _advice(tools: list[str]) -> str:
    if not tools:
        return "No tool had run; send it again to run it from its start"
    return (
        f"It was rolled back, but these tools had run: {', '.join(tools)}. Send it again to run "
        "all of it from its start, once that is safe"
    )


def _advice_if_parked(tools: list[str]) -> str:
    ran = f" ({', '.join(tools)} had run)" if tools else ""
    return (
        f"It waits again, with all that it had finished{ran}: resume it with the agents and tools "
        "that it was resumed with then, or cancel it"
    )


def replay_of(turn: DurableTurn) -> Replay:
    """The one replay of a turn."""
    if turn.replay is None:
        turn.replay = Replay(turn)
    found = turn.replay
    assert isinstance(found, Replay)
    return found
