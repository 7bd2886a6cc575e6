"""A machine on which tests run side by side is slow: only a test that plants it finds that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from turnwise.doctor import latency


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """Not by `monkeypatch`: what a test patches is undone before its server is looked at again."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("_MEDIAN", "_STALL", "_SCRIPT"):
            patched.setattr(latency, name, 10_000.0)
        yield
