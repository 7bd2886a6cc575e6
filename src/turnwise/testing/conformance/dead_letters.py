"""Dead letters: how they are written, listed, retried and deleted."""

from __future__ import annotations

import pytest

from turnwise.contracts import Store
from turnwise.errors import UsageError
from turnwise.testing.conformance.lab import (
    NONSENSE,
    Lab,
    Suite,
    contents,
    expect,
    items,
    mint,
    taken,
    try_begin,
)
from turnwise.types import (
    Busy,
    Done,
    Duplicate,
    Gone,
    Info,
    Queued,
    Running,
    Stale,
)


class DeadLettersConformance(Suite):
    async def test_dead_letter_writes_a_letter_and_ends_the_turn(self, store: Store) -> None:
        await store.submit("s", "t1", b"one")
        await store.submit("s", "t2", b"two")
        turn = await taken(store, "s")
        done = expect(Done, await store.dead_letter(*turn.ids, b"\x00 why"))
        assert await store.dead_letter(*turn.ids, b"\x00 why") == done
        (letter,) = await store.dead_letters()
        assert (letter.session_id, letter.turn_id, letter.content) == ("s", "t1", b"\x00 why")
        assert letter.state == "dead"
        for answer in (
            await store.status("s", "t1"),
            await store.submit("s", "t1", b"one"),
            await try_begin(store, "s", "t1"),
        ):
            record = expect(Duplicate, answer).record
            assert record is not None
            assert (record.kind, record.payload) == ("dead", letter.id.encode())
        assert (await taken(store, "s")).grant.turn_id == "t2"
        assert await contents(store, "s") == []

    async def test_only_the_holder_of_a_turn_can_dead_letter_it(self, store: Store) -> None:
        assert await store.dead_letter("no", "t", mint(), b"why") == Gone()
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        assert isinstance(await store.dead_letter("s", "t", mint(), b"other"), Stale)
        assert await store.dead_letters() == []
        await store.dead_letter(*turn.ids, b"why")
        assert isinstance(await store.dead_letter("s", "t", mint(), b"other"), Stale)
        assert [letter.content for letter in await store.dead_letters()] == [b"why"]

    async def test_dead_letters_are_listed_in_pages(self, lab: Lab) -> None:
        store = lab.store()
        for number in range(5):
            await lab.tick()
            await store.submit(f"s{number}", "t", b"one")
            await store.dead_letter(*(await taken(store, f"s{number}")).ids, b"%d" % number)
        seen, after = list[bytes](), None
        while page := await store.dead_letters(2, after):
            assert len(page) <= 2
            seen += [letter.content for letter in page]
            after = page[-1].id
        assert seen == [b"0", b"1", b"2", b"3", b"4"]
        assert await store.count_dead_letters() == 5
        assert after is not None
        for _ in range(2):
            await store.delete_dead_letter(after)
        assert len(await store.dead_letters()) == await store.count_dead_letters() == 4

    @pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda text: ascii(text)[:20])
    async def test_what_is_no_letter_s_id_is_refused(self, store: Store, nonsense: str) -> None:
        await store.submit("s", "t", b"one")
        await store.dead_letter(*(await taken(store, "s")).ids, b"why")
        with pytest.raises(UsageError, match="is no id of a dead letter"):
            await store.dead_letters(10, nonsense)
        await store.delete_dead_letter(nonsense)
        assert len(await store.dead_letters()) == 1

    async def test_a_dead_message_is_retried_once_for_each_letter(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.dead_letter(*(await taken(store, "s")).ids, b"first")
        (first,) = await store.dead_letters()
        assert isinstance(await store.submit("s", "t", b"one", retry_of="other"), Duplicate)
        for _ in range(2):
            await store.submit("s", "t", b"one", retry_of=first.id)
        assert expect(Info, await store.info("s")).queued == 1
        assert isinstance(await try_begin(store, "s", "t"), Queued)
        (waits,) = await store.dead_letters()
        assert (waits.id, waits.state) == (first.id, "queued")
        turn = await taken(store, "s")
        assert turn.grant.attempt == 1
        assert isinstance(await store.status("s", "t"), Running)
        assert isinstance(await try_begin(store, "s", "t"), Busy)
        await store.dead_letter(*turn.ids, b"second")
        (second,) = await store.dead_letters()
        assert (second.content, second.state) == (b"second", "dead")
        assert isinstance(await store.submit("s", "t", b"one", retry_of=first.id), Duplicate)
        await store.submit("s", "t", b"one", retry_of=second.id)
        await (await taken(store, "s")).commit(*items(1))
        (done,) = await store.dead_letters()
        assert (done.id, done.state) == (second.id, "finished")
        assert isinstance(await store.submit("s", "t", b"one", retry_of=second.id), Duplicate)
        assert await contents(store, "s") == items(1)

    async def test_a_dead_letter_outlives_its_session(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.dead_letter(*(await taken(store, "s")).ids, b"why")
        await store.delete("s")
        (letter,) = await store.dead_letters()
        assert (letter.content, letter.state) == (b"why", "unknown")
