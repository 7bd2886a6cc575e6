"""`turnwise queue`: messages and callers that wait."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any

import typer

from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, age, show
from turnwise.cli.session_filters import Match
from turnwise.cli.sessions import SessionId
from turnwise.fleet import QueuedEntry
from turnwise.session import Session
from turnwise.turns import all_sessions

app = typer.Typer(help="See what waits in the sessions' queues.", no_args_is_help=True)
_CUT = 200


@dataclass(frozen=True)
class _Queue:
    """The queue of one session, without its content."""

    session_id: str
    state: str
    queued: int
    waiting_for: float
    agent: str


@app.command("list")
def list_(
    url: Url, match: Match = "*", output: Output = Format.TABLE, key_prefix: KeyPrefix = PREFIX
) -> None:
    """Show the sessions with a queue, the longest waiting first, without content."""

    async def act(session: Session) -> None:
        queues: list[_Queue] = []
        async for found in all_sessions(session.runtime.store, match):
            for head in (await session.queue(found.session_id, 1)) if found.queued else []:
                names = found.session_id, found.state
                queues.append(_Queue(*names, found.queued, head.waiting_for, head.agent))
        queues.sort(key=attrgetter("waiting_for"), reverse=True)
        show(queues, _QUEUES, output)

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


def _short(content: Any) -> str:
    text = str(content)
    return text if len(text) <= _CUT else f"{text[:_CUT]}…"


_QUEUES: Columns[_Queue] = {
    "SESSION": attrgetter("session_id"),
    "STATE": attrgetter("state"),
    "QUEUED": attrgetter("queued"),
    "OLDEST": lambda queue: age(queue.waiting_for),
    "AGENT": lambda queue: queue.agent or None,
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
