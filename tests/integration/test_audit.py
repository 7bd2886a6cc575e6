"""What operators do leaves a record: who, why, and what became of it."""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from agents import SQLiteSession as SDKSession

from tests.integration.approval_lab import Clerk, waiting
from tests.integration.background_lab import echo
from tests.integration.fault_lab import AnySession, message
from tests.integration.test_cli import invoked, lines
from turnwise import (
    AuditRecord,
    NoPendingApproval,
    RedisSession,
    SDKSource,
    StoreError,
    UsageError,
    connect,
)
from turnwise.background import Policy
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
US = f"{getpass.getuser()}@{socket.gethostname()}"


def told(record: AuditRecord) -> tuple[Any, ...]:
    return record.action, record.session_id, record.target, record.outcome


async def fail(message: str) -> None:
    raise RuntimeError("no such thing")


async def test_each_action_leaves_a_record(session: AnySession) -> None:
    await session.bind("s").add_items([message("nobody's business")])
    assert await session.delete("none", by="anna", reason="tidy up") is False
    assert await session.expire("s", 3600, reason="trial")
    await session.submit("s", "nobody's business", agent="echo", turn_id="t")
    assert (await session.cancel("s", "t", reason="stuck", by="bob")).outcome == "dropped"
    assert await session.delete("s")
    found = await session.audit()
    assert [told(record) for record in found] == [
        ("delete", "s", "", "done"),
        ("cancel", "s", "t", "dropped"),
        ("expire", "s", "in 3600 s", "done"),
        ("delete", "none", "", "absent"),
    ]
    assert [record.by for record in found] == [US, "bob", US, "anna"]
    assert [record.reason for record in found] == ["", "stuck", "trial", "tidy up"]
    assert all(time.time() - 60 < record.at < time.time() + 60 for record in found)


async def test_dead_letters(session: AnySession) -> None:
    for turn_id in ("t1", "t2"):
        await session.submit("s", "bad", agent="echo", turn_id=turn_id)
    await session.drain("s", [echo(fail)], Policy(max_attempts=1))
    first, second = await session.dead_letters()
    await session.retry_dead_letter(first.id, reason="mended", by="anna")
    await session.delete_dead_letter(second, reason="spam", by="anna")
    with pytest.raises(UsageError, match="there is no dead letter"):
        await session.delete_dead_letter(second.id)
    deleted, retried = await session.audit()
    assert told(deleted) == ("delete_dead_letter", "s", second.id, "done")
    assert told(retried) == ("retry_dead_letter", "s", first.id, "done")


async def test_decisions_are_told_without_what_the_model_gets(session: AnySession) -> None:
    bound, clerk = session.bind("s"), Clerk()
    await waiting(bound, clerk, "pay", "send")
    pay, send = await bound.pending_approvals()
    await bound.decide(approve=[pay.id], reason="4711", by="anna")
    await bound.decide(reject={send.id: "nobody's business"})
    with pytest.raises(NoPendingApproval):
        await session.decide("s", approve=["none"])
    again, rejected, approved = await session.audit()
    assert told(approved) == ("decide", "s", f"approve {pay.id}", "done")
    assert told(rejected) == ("decide", "s", f"reject {send.id}", "done")
    assert told(again) == ("decide", "s", "approve none", "NoPendingApproval")
    assert "business" not in repr(await session.audit())


async def test_an_import_leaves_one_record_however_many_sessions_it_has(
    session: AnySession, tmp_path: Path
) -> None:
    old = SDKSession("old", tmp_path / "sdk.db")
    await old.add_items([message("hi")])
    old.close()
    for number in range(3):
        await session.bind(f"s{number}").add_items([message("hi")])
    lines = [line async for line in session.export(["s0", "s1", "s2", "none"])]
    await session.delete("s0", by="another")
    how: dict[str, Any] = {"reason": "4711", "by": "anna"}
    for dry_run in (True, False):
        asked = session.import_sessions(lines, dry_run=dry_run, **how)
        assert len([each async for each in asked]) == 4
    source = SDKSource(f"sqlite:///{tmp_path / 'sdk.db'}")
    assert [each.outcome async for each in session.import_from(source, **how)] == ["imported"]
    nowhere = SDKSource("redis://user:secret@127.0.0.1:1/0?password=secret")
    with pytest.raises(StoreError):
        _ = [each async for each in session.import_from(nowhere, **how)]
    left: Any = session.import_sessions(lines, **how)
    await anext(left)
    await left.aclose()
    found = await session.audit(by="anna")
    assert [told(record) for record in found] == [
        ("import_sessions", "", "", None),
        ("import_from", "", "redis://user:***@127.0.0.1:1/0?...", "StoreUnavailable"),
        ("import_from", "", f"sqlite:///{tmp_path / 'sdk.db'}", "1 imported"),
        ("import_sessions", "", "", "1 imported, 1 refused, 2 unchanged"),
    ]


