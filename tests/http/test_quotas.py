"""What is too much is refused with 429 and when to come back."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from fastapi import HTTPException

from tests.docs.pages import text_of
from tests.integration.background_lab import echo, output, working
from tests.integration.stores import Sessions, new_sessions_of
from turnwise import UsageError, connect
from turnwise.errors import StoreRefused
from turnwise.http import Principal
from turnwise.http.quotas import Quota, Quotas
from turnwise.testing.servers import ValkeyCluster, ValkeySentinel, ValkeyServer

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
NONE: dict[str, Any] = dict.fromkeys(Quota.__dataclass_fields__)
ALICE, BOB = Principal("alice", "key 1"), Principal("bob", "key 2")


def limited(sessions: Sessions, **quota: Any) -> Quotas:
    return Quotas(sessions.worker(), Quota(**{**NONE, **quota}))


async def refused(counted: Any, status: int = 429) -> HTTPException:
    with pytest.raises(HTTPException) as raised:
        await counted
    assert raised.value.status_code == status
    if status == 429:
        assert raised.value.headers is not None
        assert int(raised.value.headers["Retry-After"]) >= 1
    return raised.value


async def test_requests_are_counted_for_each_principal(sessions: Sessions) -> None:
    quotas = limited(sessions, requests="3/hour")
    for _ in range(3):
        await quotas.request(ALICE)
    error = await refused(quotas.request(ALICE))
    assert error.headers is not None
    assert 1 <= int(error.headers["Retry-After"]) <= 3600
    await quotas.request(BOB)
    await quotas.message(ALICE, "s", "t", "hi")  # which has no limit


async def test_servers_of_a_fleet_on_redis_count_together(sessions: Sessions) -> None:
    first, second = (limited(sessions, turns="2/hour") for _ in range(2))
    if not hasattr(first._session.runtime.store, "keys"):
        return  # each process for itself
    await first.message(ALICE, "s", "t", "hi")
    await second.message(ALICE, "s", "u", "hi")
    await refused(first.message(ALICE, "s", "v", "hi"))
    await refused(second.message(ALICE, "s", "v", "hi"))


async def test_without_limits_nothing_is_asked(sessions: Sessions) -> None:
    quotas = limited(sessions)
    for number in range(100):
        await quotas.request(ALICE)
        await quotas.message(ALICE, f"s{number}", "t", "x" * 10_000)
    assert await quotas._session.runtime.store.open_turns.list() == []


async def test_only_new_sessions_count_as_new(sessions: Sessions) -> None:
    quotas = limited(sessions, new_sessions="1/hour")
    session = sessions.worker().for_owner("alice")
    await quotas.message(ALICE, "s", "t", "hi")
    await session.submit("s", "hi", agent="echo", turn_id="t")
    for number in range(5):
        await quotas.message(ALICE, "s", f"t{number}", "hi")
    await refused(quotas.message(ALICE, "another", "t", "hi"))
    await quotas.message(BOB, "bobs", "t", "hi")


async def test_open_turns_are_counted_until_they_end(sessions: Sessions) -> None:
    quotas, session = limited(sessions, open_turns=2), sessions.worker().for_owner("alice")

    async def send(turn_id: str) -> Any:
        await quotas.message(ALICE, "s", turn_id, "hi")
        return await session.submit("s", "hi", agent="echo", turn_id=turn_id)

    receipts = [await send("t1"), await send("t2")]
    await refused(quotas.message(ALICE, "s", "t3", "hi"))
    await send("t1")  # it is sent again
    await quotas.message(BOB, "bobs", "t", "hi")
    async with working(sessions.worker(), echo()):
        await asyncio.gather(*map(output, receipts))
    await output_of(sessions, await send("t3"))
    await send("t4")
    await send("t5")
    await refused(quotas.message(ALICE, "s", "t6", "hi"))


async def output_of(sessions: Sessions, receipt: Any) -> None:
    async with working(sessions.worker(), echo()):
        await output(receipt)


async def test_a_message_that_was_counted_and_never_sent_blocks_nobody(sessions: Sessions) -> None:
    quotas = limited(sessions, open_turns=1)
    for number in range(3):
        await quotas.message(ALICE, "s", f"t{number}", "hi")


async def test_streams_are_counted_while_they_are_open(sessions: Sessions) -> None:
    quotas = limited(sessions, open_streams=2)
    with quotas.stream(ALICE), quotas.stream(ALICE), quotas.stream(BOB):
        with pytest.raises(HTTPException) as raised, quotas.stream(ALICE):
            pass
        assert raised.value.status_code == 429
    with quotas.stream(ALICE), quotas.stream(ALICE):
        pass
    assert not quotas._streams


async def test_a_message_may_not_be_too_large(sessions: Sessions) -> None:
    quotas = limited(sessions, message_bytes=100)
    await quotas.message(ALICE, "s", "t", "x" * 98)
    for large in ("x" * 99, "é" * 50, [{"role": "user", "content": "x" * 80}]):
        await refused(quotas.message(ALICE, "s", "t", large), 413)


@pytest.mark.parametrize("wrong", [{"requests": "many"}, {"turns": ""}, {"open_turns": 0}])
def test_what_is_no_quota(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Quota(**wrong)


@pytest.mark.parametrize("topology", [ValkeyCluster, ValkeySentinel])
async def test_limits_count_wherever_the_sessions_are(topology: Any) -> None:
    async with topology() as servers, connect(servers.url) as session:
        quotas = [Quotas(session, Quota(**{**NONE, "turns": "2/hour"})) for _ in range(2)]
        for name in ("alice", "b}{ob", "größe 日本"):
            principal = Principal(name, name)
            for each in quotas:
                await each.message(principal, "s", "t", "hi")
            for each in quotas:
                await refused(each.message(principal, "s", "t", "hi"))


async def test_limits_need_no_more_rights_than_the_page_says() -> None:
    (rule,) = re.findall(
        r"```\n(ACL SETUSER turnwise .*?)```", text_of("docs/redis-acl.md"), re.DOTALL
    )
    async with ValkeyServer() as server:
        words = rule.replace("CHOOSE-A-PASSWORD", "secret").split()
        await server.command(*words)
        url = server.url_for("turnwise", "secret")
        async with connect(url) as session:
            quotas = Quotas(session, Quota(**{**NONE, "turns": "1/hour", "open_turns": 2}))
            await quotas.message(ALICE, "s", "t", "hi")
            await refused(quotas.message(ALICE, "s", "t", "hi"))


async def test_a_right_that_is_missing_is_not_told_as_an_outage() -> None:
    """A client that sends the request again would never get an answer."""
    async with ValkeyServer() as server:
        rights = ["on", ">secret", "~*", "&*", "+@all", "-script|load"]
        await server.command("ACL", "SETUSER", "turnwise", "reset", *rights)
        async with connect(server.url_for("turnwise", "secret")) as session:
            quotas = Quotas(session, Quota(**{**NONE, "turns": "1/hour"}))
            with pytest.raises(StoreRefused, match=r"refused .*script\|load.*give the user"):
                await quotas.message(ALICE, "s", "t", "hi")
