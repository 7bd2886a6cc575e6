"""`turnwise approvals`: tool calls that wait until somebody decides."""

from __future__ import annotations

from typing import Annotated

import typer

from turnwise.cli.options import PREFIX, By, KeyPrefix, Reason, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, ago, show
from turnwise.cli.sessions import SessionId
from turnwise.fleet import WaitingApproval
from turnwise.fleet.stuck import command
from turnwise.printable import printable
from turnwise.session import Session

app = typer.Typer(help="List and decide tool calls that ask for approval.", no_args_is_help=True)
_IDS = Annotated[list[str], typer.Argument(help="Ids of approvals, as `list` shows them.")]


@app.command("list")
def list_(
    url: Url,
    match: Annotated[
        str, typer.Argument(help="A session, or a glob that ids match.", metavar="SESSION")
    ] = "*",
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Show the approvals that wait, with the arguments of their calls, and what approves each.

    `reject` in its place rejects the call.
    """

    async def act(session: Session) -> None:
        show([each async for each in session.waiting_approvals(match)], _COLUMNS, output)

    with_sessions(act, url, key_prefix)


@app.command()
def approve(
    session_id: SessionId,
    ids: _IDS,
    url: Url,
    reason: Reason = None,
    by: By = None,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Approve calls. When all of a turn are decided, a worker, or its sender, continues it."""

    async def act(session: Session) -> None:
        left = await session.decide(session_id, approve=ids, reason=reason, by=by)
        typer.echo(_left(session_id, len(left)))

    with_sessions(act, url, key_prefix)


@app.command()
def reject(
    session_id: SessionId,
    ids: _IDS,
    url: Url,
    message: Annotated[
        str | None, typer.Option(help="What the model gets instead of the tool's output.")
    ] = None,
    reason: Reason = None,
    by: By = None,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Reject calls."""

    async def act(session: Session) -> None:
        rejected = dict.fromkeys(ids, message)
        left = await session.decide(session_id, reject=rejected, reason=reason, by=by)
        typer.echo(_left(session_id, len(left)))

    with_sessions(act, url, key_prefix)


def _left(session_id: str, count: int) -> str:
    return f"decided; in session {printable(session_id)} {count} still wait"


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
