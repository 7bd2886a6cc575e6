"""The scope of the code at hand: the run of agents, or the tool call in a run, that it works for.

A context variable holds it. Scopes nest: a tool may run agents, whose tools may run agents again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

from agents import Agent, AgentsException, RunState, Usage

from turnwise.durable.agents_exceptions import as_agents_exception
from turnwise.durable.digests import input_digest
from turnwise.durable.replay import Replay
from turnwise.durable.responses import unpack_usage
from turnwise.durable.sdk_states import rejection_texts
from turnwise.durable.turn import DurableTurn, HoldsTurn, Runs
from turnwise.errors import TurnwiseError
from turnwise.journal_entries import RunPath, StoredResponse, ToolStartedEntry


class Restart(AgentsException):
    """Raised inside a run that does not fit its journal: it starts again from its input."""

    def __init__(self, run: Run) -> None:
        super().__init__("the run starts again from its input")
        self.run = run


class Run:
    """One run of agents in a turn.

    Attributes:
        holder: the session that leads to the turn.
        parent: the scope in which the run began; None for a run at the top of its turn.
        agent: the agent at work.
        streamed: whether its model calls are streamed.
        config: the run config as the caller gave it; runs inside get this one.
        block_runs: what follows the runs of a block that is a turn, if this is one of them.
        failure: an error that ended the turn and that the SDK may have caught.
        output: the items of the last response.
        is_outcome_unknown: a computer's action was cut off by a worker's death: the actions that
            the same response asks for after it are skipped.
        responses: how many responses it has.
        is_in_journal: whether an earlier attempt had begun it.
        is_over: whether it has ended.
        task: the task that runs it.
        results: what it returned.
        models: the durable models of the run, by the id of the original.
        adds_items: whether what it makes becomes items of the turn as it is.
        unread_for: its input's items, until it has read the history before them.
    """

    def __init__(
        self,
        holder: HoldsTurn,
        parent: Run | Call | None,
        agent: Agent[Any],
        input: object,
        *,
        streamed: bool,
    ) -> None:
        self.holder = holder
        self.parent = parent
        self.agent = agent
        self.streamed = streamed
        self.config: Any = None
        self.block_runs: Runs | None = None
        self.failure: TurnwiseError | None = None
        self.output: Sequence[Any] = ()
        self.is_outcome_unknown = False
        self.responses = 0
        self.is_in_journal = False
        self.is_over = False
        self.task: asyncio.Task[Any] | None = None
        self.results: list[Any] = []
        self.models: dict[int, Any] = {}
        self._occurrences: Counter[str] = Counter()
        self.adds_items = False
        self.unread_for: Sequence[Any] | None = None
        self._thread = get_ident()
        self._agent_name = agent.name
        self._digest = input_digest(input)
        # Now: the SDK settles rejections in the state before a streamed run begins its turn.
        self._rejections = rejection_texts(input) if isinstance(input, RunState) else None
        self._path: RunPath | None = None

    @property
    def turn(self) -> DurableTurn | None:
        """The turn; None while a streamed run has not begun it yet."""
        return self.holder.durable_turn

    def enclosing_turn(self) -> DurableTurn | None:
        """The turn that the run's code is part of; None when the run is over."""
        return None if self.is_over else self.turn

    @property
    def replay(self) -> Replay:
        """Its turn's, made when the turn's first run asks."""
        turn = self.turn
        assert turn is not None, "the run asked for its session first"
        if turn.replay is None:
            turn.replay = Replay(turn)
        assert isinstance(turn.replay, Replay)
        return turn.replay

    @property
    def is_active(self) -> bool:
        """Whether the code at hand can belong to it: neither it nor its turn is over."""
        is_same_thread = self._thread == get_ident()
        return is_same_thread and not self.is_over and (self.turn is None or not self.turn.ended)

    @property
    def is_stopping(self) -> bool:
        """Whether it is not active, or its task or the task of a run around it is cancelled."""
        if not self.is_active or (self.task is not None and self.task.cancelling()):
            return True
        around = self.parent.run if isinstance(self.parent, Call) else self.parent
        return around is not None and around.is_stopping

    async def open(self) -> Replay:
        """The replay of its turn. A streamed run may work before it has begun its turn."""
        if self.turn is None:
            try:
                await self.holder.open_turn()
            except TurnwiseError as error:
                raise as_agents_exception(error) from None
        return self.replay

    @property
    def path(self) -> RunPath:
        return self.claim_path() if self._path is None else self._path

    def claim_path(self) -> RunPath:
        """Take its path now. Runs with equal names and inputs take theirs as they begin."""
        parent = () if self.parent is None else self.parent.path
        claimed = self.replay.claim_path(parent, self._agent_name, self._digest)
        self._path, self.is_in_journal = claimed
        self._note_resumed()
        return claimed[0]

    def restart(self, agent: Agent[Any]) -> None:
        """Start again with this agent; the journal has nothing of the run any more."""
        self.agent = agent
        self.responses = 0
        self.is_in_journal = False
        self._occurrences.clear()
        self._note_resumed()

    def _note_resumed(self) -> None:
        if self._rejections is not None and self.parent is None:
            self.replay.progress.resumed(self.path, self._rejections)

    def check(self) -> None:
        """Raise the error that ended the turn, if the SDK caught it."""
        if self.failure is not None:
            raise as_agents_exception(self.failure)

    def occurrence(self, name: str) -> int:
        """How often `name` was asked for since the last response, before now."""
        count = self._occurrences[name]
        self._occurrences[name] += 1
        return count

    def may_repeat(self, started: Iterable[ToolStartedEntry]) -> bool:
        """Whether all these tools may run again."""
        assert self.turn is not None
        names = self.turn.repeatable_tools
        return all(entry.repeatable or entry.tool in names for entry in started)

    def add_response(self, response: StoredResponse) -> None:
        self.responses += 1
        self.output = response.output
        self.is_outcome_unknown = False
        self._occurrences.clear()
        if self.parent is not None:
            self.add_usage_to_parents(unpack_usage(response.usage))

    def add_usage_to_parents(self, usage: Usage) -> None:
        """Calls of agents as tools around the run cost what the run costs."""
        scope = self.parent
        while scope is not None:
            if isinstance(scope, Call):
                scope.usage.add(usage)
                scope = scope.run
            else:
                scope = scope.parent


