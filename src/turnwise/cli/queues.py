"""`turnwise queue`: messages and callers that wait, and pauses."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any

import typer

from turnwise.cli.options import PREFIX, By, KeyPrefix, Reason, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, age, at, show
from turnwise.cli.session_filters import Match
from turnwise.cli.sessions import SessionId
from turnwise.errors import UsageError
from turnwise.fleet import Pause, QueuedEntry, pause_of
from turnwise.printable import printable
from turnwise.session import Session
from turnwise.turns import all_sessions

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
def list_(
    url: Url, match: Match = "*", output: Output = Format.TABLE, key_prefix: KeyPrefix = PREFIX
) -> None:
    """Show the sessions with a queue, the longest waiting first, without content.

    What is paused is told on standard error too.
    """

    async def act(session: Session) -> None:
        queues, pauses = list[_Queue](), await session.pauses()
        async for found in all_sessions(session.runtime.store, match):
            for head in (await session.queue(found.session_id, 1)) if found.queued else []:
                names = found.session_id, found.state
                paused = head.kind == "message" and pause_of(pauses, head.agent) is not None
                queues.append(_Queue(*names, found.queued, head.waiting_for, head.agent, paused))
        queues.sort(key=attrgetter("waiting_for"), reverse=True)
        show(queues, _QUEUES, output)
        for pause in pauses:
            typer.echo(_told(pause), err=True)

    with_sessions(act, url, key_prefix)


@app.command()
def peek(
    session_id: SessionId,
    url: Url,
    count: Annotated[int, typer.Option(help="Show at most this many.", min=1, max=256)] = 20,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Show what waits in a session's queue, oldest first, with the messages' content."""

    async def act(session: Session) -> None:
        show(await session.queue(session_id, count), _ENTRIES, output)

    with_sessions(act, url, key_prefix)


@app.command()
def pause(
    url: Url,
    agent: _AgentName = None,
    reason: Reason = None,
    by: By = None,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Let workers leave messages in the queue: all, or those for an agent.

    They hear it within five seconds. Turns that run go on to their end.
    """

    async def act(session: Session) -> None:
        await session.pause_queue(agent, reason=reason, by=by)
        typer.echo(f"paused: {_which(agent)}")

    with_sessions(act, url, key_prefix)


@app.command()
def resume(
    url: Url,
    agent: _AgentName = None,
    reason: Reason = None,
    by: By = None,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """End a pause: that of all messages, or that of an agent."""

    async def act(session: Session) -> None:
        if await session.resume_queue(agent, reason=reason, by=by):
            typer.echo(f"resumed: {_which(agent)}")
            return
        pauses = await session.pauses()
        left = "; ".join(map(_told, pauses)) or "nothing is"
        raise UsageError(f"{_which(agent)} are not paused by themselves; {left}")

    with_sessions(act, url, key_prefix)


def _which(agent: str | None) -> str:
    return "all messages" if agent is None else f"messages for agent {printable(agent)}"


def _told(pause: Pause) -> str:
    why = f": {printable(pause.reason)}" if pause.reason else ""
    return f"paused: {_which(pause.agent)}, by {printable(pause.by)} at {at(pause.since)}{why}"


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
