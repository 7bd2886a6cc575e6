"""The Dockerfile: how it is built, and what it leaves in the image."""

from __future__ import annotations

import json
import re
import tomllib

from tests.deploy.shipped import (
    DEPLOY,
    ROOT,
    health_check,
    image_variables,
    instructions,
    run,
    unknown,
)

_TEXT = (DEPLOY / "Dockerfile").read_text()


def test_the_linter_finds_nothing() -> None:
    done = run("hadolint", "--no-color", DEPLOY / "Dockerfile")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_only_the_environment_and_the_app_are_in_the_image() -> None:
    build, image = _TEXT.split("\nFROM ")[-2:]
    assert re.search(r"uv sync --locked --no-dev --no-editable", build)
    assert re.findall(r"^COPY (.*)", image, re.MULTILINE) == [
        "--from=build /app/.venv .venv",
        "app.py ./",
    ]
    (made,) = re.findall(r"^RUN (.*)", image, re.MULTILINE)
    assert made.startswith("useradd ")
    first, second = instructions("FROM")
    assert first == f"{second} AS build"  # the environment's Python is the image's


def test_its_process_is_not_root_and_gets_the_signals() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert [json.loads(words) for words in instructions("ENTRYPOINT")] == [["turnwise"]]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert health_check()[0] == "python"


def test_it_serves_with_api_keys() -> None:
    variables = image_variables()
    assert variables["TURNWISE_AUTH"] == "keys"
    assert unknown(set(variables), "serve") == set()
    assert instructions("EXPOSE") == [variables["TURNWISE_PORT"]]
    module, _, name = variables["TURNWISE_AGENTS"].partition(":")
    assert f"{name} = [" in (DEPLOY / f"{module}.py").read_text()


def test_what_the_build_copies_gets_through_the_ignore_file() -> None:
    lines = (DEPLOY / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    build = _TEXT.split("\nFROM ")[-2]
    copied = set(" ".join(re.findall(r"^COPY (.*) \S+$", build, re.MULTILINE)).split()) | {"app.py"}
    assert {path.partition("/")[0] for path in allowed} == copied
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {"pyproject.toml", "src", project["readme"], *project["license-files"]}
    assert {path.partition("/")[2] for path in allowed if "/" in path} == needed


def test_the_project_installs_what_its_processes_import() -> None:
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    project = tomllib.loads((DEPLOY / "pyproject.toml").read_text())
    (requirement,) = project["project"]["dependencies"]
    extras = set(re.findall(r"[a-z]+", requirement.partition("[")[2]))
    assert extras == {"cli", "prometheus", "serve"} <= set(ours["optional-dependencies"])
    assert project["tool"]["uv"]["sources"]["turnwise"] == {"path": "turnwise"}
