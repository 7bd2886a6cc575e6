"""Dead letters: retried or deleted one by one, or all that a filter finds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from starlette.exceptions import HTTPException
from starlette.responses import Response

from turnwise.background import DeadLetter, require_dead_letter
from turnwise.dashboard.site import Outcome, Visit
from turnwise.errors import StoreUnavailable, TurnwiseError
from turnwise.session import Session

_ROWS = 50
_MOST = 500
"""How many one form changes at most."""
_STATES = ("dead", "queued", "finished", "unknown", "stopped")
_VERBS = {"retry": "Retried", "delete": "Deleted"}


@dataclass(frozen=True)
class Filter:
    """Which dead letters are asked for.

    Attributes:
        match: A glob that the ids of their sessions match; "" for any.
        state: As in `DeadLetter`; "" for any but "stopped".
        agent: The agent that should have answered; "" for any.
    """

    match: str = ""
    state: str = ""
    agent: str = ""

    async def letters(self, session: Session, after: str | None) -> AsyncIterator[DeadLetter]:
        stopped = self.state == "stopped"
        letters = session.stopped_sessions() if stopped else _all(session, after)
        async for letter in letters:
            if (
                fnmatchcase(letter.session_id, self.match or "*")
                and self.state in ("", letter.state)
                and self.agent in ("", letter.agent)
            ):
                yield letter


async def dead_letters(visit: Visit) -> Response:
    """Shows them; first does what the form says. What ends something is asked about."""
    wanted = Filter(*(visit.query(name) or "" for name in ("match", "state", "agent")))
    if not visit.form:
        return await _page(visit, wanted, [])
    verb, ids = visit.form.get("do", ""), visit.form.ids("letter")
    if verb not in _VERBS:
        raise HTTPException(400, "A form says retry or delete.")
    if "all" in visit.form:
        letters, more = await _first(visit, wanted, None, _MOST)
        return visit.page(
            "confirm_letters.html", verb=verb, letters=letters, more=more, wanted=wanted
        )
    if verb == "delete" and "sure" not in visit.form:
        letters = [await require_dead_letter(visit.session.runtime, each) for each in ids]
        return visit.page(
            "confirm_letters.html", verb=verb, letters=letters, more=False, wanted=wanted
        )
    return await _page(visit, wanted, await _change(visit, verb, ids))


async def _page(visit: Visit, wanted: Filter, outcomes: list[Outcome]) -> Response:
    letters, more = await _first(visit, wanted, visit.query("after"), _ROWS)
    return visit.page(
        "dead_letters.html",
        letters=letters,
        following=letters[-1].id if more and wanted.state != "stopped" else None,
        is_first=visit.query("after") is None,
        wanted=wanted,
        states=_STATES,
        outcomes=outcomes,
    )


async def _first(
    visit: Visit, wanted: Filter, after: str | None, count: int
) -> tuple[list[DeadLetter], bool]:
    """So many of them, and whether there are more."""
    found: list[DeadLetter] = []
    async for letter in wanted.letters(visit.session, after):
        if len(found) == count:
            return found, True
        found.append(letter)
    return found, False


async def _change(visit: Visit, verb: str, ids: list[str]) -> list[Outcome]:
    """Do it to each. What one is refused does not keep the others."""
    outcomes: list[Outcome] = []
    act = visit.session.retry_dead_letter if verb == "retry" else visit.session.delete_dead_letter
    for each in ids[:_MOST]:
        try:
            await act(each, reason=visit.reason, by=visit.by)
            outcomes.append(Outcome(f"{_VERBS[verb]}: {each}"))
        except TurnwiseError as error:
            outcomes.append(Outcome(str(error), failed=True))
            if isinstance(error, StoreUnavailable):
                break  # the others would fail too, each after its timeouts
    if left := len(ids) - len(outcomes):
        outcomes.append(Outcome(f"{left} more were not tried.", failed=True))
    visit.site.watch.shared.clear()
    return outcomes


async def _all(session: Session, after: str | None) -> AsyncIterator[DeadLetter]:
    while page := await session.dead_letters(after=after):
        for letter in page:
            yield letter
        after = page[-1].id
