"""TURNWISE_TEST_UVLOOP=1 runs every test on uvloop, which has to be installed."""

from __future__ import annotations

import asyncio
import os

import hypothesis
import pytest

# An example may take as long as a busy machine needs for it.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

ON_UVLOOP = bool(os.environ.get("TURNWISE_TEST_UVLOOP"))
if ON_UVLOOP:
    import uvloop  # type: ignore[import-not-found]  # it is in no group: it builds on few systems

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


LONGEST = {
    "test_bench.py",
    "test_busy_processes.py",
    "test_durable_complex_runs.py",
    "test_durable_takeover.py",
    "test_readable_sizes.py",
    "test_running.py",
    "test_threads_and_forks.py",
}
"""Half of all the time. Each runs in one process, so they begin first."""


def pytest_configure(config: pytest.Config) -> None:
    if ON_UVLOOP:
        # What a closed loop leaves open only the garbage collector can close here. A warning that
        # is an error keeps it from that, and the next loop that closes waits for it for ever.
        for told in ("unclosed resource <", "loop is closed"):
            config.addinivalue_line("filterwarnings", f"ignore:{told}:ResourceWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)
