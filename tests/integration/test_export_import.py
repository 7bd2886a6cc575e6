"""Sessions as lines of JSON, and sessions made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fault_lab import message
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_cli import invoked, lines
from tests.integration.test_token_usage import costly, times
from tests.scripted import calls, says, weather
from turnwise import ImportedSession, MemorySession, Runner, SQLiteSession, UsageError, connect
from turnwise.session import Session

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
ODD = "a\nb\x1b%\ud800"


async def talk(session: Session, name: str = "s") -> None:
    """Turns, and changes between turns, with content of every kind."""
    bound = session.bind(name)
    helper = costly(calls("weather"), says("Sunny."), tools=[weather])
    await Runner.run(helper, "go", session=bound, turn_id="t1")
    await bound.add_items([message("one"), message("two")])
    await bound.pop_item()
    odd: Any = {"role": "user", "content": ODD, "number": 10**30, "x": [float("inf"), 0.1, None]}
    async with session.turn(name) as turn:
        await turn.add_items([odd, message("x" * 5000)])
    await session.expire(name, 5000)


async def exported(session: Session, *names: str) -> list[Any]:
    """As a file has them."""
    return [json.loads(json.dumps(line)) async for line in session.export(names or ("s",))]


async def imported(session: Session, lines: list[Any], **how: Any) -> list[ImportedSession]:
    return [each async for each in session.import_sessions(lines, **how)]


async def outcome(session: Session, lines: list[Any], **how: Any) -> str:
    (each,) = await imported(session, lines, **how)
    return each.outcome


async def test_a_session_is_the_same_elsewhere(sessions: Sessions, tmp_path: Path) -> None:
    source = sessions.worker()
    await talk(source)
    written = await exported(source)
    for target in (MemorySession(), SQLiteSession(tmp_path / "other.db")):
        async with target:
            (told,) = await imported(target, written)
            assert (told.outcome, told.turns, told.items) == ("imported", 4, 7)
            assert await target.history("s") == await source.history("s")
            found, before = await target.info("s"), await source.info("s")
            assert found is not None
            assert before is not None
            assert (found.items, found.bytes, found.turns) == (7, before.bytes, 4)
            assert (found.created_at, found.usage) == (before.created_at, times(2))
            assert 4900 < (found.expires_in or 0) <= 5000
            again = costly(says("never asked"))
            result = await Runner.run(again, "go", session=target.bind("s"), turn_id="t1")
            assert result.final_output == "Sunny."
            assert result.context_wrapper.usage.requests == 2


async def test_a_second_run_changes_nothing(sessions: Sessions) -> None:
    source = sessions.worker()
    await talk(source)
    written = await exported(source)
    async with MemorySession() as target:
        assert await outcome(target, written, dry_run=True) == "imported"
        assert await target.info("s") is None
        await imported(target, written)
        before = await target.info("s")
        for dry_run in (True, False):
            assert await outcome(target, written, dry_run=dry_run) == "unchanged"
        after = await target.info("s")
        assert before is not None
        assert after is not None
        assert (after.updated_at, after.turns) == (before.updated_at, before.turns)
        await source.bind("s").add_items([message("later")])
        (told,) = await imported(target, await exported(source))
        assert (told.outcome, told.turns, told.items) == ("continued", 1, 1)
        assert await target.history("s") == await source.history("s")
        await target.bind("s").add_items([message("here")])
        assert await outcome(target, written) == "unchanged"


async def test_another_history_is_left_as_it_is(sessions: Sessions) -> None:
    source, target = sessions.worker(), sessions.worker()
    await talk(source)
    written = await exported(source)
    await target.delete("s")
    await target.bind("s").add_items([message("mine")])
    assert await outcome(target, written) == "exists"
    await target.delete("s")
    async with target.turn("s") as turn:
        (told,) = await imported(target, written)
        assert told.outcome == "refused"
        assert "it is busy" in (told.error or "")
        await turn.add_items([message("mine")])
    assert await target.bind("s").get_items() == [message("mine")]


async def test_lines_that_are_missing_or_wrong(sessions: Sessions) -> None:
    source = sessions.worker()
    for name in ("s", "s2"):
        await talk(source, name)
    written = await exported(source, "s", "nobody", "s2")
    async with MemorySession() as target:
        told = await imported(target, written[:-1])
        assert [each.outcome for each in told] == ["imported", "refused", "refused"]
        assert told[1].error == "there is no such session"
        assert "not complete" in (told[2].error or "")
        assert await target.info("s2") is None
        told = await imported(target, [line for line in written if line.get("turn_id") != "t1"])
        assert [each.outcome for each in told] == ["refused"] * 3
        assert [each.outcome for each in await imported(target, written)] == [
            "unchanged",
            "refused",
            "imported",
        ]
        for wrong in ({"type": "other"}, {"type": "turn"}, 7, {"type": "session"}):
            with pytest.raises(UsageError, match="line 1 is none of an export"):
                await imported(target, [wrong])
        with pytest.raises(UsageError, match="a newer version wrote it"):
            await imported(target, [{"type": "session", "format": 99, "session_id": "s"}])
        with pytest.raises(UsageError, match="no session id"):
            await imported(target, [{"type": "session", "format": 1, "session_id": ""}])


async def test_an_expired_session_does_not_come_back(sessions: Sessions) -> None:
    source = sessions.worker()
    await talk(source)
    written = await exported(source)
    written[0]["expires_at"] = 1.0
    async with MemorySession() as target:
        assert await outcome(target, written) == "expired"
        assert await target.info("s") is None


async def test_an_item_that_cannot_be_read_leaves_the_others(tmp_path: Path) -> None:
    async with MemorySession() as source:
        await talk(source)
        await source.bind("other").add_items([message("well")])
        store: Any = source.runtime.store
        state = store.memory.sessions["s"]
        elements = state.history(0, 99)
        state.truncate(0)
        state.extend([b"\x7fdamaged", *elements[1:]])
        written = await exported(source, "s", "other")
        ends = [line for line in written if line["type"] == "end"]
        assert "position 0" in ends[0]["error"]
        async with MemorySession() as target:
            told = await imported(target, written)
            assert [each.outcome for each in told] == ["refused", "imported"]


async def test_the_commands(tmp_path: Path) -> None:
    url, other = (f"sqlite:///{tmp_path / name}.db" for name in ("one", "two"))
    file = str(tmp_path / "sessions.jsonl")
    async with connect(url) as session:
        await talk(session)
        await talk(session, "a\nb")
    result = await invoked(url, "sessions", "export", "s", "a\nb", "nobody", "--file", file)
    assert (result.exit_code, "nobody: there is no such session" in result.output) == (1, True)
    kinds = [json.loads(line)["type"] for line in Path(file).read_text().splitlines()]
    assert kinds.count("session") == kinds.count("end") == 3
    result = await invoked(url, "sessions", "export", "s", "--file", file)
    assert (result.exit_code, "File exists" in result.output) == (1, True)
    assert len(await lines(url, "sessions", "export", "--match", "s")) == 6
    result = await invoked(other, "sessions", "import", file, "--dry-run")
    assert "dry run: 2 imported, 1 refused; 14 items" in result.output
    result = await invoked(other, "sessions", "import", file)
    assert (result.exit_code, "2 imported, 1 refused; 14 items" in result.output) == (1, True)
    async with connect(other) as target:
        assert {name async for name in target.scan()} == {"s", "a\nb"}
    result = await invoked(other, "sessions", "import", file, "-o", "jsonl")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["outcome"] for each in told] == ["unchanged", "unchanged", "refused"]
    (tmp_path / "bad").write_text('{"type":\n')
    result = await invoked(other, "sessions", "import", str(tmp_path / "bad"))
    assert (result.exit_code, "line 1 is no JSON" in result.output) == (1, True)
    result = await invoked(other, "sessions", "import", str(tmp_path / "none"))
    assert (result.exit_code, "cannot read" in result.output) == (1, True)
