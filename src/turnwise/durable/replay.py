"""A turn's journal as its runs use it: what earlier attempts finished, and what this one writes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any

import msgspec
from agents import (
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    ModelBehaviorError,
    ModelRefusalError,
    OutputGuardrailTripwireTriggered,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
)

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

_ENDS_EACH_ATTEMPT = (
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    OutputGuardrailTripwireTriggered,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
)
_RESPONSE_OF_NO_USE = ModelBehaviorError, ModelRefusalError
_PATH_OF_A_RUN = 3
"""How many elements each run adds to a path."""
_FLUSH_DELAY = 0.05
"""Seconds after which an entry that nobody waits for is written at the latest."""
_log = logging.getLogger("turnwise")


class Replay:
    """What the runs of one turn share.

    Attributes:
        responses, started, ended: the entries of earlier attempts that still hold, by run and
            number, or by run and call.
        failed_calls: calls that ended an earlier attempt with their errors. If their tools are
            repeatable they are made again.
        final_errors: errors that tools raised which may not run again. Every attempt raises them.
        has_run_tools: whether a call that may have had an effect has begun, in any attempt.
        times_parked: how often the turn was parked.
        progress: what this attempt has come to.
    """

    def __init__(self, turn: DurableTurn) -> None:
        self.turn = turn
        self.responses: dict[tuple[RunPath, int], ResponseEntry] = {}
        self.started: dict[CallKey, ToolStartedEntry] = {}
        self.ended: dict[CallKey, ToolEndedEntry] = {}
        self.failed_calls: set[CallKey] = set()
        self.final_errors: list[Exception] = []
        self.has_run_tools = False
        self.times_parked = 0
        self.progress = Progress()
        self._has_errors = False
        self._unclaimed: set[RunPath] = set()
        self._occurrences: Counter[RunPath] = Counter()
        self._unwritten: list[Entry] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flushes: set[asyncio.Task[None]] = set()
        for entry in turn.journal.entries:
            self._load(entry)

    # What earlier attempts left.

    def _load(self, entry: Entry) -> None:
        match entry:
            case ResponseEntry():
                self.responses[entry.run, entry.number] = entry
                self._unclaimed.add(entry.run)
            case ToolStartedEntry():
                self.has_run_tools = True
                self.started[entry.run, entry.call] = entry
            case ToolEndedEntry():
                self.ended[entry.run, entry.call] = entry
                self.failed_calls.discard((entry.run, entry.call))
                self.note_end(entry)
            case AttemptFailedEntry():
                self.failed_calls = {
                    key for key, end in self.ended.items() if self._is_last_error(key, end)
                }
                if entry.ask_again:
                    self._drop_last_responses()
            case RestartedEntry():
                self._drop(entry.run)
            case ParkedEntry():
                self._drop(())
                self.times_parked += 1

    def _is_last_error(self, key: CallKey, end: ToolEndedEntry) -> bool:
        """Whether the call ended with an error, and its run has no response after it."""
        path, name = key
        return end.failed and (path, int(name.partition(".")[0])) not in self.responses

    def _drop_last_responses(self) -> None:
        """Forget each run's last response, unless it has made calls."""
        acted = {(path, int(name.partition(".")[0])) for path, name in (*self.started, *self.ended)}
        last: dict[RunPath, int] = {}
        for path, number in self.responses:
            last[path] = max(number, last.get(path, 0))
        for path, number in last.items():
            if (path, number + 1) not in acted:
                del self.responses[path, number]

    def note_end(self, end: ToolEndedEntry) -> None:
        """A call has ended, in this or an earlier attempt."""
        self._has_errors |= end.failed

    def is_lasting(self, error: BaseException) -> bool:
        """Whether every attempt would end with this error.

        A guardrail or `max_turns` ends each; so does an error of a tool that may not repeat.
        """
        if isinstance(error, _ENDS_EACH_ATTEMPT):
            return True
        cause: BaseException | None = error
        while cause is not None:
            if any(cause is final for final in self.final_errors):
                return True
            cause = cause.__cause__
        return False

    async def attempt_failed(self, error: BaseException) -> None:
        """Let the next attempt repeat the calls whose errors may have ended this one.

        If the SDK could make nothing of the last response, the next attempt asks the model again.
        Never raises: if this is not written, the next attempt ends with the same errors.
        """
        ask_again = isinstance(error, _RESPONSE_OF_NO_USE)
        if self._has_errors or ask_again:
            with suppress(TurnwiseError):
                await self.write(AttemptFailedEntry(ask_again=ask_again))

    def claim_path(self, parent: RunPath, agent: str, digest: str) -> tuple[RunPath, bool]:
        """The path of a run that begins now, and whether an earlier attempt had begun it."""
        is_later = digest == RESUMED and self.times_parked
        name = (*parent, agent, f"{digest}{self.times_parked}" if is_later else digest)
        path = (*name, self._occurrences[name])
        self._occurrences[name] += 1
        known = path in self._unclaimed
        self._unclaimed.discard(path)
        return path, known

    def unclaimed_beside(self, path: RunPath) -> list[RunPath]:
        """Runs that an earlier attempt had in place of `path`, and that this one has not begun.

        At the top of the turn that is any other run. Inside a run it is one of the same agent: the
        runs of others may be yet to come.
        """
        parent, agent = path[:-_PATH_OF_A_RUN], path[-_PATH_OF_A_RUN]
        return [
            other
            for other in self._unclaimed
            if other[:-_PATH_OF_A_RUN] == parent and (not parent or other[-_PATH_OF_A_RUN] == agent)
        ]

    def started_under(self, paths: Iterable[RunPath]) -> list[ToolStartedEntry]:
        """The tools that earlier attempts started under these paths."""
        return [
            entry
            for (path, _), entry in self.started.items()
            if any(path[: len(under)] == under for under in paths)
        ]

    async def restart(self, path: RunPath) -> None:
        """Forget all that was done under a path: the run there starts again from its input."""
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

    # What this attempt does.

    async def check(self) -> None:
        """Call this before anything that costs. Raises what ended the turn."""
        try:
            await self.turn.check()
        except TurnwiseError as error:
            raise as_agents_exception(error) from None

    async def write(self, entry: Entry) -> None:
        """Return when the entry is in the store, behind those that `write_later` got."""
        try:
            await self.turn.journal.write(*self._take_unwritten(), self._stamped(entry))
        except TurnwiseError as error:
            raise as_agents_exception(error) from None

    def _stamped(self, entry: Entry) -> Entry:
        attempt = self.turn.attempt if self.turn.attempt > 1 else None
        stamped: Entry = msgspec.structs.replace(entry, at=round(time.time(), 3), attempt=attempt)
        return stamped

    async def settled(self) -> None:
        """Return when all is in the store that tasks had begun to write, cancelled ones too."""
        try:
            await self.turn.journal.write()
        except TurnwiseError as error:
            raise as_agents_exception(error) from None

    def write_later(self, entry: Entry) -> None:
        """Write the entry with the next one, before the next model call, or after a short delay.

        Nobody acts on it before then. A short turn is committed first, and never writes it.
        """
        self._unwritten.append(self._stamped(entry))
        if self._flush_timer is None:
            loop = asyncio.get_running_loop()
            # The loop keeps a cancelled timer for a while: not with the run that set it.
            self._flush_timer = loop.call_later(_FLUSH_DELAY, self.flush, context=Context())

    def flush(self) -> None:
        """Begin to write what `write_later` got. If that fails, the next `write` raises."""
        entries = self._take_unwritten()
        if entries and not self.turn.ended:
            task = asyncio.create_task(self._write_all(entries), name="turnwise-journal")
            self._flushes.add(task)
            task.add_done_callback(self._flushes.discard)

    async def _write_all(self, entries: list[Entry]) -> None:
        try:
            await self.turn.journal.write(*entries)
        except TurnwiseError as error:
            _log.debug("journal entries were not written in the background: %s", error)

    async def flushed(self) -> None:
        """Return when nothing is being written in the background."""
        if self._flushes:
            await asyncio.wait(self._flushes)

    def _take_unwritten(self) -> list[Entry]:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        taken, self._unwritten = self._unwritten, []
        return taken

    # What is asked when the turn is cancelled.

    def unsaved(self, added: Sequence[Item], *, failed: bool = False) -> list[Any]:
        """What is finished of the current step and not among the items `added`."""
        return self.progress.unsaved(added, self.turn.changes, failed=failed)

    def running_tools(self) -> list[str]:
        """The names of tools that run. The end of one in a thread is not noticed."""
        return self.progress.running_tools

    async def quiet(self, seconds: float) -> None:
        """Return when no tool runs, at the latest after so many seconds."""
        await self.progress.quiet(seconds)

    # When the code does not fit the journal.

    def mismatch(self, what: str, paths: Iterable[RunPath]) -> ReplayMismatch:
        """The error for it. From now on the turn cannot be committed."""
        tools = sorted({entry.tool for entry in self.started_under(paths)})
        before = "was resumed before" if self.times_parked else "was begun by a worker that died"
        advice = _advice_if_parked(tools) if self.times_parked else _advice(tools)
        error = ReplayMismatch(
            f"turn {self.turn.turn_id!r} {before}, and now runs differently: {what}. {advice}",
            session_id=self.turn.session_id,
            tools=tools,
        )
        self.turn.fail(as_agents_exception(error))
        return error


def _advice(tools: list[str]) -> str:
    if not tools:
        return "It was rolled back; no tool had run. Send it again to run it from its start"
    return (
        f"It was rolled back, but these tools had run: {', '.join(tools)}. If they may run again, "
        "send it again to run it from its start"
    )


def _advice_if_parked(tools: list[str]) -> str:
    ran = f" ({', '.join(tools)} had run)" if tools else ""
    return (
        f"It stays parked, with all that it had finished{ran}. Resume it with the same agents and "
        "tools as before, or cancel it"
    )
