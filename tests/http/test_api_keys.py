"""Who shows an API key is its owner; whoever shows anything else is nobody."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.http.visitors import asked, visitor
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_cli import invoked, lines
from turnwise import UsageError, connect
from turnwise.errors import StoreUnavailable
from turnwise.fleet.api_keys import ApiKeys
from turnwise.http import api_keys as module
from turnwise.http.api_keys import by_api_key
from turnwise.session import Session

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


@pytest.fixture
def session(sessions: Sessions) -> Session:
    return sessions.worker()


@pytest.fixture
def keys(session: Session) -> ApiKeys:
    return ApiKeys(session.runtime)


async def test_a_key_is_its_owner_s(session: Session, keys: ApiKeys) -> None:
    first, key = await keys.create("alice", "laptop")
    second, _ = await keys.create("alice")
    other, _ = await keys.create("bob")
    async with visitor(by_api_key(session)) as client:
        for text, owner in ((first, "alice"), (second, "alice"), (other, "bob")):
            for _ in range(2):
                answer = await asked(client, text)
                assert (answer.status_code, answer.json()["owner"]) == (200, owner)
        assert (await asked(client, first)).json()["key"] == f"key {key.id}"
        assert (await client.get("/who", headers={"authorization": f"bearer  {first}"})).is_success


async def test_whatever_else_is_nobody_s(session: Session, keys: ApiKeys) -> None:
    text, key = await keys.create("alice")
    revoked, revoked_key = await keys.create("alice")
    await keys.revoke(revoked_key.id)
    secret = text.split("_", 2)[2]
    wrong = [
        *(text[:-1], text + "x", text.upper(), f"tw_{key.id}_", f"tw_{key.id}", "tw__" + secret),
        *(f"tw_{'0' * 16}_{secret}", f"tw_{revoked_key.id}_{secret}", revoked, secret, "tw", "x"),
        *("tw_used {key.id}_x", "é", "\x00", "x" * 10_000),
    ]
    async with visitor(by_api_key(session)) as client:
        told = set[tuple[int, str]]()
        for each in wrong:
            header = b"Authorization", f"Bearer {each}".encode("latin-1", errors="replace")
            answer = await client.get("/who", headers=[header])
            assert answer.headers["www-authenticate"] == "Bearer"
            told.add((answer.status_code, answer.text))
        assert told == {(401, '{"detail":"The API key is not valid."}')}
        for headers in ({}, {"Authorization": text}, {"Authorization": f"Basic {text}"}):
            answer = await client.get("/who", headers=headers)
            assert (answer.status_code, "Bearer" in answer.json()["detail"]) == (401, True)


async def test_an_unknown_and_a_revoked_key_take_the_same_path(
    session: Session, keys: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, key = await keys.create("alice")
    await keys.revoke(key.id)
    calls, store = Counter[str](), session.runtime.store
    registry: Any = store.api_keys

    class Counting:
        def __getattr__(self, name: str) -> Any:
            calls[name] += 1
            return getattr(registry, name)

    counted = ApiKeys(session.runtime)
    monkeypatch.setattr(counted, "_registry", Counting())
    paths = []
    for shown in (text, f"tw_{'0' * 16}_{text.split('_', 2)[2]}", f"tw_{key.id}_wrong"):
        assert await counted.find(shown) is None
        paths.append(dict(calls))
        calls.clear()
    assert paths == [{"read": 1}] * 3


async def test_a_revoked_key_is_refused_once_it_is_no_longer_believed(
    session: Session, keys: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, key = await keys.create("alice")
    async with visitor(by_api_key(session)) as client:
        assert (await asked(client, text)).status_code == 200
        assert await keys.revoke(text)
        monkeypatch.setattr(module, "_BELIEVED_FOR", 0.0)
        async with visitor(by_api_key(session)) as other:
            assert (await asked(other, text)).status_code == 401
    assert await keys.revoke(key.id)
    assert not await keys.revoke("none")
    (found,) = await keys.list()
    assert found.revoked_at is not None
    await keys._note(key.id)  # a server that let it in a moment ago
    assert await keys.find(text) is None


async def test_the_store_never_has_the_key(session: Session, keys: ApiKeys) -> None:
    text, _ = await keys.create("alice")
    assert await keys.find(text) is not None
    stored = await session.runtime.store.api_keys.list()
    assert len(stored) == 2
    for entry in stored:
        assert text.split("_", 2)[2].encode() not in entry.record
    assert text.split("_", 2)[2] not in json.dumps([str(each) for each in await session.audit()])


async def test_what_is_known_of_keys(session: Session, keys: ApiKeys) -> None:
    text, key = await keys.create("alice", "laptop", by="anna", reason="new")
    await keys.create("bob")
    assert [(each.owner, each.name) for each in await keys.list()] == [
        ("alice", "laptop"),
        ("bob", ""),
    ]
    (found,) = await keys.list("alice")
    assert found == key
    assert (found.last_used_at, found.revoked_at) == (None, None)
    await keys.find(text)
    (used,) = await keys.list("alice")
    assert used.last_used_at is not None
    assert used.last_used_at >= used.created_at - 1
    await keys.revoke(key.id, by="otto")
    deeds = [(each.action, each.by, each.target) for each in await session.audit()]
    assert deeds[0] == ("revoke_key", "otto", key.id)
    assert deeds[-1] == ("create_key", "anna", key.id)


async def test_what_cannot_be_a_key(session: Session, keys: ApiKeys) -> None:
    with pytest.raises(UsageError, match="is no owner"):
        await keys.create("")
    with pytest.raises(UsageError, match="name"):
        await keys.create("alice", "x" * 201)
    with pytest.raises(UsageError, match="concerns the sessions of all owners"):
        ApiKeys(session.for_owner("alice").runtime)
    assert await keys.list() == []


async def test_records_of_another_version_are_passed_over(session: Session, keys: ApiKeys) -> None:
    await session.runtime.store.api_keys.write("0123456789abcdef", b"{?")
    assert await keys.list() == []
    assert await keys.find("tw_0123456789abcdef_secret") is None


async def test_the_command_line_makes_lists_and_revokes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    made = await invoked(url, "keys", "create", "alice", "--name", "laptop")
    assert made.exit_code == 0
    text = made.stdout.strip()
    async with connect(url) as session:
        found = await ApiKeys(session.runtime).find(text)
        assert found is not None
        assert found.owner == "alice"
    (listed,) = await lines(url, "keys", "list", "--owner", "alice", "--output", "jsonl")
    assert json.loads(listed)["id"] == found.id
    assert text not in listed
    assert await lines(url, "keys", "revoke", found.id, "--yes") == [f"revoked: {found.id}"]
    missing = await invoked(url, "keys", "revoke", "none", "--yes")
    assert missing.exit_code == 1
    async with connect(url) as session:
        assert await ApiKeys(session.runtime).find(text) is None


async def test_a_use_that_could_not_be_noted_is_noted_at_the_next_one(
    keys: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise StoreUnavailable("it does not answer", session_id=None)

    text, _ = await keys.create("alice")
    with monkeypatch.context() as broken:
        broken.setattr(keys._registry, "write", fail)
        assert await keys.find(text) is not None
    await keys.find(text)
    (used,) = await keys.list("alice")
    assert used.last_used_at is not None
