"""The worker registry."""

from __future__ import annotations

from turnwise.contracts import Store
from turnwise.limits import WORKER_KEPT_MS
from turnwise.testing.conformance.lab import Lab, Suite
from turnwise.testing.conformance.operators import NAMES


class WorkersConformance(Suite):
    async def test_a_worker_has_one_record_the_last_one(self, store: Store) -> None:
        assert await store.workers.list() == []
        await store.workers.write("b", b"one")
        await store.workers.write("a", b"\x00 \xff\n")
        await store.workers.write("b", b"two")
        await store.workers.write("b", b"two")
        found = await store.workers.list()
        assert [(entry.worker, entry.record) for entry in found] == [
            ("a", b"\x00 \xff\n"),
            ("b", b"two"),
        ]

    async def test_a_record_outlives_its_worker_and_shows_since_when(self, lab: Lab) -> None:
        await lab.store().workers.write("dead", b"what it held")
        await lab.passed(50)
        other = lab.store()
        await other.workers.write("alive", b"")
        alive, dead = await other.workers.list()
        assert dead.record == b"what it held"
        assert dead.age_ms >= 50 > alive.age_ms or dead.age_ms > alive.age_ms

    async def test_a_worker_that_ends_leaves_nothing(self, store: Store) -> None:
        await store.workers.write("a", b"one")
        await store.workers.write("b", b"one")
        for _ in range(2):
            await store.workers.remove("a")
        assert [entry.worker for entry in await store.workers.list()] == ["b"]
        await store.workers.remove("b")
        await store.workers.remove("never there")
        assert await store.workers.list() == []

    async def test_a_worker_s_name_is_any_text(self, store: Store) -> None:
        for name in NAMES:
            await store.workers.write(name, name.encode())
        found = await store.workers.list()
        assert [(entry.worker, entry.record.decode()) for entry in found] == [
            (name, name) for name in sorted(NAMES)
        ]

    async def test_many_workers_are_all_listed_once(self, store: Store) -> None:
        names = [f"worker-{number:03}" for number in range(300)]
        for name in names:
            await store.workers.write(name, b"x" * 500)
        assert [entry.worker for entry in await store.workers.list()] == names

    async def test_a_record_is_kept_for_a_day(self, lab: Lab) -> None:
        if not lab.steps:
            return  # the clock of a server is not set: see its own tests
        store = lab.store()
        await store.workers.write("old", b"")
        lab.step(WORKER_KEPT_MS)
        await store.workers.write("new", b"")
        assert [entry.worker for entry in await store.workers.list()] == ["new", "old"]
        lab.step(1)
        assert [entry.worker for entry in await store.workers.list()] == ["new"]

    async def test_a_clock_that_was_set_back_makes_no_record_old(self, lab: Lab) -> None:
        if not lab.steps:
            return
        store = lab.store()
        await store.workers.write("a", b"")
        lab.step(-1000)
        (entry,) = await store.workers.list()
        assert entry.age_ms == 0
