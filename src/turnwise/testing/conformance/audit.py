"""The records of operators' actions."""

from __future__ import annotations

import asyncio

import pytest

from turnwise import limits
from turnwise.contracts import Store
from turnwise.testing.conformance.lab import Lab, Suite, mint


class AuditConformance(Suite):
    async def test_records_are_listed_the_newest_first(self, lab: Lab) -> None:
        store, before = lab.store(), await lab.now()
        assert await store.audit.page(10) == []
        for record in (b"one", b"\x00 \xff\n", b""):
            await store.audit.write(mint(), record)
        third, second, first = await lab.store().audit.page(10)
        assert [each.record for each in (third, second, first)] == [b"", b"\x00 \xff\n", b"one"]
        assert third.number > second.number > first.number > 0
        assert before - 1 <= first.at_ms <= third.at_ms <= await lab.now()

    async def test_pages(self, store: Store) -> None:
        for number in range(25):
            await store.audit.write(mint(), b"%d" % number)
        found, before = list[int](), None
        while page := await store.audit.page(10, before):
            assert len(page) <= 10
            found += [int(each.record) for each in page]
            before = page[-1].number
        assert found == list(range(24, -1, -1))
        newest = (await store.audit.page(1))[0].number
        assert await store.audit.page(1, newest + 100) == await store.audit.page(1)

    async def test_a_resend_adds_no_second_record(self, store: Store) -> None:
        op_id = mint()
        number = await store.audit.write(op_id, b"one")
        other = await store.audit.write(mint(), b"two")
        assert await store.audit.write(op_id, b"one") == number
        assert [each.number for each in await store.audit.page(10)] == [other, number]

    async def test_a_record_is_amended_in_its_place(self, store: Store) -> None:
        op_id = mint()
        number = await store.audit.write(op_id, b"begun")
        await store.audit.write(mint(), b"another")
        before = await store.audit.page(10)
        for _ in range(2):
            await store.audit.amend(number, op_id, b"done")
        await store.audit.amend(number, mint(), b"another's")
        await store.audit.amend(number + 50, mint(), b"lost in a failover")
        another, amended = await store.audit.page(10)
        assert (another, amended.record) == (before[0], b"done")
        assert (amended.number, amended.at_ms) == (before[1].number, before[1].at_ms)

    async def test_several_write_at_once(self, lab: Lab) -> None:
        stores = [lab.store() for _ in range(3)]
        writing = [s.audit.write(mint(), b"%d" % n) for n in range(5) for s in stores]
        numbers = await asyncio.gather(*writing)
        assert len(set(numbers)) == 15
        assert {each.number for each in await stores[0].audit.page(100)} == set(numbers)

    async def test_only_the_last_ones_are_kept(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("redis.audit", "sqlite.audit", "embedded.memory_audit"):
            monkeypatch.setattr(f"turnwise.stores.{module}.AUDIT_KEPT", 10)
        assert limits.AUDIT_KEPT > 10
        oldest = mint()
        number = await store.audit.write(oldest, b"oldest")
        for n in range(12):
            await store.audit.write(mint(), b"%d" % n)
        await store.audit.amend(number, oldest, b"gone")
        found = await store.audit.page(100)
        assert [int(each.record) for each in found] == list(range(11, 1, -1))
        assert await store.audit.page(100, found[-1].number) == []
