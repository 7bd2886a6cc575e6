"""A user with exactly the rights that docs/redis-acl.md gives."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.conformance.labs import PREFIX, RedisLab
from turnwise.contracts import Store
from turnwise.errors import StoreRefused
from turnwise.stores import redis as package
from turnwise.stores.redis import RedisStore
from turnwise.stores.redis.rights import COMMANDS, IN_SCRIPTS, LIMITS, PLAIN
from turnwise.testing.conformance import Lab, StoreConformance
from turnwise.testing.conformance.lab import added, contents, items, mint
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until

DOCUMENT = Path(__file__).parents[2] / "docs" / "redis-acl.md"
PASSWORD = "secret"


def rule() -> list[str]:
    """The words after ACL SETUSER, for the prefix of these tests."""
    block = re.search(r"```\n(ACL SETUSER .*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    words = block[1].replace("agents:sessions:", PREFIX).replace("CHOOSE-A-PASSWORD", PASSWORD)
    return words.split()[2:]


@pytest.fixture
async def url(valkey: ValkeyServer) -> AsyncIterator[str]:
    await valkey.command("FLUSHALL")
    name, *rights = rule()
    await valkey.command("ACL", "SETUSER", name, *rights)
    yield valkey.url_for(name, PASSWORD)
    await valkey.command("ACL", "DELUSER", name)


class TestMinimalUser(StoreConformance):
    @pytest.fixture
    async def lab(self, url: str) -> AsyncIterator[Lab]:
        lab = RedisLab(lambda: Redis.from_url(url), may_look=False)
        yield lab
        await lab.aclose()


def test_the_document_lists_exactly_the_commands_in_use() -> None:
    listed = {word[1:] for word in rule() if word.startswith("+")}
    folder = Path(package.__file__).parent
    scripts = "".join(path.read_text() for path in folder.glob("lua/**/*.lua"))
    in_scripts = {name.lower() for name in re.findall(r"redis\.p?call\('(\w+)'", scripts)}
    plain = {"evalsha", "eval", "scan", "ping", "subscribe", "unsubscribe", "info"}
    assert listed == in_scripts | plain | LIMITS == COMMANDS
    assert in_scripts == {"del", "set", *IN_SCRIPTS} - LIMITS
    assert plain == set(PLAIN) - LIMITS


async def test_a_refusal_says_what_to_do(url: str, valkey: ValkeyServer) -> None:
    client = Redis.from_url(url)
    store = RedisStore(client, key_prefix="another:")
    with pytest.raises(StoreRefused, match=r"session 's': .*give the user the commands"):
        await store.append("s", mint(), items(1))
    assert await valkey.command("EXISTS", "another:s") == 0
    await store.aclose()
    await client.aclose()


async def test_without_rights_to_channels_callers_ask_by_themselves(
    url: str, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def tried_twice() -> bool:
        denied = int((await valkey.info("stats"))["acl_access_denied_channel"])
        return denied >= before + 2

    before = int((await valkey.info("stats"))["acl_access_denied_channel"])
    await valkey.command("ACL", "SETUSER", rule()[0], "resetchannels")
    client = Redis.from_url(url)
    store: Store = RedisStore(client, key_prefix=PREFIX)
    async with store.waiter(mint()) as wake:
        await wake.wait(60)
        await until(tried_twice, 30, "it tried to subscribe again")
    (said,) = [record.getMessage() for record in caplog.records if "subscribe" in record.msg]
    assert f"&{{{PREFIX}*" in said
    await added(store, "s", 1)
    assert await contents(store, "s") == items(1)
    await store.aclose()
    await client.aclose()
