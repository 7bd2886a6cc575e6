"""A message whose attempt failed: the next attempt begins after a delay."""

from __future__ import annotations

import pytest

from turnwise.contracts import Store
from turnwise.limits import Limits
from turnwise.testing.conformance.background import names, sent
from turnwise.testing.conformance.lab import (
    LONG,
    Held,
    Lab,
    Suite,
    begun,
    expect,
    items,
    mint,
    outcome,
    taken,
    try_begin,
)
from turnwise.types import Busy, Grant, Idle, Info, Parked, Queued, Running, Stale, Suspect


async def failed(store: Store, delay: int, lease: int = LONG) -> Held:
    """The turn "t" of the session "s", released as failed."""
    await store.submit("s", "t", b"one")
    turn = await taken(store, "s", lease)
    await store.journal(*turn.ids, 0, items("done"))
    await store.release(*turn.ids, counted=True, delay_ms=delay)
    return turn


class RetriesConformance(Suite):
    async def test_the_next_attempt_waits_for_the_delay(self, store: Store) -> None:
        turn = await failed(store, LONG)
        await store.release(*turn.ids, counted=True)
        for _ in range(2):
            busy = expect(Busy, await store.next("s", mint(), LONG, worker="other"))
            assert (busy.worker, busy.turn_id) == ("worker", "t")
            assert 0 < busy.remaining_ms <= LONG
        assert expect(Running, await store.status("s", "t")).remaining_ms <= 0

    async def test_the_next_attempt_begins_after_the_delay(self, lab: Lab) -> None:
        store, token = lab.store(), mint()
        began = await lab.now()
        await failed(store, lab.lease)
        grants = list[Grant]()

        async def granted() -> bool:
            answer = await store.next("s", token, LONG, worker="other")
            grants.extend([answer] if isinstance(answer, Grant) else [])
            return bool(grants)

        await lab.until(granted)
        assert await lab.now() >= began + lab.lease
        (grant,) = grants
        assert (grant.attempt, grant.released, grant.journal) == (2, 0, items("done"))
        await store.release("s", "t", token, counted=True)
        assert (await taken(store, "s")).grant.attempt == 3

    async def test_callers_wait_for_the_delay_too(self, store: Store) -> None:
        await failed(store, LONG)
        await store.submit("s", "behind", b"two")
        answers = [
            await try_begin(store, "s"),
            await try_begin(store, "s", ticket_ms=LONG),
            await store.append("s", mint(), items(1)),
        ]
        for answer in answers:
            assert isinstance(answer, Busy | Queued)
            assert answer.turn_id == "t"
            assert 0 < answer.remaining_ms <= LONG

    async def test_a_failed_turn_is_cancelled_without_delay(self, store: Store) -> None:
        await failed(store, LONG)
        await store.submit("s", "behind", b"two")
        assert await outcome(store, "s", "t") == "dropped"
        await (await taken(store, "s")).commit(*items(1))
        assert await store.next("s", mint(), LONG, worker="w") == Idle()

    async def test_a_turn_that_is_parked_again_has_no_delay(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.park(*(await taken(store, "s")).ids, b"{state}")
        turn = await begun(store, "s", "t", resume=True)
        await store.release(*turn.ids, counted=True, delay_ms=LONG)
        assert await store.next("s", mint(), LONG, worker="w") == Parked("t")
        await begun(store, "s", "t", resume=True)

    async def test_a_direct_turn_has_no_delay(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        await store.journal(*turn.ids, 0, items("done"))
        await store.release(*turn.ids, counted=True, delay_ms=LONG)
        assert (await begun(store, "s", "t")).grant.journal == items("done")

    async def test_a_session_does_not_expire_during_the_delay(self, lab: Lab) -> None:
        store = lab.store(Limits(ttl_ms=10 * lab.lease))
        await failed(store, LONG, lab.lease)
        ttl = expect(Info, await store.info("s")).expires_in
        assert ttl is not None
        assert ttl > LONG / 1000

    async def test_workers_can_claim_the_message_after_the_delay(self, lab: Lab) -> None:
        store, other = lab.store(), lab.store()
        await sent(store, "s", "t")
        claims = await store.ready.claim("w1", 5, 0)
        assert names(claims) == ["s"]
        await failed(store, lab.lease)
        await store.ready.requeue("w1", claims, lab.lease)

        async def taken_over() -> bool:
            for claim in await other.ready.claim("w2", 5, 0):
                answer = await other.next("s", mint(), LONG, worker="w2")
                if isinstance(answer, Grant):
                    return True
                left = expect(Busy, answer).remaining_ms
                await other.ready.requeue("w2", [claim], left)
            return False

        await lab.until(taken_over)

    async def test_a_clock_set_back_hardly_extends_the_delay(self, lab: Lab) -> None:
        if not lab.steps:
            pytest.skip("the clock of this store cannot be set")
        store = lab.store()
        await failed(store, lab.lease)
        lab.step(-3_600_000)
        busy = expect(Busy, await store.next("s", mint(), LONG, worker="w"))
        assert busy.remaining_ms <= LONG + lab.lease

    async def test_deaths_are_counted_apart_from_failures(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        await store.release(*(await taken(store, "s")).ids, counted=True)
        await store.release(*(await taken(store, "s")).ids)
        await taken(store, "s", lab.lease)
        await lab.dead("s")
        turn = await taken(store, "s")
        grant = turn.grant
        assert (grant.attempt, grant.failed, grant.released, grant.deaths) == (4, 1, 1, 1)
        again = expect(Grant, await store.next("s", turn.token, LONG, worker="worker"))
        assert (again.failed, again.released, again.deaths) == (1, 1, 1)
        await store.abort(*turn.ids)  # which ends the turn, and not its message
        grant = (await taken(store, "s")).grant
        assert (grant.attempt, grant.failed, grant.released, grant.deaths) == (5, 2, 1, 1)

    async def test_a_message_whose_workers_died_is_opened_on_request_only(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        for deaths in (1, 2):
            await taken(store, "s", lab.lease)
            await lab.dead("s")
            for most in range(deaths):
                answer = await store.next("s", mint(), LONG, worker="w", max_deaths=most)
                assert answer == Suspect("t", deaths)
        turn = expect(Grant, await store.next("s", mint(), lab.lease, worker="w", max_deaths=2))
        assert (turn.attempt, turn.deaths) == (3, 2)
        await lab.dead("s")
        token = mint()
        grant = expect(Grant, await store.next("s", token, LONG, worker="w"))
        assert grant.deaths == 3
        await store.abort("s", "t", token)
        assert await store.next("s", mint(), LONG, worker="w", max_deaths=2) == Suspect("t", 3)

    async def test_whether_a_worker_died_that_ran_nothing_else(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")

        async def next_grant(lease: int = LONG, *, alone: bool = False) -> tuple[Grant, str]:
            token = mint()
            answer = await store.next("s", token, lease, worker="w", alone=alone)
            return expect(Grant, answer), token

        await next_grant(lab.lease)
        await lab.dead("s")
        grant, token = await next_grant(alone=True)
        assert not grant.died_alone
        await store.release("s", "t", token)  # it ran alone, and did not die
        grant, _ = await next_grant(lab.lease, alone=True)
        assert not grant.died_alone
        await lab.dead("s")
        grant, token = await next_grant()
        assert grant.died_alone
        assert grant.deaths == 2
        again = expect(Grant, await store.next("s", token, LONG, worker="w"))
        assert again.died_alone

    async def test_the_status_in_the_pause_after_a_failure(self, store: Store) -> None:
        turn = await failed(store, LONG)
        running = expect(Running, await store.status("s", "t"))
        assert 0 < running.retry_in_ms <= LONG
        await store.submit("s", "behind", b"two")
        assert expect(Queued, await store.status("s", "behind")).waiting_ms >= 0
        await store.cancel("s", "t")
        assert isinstance(await store.renew(*turn.ids), Stale)
        await taken(store, "s")
        assert expect(Running, await store.status("s", "behind")).retry_in_ms == 0
