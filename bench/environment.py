"""Describes the machine, the server and the software that are measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from bench.history import ITEM_BYTES, SEED

_PACKAGES = "turnwise", "openai-agents", "redis", "msgspec", "zstandard", "fastapi", "uvicorn"
_ROOT = Path(__file__).parents[1]


async def describe(url: str) -> dict[str, Any]:
    """Versions, machine, server, revision and seed."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "server": await _server(url),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "seed": SEED,
        "item_bytes": ITEM_BYTES,
    }


async def _server(url: str) -> str:
    client = Redis.from_url(url, decode_responses=True)
    try:
        info = await client.info("server")
    finally:
        await client.aclose()
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}"


def _revision() -> str:
    """The commit, with a plus if src or bench have changed since; empty outside of a git clone."""
    revision = _git("rev-parse", "--short", "HEAD")
    return revision + "+" * bool(_git("status", "--porcelain", "--", "src", "bench"))


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
