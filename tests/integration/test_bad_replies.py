"""Replies get lost: every verb takes effect once, whichever client sends it, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from agents import Agent, RunResult, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from redis.asyncio import Redis

from tests.integration.bad_days import (
    LONG,
    QUIET,
    Told,
    assert_free,
    connections_in_use,
    message,
    other_tasks,
    patience,
)
from turnwise import RedisSession, Runner
from turnwise.errors import AlreadyCommitted, OutcomeUnknown, StoreUnavailable
from turnwise.stores.redis.scripts import script
from turnwise.testing.proxy import (
    Command,
    DropRequest,
    Fault,
    FaultProxy,
    Faults,
    LoseReply,
    once,
)
from turnwise.testing.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT = 0.4
SEED = [message("one"), message("two")]


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(server: ValkeyServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy.before(server.url) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="module", params=["ours", "the application's"])
async def session(
    proxy: FaultProxy, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[RedisSession]:
    """Over our own client, and over one with redis-py's default retries."""
    told = Told()
    options: dict[str, Any] = {"key_prefix": f"{tmp_path.name}:", "hooks": (told,)}
    if request.param == "ours":
        async with RedisSession.from_url(proxy.url, **options) as session:
            yield session
            assert connections_in_use(session) == 0
    else:
        async with Redis.from_url(proxy.url) as client:
            session = RedisSession(client=client, **options)
            yield session
            await session.aclose()
            assert connections_in_use(session) == 0
    assert not other_tasks()
    assert told.names.count("TurnBegunEvent") == told.ends


def verb(name: str) -> Callable[[Command], bool]:
    """Whether a command is this verb, by its digest or by its text."""
    found = script(name)
    texts = {found.digest.encode(), found.text.encode()}
    return lambda command: command.name in ("EVALSHA", "EVAL") and command.args[0] in texts


async def warm(session: RedisSession) -> None:
    """The server knows every script, so that a command which is dropped is the verb itself."""
    bound = session.bind("warm")
    await bound.add_items(SEED)
    await bound.pop_item()
    async with session.turn("warm") as turn:
        await session.runtime.store.renew("warm", turn.turn_id, turn.turn.token)
        await turn.add_items(SEED)
    with pytest.raises(ZeroDivisionError):
        async with session.turn("warm"):
            raise ZeroDivisionError
    await bound.clear_session()


FAULTS = pytest.mark.parametrize("fault", [LoseReply(), DropRequest()], ids=["reply", "request"])


@FAULTS
@pytest.mark.parametrize("name", ["begin", "commit", "renew"])
async def test_a_turn(session: RedisSession, proxy: FaultProxy, name: str, fault: Fault) -> None:
    await warm(session)
    await session.bind("user-1").add_items(SEED)
    proxy.faults = once(verb(name), fault)
    async with session.turn("user-1", turn_id="turn") as turn:
        assert turn.attempt == 1
        assert await turn.get_items() == SEED
        await turn.turn.lease.renew()
        await turn.add_items([message("three")])
    assert len(proxy.injected) == 1
    assert await session.bind("user-1").get_items() == [*SEED, message("three")]
    info = await session.info("user-1")
    assert info is not None
    assert info.turns == 2
    await assert_free(session, "user-1")


@FAULTS
async def test_a_turn_that_is_rolled_back(
    session: RedisSession, proxy: FaultProxy, fault: Fault
) -> None:
    await warm(session)
    await session.bind("user-1").add_items(SEED)
    proxy.faults = once(verb("abort"), fault)
    with pytest.raises(ZeroDivisionError):
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("three")])
            raise ZeroDivisionError
    assert len(proxy.injected) == 1
    await assert_free(session, "user-1")
    assert await session.bind("user-1").get_items() == SEED
    # It may be sent again.
    async with session.turn("user-1", turn_id="turn") as turn:
        await turn.add_items([message("three")])
    assert await session.bind("user-1").get_items() == [*SEED, message("three")]


