"""Messages whose workers died: who died beside others is tried alone before it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.integration.background_lab import echo, output, state, texts, working
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.background import Policy, Receipt
from turnwise.session import Session
from turnwise.testing.servers.waiting import until
from turnwise.turns import mint
from turnwise.types import Busy, Grant

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


async def died(session: Session, names: Sequence[str], *, alone: bool = False) -> None:
    """A worker dies that ran the next messages of these sessions, and nothing else."""
    store = session.runtime.store
    for name in names:
        answer = await store.next(name, mint(), 50, worker="dead", alone=alone)
        assert isinstance(answer, Grant)
    for name in names:

        async def is_dead(name: str = name) -> bool:
            info = await session.info(name)
            assert info is not None
            assert info.open_turn is not None
            return (info.open_turn.lease_remaining or 0) <= 0

        await until(is_dead, 30, f"the lease of {name} is over")


class Company:
    """How many messages ran beside each one."""

    def __init__(self) -> None:
        self.running = 0
        self.beside: dict[str, int] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def asked(self, message: str) -> None:
        self.running += 1
        self.beside[message] = self.running - 1
        await self.gate.wait()
        await asyncio.sleep(0.02)  # others have time to begin
        self.beside[message] = max(self.beside[message], self.running - 1)
        self.running -= 1


async def sent(session: Session, names: Sequence[str]) -> list[Receipt]:
    return [await session.submit(name, name, agent="echo", turn_id=name) for name in names]


async def test_who_died_beside_others_is_tried_alone_before_it_is_given_up(
    sessions: Sessions,
) -> None:
    """Three deaths beside others prove nothing: all messages are answered."""
    session, company = sessions.worker(), Company()
    names = [f"s{number}" for number in range(4)]
    receipts = await sent(session, names)
    for _ in range(3):
        await died(session, names)
    fresh = await sent(session, ["fresh-1", "fresh-2"])
    async with working(session, echo(company.asked)):
        for receipt in [*receipts, *fresh]:
            assert await output(receipt) == f"re: {receipt.session_id}"
    assert {name: company.beside[name] for name in names} == dict.fromkeys(names, 0)
    assert await session.dead_letters() == []


async def test_who_dies_alone_is_given_up(sessions: Sessions) -> None:
    session, asked = sessions.worker(), list[str]()

    async def note(message: str) -> None:
        asked.append(message)

    (receipt,) = await sent(session, ["s"])
    await died(session, ["s"])
    await died(session, ["s"])
    await died(session, ["s"], alone=True)
    await session.submit("s", "behind", agent="echo", turn_id="behind")
    async with working(session, echo(note)):
        await state(receipt, "dead")
        assert await output(session.receipt("s", "behind")) == "re: behind"
    assert asked == ["behind"]
    (letter,) = await session.dead_letters()
    assert (letter.turn_id, letter.attempts) == ("s", 3)
    assert "3 workers that ran turn" in letter.error


async def test_deaths_and_failures_are_not_added_up(sessions: Sessions) -> None:
    """Two failures and two deaths are less than three of either."""
    session, asked = sessions.worker(), list[str]()

    async def fail_twice(message: str) -> None:
        asked.append(message)
        if len(asked) < 3:
            raise RuntimeError("the provider does not answer")

    (receipt,) = await sent(session, ["s"])
    await died(session, ["s"])
    await died(session, ["s"])
    async with working(session, echo(fail_twice)):
        assert await output(receipt) == "re: s"
    assert len(asked) == 3


async def test_who_died_once_runs_beside_few_of_its_kind(sessions: Sessions) -> None:
    """And the messages of which no worker died run beside them."""
    session, company = sessions.worker(), Company()
    company.gate.clear()
    names = [f"s{number}" for number in range(12)]
    receipts = await sent(session, names)
    await died(session, names)
    async with working(session, echo(company.asked), policy=Policy(backoff=0.01)):

        async def seven_run() -> bool:
            return len(company.beside) == 7

        await until(seven_run, 30, "seven of them run")
        (fresh,) = await sent(session, ["fresh"])

        async def fresh_runs() -> bool:
            return "fresh" in company.beside

        await until(fresh_runs, 30, "the new message runs too")
        assert len(company.beside) == 8
        company.gate.set()
        for receipt in [*receipts, fresh]:
            await output(receipt)
    assert await session.dead_letters() == []


async def test_a_tool_that_drains_a_queue_does_not_wait_for_the_message_that_it_is_part_of(
    sessions: Sessions,
) -> None:
    session = sessions.worker()

    async def drain_another(message: str) -> None:
        if message == "s":
            await session.submit("inner", "inner", agent="echo")
            await session.drain("inner", [echo()])

    (receipt,) = await sent(session, ["s"])
    await died(session, ["s"])
    await died(session, ["s"])
    async with working(session, echo(drain_another)):
        assert await output(receipt) == "re: s"
    assert texts(await session.bind("inner").get_items()) == ["inner", "re: inner"]


async def test_a_suspect_that_another_worker_runs_is_busy(sessions: Sessions) -> None:
    session = sessions.worker()
    await sent(session, ["s"])
    await died(session, ["s"])
    store = session.runtime.store
    assert isinstance(await store.next("s", mint(), 60_000, worker="w"), Grant)
    answer = await store.next("s", mint(), 60_000, worker="other", max_deaths=0)
    assert isinstance(answer, Busy)