async def test_a_normal_turn_leaves_no_record(session: AnySession) -> None:
    async with session.turn("s") as turn:
        await turn.add_items([message("hi")])
    await session.submit("s", "hi", agent="echo", busy="interrupt")
    await session.drain("s", [echo()])
    await session.bind("s").clear_session()
    assert await session.audit() == []


async def test_an_action_whose_process_goes_away_has_an_unknown_outcome(
    session: AnySession,
) -> None:
    await session.runtime.store.begin("s", "t", "token", 60_000, worker="that does not answer")
    cancelling = asyncio.create_task(session.cancel("s", "t", timeout=600))

    async def is_asked() -> bool:
        info = await session.info("s")
        return info is not None and info.open_turn is not None and bool(info.open_turn.cancel_mode)

    await until(is_asked, 30, "the turn is asked to end")
    cancelling.cancel()
    await asyncio.wait([cancelling])
    (record,) = await session.audit()
    assert told(record) == ("cancel", "s", "t", None)


@pytest.mark.parametrize("how", [{"reason": "x" * 1001}, {"by": ""}, {"by": "x" * 201}, {"by": 3}])
async def test_bad_words_are_refused_and_nothing_is_done(
    session: AnySession, how: dict[str, Any]
) -> None:
    await session.bind("s").add_items([message("hi")])
    with pytest.raises(UsageError, match="bytes"):
        await session.delete("s", **how)
    assert (await session.audit(), await session.info("s") is None) == ([], False)


async def test_without_a_record_nothing_is_done(server: ValkeyServer, tmp_path: Path) -> None:
    prefix = f"{tmp_path.name}:"
    async with RedisSession.from_url(server.url, key_prefix=prefix) as session:
        await session.bind("s").add_items([message("hi")])
        await server.command("SET", f"{{{prefix}audit}}", "something else")
        with pytest.raises(StoreError):
            await session.delete("s")
        assert await session.info("s") is not None


async def test_pages_and_filters(session: AnySession) -> None:
    for number in range(7):
        await session.delete(f"s{number}", by="anna" if number % 2 else "bob")
    await session.expire("s1", None, by="anna")
    names = [record.session_id for record in await session.audit(action="delete", count=3)]
    assert names == ["s6", "s5", "s4"]
    first = await session.audit(count=3)
    rest = await session.audit(before=first[-1].id)
    assert [r.session_id for r in (*first, *rest)] == ["s1", *(f"s{n}" for n in range(6, -1, -1))]
    assert [told(record)[:3] for record in await session.audit("s[01]", by="anna")] == [
        ("expire", "s1", "never"),
        ("delete", "s1", ""),
    ]
    assert await session.audit(since=time.time() + 3600) == []
    assert len(await session.audit(since=time.time() - 3600)) == 8
    with pytest.raises(UsageError, match="count"):
        await session.audit(count=0)


async def test_the_command(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        for number in range(3):
            await session.bind(f"s{number}").add_items([message("hi")])
    words = "--yes", "--reason", "4711", "--by", "anna"
    await lines(url, "sessions", "delete", "--match", "s[01]", *words)
    await lines(url, "sessions", "expire", "s2", "--ttl", "60", *words)
    await lines(url, "turns", "cancel", "s2", *words)
    await invoked(url, "approvals", "approve", "s2", "a1", *words[1:])
    rows = [json.loads(row) for row in await lines(url, "audit", "-o", "jsonl")]
    assert [(row["action"], row["target"], row["outcome"]) for row in rows] == [
        ("decide", "approve a1", "NoPendingApproval"),
        ("cancel", "", "absent"),
        ("expire", "in 60 s", "done"),
        ("delete", "", "done"),
        ("delete", "", "done"),
    ]
    assert {(row["by"], row["reason"]) for row in rows} == {("anna", "4711")}
    cut = await invoked(url, "audit", "--by", "anna", "--match", "s2", "--count", "2")
    assert f"there may be more: --before {rows[1]['id']}" in cut.stderr
    assert "cancel" in cut.stdout
    (last,) = await lines(url, "audit", "--before", str(rows[3]["id"]), "-o", "jsonl")
    assert json.loads(last) == rows[4]
    assert await lines(url, "audit", "--max-age", "0", "-o", "jsonl") == []
