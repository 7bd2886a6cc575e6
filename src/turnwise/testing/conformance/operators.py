"""What operators ask: info, scan, delete; and what may be the name of a session."""

from __future__ import annotations

import pytest

from turnwise.contracts import Store
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
from turnwise.types import Absent, Info, Queued

NAMES = [
    "session:usr_1:conv_1",
    "{tag}a",
    "50%",
    "%7B",
    "a b\tc\nd",
    "*",
    "a?[b]\\",
    "größe-日本-🙂",
    "\x00\x7f\x85",
    "x" * 512,
]


class OperatorsConformance(Suite):
    async def test_info_shows_all_but_the_content(self, lab: Lab) -> None:
        store = lab.store()
        before = await lab.now()
        await added(store, "s", 1, 2)
        turn = await begun(store, "s", "t", worker="me")
        await store.journal(*turn.ids, 0, items("done"))
        assert isinstance(await try_begin(store, "s", ticket_ms=LONG), Queued)
        await store.submit("s", "m", b"one")
        info = expect(Info, await store.info("s"))
        assert (info.session_id, info.incarnation) == ("s", turn.grant.incarnation)
        assert (info.items, info.turns, info.queued, info.journal_entries) == (2, 1, 2, 1)
        assert (before - 1) / 1000 <= info.created_at <= info.updated_at <= await lab.now() / 1000
        opened = info.open_turn
        assert opened is not None
        assert (opened.turn_id, opened.attempt, opened.worker) == ("t", 1, "me")
        assert (opened.state, opened.cancel_mode, opened.background) == ("running", None, False)
        assert 0 < expect(float, opened.lease_remaining) <= LONG / 1000

    async def test_info_of_an_idle_session(self, store: Store) -> None:
        await added(store, "s", 1)
        info = expect(Info, await store.info("s"))
        assert (info.open_turn, info.queued, info.journal_entries, info.expires_in) == (
            None,
            0,
            0,
            None,
        )

    async def test_the_journal_of_the_open_turn_is_shown_to_all(self, store: Store) -> None:
        assert await store.open_journal("s", "t") == Absent()
        await added(store, "s", 1, 2)
        turn = await begun(store, "s", "t")
        assert await store.open_journal("s", "t") == []
        many = items(*range(300))
        await store.journal(*turn.ids, 0, many)
        assert isinstance(await try_begin(store, "s", ticket_ms=LONG), Queued)
        assert await store.open_journal("s", "t") == many
        assert await store.open_journal("s", "other") == Absent()
        await turn.commit(*items(3))
        assert await store.open_journal("s", "t") == Absent()

    async def test_a_deleted_session_leaves_nothing(self, store: Store) -> None:
        await added(store, "s", 1)
        await added(store, "t", 2)
        assert await store.delete("s")
        assert not await store.delete("s")
        assert await store.read("s") == Absent()
        assert await contents(store, "t") == items(2)

    @pytest.mark.parametrize("name", NAMES)
    async def test_a_session_id_is_any_text(self, store: Store, name: str) -> None:
        await added(store, name, 1)
        await added(store, name + "x" if len(name) < 512 else "x", 2)
        assert await contents(store, name) == items(1)
        assert name in await ids(store)

    async def test_scan_finds_all_sessions_that_match(self, store: Store) -> None:
        for name in [*NAMES, "session:usr_1:conv_2", "session:usr_2:conv_1"]:
            await added(store, name, 1)
        assert await self._scan(store, "*") == {
            *NAMES,
            "session:usr_1:conv_2",
            "session:usr_2:conv_1",
        }
        assert await self._scan(store, "session:usr_1:*") == {
            "session:usr_1:conv_1",
            "session:usr_1:conv_2",
        }
        assert await self._scan(store, "session:usr_?:conv_1") == {
            "session:usr_1:conv_1",
            "session:usr_2:conv_1",
        }
        assert await self._scan(store, "größe-??-?") == {"größe-日本-🙂"}
        assert await self._scan(store, "a b*") == {"a b\tc\nd"}
        assert await self._scan(store, "session:usr_1:conv_1") == {"session:usr_1:conv_1"}
        assert await self._scan(store, "none*") == set()

    async def test_scan_finds_more_than_one_page(self, store: Store) -> None:
        names = {f"s{number}" for number in range(520)}
        for name in names:
            await added(store, name)
        assert await self._scan(store, "*") == names

    async def _scan(self, store: Store, match: str) -> set[str]:
        return set(await ids(store, match))

    async def test_turn_ids_and_payloads_are_any_text_and_bytes(self, store: Store) -> None:
        turn_id = 'a "b"\n{日本} \\ /' + "x" * 200
        turn = await begun(store, "s", turn_id)
        assert turn.grant.turn_id == turn_id
        await turn.commit(*items(1), payload=b"\x00 \xff\n")
        await store.submit("s", turn_id + "m", b"\x00\n")
        assert expect(Queued, await try_begin(store, "s", turn_id + "m")).turn_id == turn_id + "m"

    async def test_ping(self, store: Store) -> None:
        await store.ping()

    async def test_a_closed_store_opens_again(self, store: Store) -> None:
        await added(store, "s", 1)
        await store.aclose()
        assert await contents(store, "s") == items(1)
        await store.abort("s", mint(), mint())
