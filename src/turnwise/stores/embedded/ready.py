"""Which sessions have messages, where a store can simply look: claims are by session.

What is announced needs no keeping, for a message is seen as soon as it is in its queue.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from turnwise.stores.embedded.store import EmbeddedStore
from turnwise.stores.embedded.verbs.session import READY
from turnwise.types import Claim

_LOOK = 1.0


class EmbeddedReady(ABC):
    """The contract of `turnwise.contracts.Ready`, by a few steps on the store's claims."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self._held: dict[str, set[str]] = {}

    @abstractmethod
    async def _take(self, worker: str, count: int, now: int, until: int) -> list[str]:
        """Claim sessions that have a message which nobody runs or has claimed, until `until`."""

    @abstractmethod
    async def _move(self, worker: str, sessions: list[str], to: str, until: int) -> None:
        """Where this worker has the claim, let it be `to`'s, or nobody's (""), until `until`."""

    @abstractmethod
    async def _free(self, worker: str, sessions: list[str]) -> None:
        """This worker's claims end; the sessions are told again if they have messages left."""

    async def announce(self, session_id: str, turn_id: str | None) -> int:
        return self._store.clock()

    async def claim(self, worker: str, count: int, wait: float) -> list[Claim]:
        give_up = time.monotonic() + wait
        async with self._store.waiter(READY) as wake:
            while True:
                now = self._store.clock()
                sessions = await self._take(worker, count, now, now + self._store.limits.claim)
                if sessions or (left := give_up - time.monotonic()) <= 0:
                    break
                await wake.wait(min(left, _LOOK))
        self._held.setdefault(worker, set()).update(sessions)
        return [Claim(session_id, None, 0, session_id) for session_id in sessions]

    async def extend(self, worker: str) -> None:
        until = self._store.clock() + self._store.limits.claim
        await self._move(worker, list(self._held.get(worker, ())), worker, until)

    async def requeue(self, worker: str, claims: Sequence[Claim], delay: float) -> None:
        longest = self._store.limits.claim
        until = self._store.clock() + min(int(delay * 1000), longest)
        await self._move(worker, self._forget(worker, claims), "", until)
        self._store._notify([("", READY)])

    async def ack(self, worker: str, claims: Sequence[Claim]) -> None:
        await self._free(worker, self._forget(worker, claims))

    async def sweep(self, *, force: bool = False) -> int:
        return 0

    def _forget(self, worker: str, claims: Sequence[Claim]) -> list[str]:
        sessions = [claim.session_id for claim in claims]
        self._held.get(worker, set()).difference_update(sessions)
        return sessions
