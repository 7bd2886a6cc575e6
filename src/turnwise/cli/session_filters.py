"""Which sessions a verb is about: those named, or those that filters find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from turnwise.session import Session
from turnwise.types import Info, SessionSummary

Match = Annotated[str, typer.Option(help="A glob that the ids match.", metavar="GLOB")]
State = Annotated[
    str | None,
    typer.Option(
        help="Only those: idle, queued, running, retrying, dead, parked, stopped, newer or "
        "unreadable.",
        metavar="STATE",
    ),
]
Holder = Annotated[
    str | None,
    typer.Option("--worker", help="Only those whose open turn this worker has, or had last."),
]
MinAge = Annotated[
    float | None,
    typer.Option(help="Only those that did not change for so long.", metavar="SECONDS"),
]
MinBytes = Annotated[int | None, typer.Option(help="Only those that take as many bytes or more.")]
Ids = Annotated[
    list[str] | None, typer.Argument(help="Ids of sessions; else filters.", metavar="SESSION")
]
AnyMatch = Annotated[
    str | None, typer.Option(help="A glob that the ids match; '*' for all.", metavar="GLOB")
]
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
class Wanted:
    """Ids, or filters as `sessions list` takes them."""

    ids: list[str] | None
    match: str | None
    state: str | None
    worker: str | None
    min_age: float | None
    min_bytes: int | None

    async def find(self, session: Session) -> list[Target]:
        """The sessions to change."""
        if self.ids and self._has_filters():
            raise typer.BadParameter("give ids or filters, not both")
        if self.ids:
            return [Target(each) for each in dict.fromkeys(self.ids)]
        if not self._has_filters():
            raise typer.BadParameter("give ids, or filters; --match '*' is for all")
        found, _ = await self.sessions(session)
        # A scan may list a session twice.
        return list({each.session_id: Target(each.session_id, each) for each in found}.values())

    async def sessions(
        self, session: Session, count: int | None = None, cursor: str | None = None
    ) -> tuple[list[SessionSummary], str | None]:
        """What filters find, up to about so many; and the cursor behind it."""
        wanted: dict[str, Any] = {"state": self.state, "worker": self.worker}
        wanted |= {"min_age": self.min_age, "min_bytes": self.min_bytes}
        wanted["count"] = min(count or _LOOK_AT, _LOOK_AT)
        found: list[SessionSummary] = []
        while True:
            page = await session.sessions(self.match or "*", **wanted, cursor=cursor)
            found += page.sessions
            cursor = page.cursor
            if cursor is None or (count is not None and len(found) >= count):
                return found, cursor

    def _has_filters(self) -> bool:
        filters = self.match, self.state, self.worker, self.min_age, self.min_bytes
        return any(each is not None for each in filters)


def _standing(found: SessionSummary | Info) -> tuple[object, ...]:
    turn = found.open_turn
    return found.updated_at, found.items, found.queued, turn and (turn.turn_id, turn.attempt)
