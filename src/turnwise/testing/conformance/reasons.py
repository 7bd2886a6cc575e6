"""Why a turn was to stop: the note that stays with it, and goes into its record."""

from __future__ import annotations

import pytest

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import Lab, Suite, asked, begun, expect, taken
from turnwise.types import Cancelled, Duplicate, Grant, Renewed

NOTE = '{"why": "a \\"test\\" \u2713", "at": 1}'
"""As good as any text."""


async def noted(store: Store, turn_id: str) -> bytes:
    """The payload of a cancelled turn's record, as everybody is told it."""
    told = await store.status("s", turn_id), await asked(store, "s", turn_id)
    status, resent = (expect(Duplicate, answer).record for answer in told)
    assert status is not None
    assert resent is not None
    assert (status.kind, resent.kind) == ("cancelled", "cancelled")
    assert status.payload == resent.payload
    return status.payload


class ReasonsConformance(Suite):
    @pytest.mark.parametrize("first", ["", NOTE])
    async def test_why_it_is_to_stop_is_told(self, store: Store, first: str) -> None:
        turn = await begun(store, "s", "t")
        for note in (first, "", NOTE, "another"):
            await store.cancel("s", "t", keep=True, reason=note)
        assert await store.renew(*turn.ids) == Renewed("keep", NOTE)
        assert expect(Grant, await asked(store, "s", "t", token=turn.token)).cancel_reason == NOTE

    async def test_why_it_is_to_stop_outlives_its_worker(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s", lease=lab.lease)
        await store.cancel("s", "t", reason=NOTE)
        await lab.dead("s")
        turn = await taken(store, "s")
        assert turn.grant.cancel_reason == NOTE
        await store.park(*turn.ids, b"{state}")
        assert (await begun(store, "s", "t", resume=True)).grant.cancel_reason == NOTE

    @pytest.mark.parametrize("first", ["", NOTE])
    async def test_why_it_was_dropped_stands_in_its_record(self, store: Store, first: str) -> None:
        await begun(store, "s", "t")
        await store.cancel("s", "t", reason=first)
        dropped = Cancelled("dropped", "t", "worker", NOTE.encode())
        assert (
            await store.cancel("s", "t", force=True, reason="another" if first else NOTE) == dropped
        )
        again = Cancelled("dropped", "t", "", NOTE.encode())
        assert await store.cancel("s", "t", force=True, reason="another") == again
        assert await noted(store, "t") == NOTE.encode()

    async def test_why_a_turn_that_waits_was_dropped(self, store: Store) -> None:
        await store.park(*(await begun(store, "s", "t")).ids, b"{state}")
        await store.cancel("s", "t", reason=NOTE)
        assert await noted(store, "t") == NOTE.encode()

    @pytest.mark.parametrize("note", ["", NOTE, "two words", "\n "])
    async def test_why_a_message_was_called_off(self, store: Store, note: str) -> None:
        turn = await begun(store, "s", "open")
        await store.submit("s", "t", b"one")
        for again in (note, "another"):
            dropped = Cancelled("dropped", "t", "", note.encode())
            assert await store.cancel("s", "t", reason=again) == dropped
        assert await noted(store, "t") == note.encode()
        resent = expect(Duplicate, await store.submit("s", "t", b"one")).record
        assert resent is not None
        assert resent.payload == note.encode()
        await turn.commit()
        assert await store.cancel("s", "t", reason="another") == dropped
        assert await noted(store, "t") == note.encode()
        assert expect(Grant, await asked(store, "s", "next")).cancel_reason == ""
