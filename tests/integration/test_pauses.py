"""What operators pause stays in the queue; quiet workers take nothing; told workers stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.background_fleet import Fleet
from tests.integration.background_lab import echo, output, working
from tests.integration.fault_lab import AnySession
from tests.integration.programs import STARTED
from tests.integration.test_cli import invoked, lines
from turnwise import StoreRefused, UsageError, connect
from turnwise.fleet import Standing, heartbeat
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until
from turnwise.worker import Worker

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.02)


async def heard(worker: Worker, hears: Callable[[Standing], bool]) -> None:
    """Wait until the worker has heard this."""

    async def is_heard() -> bool:
        return worker._told is not None and hears(worker._told)

    await until(is_heard, 30, "the worker hears it")


async def taken(session: Session, session_id: str) -> int:
    """How often the first message was taken."""
    (first, *_) = await session.queue(session_id)
    return first.attempts


async def test_messages_of_a_paused_agent_stay_in_the_queue(
    session: AnySession, another: AnySession
) -> None:
    await session.pause_queue("echo", reason="harms", by="anna")
    (pause,) = await another.pauses()
    assert (pause.agent, pause.by, pause.reason) == ("echo", "anna", "harms")
    left = [await session.submit(f"s{n}", "hi", agent="echo") for n in range(5)]
    agents = {agent.name: agent for agent in (echo(), echo(name="other"))}
    worker = Worker(another, agents)
    task = asyncio.create_task(worker.run())
    assert await output(await session.submit("o", "hi", agent="other")) == "re: hi"

    async def are_left() -> bool:
        return len(worker._acks._left) == 5

    await until(are_left, 30, "the worker has looked at all of them")
    assert [await taken(session, f"s{n}") for n in range(5)] == [0] * 5
    assert await session.resume_queue("echo") is True
    assert await session.resume_queue("echo") is False
    assert [await output(receipt) for receipt in left] == ["re: hi"] * 5
    worker.stop()
    await task


async def test_a_message_that_comes_while_its_queue_is_looked_at(
    session: AnySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look finds nothing, and the message is there a moment later."""
    store, looks = session.runtime.store, list[int]()
    queue = store.queue

    async def late(session_id: str, count: int) -> Any:
        found = await queue(session_id, count) if looks else []
        looks.append(len(found))
        return found

    await session.submit("late", "hi", agent="echo")
    monkeypatch.setattr(store, "queue", late)
    processor = session.processor([echo()])
    states = [(await processor.visit("late", paused=lambda: frozenset({"echo"}))).state]
    states.append((await processor.visit("late", paused=lambda: frozenset({"echo"}))).state)
    assert (states, looks) == (["idle", "paused"], [0, 1])
    assert (await processor.visit("late")).state == "idle"


