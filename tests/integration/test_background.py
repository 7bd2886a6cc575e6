"""Background turns on every kind of store: submitted here, run by a worker, followed from here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from agents import Agent, function_tool

from tests.integration.background_lab import QUICK, echo, output, state, texts, working
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import Script, calls, says
from turnwise import MemorySession, Runner
from turnwise.background import Policy
from turnwise.errors import (
    BusyTimeout,
    InvalidItem,
    ItemTooLarge,
    QueueFull,
    SessionGone,
    TurnCancelled,
    TurnIdReused,
)
from turnwise.hooks import TurnEvent
from turnwise.turns import Backoff, TurnEndWaiter
from turnwise.types import Accepted

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


async def test_any_process_gets_the_result_of_a_message(
    sessions: Sessions,
) -> None:
    sender, worker, third = sessions.worker(), sessions.worker(), sessions.worker()
    receipt = await sender.submit("s", "hello", agent="echo", turn_id="t", metadata={"a": 1})
    assert (await receipt.status()).state == "queued"
    for timeout in (0, 0.01):
        with pytest.raises(BusyTimeout):
            await receipt.result(timeout)
    async with working(worker, echo()):
        assert await output(receipt) == "re: hello"
    again = third.receipt("s", "t")
    assert again == receipt
    assert repr(receipt) == "Receipt(session_id='s', turn_id='t')"
    result = await again.result(0)
    assert result.final_output == "re: hello"
    assert texts(result.to_input_list()) == ["hello", "re: hello"]
    assert (await third.status("s", "t")).finished
    assert texts(await third.bind("s").get_items()) == ["hello", "re: hello"]


async def test_who_waits_for_a_result_gets_it_at_its_end(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a pause, and the store is asked how the turn stands once before and once after."""
    sender, entered, go = sessions.worker(), asyncio.Event(), asyncio.Event()
    asked, wait, status = list[str](), TurnEndWaiter.wait, sender.runtime.store.status

    async def held(_: str) -> None:
        entered.set()
        await go.wait()

    async def counted(*names: str) -> Any:
        asked.append("status")
        return await status(*names)

    async def watched(self: TurnEndWaiter, _: float = 0.0) -> None:
        go.set()
        await wait(self, 60)

    async def pause(_: Backoff, most: float = 0.0) -> None:
        asked.append("pause")

    monkeypatch.setattr(sender.runtime.store, "status", counted)
    monkeypatch.setattr(TurnEndWaiter, "wait", watched)
    monkeypatch.setattr(Backoff, "pause", pause)
    receipt = await sender.submit("s", "hello", agent="echo")
    async with working(sessions.worker(), echo(held)):
        await entered.wait()
        assert await output(receipt) == "re: hello"
    assert asked == ["status", "status"]


async def test_messages_of_a_session_are_answered_in_order(sessions: Sessions) -> None:
    sender, agent = sessions.worker(), echo()
    receipts = [await sender.submit("s", str(n), agent="echo") for n in range(20)]
    async with working(sessions.worker(), agent), working(sessions.worker(), agent):
        await asyncio.gather(*map(output, receipts))
    history = texts(await sender.bind("s").get_items())
    assert history == [text for n in range(20) for text in (str(n), f"re: {n}")]


async def test_sessions_are_served_side_by_side(sessions: Sessions) -> None:
    sender, met = sessions.worker(), asyncio.Barrier(5)

    async def meet(message: str) -> None:
        await met.wait()

    receipts = [await sender.submit(f"s{n}", "hello", agent="echo") for n in range(5)]
    async with working(sessions.worker(), echo(meet), concurrency=5):
        await asyncio.gather(*map(output, receipts))


