"""A program that forks: `SHARED_STORE=URL python -m tests.integration.forking_program STATE ...`.

Each STATE is what the one session object does in the parent when it forks. The children run turns
with the same object. Some end as a program does, with all the cleaning up that Python does then.
The program fails if a child sees anything but its own, or if the parent misses anything afterwards.

Nothing polls: if a wake-up is lost, the program does not end.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from agents import Agent, function_tool
from redis.asyncio import RedisCluster

from tests.integration.fault_lab import until_queued
from tests.scripted import Script, agent, calls, outline, says
from turnwise import RedisSession, Runner, connect
from turnwise.errors import UsageError
from turnwise.runner.sync import run_until_complete
from turnwise.stores.embedded.store import EmbeddedStore
from turnwise.testing.servers.waiting import until
from turnwise.turns import Commit, acquire, end
from turnwise.worker import Worker

CHILDREN, TURNS = 4, 5
STARTED = 2  # by a start method: each imports everything anew
VERY_LONG = 1000.0

session = connect(os.environ.get("SHARED_STORE", "memory://"), lease=VERY_LONG)


def say(text: str) -> Agent[Any]:
    return Agent(name="agent", model=Script(says(text)))


def turns(name: str, count: int = TURNS) -> None:
    """Run turns on this process's own session; each must return its own answer."""
    name = f"{name} {os.getpid()}"
    for number in range(count):
        answer = f"{name} {number} " + "word " * 500
        result = Runner.run_sync(
            say(answer), f"asked {number}", session=session, session_id=name, timeout=VERY_LONG
        )
        assert result.final_output == answer, f"{name} got {result.final_output!r}"
    history = outline(run_until_complete(session.bind(name).get_items()))
    assert len(history) == 2 * count, history
    assert history[::2] == [f"asked {number}" for number in range(count)], history
    assert all(text.startswith(f"{name} ") for text in history[1::2]), history


def child(number: int) -> None:
    assert session.runtime.name not in PARENTS, "a child has its parent's name"
    turns("child")
    if number % 2:
        os._exit(0)
    sys.exit(0)  # Python collects and closes what it finds


PARENTS: list[str] = []


def forked(work: Callable[[int], None] = child, count: int = CHILDREN) -> list[int]:
    """Start children that do `work` and end."""
    PARENTS.append(session.runtime.name)
    children = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            work(number)
            os._exit(0)
        children.append(pid)
    return children


def joined(children: list[int]) -> None:
    for pid in children:
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"a child ended with {os.waitstatus_to_exitcode(status)}"


async def connection() -> object:
    """The id of the parent's connection, if it has one."""
    if not isinstance(session, RedisSession):
        return None
    return await session.client.client_id()


def idle() -> None:
    turns("parent")
    before = run_until_complete(connection())
    joined(forked())
    turns("parent again")
    assert run_until_complete(connection()) == before, "a child closed the parent's connection"
    grandchildren = forked(lambda _: joined(forked(count=2)), count=2)
    joined(grandchildren)
    turns("parent at last")


def mid_turn() -> None:
    """A tool forks: one that is async, in the thread of the event loop, and one that is not."""

    @function_tool
    async def fork() -> str:
        joined(forked())
        return "forked"

    @function_tool
    def fork_in_thread() -> str:
        joined(forked(lambda _: child(1), count=2))  # the thread's pool would swallow a sys.exit
        return "forked"

    for tool in (fork, fork_in_thread):
        helper = agent(calls(tool.name), says("done"), tools=[tool])
        result = Runner.run_sync(helper, "go", session=session, session_id=tool.name)
        assert result.final_output == "done"
        history = outline(run_until_complete(session.bind(tool.name).get_items()))
        assert history == ["go", "call call_1", "output call_1: forked", "done"], history
    run_until_complete(leave_a_turn())


async def leave_a_turn() -> None:
    """A child that continues its parent's block cannot end the turn."""
    async with session.turn("block") as turn:
        await turn.add_items([{"role": "user", "content": "the parent's"}])
        pid = os.fork()
        if pid == 0:
            os._exit(await _use(turn))
        joined([pid])
    assert outline(await session.bind("block").get_items()) == ["the parent's"]


async def _use(turn: Any) -> int:
    """0 if a child cannot use the turn, neither in the inherited event loop nor in a new one."""
    refused = 0
    for use in (turn.get_items, lambda: end(turn.turn, Commit())):
        for run in (_inline, asyncio.run):
            try:
                await run(use()) if run is _inline else run(use())
            except UsageError:
                refused += 1
    return 0 if refused == 4 else 1


async def _inline(work: Any) -> Any:
    return await work


