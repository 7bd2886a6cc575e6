"""Owners: in one owner's view there are only their sessions, whichever verb is called."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from turnwise import contracts
from turnwise.codec.elements import marker, record
from turnwise.contracts import Store
from turnwise.errors import UsageError
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
    taken,
    try_begin,
)
from turnwise.types import (
    Absent,
    Base,
    Done,
    Duplicate,
    Events,
    Grant,
    History,
    Idle,
    Info,
    Queued,
    Record,
    SessionSummary,
    Taken,
)

TURN, TOKEN, MESSAGE, LETTER = "t", "token", "m", b'{"why": 1}'
HELD = TURN, TOKEN
TURNS = [*items(9), marker("u"), record(Record("commit", 1_800_000_000_000, 1, "turn"))]
Call = Callable[[Store, str, Base], Awaitable[Any]]

VERBS: dict[str, Call] = {
    "read": lambda store, s, base: store.read(s),
    "begin": lambda store, s, base: store.begin(s, *HELD, LONG, worker="w", ticket_ms=LONG),
    "next": lambda store, s, base: store.next(s, TOKEN, LONG, worker="w"),
    "journal": lambda store, s, base: store.journal(s, *HELD, 1, items("more")),
    "renew": lambda store, s, base: store.renew(s, *HELD),
    "commit": lambda store, s, base: store.commit(s, *HELD, base, "c", items(9), keep=0),
    "park": lambda store, s, base: store.park(s, *HELD, items("state")[0]),
    "stop": lambda store, s, base: store.stop(s, *HELD, LETTER),
    "abort": lambda store, s, base: store.abort(s, *HELD),
    "release": lambda store, s, base: store.release(s, *HELD),
    "append": lambda store, s, base: store.append(s, "op", items(9)),
    "pop": lambda store, s, base: store.pop(s, "op", base),
    "clear": lambda store, s, base: store.clear(s, "op"),
    "replace": lambda store, s, base: store.replace(s, "op", base, 0, items(9)),
    "restore": lambda store, s, base: store.restore(s, None, TURNS),
    "submit": lambda store, s, base: store.submit(s, "m2", b"two"),
    "status": lambda store, s, base: store.status(s, TURN),
    "cancel": lambda store, s, base: store.cancel(s, TURN, force=True),
    "dead_letter": lambda store, s, base: store.dead_letter(s, *HELD, LETTER),
    "delete": lambda store, s, base: store.delete(s),
    "expire": lambda store, s, base: store.expire(s, 1000),
    "info": lambda store, s, base: store.info(s),
    "open_journal": lambda store, s, base: store.open_journal(s, TURN),
    "queue": lambda store, s, base: store.queue(s, 10),
}
"""Each with arguments that its own session would act on."""
MORE: dict[str, Call] = {
    "read, from a base": lambda store, s, base: store.read(s, base),
    "read, a tail": lambda store, s, base: store.read(s, None, 1),
    "begin, of another turn": lambda store, s, base: try_begin(store, s),
    "begin, once": lambda store, s, base: try_begin(store, s, one_shot=True),
    "begin, to resume": lambda store, s, base: try_begin(store, s, TURN, resume=True),
    "begin, of the message": lambda store, s, base: try_begin(store, s, MESSAGE),
    "begin, of the finished turn": lambda store, s, base: try_begin(store, s, "first"),
    "release, by an operator": lambda store, s, base: store.release(s, TURN, "new", attempt=1),
    "submit, again": lambda store, s, base: store.submit(s, MESSAGE, b"one"),
    "submit, of the finished turn": lambda store, s, base: store.submit(s, "first", b"one"),
    "submit, too late": lambda store, s, base: store.submit(s, "m2", b"two", 1),
    "status of the message": lambda store, s, base: store.status(s, MESSAGE),
    "status of the finished turn": lambda store, s, base: store.status(s, "first"),
    "cancel, whatever is open": lambda store, s, base: store.cancel(s),
    "cancel the message": lambda store, s, base: store.cancel(s, MESSAGE),
    "cancel the finished turn": lambda store, s, base: store.cancel(s, "first"),
    "append, again": lambda store, s, base: store.append(s, "first", items(9)),
}
CREATING = {"begin", "append", "restore", "submit"}
STATES = ["idle", "queued", "running", "taken", "parked", "stopped"]
NAMES = ["alice", "ALICE", "alic", " alice", "a b\n\x00c", "日本 🙂", '"', "x" * 256]


def verbs_on_sessions() -> set[str]:
    """The methods of the contract whose first argument is a session."""
    methods = inspect.getmembers(contracts.Store, inspect.iscoroutinefunction)
    return {
        name for name, method in methods if "session_id" in inspect.signature(method).parameters
    }


async def made(store: Store, session_id: str, state: str) -> Base:
    """A session in this state, with a history, and mostly an open turn and a message."""
    first = await begun(store, session_id, "first")
    base = expect(Done, await first.commit(*items(1, 2))).tip
    if state == "idle":
        return base
    if state == "taken":
        await store.submit(session_id, TURN, b"one")
        await store.next(session_id, TOKEN, LONG, worker="w")
    elif state != "queued":
        await begun(store, session_id, TURN, token=TOKEN)
    await store.submit(session_id, MESSAGE, b"one")
    if state == "queued":
        return base
    await store.journal(session_id, *HELD, 0, items("step"))
    if state == "parked":
        await store.park(session_id, *HELD, items("state")[0])
    if state == "stopped":
        await store.stop(session_id, *HELD, LETTER)
    return expect(History, await store.read(session_id)).tip


async def everything(store: Store, session_id: str) -> Any:
    """What is known of a session, but for what the time that passes changes."""
    info = await store.info(session_id)
    if isinstance(info, Absent):
        return info
    expires = info.expires_in is not None
    turn = info.open_turn and replace(info.open_turn, lease_remaining=None)
    journal = await store.open_journal(session_id, TURN)
    queue = [replace(entry, waiting_ms=0) for entry in await store.queue(session_id, 10)]
    history = await store.read(session_id)
    return replace(info, open_turn=turn, expires_in=None), expires, journal, queue, history


class OwnersConformance(Suite):
    def test_the_suite_calls_every_verb_on_a_session(self) -> None:
        assert verbs_on_sessions() == set(VERBS)

    @pytest.mark.parametrize("verb", [*VERBS, *MORE])
    async def test_another_owner_s_session_answers_as_none_and_stays_as_it_is(
        self, store: Store, verb: str
    ) -> None:
        call, foreign = (VERBS | MORE)[verb], store.for_owner("bob")
        for state in STATES:
            for owner in ("alice", None):
                name, maker = f"{state}-{owner}", store.for_owner(owner) if owner else store
                base = await made(maker, name, state)
                before = await everything(store, name)
                answer = await call(foreign, name, base)
                none = await call(foreign, f"none-{state}-{owner}", base)
                if verb.partition(",")[0] in CREATING and "resume" not in verb:
                    assert answer == Taken(), state
                    assert none != Taken(), state
                else:
                    assert answer == none, state
                assert await everything(store, name) == before, state

    @pytest.mark.parametrize("verb", [*VERBS, *MORE])
    async def test_the_owner_s_own_session_answers_as_any_does(
        self, store: Store, verb: str
    ) -> None:
        call, own = (VERBS | MORE)[verb], store.for_owner("alice")
        for state in STATES:
            free, owned = await made(store, state, state), await made(own, f"own-{state}", state)
            answer, expected = (
                await call(own, f"own-{state}", owned),
                await call(store, state, free),
            )
            assert type(answer) is type(expected), state
            assert getattr(answer, "outcome", None) == getattr(expected, "outcome", None), state

    @pytest.mark.parametrize("verb", sorted(CREATING))
    async def test_what_a_verb_creates_is_its_owner_s(self, store: Store, verb: str) -> None:
        own = store.for_owner("alice")
        await VERBS[verb](own, "s", Base(0, ""))
        await VERBS[verb](store, "free", Base(0, ""))
        assert expect(Info, await store.info("s")).owner == "alice"
        assert expect(Info, await own.info("s")).owner == "alice"
        assert expect(Info, await store.info("free")).owner is None
        assert expect(History, await store.read("s")).owner == "alice"

    async def test_the_owner_stays_whatever_others_do(self, store: Store) -> None:
        own = store.for_owner("alice")
        await added(own, "s", 1)
        await store.append("s", mint(), items(2))
        await store.clear("s", mint())
        await store.expire("s", 10**9)
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        assert turn.grant.owner == "alice"
        assert expect(History, turn.grant.history).owner == "alice"
        await turn.commit(*items(3))
        assert await contents(own, "s") == items(3)

    @pytest.mark.parametrize("name", NAMES)
    async def test_an_owner_is_any_text_and_is_exactly_that(self, store: Store, name: str) -> None:
        await added(store.for_owner(name), "s", 1)
        assert await contents(store.for_owner(name), "s") == items(1)
        assert expect(Info, await store.info("s")).owner == name
        for other in {*NAMES, "alice "} - {name}:
            assert await store.for_owner(other).read("s") == Absent()
            assert await store.for_owner(other).append("s", mint(), items(2)) == Taken()

    @pytest.mark.parametrize("name", ["", "x" * 257, "\ud800", b"alice", 0, None])
    async def test_what_is_no_owner_is_refused(self, store: Store, name: Any) -> None:
        with pytest.raises(UsageError, match="is no owner"):
            store.for_owner(name)

    async def test_a_turn_id_is_of_its_session(self, store: Store) -> None:
        alice, bob = store.for_owner("alice"), store.for_owner("bob")
        first = await begun(alice, "a", "t")
        assert await bob.status("b", "t") == Absent()
        second = await begun(bob, "b", "t")
        await first.commit(*items("of alice"))
        await second.commit(*items("of bob"))
        assert expect(Duplicate, await bob.status("b", "t")).elements == items("of bob")
        assert await bob.status("a", "t") == Absent()

    async def test_a_session_that_was_deleted_can_be_anybody_s(self, store: Store) -> None:
        alice, bob = store.for_owner("alice"), store.for_owner("bob")
        await added(alice, "s", 1)
        base = expect(History, await alice.read("s")).tip
        assert not await bob.delete("s")
        assert await alice.delete("s")
        turn = await begun(bob, "s", base=base)
        assert turn.grant.owner == "bob"
        assert expect(History, turn.grant.history).elements == []
        assert await alice.read("s", base) == Absent()
        assert await try_begin(alice, "s") == Taken()

    @pytest.mark.parametrize("count", [200, 300, 3000])
    async def test_a_long_history_is_its_owner_s(self, store: Store, count: int) -> None:
        alice, bob = store.for_owner("alice"), store.for_owner("bob")
        await added(alice, "s", *range(count))
        base = expect(History, await store.read("s")).tip
        for limit in (None, 1, 290, 5000):
            assert await bob.read("s", None, limit) == Absent()
            assert await bob.read("s", base, limit) == Absent()
            found = expect(History, await alice.read("s", None, limit))
            assert found == await store.read("s", None, limit)
        turn = await begun(alice, "s", "t")
        many = items(*range(count))
        await alice.journal(*turn.ids, 0, many)
        assert await bob.open_journal("s", "t") == Absent()
        assert await alice.open_journal("s", "t") == many

    async def test_a_caller_in_the_queue_is_no_other_owner_s(self, store: Store) -> None:
        alice, bob = store.for_owner("alice"), store.for_owner("bob")
        await begun(alice, "s", "t")
        token = mint()
        expect(Queued, await try_begin(alice, "s", "waits", token=token, ticket_ms=LONG))
        await bob.abort("s", "waits", token)
        await bob.release("s", "waits", token)
        assert [entry.turn_id for entry in await store.queue("s", 10)] == ["waits"]

    async def test_a_worker_takes_every_owner_s_messages(self, store: Store) -> None:
        await store.for_owner("alice").submit("s", "t", b"one")
        assert await store.for_owner("bob").next("s", mint(), LONG, worker="w") == Idle()
        expect(Grant, await store.next("s", mint(), LONG, worker="w"))

    # Listings.

    async def test_a_view_lists_its_owner_s_sessions_only(self, store: Store) -> None:
        names = [f"s{number:02}" for number in range(30)]
        owners = "alice", "bob", None
        for number, name in enumerate(names):
            owner = owners[number % 3]
            await added(store.for_owner(owner) if owner else store, name, 1)
        for count in (1, 2, 500):
            assert sorted(set(await ids(store, "*", count))) == names
            assert sorted(set(await ids(store.for_owner("alice"), "*", count))) == names[::3]
            assert await ids(store.for_owner("carol"), "*", count) == []
        assert set(await ids(store.for_owner("bob"), "s0*")) == {"s01", "s04", "s07"}

    async def test_a_listed_session_tells_its_owner(self, store: Store) -> None:
        await added(store.for_owner("alice"), "s", 1)
        await added(store, "free", 1)
        found = await _listed(store)
        assert {name: each.owner for name, each in found.items()} == {"s": "alice", "free": None}

    async def test_no_cursor_names_another_owner_s_session(self, store: Store) -> None:
        alice, names = store.for_owner("alice"), [f"secret{number}" for number in range(5)]
        for name in names:
            await added(store, name, 1)
        page = await alice.page("*", None, 1)
        while page.cursor is not None:
            assert not any(name in page.cursor for name in names)
            page = await alice.page("*", page.cursor, 1)

    # Events.

    async def test_events_are_read_by_the_owner_of_their_session(self, store: Store) -> None:
        own, foreign = store.for_owner("alice").events, store.for_owner("bob").events
        assert await own.append("s", "t", 1, 0, [b"one", b"two"])
        assert await own.append("s", "t", 1, 2, [], last=True)
        found = await own.read("s", "t")
        assert [event.content for event in found.events] == [b"one", b"two"]
        assert found.ended
        assert await store.events.read("s", "t") == found
        assert await foreign.read("s", "t") == await foreign.read("s", "none") == Events([])
        cursor = found.events[0].id
        assert await foreign.read("s", "t", cursor) == Events([], reset=True)
        assert await foreign.read("s", "none", cursor) == Events([], reset=True)
        assert await foreign.read("s", "t", None, 0.01) == Events([])

    async def test_events_without_an_owner_are_no_owner_s(self, store: Store) -> None:
        await store.events.append("s", "t", 1, 0, [b"one"])
        assert await store.for_owner("alice").events.read("s", "t") == Events([])

    @pytest.mark.parametrize("attempt", [1, 2, 3])
    async def test_events_replace_those_of_another_owner(self, store: Store, attempt: int) -> None:
        """The session was deleted, and its id was used again."""
        alice, bob = store.for_owner("alice").events, store.for_owner("bob").events
        await alice.append("s", "t", 2, 0, [b"a", b"b", b"c"], last=True)
        assert await bob.append("s", "t", attempt, 0, [b"d"])
        found = await bob.read("s", "t")
        assert [event.content for event in found.events] == [b"d"]
        assert not found.ended
        assert await alice.read("s", "t") == Events([])
        assert await bob.append("s", "t", attempt, 1, [b"e"], last=True)
        assert len((await store.events.read("s", "t")).events) == 2

    @pytest.mark.parametrize("name", NAMES)
    async def test_events_are_of_an_owner_of_any_name(self, store: Store, name: str) -> None:
        await store.for_owner(name).events.append("s", "t", 1, 0, [b"one"], last=True)
        found = await store.for_owner(name).events.read("s", "t")
        assert len(found.events) == 1
        assert found.ended
        for other in {*NAMES, "alice "} - {name}:
            assert await store.for_owner(other).events.read("s", "t") == Events([])

    async def test_a_view_is_closed_with_its_store_and_opens_again(self, lab: Lab) -> None:
        store = lab.store()
        own = store.for_owner("alice")
        await added(own, "s", 1)
        await own.aclose()
        assert await contents(store, "s") == await contents(own, "s") == items(1)


async def _listed(store: Store) -> dict[str, SessionSummary]:
    found, cursor = dict[str, SessionSummary](), None
    while True:
        page = await store.page("*", cursor)
        found |= {each.session_id: each for each in page.sessions}
        if (cursor := page.cursor) is None:
            return found
