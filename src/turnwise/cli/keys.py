"""`turnwise keys`: who may use the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from turnwise.cli.acting import Acting, Ending, Outcome, Words, named, tell
from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, at, print_json
from turnwise.errors import UsageError
from turnwise.fleet.api_keys import ApiKey, ApiKeys
from turnwise.session import Session

app = typer.Typer(help="See and change the server's API keys.", no_args_is_help=True)


@dataclass(frozen=True)
class Created:
    """A new key, and its text, which nothing else shows."""

    id: str
    owner: str
    name: str
    key: str


@app.command()
@verb
def create(
    owner: Annotated[str, typer.Argument(help="Whom the key acts for.", metavar="OWNER")],
    how: Acting,
    name: Annotated[str, typer.Option(help="What it is for.", metavar="TEXT")] = "",
) -> None:
    """Make a key, and print it, once: the store keeps only its digest.

    An owner may have several. Clients send it as `Authorization: Bearer KEY`.
    """

    async def act(session: Session) -> Created:
        text, key = await ApiKeys(session.runtime).create(owner, name, **how.audit)
        return Created(key.id, key.owner, key.name, text)

    if how.dry_run:
        tell([Outcome(owner, "would be given a key")], how.output)
        return
    created = how.run(act)
    if how.as_json:
        print_json([created], how.output)
        return
    typer.echo(created.key)
    typer.echo(f"turnwise: this is key {created.id}. It is not shown again", err=True)


@app.command("list")
@verb
def list_(
    how: Looking,
    owner: Annotated[str | None, typer.Option(help="Only this owner's.", metavar="NAME")] = None,
) -> None:
    """Show what is known of the keys, revoked ones too, the oldest first."""

    async def act(session: Session) -> None:
        how.show(await ApiKeys(session.runtime).list(owner), _COLUMNS)

    how.run(act)


@app.command()
@verb
def revoke(
    ids: Annotated[list[str], typer.Argument(help="As `list` shows them.", metavar="ID")],
    how: Ending,
) -> None:
    """End keys for good. Within five seconds no server lets them in any more."""

    async def act(session: Session, key_id: str) -> None:
        if not await ApiKeys(session.runtime).revoke(key_id, **how.audit):
            raise UsageError(f"there is no key {key_id!r}; `turnwise keys list` shows them")

    how.carry_out(
        Words("Revoke", "revoked", "keys"), named(ids), lambda session, key: act(session, key.id)
    )


_COLUMNS: Columns[ApiKey] = {
    "KEY": lambda key: key.id,
    "OWNER": lambda key: key.owner,
    "NAME": lambda key: key.name,
    "CREATED": lambda key: at(key.created_at),
    "LAST USED": lambda key: at(key.last_used_at),
    "REVOKED": lambda key: at(key.revoked_at),
}
