"""Where in a turn the code at hand is: in a run of agents, or in a tool that a run called."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

from agents import Agent, AgentsException, RunState, Usage

from turnwise.durable.agents_exceptions import as_agents_exception
from turnwise.durable.digests import input_digest
from turnwise.durable.replay import Replay, replay_of
from turnwise.durable.sdk import rejection_texts
from turnwise.durable.turn import DurableTurn, HoldsTurn, Runs
from turnwise.errors import TurnwiseError
from turnwise.journal_entries import RunPath, ToolStartedEntry


class Restart(AgentsException):
    """A run that does not fit its journal starts again from its input."""

    def __init__(self, run: Run) -> None:
        super().__init__("the run starts again from its input")
        self.run = run


class Run:
    """One run of agents in a turn.

    `output` is the last response's, `is_doubtful` whether something that it asked for may or may
    not have been done.

    `agent` is the one at work, `responses` how many the models gave it, `original` the run config
    as it was given, for the runs inside, `task` the one that runs it. `siblings` is told of
    the runs that follow each other in a block of the application's.
    """

    def __init__(
        self,
        holder: HoldsTurn,
        above: Run | Call | None,
        agent: Agent[Any],
        input: object,
        *,
        streamed: bool,
    ) -> None:
        self.holder = holder
        self.above = above
        self.agent = agent
        self.streamed = streamed
        self.original: Any = None
        self.siblings: Runs | None = None
        self.failure: TurnwiseError | None = None
        self.output: Sequence[Any] = ()
        self.is_doubtful = False
        self._occurrences: Counter[str] = Counter()
        self.responses = 0
        self.is_known = False
        self.is_over = False
        self.task: asyncio.Task[Any] | None = None
        self._thread = get_ident()
        self.results: list[Any] = []
        self.models: dict[int, Any] = {}
        self._name = agent.name
        self._digest = input_digest(input)
        self._state = input if isinstance(input, RunState) else None
        self._path: RunPath | None = None

    @property
    def turn(self) -> DurableTurn | None:
        return self.holder.durable_turn

    @property
    def replay(self) -> Replay:
        turn = self.turn
        assert turn is not None, "the run asked for its session first"
        return replay_of(turn)

    @property
    def is_open(self) -> bool:
        """Whether what happens here belongs to it: run and turn go on, in this thread."""
        is_ours = self._thread == get_ident()
        return is_ours and not self.is_over and (self.turn is None or not self.turn.ended)

    @property
    def goes_on(self) -> bool:
        """Whether it is open, and nobody has cancelled it, or a run around it."""
        if not self.is_open or (self.task is not None and self.task.cancelling()):
            return False
        above = self.above.run if isinstance(self.above, Call) else self.above
        return above is None or above.goes_on

    async def open(self) -> Replay:
        """What its turn shares. A streamed run may do its first work before its turn has begun."""
        if self.turn is None:
            try:
                await self.holder.open_turn()
            except TurnwiseError as error:
                raise as_agents_exception(error) from None
        return self.replay

    @property
    def path(self) -> RunPath:
        if self._path is None:
            parent = () if self.above is None else self.above.path
            self._path, self.is_known = self.replay.claim(parent, self._name, self._digest)
            self._tell_resumed()
        return self._path

    def begin(self) -> None:
        """Take a place among the runs of the turn, in the order in which they begin."""
        if self.turn is not None:
            _ = self.path

    def begin_again(self, agent: Agent[Any]) -> None:
        self.agent = agent
        self.responses = 0
        self.is_known = False
        self._occurrences.clear()
        self._tell_resumed()

    def _tell_resumed(self) -> None:
        if self._state is not None and self.above is None:
            self.replay.progress.resumed(self.path, rejection_texts(self._state))

    def check(self) -> None:
        """Raise what ended the turn if the SDK kept that from being raised."""
        if self.failure is not None:
            raise as_agents_exception(self.failure)

    def occurrence(self, name: str) -> int:
        """How often this was asked before since the last response."""
        count = self._occurrences[name]
        self._occurrences[name] += 1
        return count

    def may_repeat(self, started: Iterable[ToolStartedEntry]) -> bool:
        """Whether all these tools may run again."""
        assert self.turn is not None
        again = self.turn.repeatable_tools
        return all(entry.repeatable or entry.tool in again for entry in started)

    def count(self, output: Sequence[Any], usage: Callable[[], Usage]) -> None:
        """One response more, at this cost."""
        self.responses += 1
        self.output = output
        self.is_doubtful = False
        self._occurrences.clear()
        if self.above is not None:
            self.spend(usage())

    def spend(self, usage: Usage) -> None:
        """What this run costs, the agent-tools around it cost too."""
        above = self.above
        while above is not None:
            if isinstance(above, Call):
                above.usage.add(usage)
                above = above.run
            else:
                above = above.above


@dataclass(eq=False)
class Call:
    """One call of a tool in a run. `usage` is what the runs inside it cost."""

    run: Run
    name: str
    tool: str
    usage: Usage = field(default_factory=Usage)
    inside: list[Run] = field(default_factory=list)

    @property
    def path(self) -> RunPath:
        return (*self.run.path, self.name)

    @property
    def is_interrupted(self) -> bool:
        """Whether a run inside waits for an approval: the call has not ended then."""
        return any(result.interruptions for run in self.inside for result in run.results)


@dataclass(frozen=True, slots=True)
class UntrackedRun:
    """A run that a tool makes in another thread: to the journal it is a part of that call."""

    call: Call


_here: ContextVar[Run | Call | UntrackedRun | None] = ContextVar("turnwise_here", default=None)


def place_of_tool() -> Call | UntrackedRun | None:
    """The call that this code works for, in whatever thread; None outside of a tool.

    In a run aside nothing tells apart the calls of its tools.
    """
    place = _here.get()
    if place is None or isinstance(place, Run):
        return None
    run = (place.call if isinstance(place, UntrackedRun) else place).run
    turn = None if run.is_over else run.turn
    return place if turn is not None and not turn.ended else None


def here() -> Run | Call | None:
    """Where this code runs, if that is in a durable run that goes on."""
    place = _here.get()
    if place is None or isinstance(place, UntrackedRun):
        return None
    run = place.run if isinstance(place, Call) else place
    return place if run.is_open else None


def untracked_run() -> UntrackedRun | None:
    """Where a run is that begins here, and is not a durable one."""
    place = place_of_tool()
    return UntrackedRun(place) if isinstance(place, Call) else place


@contextmanager
def being_in(place: Run | Call | UntrackedRun | None) -> Iterator[None]:
    token = _here.set(place)
    try:
        yield
    finally:
        _here.reset(token)
