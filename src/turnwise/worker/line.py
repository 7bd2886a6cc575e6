"""The sessions that a worker has been told of, in the order in which they are to be visited."""

from __future__ import annotations

from collections.abc import Iterable

from turnwise.types import Wakeup


class Line:
    """Each session once, with all wake-ups that name it; first come, first served.

    A session that was visited and has more goes to the end, so that each other one gets its visit
    between two of a hot one.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Wakeup]] = {}
        self._at_work: dict[str, list[Wakeup]] = {}

    @property
    def at_work(self) -> int:
        return len(self._at_work)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, wakeups: Iterable[Wakeup]) -> None:
        for wakeup in wakeups:
            at_work = self._at_work.get(wakeup.session_id)
            if at_work is not None:
                at_work.append(wakeup)
            else:
                self._waiting.setdefault(wakeup.session_id, []).append(wakeup)

    def take(self) -> str | None:
        """The next session to visit."""
        if not self._waiting:
            return None
        session_id = next(iter(self._waiting))
        self._at_work[session_id] = self._waiting.pop(session_id)
        return session_id

    def known(self, session_id: str) -> list[Wakeup]:
        """The wake-ups of a session at work so far; later ones may tell of what it did not see."""
        return list(self._at_work[session_id])

    def leave(self, session_id: str, known: list[Wakeup], *, again: bool) -> None:
        """The visit is over. What came during it, or all of it `again`, goes to the end."""
        wakeups = self._at_work.pop(session_id)
        left = wakeups if again else wakeups[len(known) :]
        if left:
            self._waiting[session_id] = left

    def left(self) -> list[Wakeup]:
        """Everything that waits; nothing does then."""
        wakeups = [wakeup for waiting in self._waiting.values() for wakeup in waiting]
        self._waiting.clear()
        return wakeups
