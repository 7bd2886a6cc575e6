"""`turnwise turns`: see what a turn did, end it, or take it from its worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import typer

from turnwise.cli.acting import Ending, Named, Outcome, Words, named
from turnwise.cli.conversation import content, run
from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, age, at, tokens
from turnwise.cli.session_filters import SessionId
from turnwise.errors import UsageError
from turnwise.fleet import Step, Timeline
from turnwise.printable import printable
from turnwise.session import Session
from turnwise.turns import GRACE

_OPEN = "the open turn"
_OpenTurnId = Annotated[
    str | None, typer.Argument(help="The turn; the open one if left out.", metavar="TURN")
]
_TurnId = Annotated[str, typer.Argument(help="The turn's id.", metavar="TURN")]
app = typer.Typer(help="See turns, end them, or give them away.", no_args_is_help=True)


@app.callback()
def turns() -> None:
    """See turns, end them, or take them from their workers."""


@app.command("show")
@verb
def show_(session_id: SessionId, turn_id: _TurnId, how: Looking) -> None:
    """Show a turn with its content: of an open one, its message and what its journal has."""

    async def act(session: Session) -> None:
        found = await _found(session, session_id, turn_id)
        how.show_lines(found, lambda: [*_head(found), *content(found.items)])

    how.run(act)


@app.command("timeline")
@verb
def timeline_(session_id: SessionId, turn_id: _TurnId, how: Looking) -> None:
    """Show a turn's steps without content: model calls, tools, attempts, tokens, errors."""

    async def act(session: Session) -> None:
        found = replace(await _found(session, session_id, turn_id), items=[])
        how.show_lines(found, lambda: _head(found))
        if not how.as_json:
            how.show(found.steps, _STEPS)

    how.run(act)


async def _found(session: Session, session_id: str, turn_id: str) -> Timeline:
    found = await session.timeline(session_id, turn_id)
    if found is None:
        sys.exit(
            f"turnwise: session {session_id!r} has no turn {turn_id!r}, or not any more; "
            "turnwise sessions show lists the last ones"
        )
    return found


def _head(turn: Timeline) -> Iterator[str]:
    """Where it stands, in a line or two."""
    when = "" if turn.ended_at is None else f" {at(turn.ended_at)}"
    lease = turn.lease_remaining
    left = "" if lease is None or lease <= 0 else f", its lease ends in {age(lease)}"
    yield f"== turn {printable(turn.turn_id)}: {turn.state}{when}{left}{run(turn)}"
    if turn.failed or turn.died:
        yield f"  {turn.failed} earlier attempts failed, {turn.died} died with their workers"
    if turn.cancel_mode:
        yield "  it is asked to end"
    if turn.error:
        yield f"  {printable(turn.error, len(turn.error))}"


def _took(step: Step) -> str | None:
    if step.started_at is None or step.ended_at is None:
        return None
    return f"{step.ended_at - step.started_at:.2f}s"


_STEPS: Columns[Step] = {
    "AT": lambda step: at(step.started_at or step.ended_at),
    "TOOK": _took,
    "ATTEMPT": lambda step: step.attempt or None,
    "STEP": lambda step: f"{'. ' * step.depth}{step.kind}",
    "NAME": lambda step: step.name or None,
    "STATE": lambda step: step.state,
    "USAGE": lambda step: tokens(step.usage),
    "ERROR": lambda step: step.error or "",
}


@app.command()
@verb
def cancel(
    session_id: SessionId,
    how: Ending,
    turn_id: _OpenTurnId = None,
    timeout: Annotated[
        float, typer.Option(help="How long its worker has to end it.", metavar="SECONDS", min=0)
    ] = GRACE,
) -> None:
    """Cancel a turn: nothing of it is committed. A queued message is dropped.

    The reason is for its sender too.
    """

    async def act(session: Session, turn: Named) -> Outcome:
        done = await session.cancel(session_id, turn_id, timeout=timeout, **how.audit)
        return Outcome(done.turn_id or turn.id, done.outcome)

    how.carry_out(_words("Cancel", "cancelled", session_id, turn_id), _turn(turn_id), act)


@app.command()
@verb
def release(session_id: SessionId, how: Ending, turn_id: _OpenTurnId = None) -> None:
    """Take a turn from a dead or hung worker: the next attempt continues it.

    A message goes on at once if a worker is there; a direct turn when it is sent again.
    """

    async def act(session: Session, _: Named) -> None:
        outcome = await session.release(session_id, turn_id, **how.audit)
        if outcome != "released":
            raise UsageError(f"nothing was released: {_WHY[outcome]}", session_id=session_id)

    how.carry_out(_words("Release", "released", session_id, turn_id), _turn(turn_id), act)


_WHY = {
    "ended": "the turn has ended, or another worker has taken it",
    "absent": "it has no such open turn",
    "parked": "nobody holds its turn, which waits for approvals: turnwise approvals list",
    "stopped": "nobody holds its turn, it is stopped there: turnwise dead-letters list "
    "--state stopped",
}


def _turn(turn_id: str | None) -> list[Named]:
    return named([turn_id or _OPEN])


def _words(verb: str, done: str, session_id: str, turn_id: str | None) -> Words:
    what = f"turn {printable(turn_id)}" if turn_id else _OPEN
    return Words(verb, done, "turns", question=f"{what} of session {printable(session_id)}")
