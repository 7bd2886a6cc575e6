"""The sessions that a dashboard shows, on each kind of store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.dashboard.visitor import Visitor, visitor_of
from tests.integration.fault_lab import other_tasks
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.fleet import watch
from turnwise.fleet import workers as registry
from turnwise.session import Session

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed is seen at once."""
    monkeypatch.setattr(watch, "INTERVAL", 0.02)
    monkeypatch.setattr(watch, "REST", 0)
    monkeypatch.setattr(registry, "INTERVAL", 0.05)


@pytest.fixture
async def session(sessions: Sessions) -> Session:
    return sessions.worker(worker="shown")


@pytest.fixture
async def visitor(session: Session) -> AsyncIterator[Visitor]:
    async with visitor_of(session) as visitor:
        yield visitor
    assert not other_tasks()
