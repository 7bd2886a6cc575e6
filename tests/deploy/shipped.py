"""The files under `deploy/`, and the tools that read them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from turnwise.cli.app import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PASSWORD = "s3cret"
_PLACES = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
)


def tool(name: str) -> str:
    """Where a program is; its test is skipped without it, and fails in CI."""
    found = shutil.which(name, path=_PLACES)
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{name} is not installed")
    return found


def run(name: str, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end."""
    return subprocess.run([tool(name), *arguments], capture_output=True, text=True, **options)


def documents(text: str) -> list[Any]:
    """The YAML documents of a text, without empty ones."""
    parts = re.split(r"^---\n", text, flags=re.MULTILINE)
    return [found for part in parts if (found := msgspec.yaml.decode(part)) is not None]


@cache
def composed() -> dict[str, Any]:
    """The compose file as Compose itself reads it."""
    environment = {"PATH": os.environ["PATH"], "VALKEY_PASSWORD": PASSWORD}
    done = run("docker-compose", "config", "--format", "json", cwd=DEPLOY, env=environment)
    assert done.stderr == ""  # its exit code is 0 whatever it finds
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of this name in the Dockerfile."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^\s*{name} (.*)$", text, re.MULTILINE)


def image_variables() -> dict[str, str]:
    """The environment that the image gives its process."""
    *_, last = instructions("ENV")
    return dict(word.split("=", 1) for word in shlex.split(last))


def health_check() -> list[str]:
    """The image's health check, as a command."""
    (check,) = instructions("HEALTHCHECK")
    command: list[str] = json.loads(check.partition("CMD ")[2])
    return command


@cache
def variables_of(verb: str) -> set[str]:
    """The variables that a command of the command line reads."""
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    found = set()
    for parameter in command.commands[verb].params:
        found.add(f"TURNWISE_{(parameter.name or '').upper()}")
    return found


def unknown(names: set[str], *verbs: str) -> set[str]:
    """The variables among `names` that none of these commands reads."""
    known = set[str]().union(*map(variables_of, verbs))
    return {name for name in names if name.startswith("TURNWISE_")} - known
