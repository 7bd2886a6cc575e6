"""The verbs that delete sessions or let them expire: those named, or those that filters find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fault_lab import message
from tests.integration.test_cli import invoked, lines
from turnwise import connect
from turnwise.cli.session_filters import Target, Wanted
from turnwise.session import Session


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sessions.db'}"


async def fill(session: Session, count: int = 3) -> None:
    for number in range(count):
        await session.bind(f"user-{number}").add_items([message("hi")])


async def left(session: Session) -> list[str]:
    return sorted([each async for each in session.scan()])


async def outcomes(url: str, *words: str) -> tuple[int, list[Any]]:
    result = await invoked(url, "sessions", *words, "-o", "jsonl")
    rows = map(json.loads, result.stdout.splitlines())
    return result.exit_code, [(row["id"], row["outcome"]) for row in rows]


async def test_sessions_are_deleted_by_id(url: str) -> None:
    async with connect(url) as session:
        await fill(session)
        refused = await invoked(url, "sessions", "delete", "user-1")
        assert (refused.exit_code, "Delete user-1?" in refused.stderr) == (1, True)
        dry = await lines(url, "sessions", "delete", "user-1", "--dry-run")
        assert dry == ["would be deleted: user-1"]
        assert await left(session) == ["user-0", "user-1", "user-2"]
        assert await lines(url, "sessions", "delete", "user-1", "--yes") == ["deleted: user-1"]
        again = await outcomes(url, "delete", "user-1", "user-2", "--yes")
        assert again == (1, [("user-1", "failed"), ("user-2", "deleted")])
        assert await left(session) == ["user-0"]


async def test_sessions_are_deleted_by_the_filters_of_list(url: str) -> None:
    async with connect(url, worker="me") as session:
        await fill(session, 5)
        for words in ((), ("user-1", "--match", "*")):
            mistake = await invoked(url, "sessions", "delete", *words)
            assert (mistake.exit_code, "give ids" in mistake.output) == (2, True)
        assert await outcomes(url, "delete", "--yes", "--min-age", "3600") == (0, [])
        async with session.turn("user-3"):
            assert await lines(url, "sessions", "delete", "--dry-run", "--worker", "me") == [
                "would be deleted: user-3"
            ]
            code, rows = await outcomes(url, "delete", "--yes", "--state", "idle")
            assert (code, sorted(rows)) == (0, [(f"user-{n}", "deleted") for n in (0, 1, 2, 4)])
        assert await left(session) == ["user-3"]


async def test_what_was_done_before_ctrl_c_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = Session.delete

    async def interrupted(self: Session, session_id: str, **how: Any) -> bool:
        if session_id == "user-1":
            raise KeyboardInterrupt
        return await delete(self, session_id, **how)

    async with connect(url) as session:
        await fill(session)
        monkeypatch.setattr(Session, "delete", interrupted)
        result = await invoked(url, "sessions", "delete", "--match", "*", "--yes")
        assert (result.exit_code, result.stdout) == (130, "deleted: user-0\n")
        assert await left(session) == ["user-1", "user-2"]


async def test_what_changed_since_it_was_found_is_another(url: str) -> None:
    async with connect(url) as session:
        await fill(session, 3)
        wanted = Wanted(match="*")
        targets = {target.id: target for target in await wanted.find(session)}
        await session.bind("user-0").add_items([message("back again")])
        await session.delete("user-1")
        named = Target("user-0")
        assert [await targets[f"user-{n}"].is_other(session) for n in range(3)] == [
            *(True, True, False),
        ]
        assert not await named.is_other(session)
        async with session.turn("user-2"):
            assert await targets["user-2"].is_other(session)


async def test_sessions_expire(url: str) -> None:
    async with connect(url) as session:
        await fill(session)
        for words in ((), ("--ttl", "9", "--never")):
            mistake = await invoked(url, "sessions", "expire", "user-0", *words)
            assert (mistake.exit_code, "give --ttl" in mistake.output) == (2, True)
        wrong = await invoked(url, "sessions", "expire", "user-0", "--ttl", "0", "--yes")
        assert wrong.exit_code != 0
        ttl = "--ttl", "1000"
        assert await lines(url, "sessions", "expire", "user-0", *ttl, "--dry-run") == [
            "would be set to expire in 1000 s: user-0"
        ]
        assert await expiry(session) == [None, None, None]
        code, rows = await outcomes(url, "expire", "--match", "user-[01]", *ttl, "--yes")
        assert (code, len(rows)) == (0, 2)
        assert [each is not None and 0 < each <= 1000 for each in await expiry(session)] == [
            *(True, True, False),
        ]
        told = await lines(url, "sessions", "expire", "user-0", "--never", "--yes")
        assert told == ["kept for good: user-0"]
        assert (await expiry(session))[0] is None
        assert (await outcomes(url, "expire", "nobody", *ttl, "--yes"))[0] == 1


async def expiry(session: Session) -> list[float | None]:
    found = [await session.info(f"user-{n}") for n in range(3)]
    return [each.expires_in for each in found if each is not None]
