"""Invalid arguments are refused before anything happens, whatever the store holds."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import redis
from agents import Agent, RunConfig
from agents import Runner as SDKRunner
from agents.memory import SQLiteSession as SDKSQLiteSession
from agents.testing import ScriptedModel, assistant_message

from turnwise import MemorySession, RedisSession, Runner, SQLiteSession, connect, make_session_id
from turnwise.errors import (
    InvalidItem,
    InvalidKeyPrefix,
    InvalidSessionId,
    InvalidTTL,
    InvalidTurnId,
    InvalidURL,
    ItemTooLarge,
    SessionTooLarge,
    TurnTooLarge,
    UnboundSession,
    UsageError,
)

QUIET = RunConfig(tracing_disabled=True)


def message(text: str) -> Any:
    return {"role": "user", "content": text}


def agent() -> Agent[Any]:
    return Agent(name="Echo", model=ScriptedModel([[assistant_message("Hello.")]]))


async def _async_hook(event: Any) -> None: ...


class _AsyncHook:
    async def __call__(self, event: Any) -> None: ...


class TestUnbound:
    async def test_every_operation_on_one_session(self) -> None:
        session = MemorySession()
        calls: list[Callable[[], Awaitable[Any]]] = [
            session.get_items,
            partial(session.add_items, [message("one")]),
            session.pop_item,
            session.clear_session,
            session.info,
            session.delete,
            session.expire,
            session.turn().__aenter__,
        ]
        for call in calls:
            with pytest.raises(UnboundSession, match=r"session\.bind\('user-1'\)"):
                await call()
        assert [found async for found in session.scan()] == []

    async def test_in_the_sdk_s_runner(self) -> None:
        with pytest.raises(UnboundSession, match="stands for all sessions"):
            await SDKRunner.run(agent(), "Hi", session=MemorySession(), run_config=QUIET)

    async def test_in_our_runner(self) -> None:
        with pytest.raises(UnboundSession, match="session_id='user-1'"):
            await Runner.run(agent(), "Hi", session=MemorySession(), run_config=QUIET)
        with pytest.raises(UnboundSession):
            Runner.run_streamed(agent(), "Hi", session=MemorySession(), run_config=QUIET)

    async def test_a_foreign_session_with_our_arguments(self) -> None:
        foreign = SDKSQLiteSession("user-1")
        try:
            for arguments in ({"session_id": "user-2"}, {"turn_id": "turn"}):
                with pytest.raises(UsageError, match="a Turnwise session"):
                    await Runner.run(agent(), "Hi", session=foreign, **arguments)  # type: ignore[arg-type]  # str or str
        finally:
            foreign.close()


class TestURLs:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "localhost:6379",
            "http://localhost",
            "postgres://user:s3cret@host/db",
            "redis:/localhost",
            "redis://",
            "redis:///0",
            "redis://localhost:port",
            "redis://localhost:99999",
            "redis://localhost/zero",
            "redis://localhost/0?socket_timeout=soon",
            "redis://localhost/0?no_such_option=1",
            "redis+cluster://",
            "redis+cluster://localhost/1",
            "redis+sentinel://localhost:26379",
            "redis+sentinel:///mymaster",
            "redis+sentinel://localhost:port/mymaster",
            "redis+sentinel://localhost/mymaster/zero",
            "sqlite://",
            "sqlite://host/path.db",
            "sqlite:///",
            "sqlite:///file.db?mode=ro",
            "redis://[::1",
        ],
    )
    def test_malformed_or_unknown(self, url: str) -> None:
        with pytest.raises(InvalidURL) as caught:
            connect(url)
        assert "s3cret" not in str(caught.value)

    @pytest.mark.parametrize("url", [None, 6379, b"redis://localhost"])
    def test_no_text(self, url: Any) -> None:
        with pytest.raises(InvalidURL):
            connect(url)
        with pytest.raises(InvalidURL):
            RedisSession.from_url(url)

    def test_the_schemes_are_named(self) -> None:
        with pytest.raises(InvalidURL, match=r"redis://.*sqlite://, memory://"):
            connect("mysql://localhost")
        with pytest.raises(InvalidURL, match=r"redis://.*redis\+sentinel://"):
            RedisSession.from_url("sqlite:///file.db")

    @pytest.mark.parametrize(
        "url",
        [
            "redis://user:s3cret@localhost:port/0",
            "redis://:s3cret@localhost/zero",
            "redis://:s3cret/x@localhost:6379/0",
            "redis://:s3cret?x@localhost:6379/0",
            "redis://:s3cret#x@localhost:6379/0",
            "redis://:x@s3cret@localhost:6379/zero",
            "redis://:x/s3cret@localhost:6379/0",
            "redis://localhost:port?password=s3cret",
            "redis://localhost:port/0?password=s3cret",
            "redis+cluster://:s3cret@localhost/1",
            "redis+sentinel://:s3cret@localhost:26379",
            "redis+sentinel://localhost/?sentinel_password=s3cret",
            "user:s3cret@localhost",
            "mysql://user:s3cret@localhost",
        ],
    )
    def test_no_password_is_shown(self, url: str) -> None:
        with pytest.raises(InvalidURL) as caught:
            connect(url)
        error: BaseException | None = caught.value
        while error is not None:
            assert "s3cret" not in f"{error!s} {error!r}"
            error = None if error.__suppress_context__ else error.__context__


class TestIds:
    @pytest.mark.parametrize("bad", ["", "x" * 513, "é" * 257, "\ud800", 7, b"id", None, ["id"]])
    async def test_no_session_id(self, bad: Any) -> None:
        session = MemorySession()
        with pytest.raises(InvalidSessionId, match="at most 512 bytes"):
            session.bind(bad)
        if bad is None:
            return
        with pytest.raises(InvalidSessionId):
            MemorySession(session_id=bad)
        for call in (session.info, session.delete, session.expire):
            with pytest.raises(InvalidSessionId):
                await call(bad)
        with pytest.raises(InvalidSessionId):
            await session.turn(bad).__aenter__()
        with pytest.raises(InvalidSessionId):
            await Runner.run(agent(), "Hi", session=session, session_id=bad)

    @pytest.mark.parametrize("bad", ["", "x" * 257, "é" * 129, "\udfff", 7, b"id", ["id"]])
    async def test_no_turn_id(self, bad: Any) -> None:
        session = MemorySession()
        with pytest.raises(InvalidTurnId, match=r"session 'user-1'.*at most 256 bytes"):
            await session.turn("user-1", turn_id=bad).__aenter__()
        with pytest.raises(InvalidTurnId):
            await Runner.run(agent(), "Hi", session=session, session_id="user-1", turn_id=bad)
        assert await session.info("user-1") is None

    @pytest.mark.parametrize("bad", ["", 7, None])
    def test_no_part_of_a_session_id(self, bad: Any) -> None:
        with pytest.raises(InvalidSessionId):
            make_session_id(bad, "conversation")
        with pytest.raises(InvalidSessionId):
            make_session_id("user", bad)

    def test_parts_that_are_too_long_together(self) -> None:
        with pytest.raises(InvalidSessionId):
            make_session_id("u" * 300, "c" * 300)

    def test_a_long_id_is_shortened_in_the_error(self) -> None:
        with pytest.raises(InvalidSessionId) as caught:
            MemorySession().bind("x" * 10_000)
        assert len(str(caught.value)) < 200


class TestClients:
    @pytest.mark.parametrize("client", [None, "redis://localhost", redis.Redis()], ids=type)
    def test_no_client(self, client: Any) -> None:
        with pytest.raises(UsageError, match=r"redis\.asyncio\.Redis"):
            RedisSession(client=client)


class TestSettings:
    @pytest.mark.parametrize(
        "ttl", [0, 0.0, -1, math.nan, math.inf, -math.inf, "60", True, False, b"1", [60]]
    )
    async def test_no_ttl(self, ttl: Any) -> None:
        with pytest.raises(InvalidTTL, match=r"number of seconds above 0"):
            MemorySession(ttl=ttl)
        with pytest.raises(InvalidTTL):
            SQLiteSession("never-made.db", ttl=ttl)
        with pytest.raises(InvalidTTL):
            RedisSession.from_url("redis://localhost", ttl=ttl)
        session = MemorySession()
        await session.bind("user-1").add_items([message("one")])
        with pytest.raises(InvalidTTL):
            await session.expire("user-1", ttl)
        info = await session.info("user-1")
        assert info is not None
        assert info.expires_in is None

    @pytest.mark.parametrize("prefix", ["{app}:", "app{", "}", "{", None, 7, b"app:", "\ud800"])
    def test_no_key_prefix(self, prefix: Any) -> None:
        with pytest.raises(InvalidKeyPrefix):
            RedisSession.from_url("redis://localhost", key_prefix=prefix)

    @pytest.mark.parametrize(
        "setting",
        [
            *({"lease": bad} for bad in (0, -1, math.nan, math.inf, "15", None, True)),
            *({"max_item_bytes": bad} for bad in (0, -1, "1", None, math.nan)),
            *({"max_turn_bytes": bad} for bad in (0, -1, "1", None)),
            *({"max_session_bytes": bad} for bad in (0, -1, "1", None, math.inf)),
            *({"max_queue": bad} for bad in (-1, "1", None)),
            *({"retention": bad} for bad in (-1, "1", None, math.nan)),
            *({"cache_bytes": bad} for bad in (-1, "1", None)),
            {"leese": 15},
            {"hooks": (_async_hook,)},
            {"hooks": (_AsyncHook(),)},
            {"hooks": ("hook",)},
        ],
    )
    def test_no_setting(self, setting: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match=next(iter(setting))):
            MemorySession(**setting)

    @pytest.mark.parametrize("timeout", [-1, math.nan, "30", [1]])
    async def test_no_timeout(self, timeout: Any) -> None:
        session = MemorySession()
        with pytest.raises(UsageError, match="timeout"):
            await session.turn("user-1", timeout=timeout).__aenter__()
        assert await session.info("user-1") is None

    async def test_what_is_no_choice(self) -> None:
        session = MemorySession()
        wrong: Any = "perhaps"
        with pytest.raises(UsageError, match="'wait', 'reject'"):
            await session.turn("user-1", busy=wrong).__aenter__()
        with pytest.raises(UsageError, match="'rollback', 'keep'"):
            await session.turn("user-1", on_error=wrong).__aenter__()
        assert await session.info("user-1") is None


class TestItems:
    @pytest.mark.parametrize(
        "bad", [["text"], [7], [None], [{"when": object()}], [{7: "key"}], [b"{}"], [{"set": {1}}]]
    )
    async def test_no_item(self, bad: Any) -> None:
        session = MemorySession()
        bound = session.bind("user-1")
        with pytest.raises(InvalidItem, match=r"session 'user-1'.*JSON"):
            await bound.add_items([message("one"), *bad])
        assert await session.info("user-1") is None
        async with session.turn("user-1") as turn:
            with pytest.raises(InvalidItem):
                await turn.add_items([message("one"), *bad])
            await turn.add_items([message("two")])
        assert await bound.get_items() == [message("two")]

    async def test_an_item_at_its_bound(self) -> None:
        size = len(b'{"role":"user","content":""}') + 100
        bound = MemorySession(max_item_bytes=size).bind("user-1")
        await bound.add_items([message("x" * 100)])
        with pytest.raises(ItemTooLarge, match=f"session 'user-1'.*{size + 1} bytes.*={size}"):
            await bound.add_items([message("small"), message("x" * 101)])
        assert await bound.get_items() == [message("x" * 100)]
        await bound.add_items([message("usable")])

    async def test_a_turn_at_its_bound(self) -> None:
        size = 2 * (len(b'{"role":"user","content":""}') + 100)
        session = MemorySession(max_turn_bytes=size)
        bound = session.bind("user-1")
        full = [message("x" * 100), message("y" * 100)]
        await bound.add_items(full)
        with pytest.raises(TurnTooLarge, match=f"session 'user-1'.*{size + 1} bytes.*={size}"):
            await bound.add_items([message("x" * 100), message("y" * 101)])
        async with session.turn("user-1") as turn:
            await turn.add_items(full)
            with pytest.raises(TurnTooLarge):
                await turn.add_items([message("")])
            await turn.pop_item()
            await turn.add_items([message("z" * 100)])
        assert await bound.get_items() == [*full, full[0], message("z" * 100)]

    async def test_a_turn_over_its_bound_leaves_nothing(self) -> None:
        session = MemorySession(max_turn_bytes=200)
        with pytest.raises(TurnTooLarge):
            async with session.turn("user-1") as turn:
                await turn.add_items([message("x" * 100)])
                await turn.add_items([message("y" * 100)])
        assert await session.info("user-1") is None
        await session.bind("user-1").add_items([message("usable")])

    async def test_session_too_large_is_an_error_of_its_own(self) -> None:
        session = MemorySession(max_session_bytes=100)
        with pytest.raises(SessionTooLarge, match=r"session 'user-1'.*=100"):
            await session.bind("user-1").add_items([message("x" * 500)] * 4)
        assert await session.info("user-1") is None
