"""Run the SDK's own tests with every run as a Turnwise turn: `make sdk-suite`.

The tests come from the SDK's source distribution, of the version that is installed. A test that
does not end as with the SDK's own runs is a difference: `differences.toml` lists those that
documents announce. Any other one, and any that is listed in vain, makes this exit with 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.sdk_suite.differences import Differences
from tests.sdk_suite.outcomes import Outcomes, run_tests
from tests.sdk_suite.sources import fetched

MODES = ("memory", "sqlite", "valkey", "bound", "block", "resent")


def main() -> int:
    options = _options()
    sources, listed, wrong = fetched(Path(".sdk-suite")), Differences.load(), False
    for mode in options.modes.split(","):
        found = run_tests(sources, mode, share=options.share, processes=options.processes)
        unlisted = listed.unlisted(mode, found.failed)
        if unlisted:  # not a difference if it fails without us as well
            own = run_tests(sources, "plain", tests=unlisted, processes=options.processes)
            unlisted = [test for test in unlisted if test not in own.failed]
        wrong |= _report(mode, found, unlisted, listed.in_vain(mode, found))
    return int(wrong)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make sdk-suite", description=__doc__)
    parser.add_argument("--modes", default=",".join(MODES), help="what every run becomes")
    parser.add_argument("--share", type=int, default=1, help="run one test of so many")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def _report(mode: str, found: Outcomes, unlisted: list[str], in_vain: list[str]) -> bool:
    """Whether anything is wrong."""
    print(f"{mode}: {found.count} tests, {len(found.failed)} end otherwise", flush=True)
    for test in unlisted:
        print(f"  not listed: {test}")
    for test in in_vain:
        print(f"  listed in vain: {test}")
    return bool(unlisted or in_vain) or found.count == 0


sys.exit(main())
