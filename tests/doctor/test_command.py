"""`turnwise doctor` as it is called, and that its page and these tests have every fault."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.doctor.lab import well
from tests.integration.test_cli import invoked
from turnwise import MemorySession
from turnwise.doctor import FAULTS, diagnose
from turnwise.testing.servers import ValkeyServer

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/doctor.md"


async def test_a_server_that_is_well() -> None:
    async with well() as server:
        result = await invoked(server.url, "doctor")
        assert result.exit_code == 0, result.output
        assert re.search(r"^ok +eviction: .*noeviction", result.output, re.MULTILINE)
        quiet = await invoked(server.url, "doctor", "--init-check")
        assert (quiet.exit_code, quiet.stdout) == (0, "")


async def test_warnings_and_what_is_critical() -> None:
    async with well() as server:
        await server.command("CONFIG", "SET", "appendfsync", "no")
        result = await invoked(server.url, "doctor")
        assert result.exit_code == 1
        lines = result.output.splitlines()
        (at,) = [n for n, line in enumerate(lines) if "fsync-off" in line]
        assert lines[at].startswith("warning")
        assert lines[at + 1].strip().startswith("why: ")
        assert lines[at + 2].strip().startswith("mend: redis-cli CONFIG SET appendfsync everysec")
        init = await invoked(server.url, "doctor", "--init-check")
        assert init.exit_code == 0
        assert "fsync-off" in init.stdout

        await server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        for words in (["doctor"], ["doctor", "--init-check"]):
            assert (await invoked(server.url, *words)).exit_code == 2


async def test_json() -> None:
    async with ValkeyServer() as server:
        result = await invoked(server.url, "doctor", "-o", "json")
        report = json.loads(result.stdout)
        assert report["exit_code"] == result.exit_code == 2
        (lost,) = [each for each in report["findings"] if each["name"] == "not-persistent"]
        assert lost["severity"] == "critical"
        assert lost["fix"].startswith("redis-cli CONFIG SET appendonly yes")
        assert lost["where"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nothing://here", "begins with none of"),
        ("memory://", "in this process"),
        ("sqlite:////no/such/directory/sessions.db", "make it first"),
    ],
)
async def test_urls_that_cannot_be_checked(url: str, message: str) -> None:
    result = await invoked(url, "doctor")
    assert message in result.output
    assert result.exit_code == (0 if url == "memory://" else 2)


async def test_an_init_container_waits_for_the_server() -> None:
    async with well() as server:
        await server.stop()
        before = await invoked(server.url, "doctor", "--init-check", "--timeout", "0")
        assert before.exit_code == 2
        assert "unreachable" in before.stdout
        waiting = asyncio.create_task(
            invoked(server.url, "doctor", "--init-check", "--timeout", "300")
        )
        await server.restart()
        result = await waiting
        assert (result.exit_code, result.stdout) == (0, "")


async def test_sessions_in_memory() -> None:
    async with MemorySession() as session:
        assert (await diagnose(session)).exit_code == 0


def test_each_fault_is_on_the_page() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    assert rows == [(fault.name, fault.severity) for fault in FAULTS]


def test_each_fault_is_planted_somewhere_here() -> None:
    tests = "".join(path.read_text() for path in HERE.glob("test_*_faults.py"))
    tests += (HERE / "test_shipped.py").read_text()
    assert [fault.name for fault in FAULTS if f'"{fault.name}"' not in tests] == []


def test_names_are_unique_and_every_fault_says_why() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names))
    assert all(fault.why.endswith(".") for fault in FAULTS)