@FAULTS
@pytest.mark.parametrize("name", ["append", "pop", "clear", "read", "delete", "expire", "info"])
async def test_a_change_between_turns(
    session: RedisSession, proxy: FaultProxy, name: str, fault: Fault
) -> None:
    await warm(session)
    bound = session.bind("user-1")
    await bound.add_items(SEED)
    await bound.get_items()
    proxy.faults = once(verb(name), fault)
    expected = SEED
    if name == "append":
        await bound.add_items([message("three")])
        expected = [*SEED, message("three")]
    elif name == "pop":
        assert await bound.pop_item() == SEED[1]
        expected = SEED[:1]
    elif name == "clear":
        await bound.clear_session()
        expected = []
    elif name == "delete":
        assert await bound.delete()
        expected = []
    elif name == "expire":
        assert await bound.expire(ttl=60)
    else:
        await (bound.get_items() if name == "read" else bound.info())
    assert len(proxy.injected) == 1
    assert await bound.get_items() == expected


async def test_two_pops_in_a_row(session: RedisSession, proxy: FaultProxy) -> None:
    """A resend is told from a second call."""
    bound = session.bind("user-1")
    await bound.add_items([message("same")] * 4)
    left = [LoseReply(), LoseReply()]
    is_pop = verb("pop")
    proxy.faults = lambda command: left.pop() if left and is_pop(command) else None
    assert await bound.pop_item() == await bound.pop_item() == message("same")
    assert await bound.get_items() == [message("same")] * 2


async def test_every_other_reply(session: RedisSession, proxy: FaultProxy) -> None:
    """Of every verb, all through a conversation with a tool."""
    count, ran = 0, 0

    def every_other(command: Command) -> Fault | None:
        nonlocal count
        if command.name not in ("EVALSHA", "EVAL"):
            return None
        count += 1
        return LoseReply() if count % 2 else None

    @function_tool
    async def lucky() -> str:
        """A number."""
        nonlocal ran
        ran += 1
        return "7"

    proxy.faults = every_other
    for number in range(5):
        steps = [
            [function_call("lucky", {}, call_id=f"call-{number}")],
            [assistant_message(f"answer {number}")],
        ]
        agent = Agent(name="Lucky", tools=[lucky], model=ScriptedModel(steps))
        await Runner.run(
            agent, f"question {number}", session=session, session_id="user-1", run_config=QUIET
        )
    proxy.faults = None
    assert ran == 5
    history: list[Any] = await session.bind("user-1").get_items()
    kinds = [item.get("type", item.get("role")) for item in history]
    assert kinds == ["user", "function_call", "function_call_output", "message"] * 5
    await assert_free(session, "user-1")


def always(which: Callable[[Command], bool], fault: Fault) -> Faults:
    return lambda command: fault if which(command) else None


@pytest.mark.parametrize("session", ["ours"], indirect=True)
async def test_a_commit_that_nobody_acknowledged(session: RedisSession, proxy: FaultProxy) -> None:
    """It was done all the same: its sender learns that by sending it again."""
    await warm(session)
    patience(session, 0.1)
    proxy.faults = always(verb("commit"), LoseReply())
    with pytest.raises(OutcomeUnknown, match=r"session 'user-1'.*turn 'turn'.*same turn_id"):
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items(SEED)
    proxy.faults = None
    with pytest.raises(AlreadyCommitted) as caught:
        await session.turn("user-1", turn_id="turn").__aenter__()
    assert caught.value.items == SEED
    assert caught.value.committed_at > 0
    assert await session.bind("user-1").get_items() == SEED
    await assert_free(session, "user-1")


