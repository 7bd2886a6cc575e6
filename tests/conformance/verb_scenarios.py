"""Each verb of the store once, in a session that is ready for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import (
    LONG,
    added,
    begun,
    expect,
    ids,
    items,
    mint,
    taken,
    try_begin,
)
from turnwise.types import History, Info, TokenUsage

Scenario = Callable[[Store, Store, str], Awaitable[object]]
"""Prepare with the first store, then call the verb once on the second."""


async def _begin(_: Store, store: Store, s: str) -> object:
    return await try_begin(store, s)


async def _begin_with_a_ticket(ready: Store, store: Store, s: str) -> object:
    await begun(ready, s)
    return await try_begin(store, s, ticket_ms=LONG)


async def _next(ready: Store, store: Store, s: str) -> object:
    await ready.submit(s, mint(), b"one")
    return await store.next(s, mint(), LONG, worker="w")


async def _journal(ready: Store, store: Store, s: str) -> object:
    return await store.journal(*(await begun(ready, s)).ids, 0, items("done"))


async def _renew(ready: Store, store: Store, s: str) -> object:
    return await store.renew(*(await begun(ready, s)).ids)


async def _commit(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, 1)
    turn = await begun(ready, s)
    return await store.commit(*turn.ids, turn.grant.tip, mint(), items(2))


async def _commit_of_a_message(ready: Store, store: Store, s: str) -> object:
    await ready.submit(s, mint(), b"one")
    await ready.submit(s, mint(), b"two")
    turn = await taken(ready, s)
    return await store.commit(*turn.ids, turn.grant.tip, mint(), items(1))


async def _commit_with_keep(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, 1, 2, 3)
    turn = await begun(ready, s)
    return await store.commit(*turn.ids, turn.grant.tip, mint(), items(4), keep=1)


async def _park(ready: Store, store: Store, s: str) -> object:
    return await store.park(*(await begun(ready, s)).ids, b"{state}")


async def _stop(ready: Store, store: Store, s: str) -> object:
    await ready.submit(s, mint(), b"one")
    return await store.stop(*(await taken(ready, s)).ids, b"{letter}")


async def _end_a_stopped_turn(ready: Store, store: Store, s: str) -> object:
    await ready.submit(s, "t", b"one")
    await ready.stop(*(await taken(ready, s)).ids, b"{letter}")
    answer = await store.dead_letter(s, "t", mint(), b"{letter}")
    letters = [letter for letter in await ready.dead_letters() if letter.session_id == s]
    assert [letter.state for letter in letters] == ["dead"]
    return answer


async def _resume(ready: Store, store: Store, s: str) -> object:
    turn = await begun(ready, s, "t")
    await ready.park(*turn.ids, b"{state}")
    return await try_begin(store, s, "t", resume=True)


async def _abort(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, 1)
    await store.abort(*(await begun(ready, s)).ids)
    return True


async def _append(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, 1)
    return await store.append(s, mint(), items(2))


async def _append_to_a_new_session(_: Store, store: Store, s: str) -> object:
    return await store.append(s, mint(), items(1))


async def _pop(ready: Store, store: Store, s: str) -> object:
    return await store.pop(s, mint(), await added(ready, s, 1, 2))


async def _clear(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, 1, 2)
    return await store.clear(s, mint())


async def _replace(ready: Store, store: Store, s: str) -> object:
    tip = await added(ready, s, 1, 2)
    return await store.replace(s, mint(), tip, 1, items("new"))


async def _restore(ready: Store, store: Store, s: str) -> object:
    await added(ready, f"{s}-source", 1, 2)
    history = expect(History, await ready.read(f"{s}-source"))
    await store.restore(s, None, history.elements, usage=TokenUsage(1, 2, 3))
    return expect(Info, await ready.info(s)).usage


async def _submit(_: Store, store: Store, s: str) -> object:
    return await store.submit(s, mint(), b"one")


async def _cancel(ready: Store, store: Store, s: str) -> object:
    return await store.cancel(s, (await begun(ready, s)).grant.turn_id)


async def _cancel_a_message(ready: Store, store: Store, s: str) -> object:
    await ready.submit(s, "t", b"one")
    return await store.cancel(s, "t")


async def _cancel_by_force(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, 1)
    await begun(ready, s)
    return await store.cancel(s, force=True)


async def _commit_as_cancelled(ready: Store, store: Store, s: str) -> object:
    turn = await begun(ready, s)
    return await store.commit(*turn.ids, turn.grant.tip, mint(), [], kind="cancelled")


async def _release(ready: Store, store: Store, s: str) -> object:
    await ready.submit(s, mint(), b"one")
    await store.release(*(await taken(ready, s)).ids)
    return True


async def _status(ready: Store, store: Store, s: str) -> object:
    return await store.status(s, (await begun(ready, s)).grant.turn_id)


async def _dead_letter(ready: Store, store: Store, s: str) -> object:
    await ready.submit(s, mint(), b"one")
    await ready.submit(s, mint(), b"two")
    turn = await taken(ready, s)
    answer = await store.dead_letter(*turn.ids, b"why")
    letters = [letter for letter in await ready.dead_letters() if letter.session_id == s]
    assert [letter.state for letter in letters] == ["dead"]
    return answer


async def _submit_a_retry(ready: Store, store: Store, s: str) -> object:
    await ready.submit(s, "t", b"one")
    await ready.dead_letter(*(await taken(ready, s)).ids, b"why")
    (letter,) = [letter for letter in await ready.dead_letters() if letter.session_id == s]
    return await store.submit(s, "t", b"one", retry_of=letter.id)


async def _delete_dead_letter(ready: Store, store: Store, s: str) -> object:
    await ready.submit(s, "t", b"one")
    await ready.dead_letter(*(await taken(ready, s)).ids, b"why")
    (letter,) = [letter for letter in await ready.dead_letters() if letter.session_id == s]
    await store.delete_dead_letter(letter.id)
    return letter.id not in [letter.id for letter in await ready.dead_letters()]


async def _announce(_: Store, store: Store, s: str) -> object:
    return await store.ready.announce(s, mint())


async def _ack_and_requeue(ready: Store, store: Store, s: str) -> object:
    await ready.ready.announce(s, mint())
    claims = await ready.ready.claim("w", 10, 0)
    await store.ready.ack("w", claims)
    await store.ready.requeue("w", claims, 0)
    return await ready.ready.claim("w", 10, 0) == []


async def _append_events(ready: Store, store: Store, s: str) -> object:
    await store.events.append(s, "t", 1, 0, [b"one", b"two"], last=True)
    events = (await ready.events.read(s, "t")).events
    assert [event.content for event in events] == [b"one", b"two"]
    return True


async def _read_events(ready: Store, store: Store, s: str) -> object:
    await ready.events.append(s, "t", 1, 0, [b"one"])
    return [event.content for event in (await store.events.read(s, "t")).events] == [b"one"]


async def _delete(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, 1)
    return await store.delete(s)


async def _expire(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, 1)
    return await store.expire(s, LONG)


async def _read(ready: Store, store: Store, s: str) -> object:
    base = await added(ready, s, 1)
    await added(ready, s, 2)
    return await store.read(s, base)


async def _read_all(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, *range(3000))
    return await store.read(s)


async def _info(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, 1)
    return await store.info(s)


async def _scan(ready: Store, store: Store, s: str) -> object:
    await added(ready, s, 1)
    return await ids(store, s) == [s]


async def _write_a_worker(ready: Store, store: Store, s: str) -> object:
    await store.workers.write(s, b"one")
    found = await ready.workers.list()
    await ready.workers.remove(s)
    return [entry.name for entry in found] == [s]


async def _remove_a_worker(ready: Store, store: Store, s: str) -> object:
    await ready.workers.write(s, b"one")
    await store.workers.remove(s)
    return await ready.workers.list() == []


async def _list_workers(ready: Store, store: Store, s: str) -> object:
    await ready.workers.write(s, b"one")
    found = await store.workers.list()
    await ready.workers.remove(s)
    return [entry.name for entry in found] == [s]


async def _queue(ready: Store, store: Store, s: str) -> object:
    await ready.submit(s, "t", b"one")
    return [entry.content for entry in await store.queue(s, 1)] == [b"one"]


async def _ping(_: Store, store: Store, __: str) -> object:
    await store.ping()
    return True


SCENARIOS: list[Scenario] = [
    *(_begin, _begin_with_a_ticket, _next, _journal, _renew, _commit, _commit_of_a_message),
    *(_stop, _end_a_stopped_turn),
    *(_commit_with_keep, _park, _resume, _abort, _append, _append_to_a_new_session, _pop),
    *(
        _clear,
        _replace,
        _restore,
        _submit,
        _cancel,
        _cancel_a_message,
        _delete,
        _expire,
        _read,
        _read_all,
    ),
    *(_info, _scan, _ping, _cancel_by_force, _commit_as_cancelled, _release, _status, _dead_letter),
    *(
        _submit_a_retry,
        _delete_dead_letter,
        _announce,
        _ack_and_requeue,
        _append_events,
        _read_events,
        *(_queue, _write_a_worker, _remove_a_worker, _list_workers),
    ),
]
