"""Doctor finds nothing on servers that run with the files of deploy/redis."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conformance.test_acl import DOCUMENT
from tests.doctor.lab import SHIPPED, diagnosed, found, shipped, well
from tests.integration.fault_lab import message
from turnwise import connect
from turnwise.testing.servers import (
    Node,
    RedisServer,
    ServerNotFound,
    ValkeyCluster,
    ValkeyServer,
    find_redis,
    supports_tls,
)
from turnwise.testing.servers.binaries import find_server
from turnwise.testing.servers.node import parse_info
from turnwise.testing.servers.waiting import until


async def test_a_single_server_with_an_append_only_file() -> None:
    async with well() as server:
        report = await diagnosed(server.url)
        assert report.faults == []
        assert report.exit_code == 0
        assert {finding.severity for finding in report.findings} == {"ok"}


async def test_a_cluster() -> None:
    async with ValkeyCluster(config=shipped("cluster.conf")) as cluster:
        report = await diagnosed(cluster.url)
        assert report.faults == []
        asked = {finding.where for finding in report.findings if finding.name == "server"}
        assert len(asked) == len(cluster.nodes) == 6


@asynccontextmanager
async def sentinels(folder: Path) -> AsyncIterator[str]:
    """The URL of three servers behind three Sentinels, each with its shipped file."""
    place = {"bind": Node.host}
    replicated = {**shipped("replicated.conf"), **place}
    primary, *replicas = [
        Node(find_server(), folder / f"server-{number}", replicated) for number in range(3)
    ]
    watching: list[Node] = []
    try:
        await primary.start()
        settings = {**shipped("sentinel.conf"), **place}
        at = f"{Node.host} {primary.port}"
        settings["sentinel"] = [line.replace("127.0.0.1 6379", at) for line in settings["sentinel"]]
        watching = [
            Node(find_server(), folder / f"sentinel-{n}", settings, arguments=["--sentinel"])
            for n in range(3)
        ]
        await asyncio.gather(*(node.start() for node in (*replicas, *watching)))
        for replica in replicas:
            await replica.command("REPLICAOF", Node.host, primary.port)

        async def acquainted() -> bool:
            info = await primary.info("replication")
            views = [
                parse_info(await each.command("INFO", "sentinel"))["master0"] for each in watching
            ]
            return info.get("min_slaves_good_slaves") == "2" and all(
                "status=ok" in view and "slaves=2,sentinels=3" in view for view in views
            )

        await until(acquainted, 90, "the Sentinels knew all")
        hosts = ",".join(f"{each.host}:{each.port}" for each in watching)
        yield f"redis+sentinel://{hosts}/turnwise/0"
    finally:
        await asyncio.gather(*(node.kill() for node in (primary, *replicas, *watching)))


async def test_servers_behind_sentinel(tmp_path: Path) -> None:
    async with sentinels(tmp_path) as url:
        report = await diagnosed(url)
        assert report.faults == []
        names = [finding.name for finding in report.findings]
        assert names.count("server") == 3
        assert "sentinel" in names


async def test_tls_and_users_with_few_rights() -> None:
    binary = find_redis()
    if binary is None or not supports_tls(binary):
        pytest.skip("no server with TLS built in is installed")
    server = ValkeyServer(
        binary=binary, tls=True, users=SHIPPED / "users.acl", config=shipped("tls-acl.conf")
    )
    async with server:
        url = server.url_for("turnwise", "CHOOSE-A-PASSWORD")
        # That the distribution's server is old is no fault of the file.
        assert await found(url) - {"server-known-bad"} == set()
        async with connect(url) as session:
            await session.bind("s").add_items([message("hello")])
            # With the default user off, some versions drop what they read from the file.
            await server.restart(kill=True)
            assert await session.bind("s").get_items() == [message("hello")]


def test_the_shipped_user_has_the_rights_that_the_page_lists() -> None:
    block = re.search(r"ACL SETUSER turnwise reset (.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    (line,) = [
        line for line in (SHIPPED / "users.acl").read_text().splitlines() if " turnwise " in line
    ]
    assert set(line.split()[2:]) == {*block[1].split(), "+hello"}


async def test_a_default_user_without_rights_loses_what_is_in_the_file() -> None:
    """Why the shipped default user is off and keeps its rights."""
    try:
        server = RedisServer(
            users={"default": "off", "turnwise": "on >p ~* &* +@all"},
            config=shipped("single.conf"),
        )
    except ServerNotFound as error:
        pytest.skip(str(error))
    async with server:
        url = server.url_for("turnwise", "p")
        (fault,) = [
            fault for fault in (await diagnosed(url)).faults if fault.name != "server-known-bad"
        ]
        assert fault.name == "default-user-rights"
        command, _, _ = fault.fix.partition(", and")
        await server.command(*command.replace("'", "").split()[1:])
        assert "default-user-rights" not in await found(url)
