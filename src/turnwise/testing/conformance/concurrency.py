"""Calls of many sessions at once, which a store may send together."""

from __future__ import annotations

import asyncio

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import Lab, Suite, added, begun, contents, expect, items, mint
from turnwise.types import Done, History

_SESSIONS = 24
_TURNS = 3


class ConcurrencyConformance(Suite):
    async def test_callers_of_many_sessions_get_their_own_answers(self, store: Store) -> None:
        async def turns(session_id: str) -> None:
            for number in range(_TURNS):
                turn = await begun(store, session_id)
                assert turn.grant.items == 2 * number
                entry = items(f"{session_id} journaled {number}")
                assert isinstance(await store.journal(*turn.ids, 0, entry), Done)
                wanted = items(f"{session_id} asked {number}", f"{session_id} said {number}")
                tip = expect(Done, await turn.commit(*wanted)).tip
                history = expect(History, await store.read(session_id, turn.grant.tip))
                assert (history.tip, history.elements[:2]) == (tip, wanted)

        await asyncio.gather(*(turns(f"s{number}") for number in range(_SESSIONS)))

    async def test_a_refused_call_is_no_concern_of_those_beside_it(self, store: Store) -> None:
        stale = await begun(store, "s0")
        await store.abort(*stale.ids)
        calls = [stale.commit(*items(0))]
        calls += [(await begun(store, f"s{n}")).commit(*items(n)) for n in range(1, _SESSIONS)]
        answers = await asyncio.gather(*calls)
        assert [isinstance(answer, Done) for answer in answers] == [False] + [True] * len(calls[1:])

    async def test_a_cancelled_call_takes_none_beside_it_along(self, lab: Lab) -> None:
        store = lab.store()
        names = [f"s{number}" for number in range(_SESSIONS)]
        for name in names:
            await added(store, name, "first")
        for steps in range(6):  # it is cancelled early, late, and when it is done
            calls = [
                asyncio.create_task(store.append(name, mint(), items(name, steps)))
                for name in names
            ]
            for _ in range(steps):
                await asyncio.sleep(0)
            for call in calls[::3]:
                call.cancel()
            await asyncio.wait(calls)
            answered = [call for call in calls if not call.cancelled()]
            assert set(answered) >= set(calls) - set(calls[::3])
            assert all(isinstance(call.result(), Done) for call in answered)
        for number, name in enumerate(names):
            held = await contents(store, name)
            pairs = [items(name, steps) for steps in range(6)]
            came = [pair for pair in pairs if pair[1] in held]
            assert held == items("first") + [each for pair in came for each in pair]
            assert number % 3 == 0 or came == pairs
