"""`turnwise approvals`: tool calls that wait until somebody decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

import typer

from turnwise.cli.acting import Acting, Named, Words, named
from turnwise.cli.conversation import text_lines
from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, ago, at, progress
from turnwise.cli.session_filters import SessionId
from turnwise.errors import NoPendingApproval
from turnwise.fleet import WaitingApproval
from turnwise.fleet.stuck import command
from turnwise.printable import printable
from turnwise.session import Session

app = typer.Typer(help="See and decide tool calls that ask for approval.", no_args_is_help=True)
_Id = Annotated[str, typer.Argument(help="The approval's id, as `list` shows it.", metavar="ID")]
_Ids = Annotated[
    list[str], typer.Argument(help="Ids of approvals, as `list` shows them.", metavar="ID")
]


@app.command("list")
@verb
def list_(
    how: Looking,
    match: Annotated[
        str, typer.Argument(help="A session, or a glob that ids match.", metavar="SESSION")
    ] = "*",
) -> None:
    """Show the approvals that wait, with the arguments of their calls, and what approves each.

    `reject` in its place rejects the call, and `show` in its place shows it whole.
    """

    async def act(session: Session) -> None:
        with progress("looking"):
            found = [each async for each in session.waiting_approvals(match)]
        how.show(found, _COLUMNS)

    how.run(act)


@app.command("show")
@verb
def show_(session_id: SessionId, approval_id: _Id, how: Looking) -> None:
    """Show a call that waits: all of its arguments, since when, and what decides it."""

    async def act(session: Session) -> None:
        found = await _waiting(session, session_id, approval_id)
        how.show_lines(found, lambda: _lines(found))

    how.run(act)


@app.command()
@verb
def approve(session_id: SessionId, ids: _Ids, how: Acting) -> None:
    """Approve calls. When all of a turn are decided, a worker, or its sender, continues it."""

    async def act(session: Session, each: Named) -> None:
        left = await session.decide(session_id, approve=[each.id], **how.audit)
        _tell_left(session_id, len(left))

    how.carry_out(Words("Approve", "approved", "calls"), named(ids), act)


@app.command()
@verb
def reject(
    session_id: SessionId,
    ids: _Ids,
    how: Acting,
    message: Annotated[
        str | None, typer.Option(help="What the model gets instead of the tool's output.")
    ] = None,
) -> None:
    """Reject calls."""

    async def act(session: Session, each: Named) -> None:
        left = await session.decide(session_id, reject={each.id: message}, **how.audit)
        _tell_left(session_id, len(left))

    how.carry_out(Words("Reject", "rejected", "calls"), named(ids), act)


async def _waiting(session: Session, session_id: str, approval_id: str) -> WaitingApproval:
    pending = await session.pending_approvals(session_id)
    info = await session.info(session_id)
    for each in pending:
        if each.id == approval_id and info is not None:
            return WaitingApproval(session_id, info.since, each)
    raise NoPendingApproval(
        f"no approval is pending under {approval_id!r}, or not any more; turnwise approvals list "
        "shows what is",
        session_id=session_id,
    )


def _lines(waiting: WaitingApproval) -> Iterator[str]:
    call, since = waiting.approval, waiting.since
    turn = f"turn {printable(call.turn_id)} of session {printable(waiting.session_id)}"
    yield f"== approval {printable(call.id)}: {turn}"
    yield f"  waits for {ago(since) or 'an unknown time'}, since {at(since) or 'when is unknown'}"
    yield f"  agent {printable(call.agent_name)} calls {printable(call.tool_name)}"
    yield from text_lines("arguments", _indented(call.arguments))
    for verdict in ("approve", "reject"):
        yield f"  {command(('approvals', verdict), waiting.session_id, call.id)}"


def _indented(arguments: str) -> str:
    """JSON with a line for each value; what is none, as the model gave it."""
    try:
        return json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments


def _tell_left(session_id: str, count: int) -> None:
    if count:
        typer.echo(f"in session {printable(session_id)} {count} still wait", err=True)


_COLUMNS: Columns[WaitingApproval] = {
    "SESSION": lambda waiting: waiting.session_id,
    "FOR": lambda waiting: ago(waiting.since),
    "ID": lambda waiting: waiting.approval.id,
    "AGENT": lambda waiting: waiting.approval.agent_name,
    "TOOL": lambda waiting: waiting.approval.tool_name,
    "ARGUMENTS": lambda waiting: waiting.approval.arguments,
    "DECIDE": lambda waiting: command(
        ("approvals", "approve"), waiting.session_id, waiting.approval.id
    ),
}
