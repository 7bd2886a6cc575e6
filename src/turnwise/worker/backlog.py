"""The sessions for which a worker holds claims, in the order of their visits."""

from __future__ import annotations

from collections.abc import Iterable

from turnwise.types import Claim


class Backlog:
    """Each session once, with all claims on it; first in, first out.

    A session that has more messages after its visit goes to the end, so that all others are visited
    between two visits of a hot one.
    """

    def __init__(self) -> None:
        self._queued: dict[str, list[Claim]] = {}
        self._active: dict[str, list[Claim]] = {}

    @property
    def active(self) -> int:
        """How many sessions are being visited."""
        return len(self._active)

    def __len__(self) -> int:
        """How many sessions wait for a visit."""
        return len(self._queued)

    def add(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            active = self._active.get(claim.session_id)
            if active is not None:
                active.append(claim)
            else:
                self._queued.setdefault(claim.session_id, []).append(claim)

    def take(self) -> str | None:
        """The next session to visit; it is active from now on."""
        if not self._queued:
            return None
        session_id = next(iter(self._queued))
        self._active[session_id] = self._queued.pop(session_id)
        return session_id

    def claims(self, session_id: str) -> list[Claim]:
        """The claims on an active session so far. Later ones may announce what a visit missed."""
        return list(self._active[session_id])

    def done(self, session_id: str, claims: list[Claim], *, again: bool) -> None:
        """The visit is over. Queue the session again for claims that came meanwhile, or `again`."""
        active = self._active.pop(session_id)
        left = active if again else active[len(claims) :]
        if left:
            self._queued[session_id] = left

    def clear(self) -> None:
        """Remove all queued sessions."""
        self._queued.clear()
