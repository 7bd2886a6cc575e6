"""How tests of the SDK end in one mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.sdk_suite.sources import test_files

_SECONDS_A_TEST = 60


@dataclass
class Outcomes:
    """The tests that ran, and those of them that failed."""

    ran: list[str]
    failed: list[str]

    @property
    def count(self) -> int:
        return len(self.ran)


def run_tests(
    sources: Path,
    mode: str,
    *,
    tests: Sequence[str] = (),
    share: int = 1,
    processes: int = 1,
) -> Outcomes:
    """Run tests in other processes: those named, else one of `share` of all that call a runner."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        command = [sys.executable, "-m", "pytest", *(tests or test_files(sources))]
        command += ["-p", "as_turns", f"--runs={mode}", f"--share={share}", f"--report={report}"]
        command += ["-p", "no:randomly", "-p", "no:cacheprovider", "-n", str(processes)]
        command += ["--dist=loadfile", f"--timeout={_SECONDS_A_TEST}", "--tb=native", "-q", "-rfE"]
        command += ["--continue-on-collection-errors"]
        subprocess.run(command, cwd=sources, env=_environment(sources), check=False)
        return Outcomes(**json.loads(report.read_text()))


def _environment(sources: Path) -> dict[str, str]:
    """The plugin's folder is on the path, not its package: the SDK's tests are `tests` as well.

    Some of them look for the SDK where it lies in its sources.
    """
    paths = Path(__file__).parent, (sources / "src").absolute()
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
