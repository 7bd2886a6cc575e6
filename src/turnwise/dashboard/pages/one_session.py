"""One session: its conversation, its turns, what waits; and how it is ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from turnwise.dashboard.site import Outcome, Visit
from turnwise.errors import TurnwiseError
from turnwise.fleet import ItemText, PastTurn, item_texts
from turnwise.fleet.watch import mark
from turnwise.types import Info

_TURNS = 20
_ITEMS = 60
"""How many items of one turn a page shows."""
_QUEUE = 20


@dataclass(frozen=True)
class ShownTurn:
    """A turn of the history as a page shows it.

    Attributes:
        turn: The turn.
        said: What its items say, from `first` on.
        first: The number of the first of them.
    """

    turn: PastTurn
    said: list[ItemText]
    first: int = 0


async def one_session(visit: Visit) -> Response:
    """Shows it; first does what the form says. What ends something is asked about."""
    session_id = visit.needed("id")
    if not visit.form:
        return await _page(visit, session_id, [])
    verb = visit.form.get("do", "")
    if verb not in ("cancel", "release", "delete"):
        raise HTTPException(400, "A form says cancel, release or delete.")
    if "sure" not in visit.form:
        return _question(visit, session_id, verb)
    return await _page(visit, session_id, [await _end(visit, session_id, verb)])


def _question(visit: Visit, session_id: str, verb: str) -> Response:
    back, turn_id = visit.link("/session", id=session_id), visit.form.id("turn")
    if verb == "delete":
        words = f"{session_id} is gone then, with its history, its queue and its open turn."
        return visit.question(verb, "Delete this session?", words, back)
    which = f"turn {turn_id}" if turn_id else "the open turn"
    if verb == "release":
        words = (
            f"Whoever has {which} of session {session_id} loses it, and the next attempt continues "
            "from its journal. A tool that runs now may go on, and its outcome is unknown."
        )
        return visit.question(verb, "Release this turn?", words, back, turn=turn_id)
    words = (
        f"Nothing of {which} of session {session_id} is committed. A message that waits is dropped."
    )
    return visit.question(verb, "Cancel this turn?", words, back, turn=turn_id)


async def _end(visit: Visit, session_id: str, verb: str) -> Outcome:
    try:
        turn_id, reason, by = visit.form.id("turn") or None, visit.reason, visit.by
        if verb == "release":
            freed = await visit.session.release(session_id, turn_id, reason=reason, by=by)
            return Outcome(_RELEASED[freed], freed != "released")
        if verb == "cancel":
            done = await visit.session.cancel(session_id, turn_id, reason=reason, by=by)
            return Outcome(_CANCELLED[done.outcome], done.outcome == "absent")
        if await visit.session.delete(session_id, reason=reason, by=by):
            return Outcome("The session is deleted.")
        return Outcome("There was no such session any more.", failed=True)
    except TurnwiseError as error:
        return Outcome(str(error), failed=True)
    finally:
        visit.site.watch.shared.clear()


async def _page(visit: Visit, session_id: str, outcomes: list[Outcome]) -> Response:
    info = await visit.session.info(session_id)
    if info is None:
        return visit.page("no_session.html", 404, session_id=session_id, outcomes=outcomes)
    page = visit.number("page", 1, 10_000)
    turns, trouble = await _turns(visit, session_id, page)
    return visit.page(
        "session.html",
        info=info,
        mark=mark(info),
        turns=turns,
        trouble=trouble,
        queue=await visit.session.queue(session_id, _QUEUE) if info.queued else [],
        pending=await _pending(visit, info),
        page=page,
        has_older=len(turns) == _TURNS,
        part=visit.number("part", 1, 10_000),
        outcomes=outcomes,
    )


async def _turns(visit: Visit, session_id: str, page: int) -> tuple[list[ShownTurn], str]:
    """Those of a page, the newest first; or why they cannot be shown. Of a long turn, one part."""
    try:
        history = await visit.session.history(session_id, limit=page * _TURNS) or []
    except TurnwiseError as error:
        return [], str(error)
    newest_first = history[::-1][(page - 1) * _TURNS :]
    turn_id, part = visit.query("turn"), visit.number("part", 1, 10_000)
    if turn_id is None:
        return [_shown(turn, 1) for turn in newest_first], ""
    return [_shown(turn, part) for turn in newest_first if turn.turn_id == turn_id], ""


def _shown(turn: PastTurn, part: int) -> ShownTurn:
    """Its last items, or with part 2 those before, and so on."""
    end = max(0, len(turn.items) - (part - 1) * _ITEMS)
    first = max(0, end - _ITEMS)
    words = [each for item in turn.items[first:end] for each in item_texts(item)]
    return ShownTurn(turn, words, first)


async def _pending(visit: Visit, info: Info) -> list[Any]:
    if info.open_turn is None or info.open_turn.state != "parked":
        return []
    try:
        return await visit.session.pending_approvals(info.session_id)
    except TurnwiseError:
        return []  # `stuck` says why


_CANCELLED = {
    "cancelled": "The turn is cancelled: its worker ended it.",
    "forced": "The turn is cancelled. Its worker did not end it in time, and cannot commit it.",
    "dropped": "The turn is cancelled: nobody ran it.",
    "committed": "The turn had been committed already; nothing was changed.",
    "ended": "The turn had ended already; nothing was changed.",
    "absent": "There is no such turn any more; nothing was changed.",
}
_RELEASED = {
    "released": "The turn is released: its next attempt continues from the journal.",
    "ended": "The turn ended, or another worker took it, in that moment; nothing was changed.",
    "absent": "There is no such open turn any more; nothing was changed.",
    "parked": "The turn waits for approvals, and nobody holds it; nothing was changed.",
    "stopped": "The turn is stopped, and nobody holds it; nothing was changed.",
}
