"""The SDK's source distribution, fetched as a package."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

PACKAGE = "openai-agents"
_CALLS_A_RUNNER = re.compile(r"\bRunner\.run(_sync|_streamed)?\(")
_OTHERS = ("extensions", "models", "realtime", "voice")
"""Folders of tests about what has nothing to do with sessions, and needs packages of its own."""


def fetched(directory: Path) -> Path:
    """The folder with the sources of the installed version; pip downloads them once."""
    name = f"{PACKAGE.replace('-', '_')}-{version(PACKAGE)}"
    if not (directory / name).exists():
        directory.mkdir(exist_ok=True)
        _download(directory)
        with tarfile.open(directory / f"{name}.tar.gz") as archive:
            archive.extractall(directory, filter="data")
    return directory / name


def _download(directory: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    what = ["--no-deps", "--no-binary", PACKAGE, f"{PACKAGE}=={version(PACKAGE)}"]
    subprocess.run([*pip, *what, "--dest", str(directory)], check=True)


def test_files(sources: Path) -> list[str]:
    """The files whose tests call a runner, relative to the sources."""
    return [
        str(path.relative_to(sources))
        for path in sorted(sources.glob("tests/**/test_*.py"))
        if _CALLS_A_RUNNER.search(path.read_text())
        and not set(_OTHERS) & set(path.relative_to(sources).parts)
        and "examples" not in path.name
        and "example_workflows" not in path.name
    ]
