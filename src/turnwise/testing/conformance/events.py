"""The event log of a turn, and its readers."""

from __future__ import annotations

import asyncio

from turnwise.contracts import EventLog, Store
from turnwise.limits import Limits
from turnwise.testing.conformance.lab import NONSENSE, Lab, Suite, added, ids
from turnwise.types import Events


def texts(answer: Events) -> list[bytes]:
    return [event.content for event in answer.events]


async def follow(log: EventLog, turn_id: str = "t") -> tuple[list[bytes], int]:
    """All events until the end, and how often the reader was reset."""
    cursor, seen, resets = None, list[bytes](), 0
    while True:
        answer = await log.read("s", turn_id, cursor, 30)
        if answer.reset:
            seen, cursor, resets = [], None, resets + 1
        seen += texts(answer)
        if answer.events:
            cursor = answer.events[-1].id
        if answer.ended:
            return seen, resets


class EventsConformance(Suite):
    async def test_events_are_read_in_order_after_any_cursor(self, lab: Lab) -> None:
        log, other = lab.store().events, lab.store().events
        assert await other.read("s", "t") == Events([])
        assert await log.append("s", "t", 1, 0, [b"one", b"\x00", b""])
        assert await log.append("s", "t", 1, 3, [b"four"])
        answer = await other.read("s", "t")
        assert texts(answer) == [b"one", b"\x00", b"", b"four"]
        assert not answer.reset
        assert not answer.ended
        for number, event in enumerate(answer.events, 1):
            rest = await other.read("s", "t", event.id)
            assert rest == Events(answer.events[number:])

    async def test_a_batch_sent_again_is_there_once(self, store: Store) -> None:
        log = store.events
        for _ in range(2):
            await log.append("s", "t", 1, 0, [b"one", b"two"])
        await log.append("s", "t", 1, 2, [b"three"], last=True)
        await log.append("s", "t", 1, 1, [b"two", b"three"])
        await log.append("s", "t", 1, 2, [b"three"], last=True)
        assert await follow(log) == ([b"one", b"two", b"three"], 0)

    async def test_a_reader_learns_that_the_log_has_ended(self, store: Store) -> None:
        log = store.events
        await log.append("s", "t", 1, 0, [b"one"])
        answer = await log.read("s", "t")
        assert not answer.ended
        await log.append("s", "t", 1, 1, [], last=True)
        assert await log.read("s", "t", answer.events[-1].id, 30) == Events([], ended=True)
        assert await follow(log) == ([b"one"], 0)

    async def test_a_reader_waits_for_more(self, lab: Lab) -> None:
        log, other = lab.store().events, lab.store().events
        reading = asyncio.create_task(follow(other))
        for number in range(20):
            await log.append("s", "t", 1, number, [b"%d" % number], last=number == 19)
            await asyncio.sleep(0)
        assert await reading == ([b"%d" % number for number in range(20)], 0)

    async def test_a_reader_waits_no_longer_than_it_says(self, store: Store) -> None:
        assert await store.events.read("s", "t", None, 0.01) == Events([])

    async def test_a_later_attempt_resets_its_readers(self, store: Store) -> None:
        log = store.events
        await log.append("s", "t", 1, 0, [b"one", b"two"])
        cursor = (await log.read("s", "t")).events[0].id
        assert await log.append("s", "t", 2, 0, [b"uno"])
        answer = await log.read("s", "t", cursor)
        assert answer.reset
        assert texts(answer) == [b"uno"]
        assert texts(await log.read("s", "t")) == [b"uno"]
        assert not await log.append("s", "t", 1, 2, [b"three"], last=True)
        after = await log.read("s", "t", answer.events[-1].id)
        assert after == Events([])

    async def test_a_follower_sees_the_last_attempt_whole(self, store: Store) -> None:
        log = store.events
        await log.append("s", "t", 1, 0, [b"one", b"two"])
        first = await log.read("s", "t", None, 30)
        reading = asyncio.create_task(log.read("s", "t", first.events[-1].id, 30))
        await log.append("s", "t", 2, 0, [b"uno"])
        assert (await reading).reset
        await log.append("s", "t", 2, 1, [b"due"], last=True)
        assert await follow(log) == ([b"uno", b"due"], 0)

    async def test_a_cursor_whose_event_is_gone_resets_its_reader(self, lab: Lab) -> None:
        log = lab.store(Limits(max_events=3)).events
        await log.append("s", "t", 1, 0, [b"0", b"1"])
        cursors = [event.id for event in (await log.read("s", "t")).events]
        await log.append("s", "t", 1, 2, [b"2", b"3", b"4"])
        assert texts(await log.read("s", "t")) == [b"2", b"3", b"4"]
        answer = await log.read("s", "t", cursors[0])
        assert answer.reset
        assert texts(answer) == [b"2", b"3", b"4"]
        assert not (await log.read("s", "t", cursors[1])).reset
        for nonsense in (*NONSENSE, "9-9", "1-99"):
            assert (await log.read("s", "t", nonsense)).reset
        assert (await log.read("s", "none", cursors[0])) == Events([], reset=True)

    async def test_many_events_come_in_several_answers(self, store: Store) -> None:
        log, all_of_them = store.events, [b"%d" % number for number in range(1000)]
        await log.append("s", "t", 1, 0, all_of_them, last=True)
        assert len((await log.read("s", "t")).events) < 1000
        assert await follow(log) == (all_of_them, 0)

    async def test_events_expire(self, lab: Lab) -> None:
        log = lab.store(Limits(events_ttl_ms=lab.lease)).events
        await log.append("s", "t", 1, 0, [b"one"])
        cursor = (await log.read("s", "t")).events[0].id

        async def gone() -> bool:
            return (await log.read("s", "t")) == Events([])

        await lab.until(gone)
        assert await log.read("s", "t", cursor) == Events([], reset=True)
        await log.append("s", "t", 1, 5, [b"six"])
        assert texts(await log.read("s", "t")) == [b"six"]

    async def test_events_belong_to_one_turn_and_to_no_history(self, store: Store) -> None:
        await added(store, "s", 1)
        for session_id, turn_id in (
            ("s", "t"),
            ("s", "t u%:{}"),
            ("s:events:t", "u"),
            ("s{x}", "t"),
        ):
            name = f"{session_id} {turn_id}".encode()
            await store.events.append(session_id, turn_id, 1, 0, [name])
            assert texts(await store.events.read(session_id, turn_id)) == [name]
        assert await ids(store) == ["s"]
        await store.delete("s")
        assert texts(await store.events.read("s", "t")) == [b"s t"]
