"""A turn's journal as its runs use it: what earlier attempts finished, and what this one does.

See `journal_entries` for what an entry holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from turnwise.durable.agents_exceptions import as_agents_exception
from turnwise.durable.digests import RESUMED
from turnwise.durable.progress import Progress
from turnwise.durable.turn import DurableTurn
from turnwise.errors import ReplayMismatch, TurnwiseError
from turnwise.journal_entries import (
    AttemptFailedEntry,
    Entry,
    ParkedEntry,
    ResponseEntry,
    RestartedEntry,
    RunPath,
    ToolEndedEntry,
    ToolStartedEntry,
)

Item = Mapping[str, Any]
CallKey = tuple[RunPath, str]

_RUN = 3
_SOON = 0.05
_log = logging.getLogger("turnwise")


class Replay:
    """One turn. All runs in it share this object."""

    def __init__(self, turn: DurableTurn) -> None:
        self.turn = turn
        self.responses: dict[tuple[RunPath, int], ResponseEntry] = {}
        self.started: dict[CallKey, ToolStartedEntry] = {}
        self.ended: dict[CallKey, ToolEndedEntry] = {}
        self.failed: set[CallKey] = set()
        """Calls whose errors nobody has answered to, before an attempt failed."""
        self.standing: list[Exception] = []
        """What tools raised here that are not to run again: another attempt would raise it too."""
        self._has_errors = False
        self.parks = 0
        self.progress = Progress()
        self._unclaimed: set[RunPath] = set()
        self._occurrences: Counter[RunPath] = Counter()
        self._waiting: list[Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._sending: set[asyncio.Task[None]] = set()
        for entry in turn.journal.entries:
            self._absorb(entry)

    # What earlier attempts left.

    def _absorb(self, entry: Entry) -> None:
        match entry:
            case ResponseEntry():
                self.responses[entry.run, entry.number] = entry
                self._unclaimed.add(entry.run)
            case ToolStartedEntry():
                self.started[entry.run, entry.call] = entry
            case ToolEndedEntry():
                self.ended[entry.run, entry.call] = entry
                self.failed.discard((entry.run, entry.call))
                self.note(entry)
            case AttemptFailedEntry():
                self.failed = {
                    key for key, end in self.ended.items() if self._is_open_error(key, end)
                }
            case RestartedEntry():
                self._drop(entry.run)
            case ParkedEntry():
                self._drop(())
                self.parks += 1

    def _is_open_error(self, key: CallKey, end: ToolEndedEntry) -> bool:
        """Whether this call ended with an error that its run did not get beyond."""
        path, name = key
        return end.failed and (path, int(name.partition(".")[0])) not in self.responses

    def note(self, end: ToolEndedEntry) -> None:
        """A call has ended, here or in an earlier attempt."""
        self._has_errors |= end.failed

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
                await self.write(AttemptFailedEntry())

    def claim(self, parent: RunPath, agent: str, digest: str) -> tuple[RunPath, bool]:
        """The path of a run that begins now, and whether an earlier attempt had begun it."""
        again = str(self.parks) if digest == RESUMED and self.parks else ""
        name = (*parent, agent, digest + again)
        path = (*name, self._occurrences[name])
        self._occurrences[name] += 1
        known = path in self._unclaimed
        self._unclaimed.discard(path)
        return path, known

    def strays(self, path: RunPath) -> list[RunPath]:
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

    def ran(self, paths: Iterable[RunPath]) -> list[ToolStartedEntry]:
        """The starts of tools that earlier attempts made under these paths."""
        return [
            entry
            for (path, _), entry in self.started.items()
            if any(path[: len(under)] == under for under in paths)
        ]

    async def restart(self, path: RunPath) -> None:
        """Forget what was done under a path; the run there starts again from its input."""
        self._drop(path)
        self.progress.restarted(path)
        for name in [name for name in self._occurrences if name[: len(path)] == path]:
            del self._occurrences[name]
        await self.write(RestartedEntry(path))

    def _drop(self, path: RunPath) -> None:
        size = len(path)
        tables: tuple[dict[Any, Any], ...] = (self.responses, self.started, self.ended)
        for table in tables:
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

    def unsaved(self, added: Sequence[Item]) -> list[Any]:
        """What is finished of the step at hand and not among the items `added`."""
        return self.progress.unsaved(added, self.turn.changes)

    def running_tools(self) -> list[str]:
        """The names of the tools that still run, or may: those in threads are not followed."""
        return self.progress.running_tools

    async def quiet(self, seconds: float) -> None:
        """Return when no tool runs, or when that much time is over."""
        await self.progress.quiet(seconds)

    # When it does not fit.

    def mismatch(self, what: str, paths: Iterable[RunPath]) -> ReplayMismatch:
        """The error for a replay that cannot go on; from now on the turn cannot be committed."""
        tools = sorted({entry.tool for entry in self.ran(paths)})
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