async def test_a_hot_session_blocks_no_other(sessions: Sessions) -> None:
    sender, order = sessions.worker(), list[str]()

    async def record(message: str) -> None:
        order.append(message)

    receipts = [await sender.submit("hot", "hot", agent="echo") for _ in range(30)]
    receipts += [await sender.submit(f"s{n}", "other", agent="echo") for n in range(3)]
    policy = Policy(turns_per_visit=4)
    async with working(sessions.worker(), echo(record), concurrency=1, policy=policy):
        await asyncio.gather(*map(output, receipts))
    last = len(order) - order[::-1].index("other")
    assert order[:last].count("hot") < 25, "the others had to wait for the hot session"


async def test_a_message_sent_twice_is_run_once(sessions: Sessions) -> None:
    sender = sessions.worker()
    first = await sender.submit("s", "hello", agent="echo", turn_id="t")
    assert await sender.submit("s", "hello", agent="echo", turn_id="t") == first
    with pytest.raises(TurnIdReused):
        await sender.submit("s", "another", agent="echo", turn_id="t")
    async with working(sessions.worker(), agent := echo()):
        await output(first)
        assert await output(await sender.submit("s", "hello", agent="echo", turn_id="t"))
    with pytest.raises(TurnIdReused):
        await sender.submit("s", "another", agent="echo", turn_id="t")
    direct = await Runner.run(agent, "hello", session=sender, session_id="s", turn_id="t")
    assert direct.final_output == "re: hello"
    assert len(await sender.bind("s").get_items()) == 2


async def test_a_message_waits_while_a_direct_turn_runs(sessions: Sessions) -> None:
    sender = sessions.worker()
    async with working(sessions.worker(), echo()):
        async with sender.turn("s") as turn:
            receipt = await sender.submit("s", "hello", agent="echo")
            await turn.add_items([{"role": "user", "content": "direct"}])
            with pytest.raises(BusyTimeout):
                await asyncio.create_task(receipt.result(0.2))
        await output(receipt)
    assert texts(await sender.bind("s").get_items()) == ["direct", "hello", "re: hello"]


async def test_a_full_queue_is_an_error(sessions: Sessions) -> None:
    shared = sessions.worker().runtime.name == "another"  # of which the limits are the usual ones
    sender = MemorySession(max_queue=2) if shared else sessions.worker(max_queue=2)
    for n in range(2):
        await sender.submit("s", str(n), agent="echo")
    with pytest.raises(QueueFull):
        await sender.submit("s", "one too many", agent="echo")


async def test_a_message_that_is_no_json_is_refused(sessions: Sessions) -> None:
    wrong: Any = {object()}
    with pytest.raises(InvalidItem):
        await sessions.worker().submit("s", "hello", agent="echo", metadata={"a": wrong})


async def test_a_message_that_no_history_takes_is_refused() -> None:
    sender = MemorySession(max_item_bytes=100)
    long = "x" * 100
    inputs: list[Any] = [long, [{"role": "user", "content": long}]]
    for said in inputs:
        with pytest.raises(ItemTooLarge):
            await sender.submit("s", said, agent="echo")
    assert await sender.info("s") is None


async def test_events_can_be_followed_from_any_cursor(sessions: Sessions) -> None:
    sender, reader = sessions.worker(), sessions.worker()
    going, seen = asyncio.Event(), list[tuple[str, Any]]()

    async def wait(message: str) -> None:
        await going.wait()

    receipt = await sender.submit("s", "hello", agent="echo", turn_id="t")
    async with working(sessions.worker(), echo(wait)):
        async for event in reader.receipt("s", "t").events():
            seen.append(event)
            going.set()
        assert [event["type"] for _, event in seen] == [
            "turn.begun",
            "agent_updated_stream_event",
            "raw_response_event",
            "run_item_stream_event",
            "turn.finished",
        ]
        assert await output(receipt)
    for place, (event_id, _) in enumerate(seen):
        rest = [event async for event in sender.receipt("s", "t").events(after=event_id)]
        assert rest == seen[place + 1 :]
    lost = [event async for event in receipt.events(after="99-99")]
    assert lost == [("", {"type": "turn.reset"}), *seen]