async def test_a_pause_that_ends_while_its_queue_is_looked_at(
    session: AnySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The visit still believes in it, and comes back after the worker has heard of its end."""
    await session.pause_queue("echo")
    store, workers = session.runtime.store, list[Worker]()
    queue = store.queue

    async def slow(session_id: str, count: int) -> Any:
        found = await queue(session_id, count)
        if found and await session.resume_queue("echo"):
            await heard(workers[0], lambda told: not told.paused)
        return found

    monkeypatch.setattr(store, "queue", slow)
    receipt = await session.submit("s", "hi", agent="echo")
    async with working(session, echo()) as worker:
        workers.append(worker)
        assert await output(receipt) == "re: hi"


async def test_a_pause_of_all_messages(session: AnySession, another: AnySession) -> None:
    """Also for a worker that begins later; it takes none before the pause has ended."""

    async def asked(_: str) -> None:
        assert await session.pauses() == []

    await session.pause_queue()
    receipt = await session.submit("s", "hi", agent="echo")
    async with working(another, echo(asked)) as worker:
        await heard(worker, lambda told: told.all_paused)
        assert (await session.runtime.store.ready.unclaimed()).count >= 1
        assert await session.resume_queue()
        assert await output(receipt) == "re: hi"
        await session.pause_queue()
        await heard(worker, lambda told: told.all_paused)
        later = await session.submit("s", "again", agent="echo")
        assert await session.resume_queue()
        assert await output(later) == "re: again"


async def test_a_pause_holds_from_the_next_message_on(session: AnySession) -> None:
    workers: list[Worker] = []

    async def asked(text: str) -> None:
        if text == "one":
            await session.pause_queue("echo")
            await heard(workers[0], lambda told: "echo" in told.paused)

    receipts = [
        await session.submit("s", text, agent="echo", turn_id=text) for text in ("one", "two")
    ]
    async with working(session, echo(asked)) as worker:
        workers.append(worker)
        assert await output(receipts[0]) == "re: one"

        async def is_left() -> bool:
            return "s" in worker._acks._left

        await until(is_left, 30, "the second message is left")
        assert await taken(session, "s") == 0
        await session.resume_queue("echo")
        assert await output(receipts[1]) == "re: two"


async def test_who_waits_behind_a_paused_message_goes_on_when_that_is_cancelled(
    session: AnySession,
) -> None:
    await session.pause_queue("echo")
    await session.submit("s", "one", agent="echo", turn_id="t")
    behind = await session.submit("s", "two", agent="other")
    async with working(session, echo(name="other")) as worker:

        async def is_left() -> bool:
            return "s" in worker._acks._left

        await until(is_left, 30, "the first message is left")
        await session.cancel("s", "t")
        assert await output(behind) == "re: two"


async def test_a_quiet_worker_ends_its_turn_and_takes_nothing_new(
    session: AnySession, another: AnySession
) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def asked(text: str) -> None:
        if text == "slow":
            began.set()
            await may_end.wait()

    name = session.runtime.name
    async with working(session, echo(asked)) as worker:
        slow = await session.submit("s", "slow", agent="echo")
        await began.wait()
        await another.quiet_worker(name, reason="drain it", by="anna")
        await heard(worker, lambda told: told.order == "quiet")

        async def is_shown() -> bool:
            return [each.state for each in await another.workers()] == ["quiet"]

        await until(is_shown, 30, "it says so")
        waiting = await session.submit("t", "hi", agent="echo")
        may_end.set()
        assert await output(slow) == "re: slow"
        assert (await waiting.status()).state == "queued"
        await another.resume_worker(name)
        assert await output(waiting) == "re: hi"


async def test_a_worker_stops_when_it_is_told_and_its_successor_works(
    session: AnySession, another: AnySession
) -> None:
    worker = Worker(session, [echo()])
    task = asyncio.create_task(worker.run())

    async def is_listed() -> bool:
        return bool(await another.workers())

    await until(is_listed, 30, "the worker")
    (listed,) = await another.workers()
    await another.stop_worker(listed.name)
    await task
    assert await another.workers() == []
    assert await session.runtime.store.orders.list() == []
    receipt = await session.submit("s", "hi", agent="echo")
    async with working(session, echo()):
        assert await output(receipt) == "re: hi"


async def test_an_order_is_for_one_process_and_not_for_its_successor(session: AnySession) -> None:
    store, name = session.runtime.store, session.runtime.name
    async with working(session, echo()) as worker:
        await heard(worker, lambda told: True)
        (record,) = await store.workers.list()
    await store.workers.write(record.name, record.record)  # it died, so its record stayed
    await session.stop_worker(name)
    async with working(session, echo()) as worker:
        await heard(worker, lambda told: True)
        assert worker._told is not None
        assert worker._told.order is None
        assert await output(await session.submit("s", "hi", agent="echo")) == "re: hi"
        await session.quiet_worker(name)
        assert len(await store.orders.list()) == 1  # that of the dead process is gone


async def test_unknown_names_are_refused(session: AnySession) -> None:
    for tell in (session.quiet_worker, session.resume_worker, session.stop_worker):
        with pytest.raises(UsageError, match="there is no worker 'nobody'"):
            await tell("nobody")
    with pytest.raises(UsageError, match="use an agent's name"):
        await session.pause_queue("")
    assert await session.runtime.store.orders.list() == []


async def test_the_commands(fleet: Fleet) -> None:
    async with connect(fleet.url) as session:
        how = "--reason", "4711", "--by", "anna"
        assert await lines(fleet.url, "queue", "pause", "--agent", "echo", *how) == [
            "paused: messages for agent echo"
        ]
        await session.submit("s", "hi", agent="echo")
        listed = await invoked(fleet.url, "queue", "list")
        assert "paused: messages for agent echo, by anna at 20" in listed.stderr
        assert ": 4711" in listed.stderr
        assert listed.stdout.split()[-1] == "paused"
        wrong = await invoked(fleet.url, "queue", "resume")
        assert wrong.exit_code == 1
        assert "all messages are not paused by themselves; paused: messages for agent" in str(
            wrong.output
        ) + str(wrong.exception)
        await lines(fleet.url, "queue", "resume", "--agent", "echo")
        assert await session.pauses() == []
        process = fleet.worker()

        async def is_listed() -> bool:
            return bool(await session.workers())

        await until(is_listed, STARTED, "the worker")
        (worker,) = await session.workers()
        for verb, told in (("quiet", "quiet"), ("resume", "resumed")):
            assert await lines(fleet.url, "workers", verb, worker.name) == [
                f"{told}: {worker.name}"
            ]
        dry = await lines(fleet.url, "workers", "stop", worker.name, "--dry-run")
        assert dry == [f"would be told to stop: {worker.name}"]
        refused = await invoked(fleet.url, "workers", "stop", worker.name)
        assert (refused.exit_code, f"Stop {worker.name}?" in refused.stderr) == (1, True)
        await lines(fleet.url, "workers", "stop", worker.name, "--yes", *how)

        async def has_ended() -> bool:
            return not process.alive

        await until(has_ended, STARTED, "the worker has stopped")
        assert await session.workers() == []
        actions = [record.action for record in await session.audit()]
        assert actions[:3] == ["stop_worker", "resume_worker", "quiet_worker"]


async def test_without_the_right_to_hear_a_worker_works(
    server: ValkeyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await server.command("ACL", "SETUSER", "deaf", "on", ">pw", "~*", "&*", "+@all", "-@hash")
    url = server.url.replace("://", "://deaf:pw@")
    async with connect(url, key_prefix=f"{tmp_path.name}:", worker="me") as session:
        async with working(session, echo()):
            assert await output(await session.submit("s", "one", agent="echo")) == "re: one"
        with pytest.raises(StoreRefused):
            await session.pause_queue()
    told = {record.getMessage().partition(":")[0] for record in caplog.records}
    assert "worker 'me' does not hear what is paused" in told
