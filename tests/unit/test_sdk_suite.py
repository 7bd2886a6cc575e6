"""The list of differences from the SDK's own runs, and how outcomes are compared with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.sdk_suite.differences import Difference, Differences
from tests.sdk_suite.outcomes import Outcomes

ROOT = Path(__file__).parents[2]
LISTED = Differences(
    [
        Difference("docs/a.md#b", ("tests/test_a.py::one", "tests/test_a.py::two[*")),
        Difference("docs/a.md#b", ("tests/test_a.py::three",), ("bound",)),
    ]
)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    kept = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"[\s-]+", "-", heading) for heading in kept}


@pytest.mark.parametrize("listed", Differences.load().listed, ids=lambda one: one.document)
def test_each_difference_has_a_section(listed: Difference) -> None:
    page, _, section = listed.document.partition("#")
    assert section in anchors(ROOT / page)
    assert listed.tests


def test_what_no_pattern_matches_is_not_listed() -> None:
    failed = [f"tests/test_a.py::{name}" for name in ("one", "two[x-y]", "three", "four")]
    assert LISTED.unlisted("memory", failed) == failed[2:]
    assert LISTED.unlisted("bound", failed) == failed[3:]


def test_a_pattern_is_listed_in_vain_if_its_tests_ran_and_none_failed() -> None:
    two = [f"tests/test_a.py::two[{name}]" for name in "xy"]
    ran = Outcomes(ran=["tests/test_a.py::one", *two], failed=two[:1])
    assert LISTED.in_vain("memory", ran) == ["tests/test_a.py::one"]
    assert LISTED.in_vain("bound", Outcomes([], [])) == []
