"""The server is absent, goes away, hangs or refuses: errors name it, without its password."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.fault_lab import (
    LONG,
    assert_free,
    connections_in_use,
    message,
    operations,
    other_tasks,
    patience,
    plain_client,
    until_queued,
)
from turnwise import RedisSession
from turnwise.errors import (
    AlreadyCommitted,
    OutcomeUnknown,
    StoreRefused,
    StoreUnavailable,
    TurnwiseError,
)
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.ports import free_port
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "s3cret-pässwörd"
SHORT = 1.0


@pytest_asyncio.fixture(loop_scope="module")
async def server(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    """One for each test, with a password, that keeps what it acknowledged."""
    async with ValkeyServer(password=PASSWORD, appendonly="always") as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def session(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[RedisSession]:
    caplog.set_level(logging.DEBUG)
    async with RedisSession.from_url(server.url, lease=SHORT) as session:
        yield patience(session, 0.1)
    assert not other_tasks()
    assert_untold(caplog.text)


def assert_untold(text: str) -> None:
    assert "s3cret" not in text


def assert_tells(error: TurnwiseError, session_id: str | None = "user-1") -> None:
    """It names the session and no password, and neither do those that it came from."""
    assert error.session_id == session_id
    assert_untold("".join(traceback.format_exception(error)))
    assert_untold(f"{error!s} {error!r}")


async def test_nobody_listens() -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0"
    async with RedisSession.from_url(url) as session:
        patience(session, 0.05)
        for operation in operations(session):
            with pytest.raises(StoreUnavailable, match=r"cannot be reached") as caught:
                await operation()
            assert isinstance(caught.value, ConnectionError)
            assert_tells(caught.value)
        for about_all in (session.ping, session.scan().__aiter__().__anext__):
            with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
                await about_all()
            assert_tells(caught.value, None)
        assert connections_in_use(session) == 0
    assert not other_tasks()


async def test_no_such_host() -> None:
    async with RedisSession.from_url(f"redis://:{PASSWORD}@nowhere.invalid/0") as session:
        patience(session, 0.05)
        with pytest.raises(StoreUnavailable) as caught:
            await session.bind("user-1").get_items()
        assert_tells(caught.value)


@pytest.mark.parametrize(
    ("login", "says"),
    [(f":wrong-{PASSWORD}@", "WRONGPASS"), (f"nobody:{PASSWORD}@", "WRONGPASS"), ("", "NOAUTH")],
)
async def test_a_wrong_password(server: ValkeyServer, login: str, says: str) -> None:
    url = f"redis://{login}{server.host}:{server.port}/0"
    async with RedisSession.from_url(url) as session:
        for operation in operations(session):
            with pytest.raises(StoreRefused, match=f"{says}.*password") as caught:
                await operation()
            assert_tells(caught.value)


async def test_no_such_database(server: ValkeyServer) -> None:
    async with RedisSession.from_url(server.url.removesuffix("/0") + "/999") as session:
        with pytest.raises(StoreRefused, match="DB index is out of range") as caught:
            await session.bind("user-1").get_items()
        assert_tells(caught.value)


async def test_killed_between_begin_and_commit(server: ValkeyServer, session: RedisSession) -> None:
    await session.bind("user-1").add_items([message("one")])
    with pytest.raises(OutcomeUnknown, match=r"turn 'turn'.*same turn_id") as caught:
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("two")])
            await server.kill()
    assert_tells(caught.value)
    assert isinstance(caught.value, StoreUnavailable)
    await server.restart()
    # It had not been committed, so it runs: as soon as the lease that it held is over.
    async with session.turn("user-1", turn_id="turn", timeout=LONG) as turn:
        assert await turn.get_items() == [message("one")]
        await turn.add_items([message("two")])
    with pytest.raises(AlreadyCommitted):
        await session.turn("user-1", turn_id="turn").__aenter__()
    assert await session.bind("user-1").get_items() == [message("one"), message("two")]
    await assert_free(session, "user-1")
    assert connections_in_use(session) == 0


async def test_killed_and_rolled_back(server: ValkeyServer, session: RedisSession) -> None:
    """What the application raised is not hidden by the server's end."""
    with pytest.raises(ZeroDivisionError):
        async with session.turn("user-1"):
            await server.kill()
            raise ZeroDivisionError


async def test_killed_during_the_work(server: ValkeyServer, session: RedisSession) -> None:
    """The block is interrupted when the lease is over."""
    with pytest.raises(StoreUnavailable, match=r"lease of turn 'turn' expired") as caught:
        async with session.turn("user-1", turn_id="turn"):
            await server.kill()
            await asyncio.Event().wait()
    assert_tells(caught.value)
    assert not isinstance(caught.value, OutcomeUnknown)


async def test_killed_during_a_heartbeat(server: ValkeyServer, session: RedisSession) -> None:
    async def beats() -> bool:
        return any(task.get_name() == "turnwise-heartbeat" for task in asyncio.all_tasks())

    with pytest.raises(StoreUnavailable, match=r"lease of turn 'turn' expired") as caught:
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("one")])
            server.pause()
            await until(beats, LONG, "a heartbeat was on its way")
            await server.kill()
            await asyncio.Event().wait()
    assert_tells(caught.value)
    await server.restart()
    assert await session.bind("user-1").get_items() == []