async def test_a_new_attempt_resets_the_events(sessions: Sessions) -> None:
    sender, tried = sessions.worker(), list[str]()
    failing = asyncio.Event()

    async def fail(message: str) -> None:
        tried.append(message)
        if len(tried) == 1:
            await failing.wait()
            raise RuntimeError("once")

    receipt = await sender.submit("s", "hello", agent="echo")
    seen = []
    async with working(sessions.worker(), echo(fail)):
        async for _, event in receipt.events():
            seen.append(event["type"])
            failing.set()
        assert await output(receipt)
    assert seen.count("turn.reset") == 1
    assert seen[seen.index("turn.reset") + 1] == "turn.begun"


async def test_nothing_is_known_of_what_was_never_submitted(sessions: Sessions) -> None:
    receipt = sessions.worker().receipt("s", "t")
    assert (await receipt.status()).state == "unknown"
    with pytest.raises(SessionGone):
        await receipt.result()
    with pytest.raises(SessionGone):
        _ = [event async for event in receipt.events()]


async def test_a_message_that_comes_long_after_its_announcement_is_found(
    sessions: Sessions,
) -> None:
    """Its sender was slow, or died and was started again."""
    sender = sessions.worker()
    store = sender.runtime.store
    async with working(sessions.worker(), echo()):
        intent = await store.ready.announce("s", "t")
        await output(await sender.submit("s", "one", agent="echo"))
        message = sender.runtime.codec.encode({"v": 1, "agent": "echo", "input": "two"})
        assert isinstance(await store.submit("s", "t", message, intent), Accepted)
        assert await output(sender.receipt("s", "t")) == "re: two"


async def test_a_worker_that_stops_finishes_its_turn_and_begins_none(sessions: Sessions) -> None:
    sender, begun, going = sessions.worker(), asyncio.Event(), asyncio.Event()

    async def wait(message: str) -> None:
        begun.set()
        await going.wait()

    first, second = [await sender.submit("s", text, agent="echo") for text in ("1", "2")]
    async with working(sessions.worker(), echo(wait)) as worker:
        await begun.wait()
        worker.stop()
        going.set()
    assert (await first.status()).state == "committed"
    assert (await second.status()).state == "queued"
    async with working(sessions.worker(), echo()):
        assert await output(second) == "re: 2"


