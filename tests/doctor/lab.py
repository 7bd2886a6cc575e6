"""A server on which doctor finds nothing, and what it finds when something is planted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from turnwise import connect
from turnwise.doctor import Report, diagnose
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.node import Config

SHIPPED = Path(__file__).parents[2] / "deploy/redis"
_OF_THE_PLACE = ("bind", "port", "dir", "tls-port", "aclfile")


def shipped(name: str) -> Config:
    """A shipped file's lines, without those that name an address, a port or a path."""
    settings: dict[str, list[str]] = {}
    for line in (SHIPPED / name).read_text().splitlines():
        if line and not line.startswith("#"):
            directive, _, value = line.partition(" ")
            settings.setdefault(directive, []).append(value)
    return {
        directive: values[0] if len(values) == 1 else values
        for directive, values in settings.items()
        if directive not in _OF_THE_PLACE and not directive.endswith("-file")
    }


@asynccontextmanager
async def well(**options: Any) -> AsyncIterator[ValkeyServer]:
    """A server with the shipped settings."""
    async with ValkeyServer(config=shipped("single.conf"), **options) as server:
        yield server


async def diagnosed(url: str, **options: Any) -> Report:
    async with connect(url, **options) as session:
        return await diagnose(session)


async def found(url: str, **options: Any) -> set[str]:
    """The names of the faults that are found."""
    return {fault.name for fault in (await diagnosed(url, **options)).faults}
