"""The reason for a cancel: the first one stays with the turn, and goes into its record."""

from __future__ import annotations

import pytest

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import Lab, Suite, begun, expect, taken, try_begin
from turnwise.types import Cancelled, Duplicate, Grant, Renewed

REASON = '{"why": "a \\"test\\" \u2713", "at": 1}'
"""Any text will do."""


async def recorded(store: Store, turn_id: str) -> bytes:
    """The payload of a cancelled turn's record, in the answers of `status` and `begin`."""
    answers = await store.status("s", turn_id), await try_begin(store, "s", turn_id)
    status, resent = (expect(Duplicate, answer).record for answer in answers)
    assert status is not None
    assert resent is not None
    assert (status.kind, resent.kind) == ("cancelled", "cancelled")
    assert status.payload == resent.payload
    return status.payload


class ReasonsConformance(Suite):
    @pytest.mark.parametrize("first", ["", REASON])
    async def test_the_worker_learns_the_first_reason(self, store: Store, first: str) -> None:
        turn = await begun(store, "s", "t")
        for reason in (first, "", REASON, "another"):
            await store.cancel("s", "t", keep=True, reason=reason)
        assert await store.renew(*turn.ids) == Renewed("keep", REASON)
        assert (
            expect(Grant, await try_begin(store, "s", "t", token=turn.token)).cancel_reason
            == REASON
        )

    async def test_a_takeover_learns_the_first_reason(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s", lease=lab.lease)
        await store.cancel("s", "t", reason=REASON)
        await lab.dead("s")
        turn = await taken(store, "s")
        assert turn.grant.cancel_reason == REASON
        await store.park(*turn.ids, b"{state}")
        assert (await begun(store, "s", "t", resume=True)).grant.cancel_reason == REASON

    @pytest.mark.parametrize("first", ["", REASON])
    async def test_a_dropped_turn_s_record_has_the_first_reason(
        self, store: Store, first: str
    ) -> None:
        await begun(store, "s", "t")
        await store.cancel("s", "t", reason=first)
        dropped = Cancelled("dropped", "t", "worker", REASON.encode())
        assert (
            await store.cancel("s", "t", force=True, reason="another" if first else REASON)
            == dropped
        )
        again = Cancelled("dropped", "t", "", REASON.encode())
        assert await store.cancel("s", "t", force=True, reason="another") == again
        assert await recorded(store, "t") == REASON.encode()

    async def test_a_dropped_parked_turn_s_record_has_the_reason(self, store: Store) -> None:
        await store.park(*(await begun(store, "s", "t")).ids, b"{state}")
        await store.cancel("s", "t", reason=REASON)
        assert await recorded(store, "t") == REASON.encode()

    @pytest.mark.parametrize("reason", ["", REASON, "two words", "\n "])
    async def test_a_cancelled_message_s_record_has_the_reason(
        self, store: Store, reason: str
    ) -> None:
        turn = await begun(store, "s", "open")
        await store.submit("s", "t", b"one")
        for again in (reason, "another"):
            dropped = Cancelled("dropped", "t", "", reason.encode())
            assert await store.cancel("s", "t", reason=again) == dropped
        assert await recorded(store, "t") == reason.encode()
        resent = expect(Duplicate, await store.submit("s", "t", b"one")).record
        assert resent is not None
        assert resent.payload == reason.encode()
        await turn.commit()
        assert await store.cancel("s", "t", reason="another") == dropped
        assert await recorded(store, "t") == reason.encode()
        assert expect(Grant, await try_begin(store, "s", "next")).cancel_reason == ""
