"""The ready stream: how background workers find messages."""

from __future__ import annotations

import asyncio

import pytest

from turnwise.contracts import Ready, Store
from turnwise.limits import Limits
from turnwise.testing.conformance.lab import (
    LONG,
    Held,
    Lab,
    Suite,
    begun,
    contents,
    expect,
    item,
    items,
    mint,
    taken,
)
from turnwise.types import Accepted, Claim, Duplicate, Grant, Idle, Parked, Unclaimed


async def sent(store: Store, session_id: str, turn_id: str, message: bytes = b"one") -> None:
    """Announce a message and submit it."""
    announced_at = await store.ready.announce(session_id, turn_id)
    expect(Accepted, await store.submit(session_id, turn_id, message, announced_at))


async def work(store: Store, worker: str, claim: Claim) -> list[str]:
    """Run all messages of the claimed session; their turn_ids."""
    done = []
    while isinstance(
        grant := await store.next(claim.session_id, token := mint(), LONG, worker=worker), Grant
    ):
        await Held(store, claim.session_id, token, grant).commit(item(grant.turn_id))
        done.append(grant.turn_id)
    return done


def names(claims: list[Claim]) -> list[str]:
    return [claim.session_id for claim in claims]


class BackgroundConformance(Suite):
    @pytest.fixture
    def ready(self, store: Store) -> Ready:
        return store.ready

    async def test_what_nobody_has_claimed_is_counted(self, store: Store, ready: Ready) -> None:
        assert await ready.unclaimed() == Unclaimed(0, None)
        for name in ("s1", "s2", "s3"):
            await sent(store, name, "t")
        assert (await ready.unclaimed()).count == 3
        first, second = await ready.claim("w1", 2, 0)
        left = await ready.unclaimed()
        assert left.count == 1
        assert left.oldest_ms is not None
        assert 0 <= left.oldest_ms < LONG
        (third,) = await ready.claim("w1", 2, 0)
        assert await ready.unclaimed() == Unclaimed(0, None)
        for claim in (first, second, third):
            await work(store, "w1", claim)
        await ready.ack("w1", [first, second, third])
        assert await ready.unclaimed() == Unclaimed(0, None)

    async def test_sessions_with_messages_are_told(
        self, lab: Lab, store: Store, ready: Ready
    ) -> None:
        assert await ready.announced(10) == []
        for name in ("s1", "s2", "s3"):
            await sent(store, name, "t")
            await sent(store, name, "u")
            await lab.tick()
        assert await ready.announced(10) == ["s1", "s2", "s3"]
        assert await ready.announced(2) == ["s1", "s2"]
        (claim,) = await ready.claim("w1", 1, 0)
        assert set(await ready.announced(10)) == {"s1", "s2", "s3"}
        await ready.requeue("w1", [claim], LONG)
        assert set(await ready.announced(10)) == {"s1", "s2", "s3"}

    async def test_what_a_hung_worker_has_claimed_can_be_announced_anew(
        self, store: Store, ready: Ready
    ) -> None:
        await sent(store, "s", "t")
        await ready.claim("hung", 1, 0)
        turn = await taken(store, "s")
        assert await ready.claim("w2", 1, 0) == []
        await store.release("s", "t", mint(), attempt=turn.grant.attempt)
        await ready.announce("s", None)
        assert names(await ready.claim("w2", 1, 0)) == ["s"]
        await ready.announce("never there", None)

    async def test_a_delay_ends_when_it_is_recalled(self, store: Store, ready: Ready) -> None:
        for name in ("s1", "s2"):
            await sent(store, name, "t")
        claims = await ready.claim("w1", 2, 0)
        await ready.requeue("w1", claims, 20 * LONG)
        assert await ready.claim("w1", 2, 0) == []
        await ready.recall(["s1", "never there"])
        again = await ready.claim("w1", 2, 0)
        assert "s1" in names(again)  # the other's delay may end early too
        await ready.requeue("w1", again, 0)
        await ready.recall(["s1"])
        assert "s1" in names(await ready.claim("w2", 2, 0))

    async def test_a_message_is_claimed_by_one_worker(self, store: Store, ready: Ready) -> None:
        assert await ready.claim("w1", 10, 0) == []
        await sent(store, "s", "t")
        (claim,) = await ready.claim("w1", 10, 0)
        assert claim.session_id == "s"
        assert claim.turn_id in ("t", None)
        assert 0 <= claim.age_ms < LONG
        assert await ready.claim("w1", 10, 0) == await ready.claim("w2", 10, 0) == []
        assert await work(store, "w1", claim) == ["t"]
        await ready.ack("w1", [claim])

    async def test_workers_in_several_processes_share_the_work(self, lab: Lab) -> None:
        stores = [lab.store(), lab.store()]
        for number in range(20):
            await sent(stores[0], f"s{number}", "t")
        claimed: list[str] = []
        while True:
            found = [
                claim
                for number, store in enumerate(stores)
                for claim in await store.ready.claim(f"w{number}", 3, 0)
            ]
            if not found:
                break
            claimed += names(found)
        assert sorted(claimed) == sorted(f"s{number}" for number in range(20))

    async def test_a_worker_that_waits_is_woken(self, lab: Lab) -> None:
        store, other = lab.store(), lab.store()
        assert await store.ready.claim("w", 1, 0) == []
        claim = asyncio.create_task(store.ready.claim("w", 1, 60))
        await sent(other, "s", "t")
        assert names(await claim) == ["s"]

    async def test_a_worker_waits_no_longer_than_it_says(self, ready: Ready) -> None:
        assert await ready.claim("w", 1, 0.01) == []

    async def test_the_claims_of_a_dead_worker_go_to_others(self, lab: Lab) -> None:
        limits = Limits(visibility_timeout_ms=lab.lease)
        store, other = lab.store(limits), lab.store(limits)
        await sent(store, "s", "t")
        (claim,) = await store.ready.claim("w1", 1, 0)
        found: list[Claim] = []

        async def claimed() -> bool:
            found.extend(await other.ready.claim("w2", 1, 0))
            return bool(found)

        await lab.until(claimed)
        assert names(found) == ["s"]
        assert await work(other, "w2", found[0]) == ["t"]
        await store.ready.ack("w1", [claim])
        await other.ready.ack("w2", found)

    async def test_an_extended_claim_stays_its_worker_s(self, lab: Lab) -> None:
        limits, in_time = Limits(visibility_timeout_ms=4 * lab.lease), True
        store, other = lab.store(limits), lab.store(limits)
        await sent(store, "s", "t")
        before = await lab.now()
        assert names(await store.ready.claim("w1", 1, 0)) == ["s"]
        for _ in range(5):
            await lab.passed(lab.lease)
            extending = await lab.now()
            await store.ready.extend("w1")
            in_time = in_time and await lab.now() - before < limits.visibility_timeout_ms
            before = extending
        claims = await other.ready.claim("w2", 1, 0)
        in_time = in_time and await lab.now() - before < limits.visibility_timeout_ms
        assert claims == [] or not in_time  # if this machine stalled, its claims ran out

    async def test_a_claim_that_another_worker_took_over_is_not_extended(self, lab: Lab) -> None:
        limits = Limits(visibility_timeout_ms=lab.lease)
        store, other = lab.store(limits), lab.store(limits)
        await sent(store, "s", "t")
        claims = await store.ready.claim("w1", 1, 0)

        async def claimed() -> bool:
            return bool(await other.ready.claim("w2", 1, 0))

        await lab.until(claimed)
        await store.ready.extend("w1")
        await store.ready.requeue("w1", claims, 0)
        assert await store.ready.claim("w1", 1, 0) == []

    async def test_a_requeued_claim_comes_back_after_its_delay(self, lab: Lab) -> None:
        store = lab.store()
        await sent(store, "s", "t")
        claims = await store.ready.claim("w1", 1, 0)
        before = await lab.now()
        await store.ready.requeue("w1", claims, lab.lease)
        claims = await store.ready.claim("w1", 1, 0)
        if await lab.now() - before < lab.lease:
            assert claims == []
        await store.ready.requeue("w1", claims, 0)

        async def back() -> bool:
            return names(await store.ready.claim("w2", 1, 0)) == ["s"]

        await lab.until(back)

    async def test_a_long_delay_ends_when_the_session_gets_free(self, lab: Lab) -> None:
        """Also one that is longer than claims are hidden."""
        limits = Limits(visibility_timeout_ms=lab.lease)
        store, other = lab.store(limits), lab.store(limits)
        await sent(store, "s", "t")
        claims = await store.ready.claim("w1", 1, 0)
        turn = await taken(other, "s")
        await store.ready.requeue("w1", claims, 10 * LONG)
        await other.release(*turn.ids)

        async def back() -> bool:
            await store.ready.extend("w1")
            return names(await store.ready.claim("w1", 1, 0)) == ["s"]

        await lab.until(back)

    async def test_a_worker_that_leaves_gives_all_its_claims_back(self, lab: Lab) -> None:
        store, other = lab.store(), lab.store()
        await sent(store, "s", "t")
        await sent(store, "delayed", "t")
        await store.ready.requeue("w1", await store.ready.claim("w1", 2, 0), 10 * LONG)
        await sent(store, "s2", "t")
        await store.ready.claim("w1", 1, 0)
        await store.ready.leave("w1")
        assert "s2" in names(await other.ready.claim("w2", 5, 0))

    async def test_when_a_worker_claimed_last(self, store: Store) -> None:
        await sent(store, "s", "t")
        assert await store.ready.last_claim("s") is None
        await store.ready.claim("w", 1, 0)
        for session_id in ("s", "t", "u", "v", "w", "x"):  # it had no room for more
            ago = await store.ready.last_claim(session_id)
            assert ago is not None
            assert 0 <= ago < LONG

    async def test_a_claim_requeued_without_delay_is_anybody_s_at_once(self, lab: Lab) -> None:
        store, other = lab.store(), lab.store()
        await sent(store, "s", "t")
        claims = await store.ready.claim("w1", 1, 0)
        assert await other.ready.claim("w2", 1, 0) == []
        claim = asyncio.create_task(other.ready.claim("w2", 1, 60))
        await store.ready.requeue("w1", claims, 0)
        assert names(await claim) == ["s"]

    async def test_an_acked_claim_does_not_come_back(self, lab: Lab) -> None:
        store = lab.store(Limits(visibility_timeout_ms=lab.lease))
        await sent(store, "s", "t")
        claims = await store.ready.claim("w", 1, 0)
        await work(store, "w", claims[0])
        await store.ready.ack("w", claims)
        await store.ready.ack("w", claims)
        await lab.passed(lab.lease + 1)
        assert await store.ready.claim("w", 1, 0) == []

    async def test_a_message_behind_another_can_be_claimed(self, lab: Lab) -> None:
        store = lab.store()
        await sent(store, "s", "t1")
        (first,) = await store.ready.claim("w1", 1, 0)
        assert await work(store, "w1", first) == ["t1"]
        await sent(store, "s", "t2")
        await store.ready.ack("w1", [first])

        async def finished() -> bool:
            for claim in await store.ready.claim("w2", 1, 0):
                await work(store, "w2", claim)
                await store.ready.ack("w2", [claim])
            return isinstance(await store.status("s", "t2"), Duplicate)

        await lab.until(finished)

    async def test_a_message_long_after_its_announcement_can_be_claimed(self, lab: Lab) -> None:
        store = lab.store()
        announced_at = await store.ready.announce("s", "t")
        for claim in await store.ready.claim("w", 1, 0):
            assert await store.next("s", mint(), LONG, worker="w") == Idle()
            await store.ready.requeue("w", [claim], 50)
        await store.submit("s", "t", b"one", announced_at)

        async def claimed() -> bool:
            return names(await store.ready.claim("w", 1, 0)) == ["s"]

        await lab.until(claimed)

    async def test_a_session_that_was_busy_can_be_claimed_when_it_is_free(self, lab: Lab) -> None:
        store = lab.store()
        turn = await begun(store, "s")
        await sent(store, "s", "t")
        await turn.commit(*items(1))

        async def claimed() -> bool:
            return names(await store.ready.claim("w", 1, 0)) == ["s"]

        await lab.until(claimed)

    async def test_a_parked_session_can_be_claimed_once_its_turn_has_ended(self, lab: Lab) -> None:
        store = lab.store()
        await sent(store, "s", "t1")
        await sent(store, "s", "t2")
        claims = await store.ready.claim("w", 5, 0)
        token = mint()
        first = expect(Grant, await store.next("s", token, LONG, worker="w"))
        await store.park("s", first.turn_id, token, b"{state}")
        assert await store.next("s", mint(), LONG, worker="w") == Parked("t1")
        await store.ready.ack("w", claims)
        assert await store.ready.claim("w", 5, 0) == []
        turn = await begun(store, "s", "t1", resume=True)
        assert await store.ready.claim("w", 5, 0) == []
        await turn.commit(*items(1))
        await store.ready.announce("s", None)
        (claim,) = await store.ready.claim("w", 5, 0)
        assert await work(store, "w", claim) == ["t2"]
        await store.ready.ack("w", [claim])
        assert await store.ready.claim("w", 5, 0) == []

    async def test_a_sweep_finds_messages_that_were_not_announced(self, lab: Lab) -> None:
        store = lab.store()
        await begun(store, "idle")
        for number in range(3):
            await store.submit(f"s{number}", "t", b"one")
        await store.ready.sweep(force=True)
        assert await store.ready.sweep() == 0
        claims = await store.ready.claim("w", 10, 0)
        assert sorted(names(claims)) == ["s0", "s1", "s2"]
        assert [claim.turn_id for claim in claims] == [None] * 3

    async def test_one_session_s_messages_do_not_hide_the_others(self, lab: Lab) -> None:
        store = lab.store()
        for number in range(50):
            await sent(store, "hot", f"t{number}")
        await sent(store, "cold", "t")
        claimed: list[str] = []
        while found := await store.ready.claim("w", 7, 0):
            claimed += names(found)
        assert set(claimed) == {"hot", "cold"}

    @pytest.mark.parametrize("steps", range(6))
    async def test_a_worker_that_dies_between_two_steps_loses_nothing(
        self, lab: Lab, steps: int
    ) -> None:
        limits = Limits(visibility_timeout_ms=lab.lease)
        store, second = lab.store(limits), lab.store(limits)
        await sent(store, "s", "t")
        await die_after(steps, store, lab.lease)

        async def finished() -> bool:
            for claim in await second.ready.claim("w2", 5, 0):
                await work(second, "w2", claim)
                over = isinstance(await second.status("s", "t"), Duplicate)
                if over:
                    await second.ready.ack("w2", [claim])
                else:
                    await second.ready.requeue("w2", [claim], 50)
            return isinstance(await second.status("s", "t"), Duplicate)

        await lab.until(finished)
        assert await contents(second, "s") == items("t")
        await self.nothing_is_left(lab, second)

    async def nothing_is_left(self, lab: Lab, store: Store) -> None:
        """Every claim that a dead worker left can be acked in the end."""
        await lab.passed(lab.lease + 1)
        for claim in await store.ready.claim("w3", 5, 0):
            assert await store.next(claim.session_id, mint(), LONG, worker="w3") == Idle()
            await store.ready.ack("w3", [claim])
        assert await store.ready.claim("w3", 5, 0) == []


async def die_after(steps: int, store: Store, lease: int) -> None:
    """What a worker does, one round trip a step, up to so many steps."""
    if steps == 0:
        return
    claims = await store.ready.claim("w1", 1, 0)
    if steps == 1:
        return
    token = mint()
    grant = expect(Grant, await store.next("s", token, lease, worker="w1"))
    turn = Held(store, "s", token, grant)
    if steps == 2:
        return
    await turn.commit(item("t"))
    if steps == 3:
        return
    assert await store.next("s", mint(), lease, worker="w1") == Idle()
    if steps == 4:
        return
    await store.ready.ack("w1", claims)