@dataclass(eq=False)
class Call:
    """A tool call in a run.

    Attributes:
        run: the run that makes the call.
        name: the number of the run's responses and the model's call id.
        tool: the tool's name.
        usage: what the runs inside it cost.
        runs: the runs inside it.
    """

    run: Run
    name: str
    tool: str
    usage: Usage = field(default_factory=Usage)
    runs: list[Run] = field(default_factory=list)

    @property
    def path(self) -> RunPath:
        return (*self.run.path, self.name)

    @property
    def is_interrupted(self) -> bool:
        """Whether a run inside it needs an approval, so that the call has not ended."""
        return any(result.interruptions for run in self.runs for result in run.results)


@dataclass(frozen=True, slots=True)
class UntrackedRun:
    """A run that a tool makes in another thread. To the journal it is a part of the call."""

    call: Call


Scope = Run | Call | UntrackedRun

_scope: ContextVar[Scope | None] = ContextVar("turnwise_scope", default=None)


def current_scope() -> Run | Call | None:
    """The scope of this code, if it is in a durable run that is active."""
    scope = _scope.get()
    if scope is None or isinstance(scope, UntrackedRun):
        return None
    run = scope.run if isinstance(scope, Call) else scope
    return scope if run.is_active else None


def current_run() -> Run | None:
    """The run, if this code works for a run itself. None inside a tool: a tool is one entry."""
    scope = current_scope()
    return scope if isinstance(scope, Run) else None


def current_call() -> Call | UntrackedRun | None:
    """The tool call for which this code works, in any thread; None outside of a tool.

    In an untracked run nothing tells the calls of its tools apart.
    """
    scope = _scope.get()
    if scope is None or isinstance(scope, Run):
        return None
    run = (scope.call if isinstance(scope, UntrackedRun) else scope).run
    turn = None if run.is_over else run.turn
    return scope if turn is not None and not turn.ended else None


def input_of_beginning_run(turn: object) -> Sequence[Any] | None:
    """The input of the run that now reads the turn's history, to begin with it.

    None for any other reader; so from a run's second reading on.
    """
    run = current_run()
    if run is None or run.turn is not turn:
        return None
    items, run.unread_for = run.unread_for, None
    return items


def scope_of_untracked_run() -> UntrackedRun | None:
    """The scope of a run that begins here and is not durable."""
    scope = current_call()
    return UntrackedRun(scope) if isinstance(scope, Call) else scope


@contextmanager
def entered(scope: Scope | None) -> Iterator[None]:
    """The block runs in this scope."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)
