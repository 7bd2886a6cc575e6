"""Which sessions a verb is about: those named, or those that filters find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from turnwise.cli.output import progress
from turnwise.session import Session
from turnwise.types import Info, SessionSummary

SessionId = Annotated[str, typer.Argument(help="The session's id.", metavar="SESSION")]
Match = Annotated[str, typer.Option(help="A glob that the ids match.", metavar="GLOB")]
_LOOK_AT = 500
"""How many sessions one call looks at."""


@dataclass(frozen=True)
class Target:
    """A session to be changed: one that was named, or one that was found as this."""

    id: str
    found: SessionSummary | None = None

    async def is_other(self, session: Session) -> bool:
        """Whether it changed, or went away, since it was found."""
        if self.found is None:
            return False
        now = await session.info(self.id)
        return now is None or _standing(now) != _standing(self.found)


@dataclass(frozen=True)
class Filters:
    """Which sessions a verb is about: the filters of `sessions list`."""

    match: Annotated[
        str | None,
        typer.Option(help="A glob that the ids match; '*' for all.", metavar="GLOB"),
    ] = None
    state: Annotated[
        str | None,
        typer.Option(
            help="Only those: idle, queued, running, retrying, dead, parked, stopped, newer or "
            "unreadable.",
            metavar="STATE",
        ),
    ] = None
    worker: Annotated[
        str | None, typer.Option(help="Only those whose open turn this worker has, or had last.")
    ] = None
    owner: Annotated[str | None, typer.Option(help="Only those of this owner.", metavar="NAME")] = (
        None
    )
    min_age: Annotated[
        float | None,
        typer.Option(help="Only those that did not change for so long.", metavar="SECONDS"),
    ] = None
    min_bytes: Annotated[
        int | None, typer.Option(help="Only those that take as many bytes or more.")
    ] = None

    @property
    def glob(self) -> str:
        """What the ids match."""
        return self.match or "*"

    @property
    def others(self) -> dict[str, Any]:
        """All but the glob, as methods of the session take them."""
        return {
            "state": self.state,
            "worker": self.worker,
            "owner": self.owner,
            "min_age": self.min_age,
            "min_bytes": self.min_bytes,
        }

    async def sessions(
        self, session: Session, count: int | None = None, cursor: str | None = None
    ) -> tuple[list[SessionSummary], str | None]:
        """What they find, up to about so many; and the cursor behind it."""
        look_at = min(count or _LOOK_AT, _LOOK_AT)
        found: list[SessionSummary] = []
        with progress("sessions found") as advance:
            while True:
                page = await session.sessions(
                    self.glob, **self.others, count=look_at, cursor=cursor
                )
                found += page.sessions
                advance(len(page.sessions))
                cursor = page.cursor
                if cursor is None or (count is not None and len(found) >= count):
                    return found, cursor


@dataclass(frozen=True)
class Wanted(Filters):
    """Which sessions are changed, or exported: those named, or those that filters find."""

    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of sessions; else filters.", metavar="SESSION")
    ] = None

    async def find(self, session: Session) -> list[Target]:
        """The sessions."""
        has_filters = any(each is not None for each in (self.match, *self.others.values()))
        if self.ids and has_filters:
            raise typer.BadParameter("give ids or filters, not both")
        if self.ids:
            return [Target(each) for each in dict.fromkeys(self.ids)]
        if not has_filters:
            raise typer.BadParameter("give ids, or filters; --match '*' is for all")
        found, _ = await self.sessions(session)
        # A scan may list a session twice.
        return list({each.session_id: Target(each.session_id, each) for each in found}.values())


def _standing(found: SessionSummary | Info) -> tuple[object, ...]:
    turn = found.open_turn
    return found.updated_at, found.items, found.queued, turn and (turn.turn_id, turn.attempt)
