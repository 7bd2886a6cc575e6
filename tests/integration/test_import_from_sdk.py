"""Conversations that the SDK's own sessions keep become sessions of ours."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from agents import Agent
from agents import Runner as SDKRunner
from agents import SQLiteSession as SDKSQLiteSession
from agents.extensions.memory import (
    AdvancedSQLiteSession,
    EncryptedSession,
)
from agents.extensions.memory import RedisSession as SDKRedisSession
from agents.extensions.memory.sqlalchemy_session import SQLAlchemySession

from tests import items as made
from tests.integration.postgres import postgres, postgres_programs
from tests.integration.test_cli import invoked
from tests.integration.test_token_usage import EACH, costly
from tests.scripted import says
from turnwise import ImportedSession, MemorySession, SDKSource, UsageError
from turnwise.errors import StoreUnavailable
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer, find_valkey

TALK: list[Any] = [
    made.user("one"),
    made.call("x"),
    made.output("x"),
    made.assistant("1 größe \u2028"),
    made.user("two"),
    made.user("and"),
    made.assistant("2"),
]


@pytest_asyncio.fixture
async def target() -> AsyncIterator[Session]:
    async with MemorySession() as session:
        yield session


def some(*items: Any) -> list[Any]:
    return list(items)


async def imported(session: Session, source: SDKSource, **how: Any) -> list[ImportedSession]:
    return [each async for each in session.import_from(source, **how)]


async def outcome(session: Session, source: SDKSource, **how: Any) -> str:
    (each,) = await imported(session, source, **how)
    return each.outcome


async def turns_of(session: Session, session_id: str) -> list[int]:
    """How many items each turn has."""
    return [len(turn.items) for turn in await session.history(session_id) or []]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def sqlite_talk(path: Path, session_id: str = "s") -> SDKSQLiteSession:
    session = SDKSQLiteSession(session_id, path)
    await session.add_items(TALK)
    return session


async def test_a_sqlite_session(target: Session, tmp_path: Path) -> None:
    path = tmp_path / "sdk.db"
    old = await sqlite_talk(path)
    before, source = digest(path), SDKSource(str(path))
    assert await outcome(target, source, dry_run=True) == "imported"
    assert await target.info("s") is None
    (told,) = await imported(target, source)
    assert (told.outcome, told.turns, told.items, told.notes) == ("imported", 2, 7, ())
    assert await target.bind("s").get_items() == TALK == await old.get_items()
    assert await turns_of(target, "s") == [4, 3]
    assert await outcome(target, source) == "unchanged"
    assert await outcome(target, SDKSource(f"sqlite:///{path}"), dry_run=True) == "unchanged"
    assert digest(path) == before
    await old.add_items(some(made.assistant("later"), made.user("three")))
    (told,) = await imported(target, source)
    assert (told.outcome, told.turns, told.items) == ("continued", 2, 2)
    assert await target.bind("s").get_items() == await old.get_items()
    await target.bind("s").add_items(some(made.user("here")))
    assert await outcome(target, source) == "unchanged"
    await old.add_items(some(made.user("there")))
    assert await outcome(target, source) == "exists"
    assert len(await target.bind("s").get_items()) == 10
    old.close()


async def test_what_models_are_not_given_is_told(target: Session, tmp_path: Path) -> None:
    old = SDKSQLiteSession("s", tmp_path / "sdk.db")
    await old.add_items(some(made.user("x"), made.call("gone"), made.output("other")))
    (told,) = await imported(target, SDKSource(str(tmp_path / "sdk.db")))
    assert told.notes == ("2 items are halves of pairs, which no model is given",)
    (turn,) = await target.history("s") or []
    assert len(turn.items) == 3
    old.close()


async def test_items_that_cannot_be_read(target: Session, tmp_path: Path) -> None:
    path = tmp_path / "sdk.db"
    (await sqlite_talk(path)).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE agent_messages SET message_data = '{' WHERE id = 2")
        database.execute("UPDATE agent_messages SET message_data = '7' WHERE id = 3")
    (told,) = await imported(target, SDKSource(str(path)))
    assert (told.outcome, told.error) == ("refused", "item 1: no JSON; item 2: no JSON object")
    (told,) = await imported(target, SDKSource(str(path), skip_undecodable=True))
    assert (told.outcome, told.items) == ("imported", 5)
    assert "left out: item 1" in told.notes[0]


async def test_other_tables_and_matching_ids(target: Session, tmp_path: Path) -> None:
    path, names = tmp_path / "sdk.db", ('a "b', "m 1")
    for name in ("user-1", "user-2", "x" * 600):
        old = SDKSQLiteSession(name, path, sessions_table="s_1", messages_table="m_1")
        await old.add_items(TALK)
        old.close()
    tables: dict[str, Any] = {"sessions_table": "s_1", "messages_table": "m_1"}
    told = await imported(target, SDKSource(str(path), "user-*", **tables))
    assert [each.session_id for each in told] == ["user-1", "user-2"]
    (told_long,) = await imported(target, SDKSource(str(path), "x*", **tables))
    assert "no session id" in (told_long.error or "")
    with pytest.raises(UsageError, match=r"has no table 'a \\?\"b', 'm 1'"):
        await imported(target, SDKSource(str(path), "*", "", *names))


async def test_branches_with_their_turns_and_usage(target: Session, tmp_path: Path) -> None:
    path = tmp_path / "sdk.db"
    old = AdvancedSQLiteSession(session_id="s", db_path=path, create_tables=True)
    for number in range(2):
        agent: Agent[Any] = costly(says(f"answer {number}"))
        result = await SDKRunner.run(agent, f"question {number}", session=old)
        await old.store_run_usage(result)
    main = await old.get_items()
    await old.create_branch_from_turn(2, "other")
    await old.add_items(some(made.user("instead"), made.assistant("else")))
    other = await old.get_items()
    told = await imported(target, SDKSource(str(path)))
    assert {each.session_id: each.outcome for each in told} == {
        "s": "imported",
        "s@other": "imported",
    }
    assert await target.bind("s").get_items() == main
    assert await target.bind("s@other").get_items() == other
    assert len(other) == 4
    assert [turn.usage for turn in await target.history("s") or []] == [EACH, EACH]
    info = await target.info("s")
    assert info is not None
    assert info.usage == EACH + EACH
    assert {each.outcome for each in await imported(target, SDKSource(str(path)))} == {"unchanged"}
    async with MemorySession() as single:
        (one,) = await imported(single, SDKSource(str(path), branch="other"))
        assert one.session_id == "s"
        assert await single.bind("s").get_items() == other
    old.close()


async def test_a_redis_session(target: Session) -> None:
    if find_valkey() is None:
        pytest.skip("there is no server")
    async with ValkeyServer() as server:
        for name in ("user-1", "a*b", "gone"):
            old = SDKRedisSession.from_url(name, url=server.url, ttl=5000)
            await old.add_items(TALK)
            await old.close()
        plain = SDKRedisSession.from_url("other", url=server.url, key_prefix="pre[fix")
        await plain.add_items(TALK * 200)
        source = SDKSource(server.url, "[ua]*")
        told = await imported(target, source)
        assert {each.session_id: each.outcome for each in told} == {
            "user-1": "imported",
            "a*b": "imported",
        }
        assert await target.bind("a*b").get_items() == TALK
        info = await target.info("user-1")
        assert info is not None
        assert 4900 < (info.expires_in or 0) <= 5000
        assert {each.outcome for each in await imported(target, source)} == {"unchanged"}
        (long,) = await imported(target, SDKSource(server.url, key_prefix="pre[fix"))
        assert (long.outcome, long.items) == ("imported", 1400)
        assert await target.bind("other").get_items() == TALK * 200
        await plain.close()
    with pytest.raises(StoreUnavailable, match="the SDK's sessions failed"):
        await imported(target, source)


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A URL of SQLAlchemy's."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'sdk.db'}"
        return
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    async with postgres(programs) as url:
        yield url


async def test_a_database(target: Session, database: str) -> None:
    old = SQLAlchemySession.from_url("s", url=database, create_tables=True)
    another = SQLAlchemySession.from_url("another", url=database, create_tables=True)
    for item in TALK:
        await old.add_items([item])
    await another.add_items(TALK[:1])
    source = SDKSource(database, match="s")
    (told,) = await imported(target, source)
    assert (told.outcome, told.turns, told.items) == ("imported", 2, 7)
    assert await target.bind("s").get_items() == TALK
    assert await outcome(target, source) == "unchanged"
    later: Any = made.user("later")
    await old.add_items([later])
    assert await outcome(target, source) == "continued"
    assert await target.bind("s").get_items() == [*TALK, later]
    found = await target.history("s")
    assert found is not None
    assert time.time() - 3600 < found[0].ended_at <= found[-1].ended_at < time.time() + 3600
    assert len(await old.get_items()) == len(TALK) + 1  # the source is only read
    with pytest.raises(StoreUnavailable, match=r"no such table|does not exist"):
        await imported(target, SDKSource(database, sessions_table="no"))
    for session in (old, another):
        await session.engine.dispose()


async def test_a_file_of_sqlalchemy_is_read_without_it(target: Session, tmp_path: Path) -> None:
    path = tmp_path / "sdk.db"
    old = SQLAlchemySession.from_url("s", url=f"sqlite+aiosqlite:///{path}", create_tables=True)
    await old.add_items(TALK)
    assert await outcome(target, SDKSource(str(path))) == "imported"
    await old.engine.dispose()


@pytest.mark.parametrize(
    ("url", "error", "says"),
    [
        ("no+such://database", UsageError, "cannot be opened"),
        ("postgresql+asyncpg://u:secret@127.0.0.1:1/d", StoreUnavailable, "Errno 111"),
    ],
)
async def test_a_database_that_is_not_there(
    target: Session, url: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        await imported(target, SDKSource(url))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("key", ["a password", "A" * 43 + "="])
async def test_encrypted_items(target: Session, tmp_path: Path, key: str) -> None:
    path = tmp_path / "sdk.db"
    inner = SDKSQLiteSession("s", path)
    old = EncryptedSession("s", inner, key, ttl=600)
    await old.add_items(TALK)
    (told,) = await imported(target, SDKSource(str(path)))
    assert "it is encrypted, and no key was given; item 1" in (told.error or "")
    (told,) = await imported(target, SDKSource(str(path), encryption_key="wrong"))
    assert "cannot be decrypted with this key" in (told.error or "")
    source = SDKSource(str(path), encryption_key=key)
    assert key not in repr(source)
    assert await outcome(target, source) == "imported"
    assert await target.bind("s").get_items() == TALK
    inner.close()


async def test_the_command(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path / 'ours.db'}", tmp_path / "sdk.db"
    for name in ("s", "a\nb"):
        (await sqlite_talk(path, name)).close()
    words = "sessions", "import", "--from", str(path)
    result = await invoked(url, *words, "--dry-run")
    assert (result.exit_code, result.output) == (0, "dry run: 2 imported; 14 items\n")
    result = await invoked(url, *words, "-o", "jsonl")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert {(each["session_id"], each["outcome"]) for each in told} == {
        ("s", "imported"),
        ("a\nb", "imported"),
    }
    result = await invoked(url, *words)
    assert (result.exit_code, result.output) == (0, "2 unchanged; 0 items\n")
    result = await invoked(url, "sessions", "import", "--from", str(tmp_path / "none.db"))
    assert (result.exit_code, "cannot be read as a SQLite file" in result.output) == (1, True)
    result = await invoked(url, "sessions", "import")
    assert result.exit_code == 2
