"""The sessions that a worker has been told of, in the order in which they are to be visited."""

from __future__ import annotations

from collections.abc import Iterable

from turnwise.types import Claim


class Backlog:
    """Each session once, with all wake-ups that name it; first come, first served.

    A session that was visited and has more goes to the end, so that each other one gets its visit
    between two of a hot one.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Claim]] = {}
        self._at_work: dict[str, list[Claim]] = {}

    @property
    def at_work(self) -> int:
        return len(self._at_work)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            at_work = self._at_work.get(claim.session_id)
            if at_work is not None:
                at_work.append(claim)
            else:
                self._waiting.setdefault(claim.session_id, []).append(claim)

    def take(self) -> str | None:
        """The next session to visit."""
        if not self._waiting:
            return None
        session_id = next(iter(self._waiting))
        self._at_work[session_id] = self._waiting.pop(session_id)
        return session_id

    def known(self, session_id: str) -> list[Claim]:
        """The wake-ups of a session at work so far; later ones may tell of what it did not see."""
        return list(self._at_work[session_id])

    def leave(self, session_id: str, known: list[Claim], *, again: bool) -> None:
        """The visit is over. What came during it, or all of it `again`, goes to the end."""
        claims = self._at_work.pop(session_id)
        left = claims if again else claims[len(known) :]
        if left:
            self._waiting[session_id] = left

    def left(self) -> list[Claim]:
        """Everything that waits; nothing does then."""
        claims = [claim for waiting in self._waiting.values() for claim in waiting]
        self._waiting.clear()
        return claims