async def test_a_turn_that_takes_too_long_to_end_is_released(sessions: Sessions) -> None:
    sender, begun = sessions.worker(), asyncio.Event()

    async def hang(message: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    receipt = await sender.submit("s", "hello", agent="echo")
    async with working(sessions.worker(), echo(hang), grace=0):
        await begun.wait()
    policy = Policy(max_attempts=1)  # what was handed over does not count as a failure
    async with working(sessions.worker(), echo(), policy=policy):
        assert await output(receipt) == "re: hello"


async def test_a_session_is_drained_by_any_job(sessions: Sessions) -> None:
    sender = sessions.worker()
    receipts = [await sender.submit("s", str(n), agent="echo") for n in range(10)]
    assert await sender.drain("s", [echo()]) == 10
    assert await sender.drain("s", [echo()], QUICK) == 0
    assert [await output(receipt) for receipt in receipts] == [f"re: {n}" for n in range(10)]


async def test_a_cancelled_message_is_not_run(sessions: Sessions) -> None:
    sender = sessions.worker()
    receipt = await sender.submit("s", "hello", agent="echo", turn_id="t")
    await sender.runtime.store.cancel("s", "t")
    with pytest.raises(TurnCancelled):
        await receipt.result(10)
    assert await sender.drain("s", [echo()]) == 0


async def test_a_running_message_can_be_cancelled(sessions: Sessions) -> None:
    sender, begun = sessions.worker(), asyncio.Event()

    async def hang(message: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    receipt = await sender.submit("s", "hello", agent="echo", turn_id="t")
    async with working(sessions.worker(), echo(hang)):
        await begun.wait()
        await sender.runtime.store.cancel("s", "t")
        with pytest.raises(TurnCancelled):
            await receipt.result(10)


async def test_a_message_whose_run_asks_for_approval_waits_for_it(sessions: Sessions) -> None:
    sender, ran = sessions.worker(), list[str]()

    @function_tool(needs_approval=True)
    def refund() -> str:
        ran.append("refund")
        return "done"

    agent = Agent[Any](name="a", model=Script(calls("refund"), says("refunded")), tools=[refund])
    receipt = await sender.submit("s", "hello", agent="a", turn_id="t")
    behind = await sender.submit("s", "next", agent="a")
    async with working(sessions.worker(), agent):
        await state(receipt, "parked")
        assert (await behind.status()).state == "queued"
        (asked,) = await sender.pending_approvals("s")
        await Runner.resume(agent, session=sender, session_id="s", approve=[asked.id])
        assert await output(receipt) == "refunded"
        assert await output(behind) == "refunded"
    assert ran == ["refund"]


class Tracer:
    """A hook that propagates traces, and records which event came in which."""

    def __init__(self) -> None:
        self.here = "sender"
        self.events: list[tuple[str, str]] = []

    def __call__(self, event: TurnEvent) -> None:
        self.events.append((type(event).__name__, self.here))

    def inject(self) -> Mapping[str, str]:
        return {"trace": f"of the {self.here}"}

    @contextmanager
    def attach(self, trace: Mapping[str, str], /) -> Iterator[None]:
        self.here = trace["trace"]
        yield
        self.here = "outside"


@pytest.mark.parametrize("traced", [False, True])
async def test_the_id_of_a_direct_turn_is_no_messages(sessions: Sessions, traced: bool) -> None:
    sender = sessions.worker(hooks=(Tracer(),) if traced else ())
    async with sessions.worker().turn("s", turn_id="t") as turn:
        for busy in ("enqueue", "reject", "interrupt"):
            with pytest.raises(TurnIdReused, match="turn 't' is open as a direct turn"):
                await sender.submit("s", "hello", agent="echo", turn_id="t", busy=busy)
        await turn.add_items([{"role": "user", "content": "one"}])
    assert texts(await sender.bind("s").get_items()) == ["one"]


async def test_what_is_compared_with_a_message_sent_again(sessions: Sessions) -> None:
    sender, worker = sessions.worker(), sessions.worker()

    async def send(**other: Any) -> None:
        first: dict[str, Any] = {"input": "hello", "agent": "echo", "metadata": {"a": 1}}
        await sender.submit("s", turn_id="t", **{**first, **other})

    others: list[dict[str, Any]] = [{"metadata": {"a": 2}}, {"input": "Ho"}, {"agent": "other"}]
    await send()
    for other in others:
        with pytest.raises(TurnIdReused):
            await send(**other)
    assert await worker.drain("s", [echo()]) == 1
    await send(**others[0])
    for other in others[1:]:
        with pytest.raises(TurnIdReused):
            await send(**other)
    assert await worker.drain("s", [echo()]) == 0


async def test_a_trace_continues_in_the_worker(sessions: Sessions) -> None:
    here, there = Tracer(), Tracer()
    sender, worker = sessions.worker(hooks=(here,)), sessions.worker(hooks=(there,))
    await sender.submit("s", "hello", agent="echo", turn_id="t")
    here.here = "second sender"  # who sends again in another trace is believed
    await sender.submit("s", "hello", agent="echo", turn_id="t")
    assert here.events == [("TurnSubmittedEvent", "sender")]
    assert await worker.drain("s", [echo()]) == 1
    assert there.events == [
        ("TurnBegunEvent", "of the sender"),
        ("TurnCommittedEvent", "of the sender"),
    ]
