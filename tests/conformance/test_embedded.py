"""Memory and SQLite, with a clock that the tests set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.labs import MemoryLab, SQLiteLab
from turnwise.testing.conformance import Lab, StoreConformance


class TestMemory(StoreConformance):
    @pytest.fixture
    async def lab(self) -> AsyncIterator[Lab]:
        lab = MemoryLab()
        yield lab
        await lab.aclose()


class TestSQLite(StoreConformance):
    @pytest.fixture
    async def lab(self, tmp_path: Path) -> AsyncIterator[Lab]:
        lab = SQLiteLab(tmp_path / "sessions.db")
        yield lab
        await lab.aclose()
