"""`turnwise queue`: messages and callers that wait, and pauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any

import typer

from turnwise.cli.acting import Acting, Named, Words, named
from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, age, at, progress
from turnwise.cli.session_filters import Match, SessionId
from turnwise.errors import UsageError
from turnwise.fleet import Pause, QueuedEntry, pause_of
from turnwise.printable import printable
from turnwise.session import Session
from turnwise.turns import all_sessions
from turnwise.types import SessionSummary

app = typer.Typer(help="See what waits in the sessions' queues; pause it.", no_args_is_help=True)
_CUT = 200
_AgentName = Annotated[
    str | None, typer.Option("--agent", help="Only messages for this agent.", metavar="NAME")
]


@dataclass(frozen=True)
class _Queue:
    """The queue of one session, without its content."""

    session_id: str
    state: str
    queued: int
    waiting_for: float
    agent: str
    paused: bool


@app.command("list")
@verb
def list_(how: Looking, match: Match = "*") -> None:
    """Show the sessions with a queue, the longest waiting first, without content.

    What is paused is told on standard error too.
    """

    async def act(session: Session) -> None:
        queues, pauses = list[_Queue](), await session.pauses()
        with progress("sessions looked at") as looked:
            async for found in all_sessions(session.runtime.store, match):
                looked(1)
                for head in (await session.queue(found.session_id, 1)) if found.queued else []:
                    queues.append(_queue(found, head, pauses))
        queues.sort(key=attrgetter("waiting_for"), reverse=True)
        how.show(queues, _QUEUES)
        for pause in pauses:
            typer.echo(_told(pause), err=True)

    how.run(act)


@app.command()
@verb
def peek(
    session_id: SessionId,
    how: Looking,
    count: Annotated[int, typer.Option(help="Show at most this many.", min=1, max=256)] = 20,
) -> None:
    """Show what waits in a session's queue, oldest first, with the messages' content."""

    async def act(session: Session) -> None:
        how.show(await session.queue(session_id, count), _ENTRIES)

    how.run(act)


@app.command()
@verb
def pause(how: Acting, agent: _AgentName = None) -> None:
    """Let workers leave messages in the queue: all, or those for an agent.

    They hear it within five seconds. Turns that run go on to their end.
    """
    how.carry_out(
        Words("Pause", "paused", "messages"),
        named([_which(agent)]),
        lambda session, _: session.pause_queue(agent, **how.audit),
    )


@app.command()
@verb
def resume(how: Acting, agent: _AgentName = None) -> None:
    """End a pause: that of all messages, or that of an agent."""

    async def act(session: Session, messages: Named) -> None:
        if not await session.resume_queue(agent, **how.audit):
            left = "; ".join(map(_told, await session.pauses())) or "nothing is"
            raise UsageError(f"{messages.id} are not paused by themselves; {left}")

    how.carry_out(Words("Resume", "resumed", "messages"), named([_which(agent)]), act)


def _queue(found: SessionSummary, head: QueuedEntry, pauses: Sequence[Pause]) -> _Queue:
    paused = head.kind == "message" and pause_of(pauses, head.agent) is not None
    names = found.session_id, found.state, found.queued
    return _Queue(*names, head.waiting_for, head.agent, paused)


def _which(agent: str | None) -> str:
    return "all messages" if agent is None else f"messages for agent {agent}"


def _told(pause: Pause) -> str:
    why = f": {printable(pause.reason)}" if pause.reason else ""
    who = f"by {printable(pause.by)} at {at(pause.since)}"
    return f"paused: {printable(_which(pause.agent))}, {who}{why}"


def _short(content: Any) -> str:
    text = str(content)
    return text if len(text) <= _CUT else f"{text[:_CUT]}…"


_QUEUES: Columns[_Queue] = {
    "SESSION": attrgetter("session_id"),
    "STATE": attrgetter("state"),
    "QUEUED": attrgetter("queued"),
    "OLDEST": lambda queue: age(queue.waiting_for),
    "AGENT": lambda queue: queue.agent or None,
    "PAUSED": lambda queue: "paused" if queue.paused else None,
}
_ENTRIES: Columns[QueuedEntry] = {
    "TURN": attrgetter("turn_id"),
    "KIND": attrgetter("kind"),
    "WAITS": lambda entry: age(entry.waiting_for),
    "ATTEMPTS": attrgetter("attempts"),
    "AGENT": lambda entry: entry.agent or None,
    "WORKER": lambda entry: entry.worker or None,
    "INPUT": lambda entry: _short(entry.input),
}
