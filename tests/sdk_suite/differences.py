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
        sometimes: Whether they may also end as with the SDK's own runs, since they race.
    """

    document: str
    tests: tuple[str, ...]
    modes: tuple[str, ...] = ()
    sometimes: bool = False

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
                Difference(
                    one["document"],
                    tuple(one["tests"]),
                    tuple(one.get("modes", ())),
                    one.get("sometimes", False),
                )
                for one in entries
            ]
        )

    def unlisted(self, mode: str, failed: Sequence[str]) -> list[str]:
        """The tests that failed and match no pattern."""
        patterns = [test for one in self._about(mode) for test in one.tests]
        return [test for test in failed if not any(_matches(test, p) for p in patterns)]

    def in_vain(self, mode: str, found: Outcomes) -> list[str]:
        """The patterns of which tests ran, but none failed."""
        return [
            pattern
            for one in self._about(mode)
            for pattern in one.tests
            if not one.sometimes
            and any(_matches(test, pattern) for test in found.ran)
            and not any(_matches(test, pattern) for test in found.failed)
        ]

    def _about(self, mode: str) -> list[Difference]:
        return [one for one in self.listed if one.is_about(mode)]


def _matches(test: str, pattern: str) -> bool:
    """Whether a test's id matches; brackets stand for themselves."""
    return fnmatchcase(test, pattern.replace("[", "[[]"))
