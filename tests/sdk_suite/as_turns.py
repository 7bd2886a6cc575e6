"""A pytest plugin for the SDK's own tests: every run of agents in them is a Turnwise turn.

`--runs` says what a run becomes. `memory`, `sqlite`, `valkey`: a turn on a session of that store.
`block`: a run in a `session.turn` block; if that parks the turn, its state continues it as a turn.
`bound`: a run of the SDK's runner with a bound session.
`resent`: a turn with a turn_id; the result is that of a second call with the same turn_id. `plain`:
the SDK's own run, to compare with.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any
from zlib import crc32

import agents
import pytest
from agents import RunResult, RunResultStreaming, RunState
from agents.run import AgentRunner, set_default_agent_runner

import turnwise
from turnwise.approvals import DecidedState
from turnwise.durable.context import current_scope
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer

MODES = ("plain", "memory", "sqlite", "valkey", "bound", "block", "resent")
_SERVER_SIDE = ("conversation_id", "previous_response_id", "auto_previous_response_id")
Result = RunResult | RunResultStreaming
Asked = frozenset[tuple[str | None, str | None]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runs", choices=MODES, default="memory", help="what every run becomes")
    parser.addoption("--share", type=int, default=1, help="run one test of so many")
    parser.addoption("--report", help="where to write which tests ran, and which failed")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SESSIONS] = Sessions(config.getoption("--runs"))
    config.stash[_SESSIONS].get()  # a server starts in an event loop, so before those of the tests
    if config.getoption("--report") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(Path(config.getoption("--report"))))


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_SESSIONS].close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    share = config.getoption("--share")
    items[:] = [item for item in items if crc32(item.nodeid.encode()) % share == 0]


class Report:
    """Notes how tests end, those of other processes too, and writes it to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ran: set[str] = set()
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and not report.skipped:
            self._ran.add(report.nodeid)
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        outcomes = {"ran": sorted(self._ran | self._failed), "failed": sorted(self._failed)}
        self._path.write_text(json.dumps(outcomes))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Behind the fixtures: one of the SDK's sets the default runner itself."""
    sessions = item.config.stash[_SESSIONS]
    if sessions.mode == "plain":
        return (yield)
    set_default_agent_runner(TurnRunner(sessions))
    try:
        return (yield)
    finally:
        set_default_agent_runner(None)


class Sessions:
    """The session object of this process."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self._made: Session | None = None
        self._stack = ExitStack()

    def get(self) -> Session:
        if self._made is None:
            self._made = self._new()
        return self._made

    def _new(self) -> Session:
        if self.mode == "sqlite":
            directory = self._stack.enter_context(tempfile.TemporaryDirectory())
            return turnwise.SQLiteSession(Path(directory) / "sessions.db")
        if self.mode == "valkey":
            server, loop = ValkeyServer(), asyncio.new_event_loop()
            self._stack.callback(loop.close)
            loop.run_until_complete(server.__aenter__())
            self._stack.callback(
                lambda: loop.run_until_complete(server.__aexit__(None, None, None))
            )
            return turnwise.RedisSession.from_url(server.url)
        return turnwise.MemorySession()

    def close(self) -> None:
        self._stack.close()


_SESSIONS = pytest.StashKey[Sessions]()
_numbers = count()


class TurnRunner(AgentRunner):
    """Makes a turn of each run that has no session, and that is not inside another run."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._parked: dict[Asked, str] = {}

    async def run(self, starting_agent: Any, input: Any, **options: Any) -> RunResult:
        if self._is_plain(input, options):
            return await super().run(starting_agent, input, **options)
        session, mode, session_id = self._sessions.get(), self._sessions.mode, self._id(input)
        del options["session"]
        if mode == "bound":
            bound = session.bind(session_id)
            result = await super().run(starting_agent, input, session=bound, **options)
        elif mode == "block" and not isinstance(input, RunState):
            async with session.turn(session_id) as turn:
                result = await agents.Runner.run(starting_agent, input, session=turn, **options)
        else:
            options |= {"session": session, "session_id": session_id}
            result = await self._turn(starting_agent, input, options)
        self._note(session_id, input, result)
        return result

    async def _turn(self, agent: Any, input: Any, options: dict[str, Any]) -> RunResult:
        if self._sessions.mode != "resent" or isinstance(input, RunState):
            return await turnwise.Runner.run(agent, input, **options)
        options["turn_id"] = "t"
        result = await turnwise.Runner.run(agent, input, **options)
        return (
            result if result.interruptions else await turnwise.Runner.run(agent, input, **options)
        )

    def run_sync(self, starting_agent: Any, input: Any, **options: Any) -> RunResult:
        if self._is_plain(input, options) or self._sessions.mode not in (
            "memory",
            "sqlite",
            "valkey",
        ):
            return super().run_sync(starting_agent, input, **options)  # which calls `run`
        session_id = self._id(input)
        options |= {"session": self._sessions.get(), "session_id": session_id}
        result = turnwise.Runner.run_sync(starting_agent, input, **options)
        self._note(session_id, input, result)
        return result

    def run_streamed(self, starting_agent: Any, input: Any, **options: Any) -> RunResultStreaming:
        mode = self._sessions.mode
        if self._is_plain(input, options) or mode == "block":
            return super().run_streamed(starting_agent, input, **options)
        session, session_id = self._sessions.get(), self._id(input)
        del options["session"]
        if mode == "bound":
            bound = session.bind(session_id)
            result = super().run_streamed(starting_agent, input, session=bound, **options)
        else:
            options |= {"session": session, "session_id": session_id}
            result = turnwise.Runner.run_streamed(starting_agent, input, **options)
        if (task := result.run_loop_task) is not None:
            task.add_done_callback(lambda _: self._note(session_id, input, result))
        return result

    def _is_plain(self, input: Any, options: dict[str, Any]) -> bool:
        """Whether a run stays the SDK's: inside another run, with a session, or server-side.

        So does one that continues a state which no turn here has parked.
        """
        return (
            current_scope() is not None
            or options.get("session") is not None
            or any(options.get(name) for name in _SERVER_SIDE)
            or (isinstance(input, RunState) and not self._is_parked(input))
        )

    def _is_parked(self, state: RunState[Any]) -> bool:
        try:
            return _asked(DecidedState(state)) in self._parked
        except Exception:  # a turn raises it; with a bound session only the SDK looks at the state
            return self._sessions.mode != "bound"

    def _id(self, input: Any) -> str:
        """The session where this state's turn is parked; a new one for any other input."""
        if isinstance(input, RunState):
            return self._parked[_asked(DecidedState(input))]
        return f"s{next(_numbers):08}"  # in order: the SDK goes through its files by their names

    def _note(self, session_id: str, input: Any, result: Result) -> None:
        if isinstance(input, RunState) and (
            result.interruptions or result.final_output is not None
        ):
            self._parked = {k: v for k, v in self._parked.items() if v != session_id}
        if result.interruptions:
            key = frozenset((item.name, item.call_id) for item in result.interruptions)
            self._parked[key] = session_id


def _asked(state: DecidedState) -> Asked:
    return frozenset((call.item.name, call.item.call_id) for call in state.calls)
