"""`turnwise sessions copy` and `rewind`."""

from __future__ import annotations

from typing import Annotated

import typer

from turnwise.cli.acting import Acting, Ending, Named, Outcome, Words, named
from turnwise.cli.options import verb
from turnwise.cli.session_filters import SessionId
from turnwise.printable import printable
from turnwise.session import Session


@verb
def copy(
    session_id: SessionId,
    new_id: Annotated[str, typer.Argument(help="The new session's id.", metavar="NEW")],
    how: Acting,
    at: Annotated[
        str | None, typer.Option(help="The last turn to copy; all of them if left out.")
    ] = None,
) -> None:
    """Copy a conversation, whole or up to a turn. The session itself stays as it is."""

    async def act(session: Session, new: Named) -> Outcome:
        count = await session.copy(session_id, new.id, at=at, **how.audit)
        return Outcome(new.id, "copied", items=count)

    how.carry_out(Words("Copy to", "copied", "sessions"), named([new_id]), act)


@verb
def rewind(
    session_id: SessionId,
    turn_id: Annotated[str, typer.Argument(help="The last turn that stays.", metavar="TURN")],
    how: Ending,
) -> None:
    """Take a conversation back to the end of a turn. Refused while a turn is open."""

    async def act(session: Session, old: Named) -> Outcome:
        count = await session.rewind(old.id, to=turn_id, **how.audit)
        return Outcome(old.id, "rewound", items=count)

    what = f"what session {printable(session_id)} has behind {printable(turn_id)}"
    words = Words("Remove", "rewound", "sessions", question=what)
    how.carry_out(words, named([session_id]), act)