def waiting() -> None:
    """One waits in the queue in the parent, one in a child. Each is woken when its turn comes."""
    woken: list[str] = []

    async def hold(waiter: Callable[[], Any], queued: int) -> None:
        async with session.turn("busy"):
            task = asyncio.create_task(waiter())
            await until_queued(session, "busy", queued)
            joined(forked())
            children = forked(wait_in_queue, count=1)
            await until_queued(session, "busy", queued + 1)
        await task
        joined(children)

    async def wait() -> None:
        async with session.turn("busy", timeout=VERY_LONG):
            woken.append("parent")

    run_until_complete(hold(wait, 1))
    assert woken == ["parent"]
    # And the other way round: the parent waits for a turn of a child.
    readable, writable = os.pipe()
    children = forked(lambda _: hold_for_parent(writable), count=1)
    assert os.read(readable, 1) == b"h"
    run_until_complete(wait())
    joined(children)


def wait_in_queue(_: int) -> None:
    async def wait() -> None:
        async with session.turn("busy", timeout=VERY_LONG):
            pass

    run_until_complete(wait())


def hold_for_parent(writable: int) -> None:
    async def hold() -> None:
        async with session.turn("busy"):
            os.write(writable, b"h")
            await until_queued(session, "busy", 1)

    run_until_complete(hold())


def subscribed() -> None:
    """The parent reads a turn's events, from before the fork to the turn's end."""

    async def follow() -> None:
        receipt = await session.submit("events", "hello", agent="agent")
        kinds: list[str] = []

        async def read() -> None:
            async for _, event in receipt.events():
                kinds.append(str(event["type"]))

        reader = asyncio.create_task(read())
        await until(is_listening, VERY_LONG, "the parent listens")
        joined(forked())
        children = forked(lambda _: drain("events"), count=1)
        await reader
        assert kinds
        assert (await receipt.result(VERY_LONG)).final_output == "events"
        joined(children)

    run_until_complete(follow())


async def is_listening() -> bool:
    if isinstance(session, RedisSession):
        client = session.client
        nodes = {"target_nodes": "all"} if isinstance(client, RedisCluster) else {}
        return bool(await client.pubsub_channels(**nodes))
    return bool(session.runtime.store._listeners)  # type: ignore[attr-defined]  # no contract's


def drain(session_id: str) -> None:
    assert run_until_complete(session.drain(session_id, {"agent": say("events")})) == 1


def working() -> None:
    """A worker runs a turn in another thread."""
    begun, released = Event(), Event()

    @function_tool
    def linger() -> str:
        begun.set()
        released.wait(VERY_LONG)
        return "lingered"

    helper = agent(calls("linger"), says("done"), tools=[linger])
    worker = Worker(session, {"agent": helper})
    thread = Thread(target=lambda: asyncio.run(worker.run()))
    thread.start()
    receipt = run_until_complete(session.submit("s", "go", agent="agent"))
    assert begun.wait(VERY_LONG)
    joined(forked())
    joined(forked(lambda _: work_too(), count=2))
    released.set()
    assert run_until_complete(receipt.result(VERY_LONG)).final_output == "done"
    again = run_until_complete(session.submit("s", "again", agent="agent"))
    assert run_until_complete(again.result(VERY_LONG)).final_output == "done"
    worker.stop()
    thread.join()


def work_too() -> None:
    """A child runs its own worker beside its parent's."""

    async def work() -> None:
        name = f"worker of {os.getpid()}"
        worker = Worker(session, {"agent": say("from a worker"), name: say(name)})
        working = asyncio.create_task(worker.run())
        receipt = await session.submit(name, "hello", agent="agent")
        answer = (await receipt.result(VERY_LONG)).final_output
        assert answer in ("from a worker", "done"), answer  # whichever worker was quicker
        worker.stop()
        await working

    run_until_complete(work())


def processes(method: str) -> Callable[[], None]:
    def start() -> None:
        turns("parent")
        context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(["tests.integration.forking_program"])
        started = [context.Process(target=turns, args=(f"child {n}",)) for n in range(STARTED)]
        for process in started:
            process.start()
        turns("parent meanwhile")
        for process in started:
            process.join()
            assert process.exitcode == 0

    return start


IN_USE: dict[str, Callable[[], None]] = {
    "idle": idle,
    "mid_turn": mid_turn,
    "waiting": waiting,
    "subscribed": subscribed,
    "working": working,
}
START_METHODS = ("fork", "forkserver", "spawn")
STATES = IN_USE | {method: processes(method) for method in START_METHODS}


def main() -> None:
    EmbeddedStore._max_wait = VERY_LONG
    acquire._POLL_INTERVAL = VERY_LONG
    # The start methods import this module anew, under its own name; here it is `__main__`.
    from tests.integration import forking_program

    for state in sys.argv[1:]:
        print(state, flush=True)
        forking_program.STATES[state]()
    run_until_complete(forking_program.session.aclose())
    print("all well")


if __name__ == "__main__":
    main()
