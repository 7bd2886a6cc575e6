"""The differences that documents announce."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self

from tests.sdk_suite.outcomes import Outcomes

LIST = Path(__file__).parent / "differences.toml"


@dataclass(frozen=True)
class Difference:
    """Tests that end otherwise, as a document says.

    Attributes:
        document: The document and its section, as `docs/page.md#section`.
        tests: Patterns of their ids; `*` stands for anything.
        modes: The modes that it is about; empty for all.
    """

    document: str
    tests: tuple[str, ...]
    modes: tuple[str, ...] = ()

    def is_about(self, mode: str) -> bool:
        return not self.modes or mode in self.modes


class Differences:
    """All that are listed."""

    def __init__(self, listed: Sequence[Difference]) -> None:
        self.listed = listed

    @classmethod
    def load(cls) -> Self:
        entries = tomllib.loads(LIST.read_text())["difference"]
        return cls(
            [
                Difference(one["document"], tuple(one["tests"]), tuple(one.get("modes", ())))
                for one in entries
            ]
        )

    def unlisted(self, mode: str, failed: Sequence[str]) -> list[str]:
        """The tests that failed and match no pattern."""
        patterns = self._patterns(mode)
        return [test for test in failed if not any(_matches(test, p) for p in patterns)]

    def in_vain(self, mode: str, found: Outcomes) -> list[str]:
        """The patterns of which tests ran, but none failed."""
        return [
            pattern
            for pattern in self._patterns(mode)
            if any(_matches(test, pattern) for test in found.ran)
            and not any(_matches(test, pattern) for test in found.failed)
        ]

    def _patterns(self, mode: str) -> list[str]:
        return [test for one in self.listed if one.is_about(mode) for test in one.tests]


def _matches(test: str, pattern: str) -> bool:
    """Whether a test's id matches; brackets stand for themselves."""
    return fnmatchcase(test, pattern.replace("[", "[[]"))
