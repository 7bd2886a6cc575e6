"""Named records: what workers say of themselves, and what operators told them."""

from __future__ import annotations

import pytest

from turnwise.contracts import Registry, Store
from turnwise.limits import WORKER_KEPT_MS
from turnwise.testing.conformance.lab import Lab, Suite
from turnwise.testing.conformance.operators import NAMES


class RegistryConformance(Suite):
    @pytest.fixture(params=["workers", "orders", "counts", "api_keys", "open_turns", "webhooks"])
    def registry(self, request: pytest.FixtureRequest, store: Store) -> Registry:
        found: Registry = getattr(store, request.param)
        return found

    async def test_a_name_has_one_record_the_last_one(self, registry: Registry) -> None:
        assert await registry.list() == []
        await registry.write("b", b"one")
        await registry.write("a", b"\x00 \xff\n")
        await registry.write("b", b"two")
        await registry.write("b", b"two")
        found = await registry.list()
        assert [(entry.name, entry.record) for entry in found] == [
            ("a", b"\x00 \xff\n"),
            ("b", b"two"),
        ]

    async def test_a_record_is_read_by_its_name(self, lab: Lab, registry: Registry) -> None:
        assert await registry.read("a") is None
        for name in NAMES:
            await registry.write(name, name.encode())
        await lab.tick()
        for entry in await registry.list():
            found = await registry.read(entry.name)
            assert found is not None
            assert (found.name, found.record) == (entry.name, entry.record)
            assert 0 <= entry.age_ms <= found.age_ms + 1000
        await registry.remove(NAMES[0])
        assert await registry.read(NAMES[0]) is None

    async def test_a_record_outlives_its_worker_and_shows_since_when(self, lab: Lab) -> None:
        await lab.store().workers.write("dead", b"what it held")
        await lab.passed(50)
        other = lab.store()
        await other.workers.write("alive", b"")
        alive, dead = await other.workers.list()
        assert dead.record == b"what it held"
        assert dead.age_ms >= 50 > alive.age_ms or dead.age_ms > alive.age_ms

    async def test_a_removed_record_leaves_nothing(self, registry: Registry) -> None:
        await registry.write("a", b"one")
        await registry.write("b", b"one")
        for _ in range(2):
            await registry.remove("a")
        assert [entry.name for entry in await registry.list()] == ["b"]
        await registry.remove("b")
        await registry.remove("never there")
        assert await registry.list() == []

    async def test_a_name_is_any_text(self, registry: Registry) -> None:
        for name in NAMES:
            await registry.write(name, name.encode())
        found = await registry.list()
        assert [(entry.name, entry.record.decode()) for entry in found] == [
            (name, name) for name in sorted(NAMES)
        ]

    async def test_many_records_are_all_listed_once(self, registry: Registry) -> None:
        names = [f"worker-{number:03}" for number in range(300)]
        for name in names:
            await registry.write(name, b"x" * 500)
        assert [entry.name for entry in await registry.list()] == names

    async def test_a_worker_s_record_is_kept_for_a_day_an_order_for_ever(self, lab: Lab) -> None:
        if not lab.steps:
            return  # the clock of a server is not set: see its own tests
        store = lab.store()
        for registry in (store.workers, store.orders):
            await registry.write("old", b"")
        lab.step(WORKER_KEPT_MS)
        await store.workers.write("new", b"")
        assert [entry.name for entry in await store.workers.list()] == ["new", "old"]
        lab.step(1)
        assert [entry.name for entry in await store.workers.list()] == ["new"]
        assert await store.workers.read("old") is None
        assert await store.orders.read("old") is not None
        (order,) = await store.orders.list()
        assert (order.name, order.age_ms) == ("old", WORKER_KEPT_MS + 1)

    async def test_a_clock_that_was_set_back_makes_no_record_old(self, lab: Lab) -> None:
        if not lab.steps:
            return
        store = lab.store()
        await store.workers.write("a", b"")
        lab.step(-1000)
        (entry,) = await store.workers.list()
        assert entry.age_ms == 0

    async def test_workers_and_orders_are_apart(self, store: Store) -> None:
        await store.workers.write("a", b"alive")
        await store.orders.write("a", b"be quiet")
        await store.workers.remove("a")
        assert await store.workers.list() == []
        assert [entry.record for entry in await store.orders.list()] == [b"be quiet"]
