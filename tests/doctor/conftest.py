"""A machine on which tests run side by side is slow: only a test that plants it finds that."""

from __future__ import annotations

import pytest

from turnwise.doctor import latency


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_MEDIAN", "_STALL", "_SCRIPT"):
        monkeypatch.setattr(latency, name, 10_000.0)