async def test_a_commit_that_never_arrived(proxy: FaultProxy, tmp_path: Path) -> None:
    """It was not done: sent again, it runs."""
    prefix = f"{tmp_path.name}:"
    async with RedisSession.from_url(proxy.url, key_prefix=prefix, lease=SHORT) as session:
        await warm(session)
        patience(session, 0.1)
        proxy.faults = always(verb("commit"), DropRequest())
        with pytest.raises(OutcomeUnknown):
            async with session.turn("user-1", turn_id="turn") as turn:
                await turn.add_items(SEED)
        proxy.faults = None
        async with session.turn("user-1", turn_id="turn", timeout=LONG) as turn:
            assert turn.attempt in (1, 2)
            await turn.add_items(SEED)
        assert await session.bind("user-1").get_items() == SEED


@pytest.mark.parametrize("session", ["ours"], indirect=True)
async def test_a_run_that_nobody_acknowledged(session: RedisSession, proxy: FaultProxy) -> None:
    """Sent again it is not run again, but answered."""
    model = ScriptedModel([[assistant_message("Hello.")]])
    agent = Agent(name="Echo", model=model)

    async def run() -> RunResult:
        return await Runner.run(
            agent, "Hi", session=session, session_id="user-1", turn_id="turn", run_config=QUIET
        )

    await warm(session)
    patience(session, 0.1)
    proxy.faults = always(verb("commit"), LoseReply())
    with pytest.raises(OutcomeUnknown):
        await run()
    proxy.faults = None
    assert (await run()).final_output == "Hello."
    assert len(model.calls) == 1
    assert len(await session.bind("user-1").get_items()) == 2


@pytest.mark.parametrize("session", ["ours"], indirect=True)
@pytest.mark.parametrize("name", ["append", "pop", "clear"])
async def test_a_change_that_nobody_acknowledged(
    session: RedisSession, proxy: FaultProxy, name: str
) -> None:
    await warm(session)
    patience(session, 0.1)
    bound = session.bind("user-1")
    await bound.add_items(SEED)
    change = {
        "append": lambda: bound.add_items([message("three")]),
        "pop": bound.pop_item,
        "clear": bound.clear_session,
    }[name]
    proxy.faults = always(verb(name), LoseReply())
    with pytest.raises(OutcomeUnknown, match=r"session 'user-1'.*Read the history"):
        await change()
    proxy.faults = None
    expected = {"append": [*SEED, message("three")], "pop": SEED[:1], "clear": []}[name]
    assert await bound.get_items() == expected


async def test_a_begin_that_nobody_acknowledged(proxy: FaultProxy, tmp_path: Path) -> None:
    """Nothing was done: the session is free again when its lease is over."""
    prefix = f"{tmp_path.name}:"
    async with RedisSession.from_url(proxy.url, key_prefix=prefix, lease=SHORT) as session:
        await warm(session)
        patience(session, 0.1)
        proxy.faults = always(verb("begin"), LoseReply())
        with pytest.raises(StoreUnavailable) as caught:
            await session.turn("user-1", turn_id="turn").__aenter__()
        assert not isinstance(caught.value, OutcomeUnknown)
        proxy.faults = None
        async with session.turn("user-1", turn_id="turn", timeout=LONG) as turn:
            await turn.add_items(SEED)
        assert await session.bind("user-1").get_items() == SEED


async def test_a_cancelled_commit_whose_reply_is_lost(
    session: RedisSession, proxy: FaultProxy
) -> None:
    """The commit is acknowledged before the cancellation goes on."""

    async def turn() -> None:
        async with session.turn("user-1") as turn:
            await turn.add_items(SEED)

    def faults(command: Command) -> Fault | None:
        if not is_commit(command) or proxy.injected:
            return None
        asyncio.get_running_loop().call_soon(task.cancel)
        return LoseReply()

    is_commit = verb("commit")
    await warm(session)
    task = asyncio.create_task(turn())
    proxy.faults = faults
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(proxy.injected) == 1
    assert await session.bind("user-1").get_items() == SEED
    await assert_free(session, "user-1")
