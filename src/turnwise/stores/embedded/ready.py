"""Which sessions have messages, in a store that can look them up: a claim is on a session.

An announcement is not stored: a message is found as soon as it is in its queue.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from turnwise.stores.embedded.store import EmbeddedStore
from turnwise.stores.embedded.verbs.session import READY
from turnwise.types import Claim, Unclaimed

_LOOK_INTERVAL = 1.0
_NOTE_INTERVAL_MS = 5_000


class EmbeddedReady(ABC):
    """The contract of `turnwise.contracts.Ready`, in a few steps that the store implements."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self._timeout_ms = store.limits.visibility_timeout_ms
        self._claimed: dict[str, set[str]] = {}
        self._noted = 0

    @abstractmethod
    async def _take(self, worker: str, count: int, now: int, until: int) -> list[str]:
        """Claim sessions with a message that nobody runs or has claimed, until `until`."""

    @abstractmethod
    async def _move(self, worker: str, sessions: list[str], to: str, until: int) -> None:
        """Where this worker has the claim, give it to `to`, or nobody (""), until `until`."""

    @abstractmethod
    async def _free(self, worker: str, sessions: list[str]) -> None:
        """End this worker's claims. The sessions can be claimed again if they have messages."""

    @abstractmethod
    async def _end_claim(self, session_id: str) -> None:
        """End the claim on a session, whoever has it."""

    @abstractmethod
    async def _note_claim(self, now: int) -> None:
        """Keep this time as that of the last claim."""

    @abstractmethod
    async def _last_claim(self) -> int | None:
        """The time that was noted last."""

    @abstractmethod
    async def announced(self, count: int) -> list[str]:
        """As in the contract."""

    @abstractmethod
    async def _unclaimed(self, now: int) -> tuple[int, int | None]:
        """How many sessions could be claimed now, and since when the first of them."""

    async def unclaimed(self) -> Unclaimed:
        now = self._store.clock()
        count, since = await self._unclaimed(now)
        return Unclaimed(count, None if since is None else max(0, now - since))

    async def announce(self, session_id: str, turn_id: str | None) -> int:
        if turn_id is None:  # whoever has claimed it may be dead, or hung
            await self._end_claim(session_id)
            self._store._notify([("", READY)])
        return self._store.clock()

    async def claim(self, worker: str, count: int, timeout: float) -> list[Claim]:
        deadline = time.monotonic() + timeout
        async with self._store.waiter(READY) as waiter:
            while True:
                now = self._store.clock()
                if abs(now - self._noted) >= _NOTE_INTERVAL_MS:
                    self._noted = now
                    await self._note_claim(now)
                sessions = await self._take(worker, count, now, now + self._timeout_ms)
                if sessions or (left := deadline - time.monotonic()) <= 0:
                    break
                await waiter.wait(min(left, _LOOK_INTERVAL))
        self._claimed.setdefault(worker, set()).update(sessions)
        return [Claim(session_id, None, 0, session_id) for session_id in sessions]

    async def last_claim(self, session_id: str) -> int | None:
        noted = await self._last_claim()
        return None if noted is None else max(0, self._store.clock() - noted)

    async def extend(self, worker: str) -> None:
        until = self._store.clock() + self._timeout_ms
        await self._move(worker, list(self._claimed.get(worker, ())), worker, until)

    async def requeue(self, worker: str, claims: Sequence[Claim], delay_ms: int) -> None:
        until = self._store.clock() + delay_ms
        await self._move(worker, self._forget(worker, claims), "", until)
        self._store._notify([("", READY)])

    async def recall(self, session_ids: Sequence[str]) -> None:
        await self._move("", list(session_ids), "", self._store.clock())
        self._store._notify([("", READY)])

    async def leave(self, worker: str) -> None:
        await self._move(worker, list(self._claimed.pop(worker, ())), "", self._store.clock())
        self._store._notify([("", READY)])

    async def ack(self, worker: str, claims: Sequence[Claim]) -> None:
        await self._free(worker, self._forget(worker, claims))

    async def sweep(self, *, force: bool = False) -> int:
        return 0

    def _forget(self, worker: str, claims: Sequence[Claim]) -> list[str]:
        sessions = [claim.session_id for claim in claims]
        self._claimed.get(worker, set()).difference_update(sessions)
        return sessions
