"""When a session goes away by itself, and what keeps it."""

from __future__ import annotations

from turnwise.contracts import Store
from turnwise.limits import Limits
from turnwise.testing.conformance.lab import (
    LONG,
    Lab,
    Suite,
    added,
    begun,
    contents,
    expect,
    ids,
    items,
    mint,
    try_begin,
)
from turnwise.types import Absent, Done, Duplicate, Gone, Grant, Info

DAY = 24 * 60 * 60 * 1000
SHORT = 20_000
"""Shorter than `LONG`, and longer than a machine stalls."""


class ExpiryConformance(Suite):
    async def _ttl(self, store: Store) -> float | None:
        """In ms."""
        seconds = expect(Info, await store.info("s")).expires_in
        return None if seconds is None else 1000 * seconds

    async def test_without_a_ttl_a_session_stays(self, store: Store) -> None:
        await added(store, "s", 1)
        assert await self._ttl(store) is None
        turn = await begun(store, "s")
        await store.renew(*turn.ids)
        await turn.commit(*items(2))
        await store.submit("s", "t", b"one")
        assert await self._ttl(store) is None

    async def test_a_session_without_a_commit_expires_after_two_leases(self, lab: Lab) -> None:
        store = lab.store()
        turn = await begun(store, "s", lease=lab.lease)
        ttl = await self._ttl(store)
        assert ttl is not None
        assert 0 < ttl <= 2 * lab.lease

        async def gone() -> bool:
            return await store.info("s") == Absent()

        await lab.until(gone)
        assert await turn.commit(*items(1)) == Gone()
        assert await ids(store) == []
        assert isinstance(await try_begin(store, "s"), Grant)

    async def test_the_journal_of_a_first_turn_is_kept_for_its_retry(self, lab: Lab) -> None:
        store = lab.store(Limits(retention_ms=DAY))
        turn = await begun(store, "s", lease=lab.lease)
        await store.journal(*turn.ids, 0, items(1))
        await store.renew(*turn.ids)
        ttl = await self._ttl(store)
        assert ttl is not None
        assert DAY - LONG < ttl <= DAY
        await store.abort(*turn.ids)
        assert await store.info("s") == Absent()

    async def test_a_renewed_lease_keeps_a_session_without_a_commit(self, lab: Lab) -> None:
        store = lab.store()
        before, in_time = await lab.now(), True
        turn = await begun(store, "s", lease=3 * lab.lease)
        for _ in range(7):
            await lab.passed(lab.lease)
            renewing = await lab.now()
            await store.renew(*turn.ids)
            in_time = in_time and await lab.now() - before < 6 * lab.lease
            before = renewing
        done = await turn.commit(*items(1))
        if in_time and await lab.now() - before < 6 * lab.lease:  # else this machine stalled
            assert isinstance(done, Done)
            assert await self._ttl(store) is None

    async def test_the_first_commit_keeps_the_session(self, store: Store) -> None:
        await (await begun(store, "s")).commit(*items(1))
        assert await self._ttl(store) is None

    async def test_a_message_keeps_the_session(self, store: Store) -> None:
        turn = await begun(store, "s")
        await store.submit("s", "t", b"one")
        await store.abort(*turn.ids)
        assert await self._ttl(store) is None

    async def test_an_expiry_set_by_a_user_is_kept(self, store: Store) -> None:
        await added(store, "s", 1)
        assert await store.expire("s", DAY)
        turn = await begun(store, "s")
        await store.renew(*turn.ids)
        tip = expect(Done, await turn.commit(*items(2))).tip
        await store.pop("s", mint(), tip)
        await store.clear("s", mint())
        ttl = await self._ttl(store)
        assert ttl is not None
        assert DAY - LONG < ttl <= DAY

    async def test_an_expiry_set_before_the_first_commit_is_kept(self, store: Store) -> None:
        turn = await begun(store, "s")
        await store.expire("s", DAY)
        await store.renew(*turn.ids)
        await turn.commit(*items(1))
        ttl = await self._ttl(store)
        assert ttl is not None
        assert DAY - LONG < ttl <= DAY

    async def test_expire_removes_an_expiry(self, store: Store) -> None:
        await added(store, "s", 1)
        await store.expire("s", DAY)
        assert await store.expire("s", None)
        assert await self._ttl(store) is None

    async def test_an_expired_session_is_gone(self, lab: Lab) -> None:
        store = lab.store()
        await added(store, "s", 1)
        turn = await begun(store, "s")
        await store.expire("s", 50)

        async def gone() -> bool:
            return await store.info("s") == Absent()

        await lab.until(gone)
        assert await turn.commit(*items(2)) == Gone()
        await added(store, "s", 3)
        assert await contents(store, "s") == items(3)
        assert await self._ttl(store) is None

    async def test_with_a_ttl_every_change_refreshes_it(self, lab: Lab) -> None:
        store = lab.store(Limits(ttl_ms=DAY))
        for change in (
            store.append("s", mint(), items(1)),
            store.submit("s", "t", b"one"),
            store.clear("s", mint()),
        ):
            await change
            ttl = await self._ttl(store)
            assert ttl is not None
            assert DAY - LONG < ttl <= DAY
            await store.expire("s", LONG)

    async def test_with_a_ttl_a_session_outlives_the_lease(self, lab: Lab) -> None:
        store = lab.store(Limits(ttl_ms=SHORT))
        await added(store, "s", 1)
        turn = await begun(store, "s", lease=LONG)
        ttl = await self._ttl(store)
        assert ttl is not None
        assert ttl > LONG
        await store.expire("s", SHORT)
        await store.renew(*turn.ids)
        ttl = await self._ttl(store)
        assert ttl is not None
        assert ttl > LONG
        await turn.commit(*items(2))
        ttl = await self._ttl(store)
        assert ttl is not None
        assert ttl <= SHORT

    async def test_a_ttl_counts_for_processes_without_one(self, lab: Lab) -> None:
        """Their turns and messages keep the session, as those of processes with the ttl do."""
        store, other = lab.store(Limits(ttl_ms=10 * lab.lease)), lab.store()
        await added(store, "s", 1)
        turn = await begun(other, "s", lease=LONG)
        ttl = await self._ttl(other)
        assert ttl is not None
        assert ttl > LONG
        await turn.commit(*items(2))
        ttl = await self._ttl(other)
        assert ttl is not None
        assert ttl <= 10 * lab.lease
        await other.expire("s", None)
        await other.submit("s", "t", b"one")
        assert await self._ttl(other) is None

    async def test_a_message_of_a_process_without_a_ttl_refreshes_it(self, lab: Lab) -> None:
        store, other = lab.store(Limits(ttl_ms=DAY)), lab.store()
        await added(store, "s", 1)
        await lab.passed(lab.lease)
        submitted = await lab.now()
        await other.submit("s", "t", b"one")
        ttl = await self._ttl(other)
        assert ttl is not None
        assert await lab.now() + ttl >= submitted + DAY

    async def test_the_longest_retention_counts(self, lab: Lab) -> None:
        long, short = lab.store(Limits(retention_ms=DAY)), lab.store(Limits(retention_ms=1))
        await (await begun(long, "s", "t")).commit(*items(1))
        for _ in range(4):
            await lab.tick()
            await added(short, "s", 2)
        assert isinstance(await try_begin(short, "s", "t"), Duplicate)