async def test_killed_while_somebody_waits(server: ValkeyServer, session: RedisSession) -> None:
    async def wait() -> None:
        async with session.turn("user-1", timeout=LONG):
            pass

    with pytest.raises(StoreUnavailable) as ended:
        async with session.turn("user-1"):
            waiting = asyncio.create_task(wait())
            await until_queued(session, "user-1")
            await server.kill()
            await asyncio.Event().wait()
    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
        await waiting
    assert_tells(caught.value)
    assert_tells(ended.value)


async def test_standing_still(server: ValkeyServer, session: RedisSession) -> None:
    await session.bind("user-1").add_items([message("one")])
    with pytest.raises(StoreUnavailable, match=r"did not answer in time") as caught:
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("two")])
            server.pause()
            await asyncio.Event().wait()
    assert_tells(caught.value)
    server.resume()
    async with session.turn("user-1", turn_id="turn", timeout=LONG) as turn:
        assert await turn.get_items() == [message("one")]
    await assert_free(session, "user-1")
    assert connections_in_use(session) == 0


async def test_standing_still_at_the_commit(server: ValkeyServer) -> None:
    """The commit reached the server, which carries it out when it goes on."""
    async with RedisSession.from_url(f"{server.url}?socket_timeout=0.2") as session:
        async with session.turn("user-2") as turn:
            await turn.add_items([message("the server knows the script from now on")])
        patience(session, 0.0)
        with pytest.raises(OutcomeUnknown) as caught:
            async with session.turn("user-1", turn_id="turn") as turn:
                await turn.add_items([message("one")])
                server.pause()
        assert_tells(caught.value)
        server.resume()
        patience(session, 3.0)
        with pytest.raises(AlreadyCommitted) as known:
            await session.turn("user-1", turn_id="turn", timeout=LONG).__aenter__()
        assert known.value.items == [message("one")]


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_while_it_stands_still(server: ValkeyServer, fails: bool) -> None:
    """The end of the turn is acknowledged before the cancellation goes on."""

    async def work() -> None:
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("one")])
            server.pause()
            done.set()
            if fails:
                raise ZeroDivisionError

    async def ends() -> bool:
        return connections_in_use(session) > 0 or task.done()

    done = asyncio.Event()
    async with RedisSession.from_url(server.url) as session:
        task = asyncio.create_task(work())
        await done.wait()
        await until(ends, LONG, "its last call was on its way")
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        server.resume()
        with pytest.raises(asyncio.CancelledError):
            await task
        expected = [] if fails else [message("one")]
        assert await session.bind("user-1").get_items() == expected
        await assert_free(session, "user-1")
        assert connections_in_use(session) == 0


async def test_standing_still_for_a_moment(server: ValkeyServer) -> None:
    """Shorter than patience and lease: nobody notices."""
    async with RedisSession.from_url(f"{server.url}?socket_timeout=0.1") as session:
        async with session.turn("user-1") as turn:
            await turn.add_items([message("one")])
            server.pause()
            asyncio.get_running_loop().call_later(0.3, server.resume)
        assert await session.bind("user-1").get_items() == [message("one")]
        assert connections_in_use(session) == 0


async def test_restarted_while_idle(server: ValkeyServer, session: RedisSession) -> None:
    """Connections of the pool are dead, and scripts forgotten."""
    await session.bind("user-1").add_items([message("one")])
    await server.restart(kill=True)
    patience(session, 3.0)
    assert await session.bind("user-1").get_items() == [message("one")]
    await session.bind("user-1").add_items([message("two")])
    assert await session.bind("user-1").get_items() == [message("one"), message("two")]


async def test_no_memory_left(server: ValkeyServer, session: RedisSession) -> None:
    """No turn begins any more, but the one that is open is committed."""
    await session.bind("user-1").add_items([message("one")])
    async with session.turn("user-1") as turn:
        await turn.add_items([message("two")])
        await server.command("CONFIG", "SET", "maxmemory", "1")
        for change in (
            session.bind("user-2").add_items([message("one")]),
            session.turn("user-2").__aenter__(),
        ):
            with pytest.raises(StoreRefused, match=r"OOM.*no memory left") as caught:
                await change
            assert_tells(caught.value, "user-2")
    assert await session.bind("user-1").get_items() == [message("one"), message("two")]
    assert await session.info("user-2") is None
    await session.bind("user-1").pop_item()
    await session.bind("user-1").clear_session()
    assert await session.delete("user-1")


async def test_an_application_s_own_client(server: ValkeyServer) -> None:
    """The same errors, whatever its settings; and it is never closed."""
    async with plain_client(server.url, decode_responses=True) as client:
        session = RedisSession(client=client)
        patience(session, 0.05)
        await session.bind("user-1").add_items([message("one")])
        await server.kill()
        for operation in operations(session):
            with pytest.raises(StoreUnavailable) as caught:
                await operation()
            assert_tells(caught.value)
        await server.restart()
        await session.aclose()
        assert await client.ping()
        assert await RedisSession(client, session_id="user-1").get_items() == [message("one")]
