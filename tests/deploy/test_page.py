"""The page on deployments: its commands fit the files, and its numbers are theirs."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import helm_python as helm

from tests.deploy.shipped import DEPLOY, ROOT, composed, run, tool
from tests.deploy.test_chart import CHART, LEAST, pods, rendered
from tests.deploy.test_units import settings
from tests.docs.pages import blocks, text_of
from tests.integration.programs import STARTED
from turnwise.cli.run_options import RunOptions
from turnwise.testing.servers.ports import HOST
from turnwise.testing.servers.waiting import until

PAGE = "docs/deploy.md"


def block_with(words: str) -> str:
    """The one block of commands that has these words."""
    (found,) = [
        block.content for block in blocks("sh") if block.page == PAGE and words in block.content
    ]
    return found


def shell(script: str, folder: Path, **environment: str) -> None:
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_project_that_is_copied_is_whole(tmp_path: Path) -> None:
    """Compose reads it with the .env that the page makes."""
    clone = tmp_path / "turnwise"
    clone.mkdir()
    for name in ("LICENSE", "README.md", "pyproject.toml", "src"):
        (clone / name).symlink_to(ROOT / name)
    shutil.copytree(DEPLOY, clone / "deploy")
    *copying, lock = block_with("cp -r turnwise/deploy shop").splitlines()
    assert lock == "uv lock"
    shell("\n".join(copying), tmp_path)
    shop = tmp_path / "shop"
    assert (shop / "turnwise/src/turnwise/py.typed").exists()
    shell(block_with("VALKEY_PASSWORD"), shop, OPENAI_API_KEY="key")
    environment = {"PATH": os.environ["PATH"]}
    done = run("docker-compose", "config", "--format", "json", cwd=shop, env=environment)
    assert done.stderr == ""
    config = json.loads(done.stdout)
    variables = config["services"]["worker"]["environment"]
    assert variables["OPENAI_API_KEY"] == "key"
    password = re.search(r":(\w{64})@valkey:6379", variables["TURNWISE_URL"])
    assert password is not None
    assert f">{password[1]} " in config["configs"]["users.acl"]["content"]
    assert stat_of(shop / ".env") == 0o600


AGENTS = """
import app
from tests.http.typist import Typist

agents = app.agents
agents[0].model = Typist()
"""


async def test_plain_processes_answer_behind_nginx(tmp_path: Path) -> None:
    """The commands of the page as they stand, at free ports, with a model that needs no key."""
    for program in ("redis-server", "nginx"):
        tool(program)
    base = next(base for base in range(2100, 3000) if all(map(is_free, ports_of(base))))
    sync, activate, *commands = block_with("redis-server").splitlines()
    assert "uv sync" in sync
    assert activate == ". .venv/bin/activate"
    shop = tmp_path / "shop"
    shutil.copytree(DEPLOY, shop)
    (shop / "faked.py").write_text(AGENTS)
    ending = block_with("jobs -p").splitlines()
    script = "\n".join([*commands, "read -r", *ending])
    for shown, used in (
        ("=app:agents", "=faked:agents"),
        ("127.0.0.1:6379", f"{HOST}:{base}6"),
        ("--port 6379", f"--port {base}6"),
        ("8001 8002 8003", f"{base}1 {base}2 {base}3"),
        (":800\\1", f":{base}\\1"),
        ("127.0.0.1:8080", f"{HOST}:{base}7"),
        ("9001 9002", f"{base}4 {base}5"),
    ):
        assert script.count(shown) == 1
        script = script.replace(shown, used)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
    started = subprocess.Popen(
        ["bash", "-c", script],
        cwd=shop,
        env={**os.environ, "PATH": path, "PYTHONPATH": f"{shop}:{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    asked = the_curl().replace("localhost:8080", f"{HOST}:{base}7").replace("\\\n", " ")
    told = ""

    async def answers() -> bool:
        nonlocal told
        done = await asyncio.to_thread(
            subprocess.run, shlex.split(asked), capture_output=True, text=True
        )
        told = done.stdout
        return "event: done" in told

    try:
        await until(answers, 3 * STARTED, "it answers")  # six processes start at once
        await asyncio.to_thread(started.communicate, b"\n")  # its last commands end it
        await until(lambda: gone(started.pid), STARTED, "all have ended")
    finally:
        if not await gone(started.pid):
            os.killpg(started.pid, signal.SIGKILL)
            await asyncio.to_thread(started.wait)
    assert started.returncode == 0
    assert (shop / "appendonlydir").is_dir()  # its data is where the page says
    # On a busy machine its pieces may be too late; what `done` says is whole.
    done = json.loads(told.partition("event: done")[2].partition("data: ")[2].splitlines()[0])
    assert (done["state"], done["response"]) == ("committed", "re: Where is my order?")


def ports_of(base: int) -> list[int]:
    return [10 * base + last for last in range(1, 8)]


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex((HOST, port)) != 0


async def gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def the_curl() -> str:
    """The request of the section without containers: the one without a key."""
    (found,) = [
        block.content
        for block in blocks("sh")
        if block.page == PAGE and block.content.startswith("curl ")
    ]
    return found


def stat_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_app_of_the_page_is_the_shipped_one() -> None:
    (shown,) = [block.content for block in blocks("python") if block.page == PAGE]
    assert (DEPLOY / "app.py").read_text().endswith(shown)


def test_a_new_version_reaches_each_process() -> None:
    _build, loop = block_with("docker compose build").splitlines()
    named = loop.partition(" in ")[2].partition(";")[0].split()
    assert set(named) == composed()["services"].keys() - {"nginx", "valkey"}
    assert "--no-deps --wait $name" in loop


def test_the_units_are_where_the_page_copies_them_from() -> None:
    script = block_with("install -D")
    files = re.findall(r"systemd/[\w@.-]+", script.replace("/etc/systemd/system/", ""))
    assert sorted(files) == sorted(
        f"systemd/{each.name}" for each in (DEPLOY / "systemd").iterdir()
    )
    assert all((DEPLOY / file).is_file() for file in files)
    assert settings("serve")["EnvironmentFile"] in script
    assert settings("serve")["WorkingDirectory"] in script
    (sync,) = re.findall(r"uv sync .*", script)
    assert sync in (DEPLOY / "Dockerfile").read_text()
    instances = re.findall(r"(turnwise-\w+@)\d+", block_with("systemctl enable"))
    assert {f"systemd/{name}.service" for name in instances} < set(files)


def test_keys_are_made_with_the_settings_of_the_units(tmp_path: Path) -> None:
    script = block_with("set -a").replace("/etc/turnwise", str(DEPLOY / "systemd"))
    program = shlex.join([sys.executable, "-m", "turnwise.cli"])
    script = script.replace("/opt/shop/.venv/bin/turnwise", program).strip()
    shell(f'{script} --dry-run && test -n "$TURNWISE_URL"', tmp_path)


def test_the_chart_takes_the_values_of_the_page() -> None:
    words = shlex.split(block_with("helm install").replace("\\\n", " "))
    secrets = re.findall(r"secret generic (\S+)", block_with("helm install"))
    values: dict[str, Any] = {}
    for option, value in itertools.pairwise(words):
        if option == "--set":
            path, _, text = value.partition("=")
            *parents, last = path.split(".")
            place = values
            for name in parents:
                place = place.setdefault(name, {})
            place[last] = _value(text)
    assert [values["store"]["secret"], *values["secrets"]] == secrets
    assert words[words.index("install") + 2] == "helm/turnwise"
    assert pods(rendered(values)).keys() == {"serve", "worker"}


def _value(text: str) -> Any:
    """As Helm reads a value of --set."""
    if text.startswith("{"):
        return text.strip("{}").split(",")
    return {"true": True, "false": False}.get(text, text)


def test_the_numbers_of_the_page_are_those_of_the_files() -> None:
    table = text_of(PAGE).partition("## What the numbers mean")[2].partition("\n## ")[0]
    cells = [row.split("|") for row in table.splitlines() if row.startswith("| ")][1:]
    told = {where.strip(): number.strip() for _, number, where, *_ in cells if number.strip("- ")}
    nginx = (DEPLOY / "nginx/turnwise.conf").read_text()
    values = _shipped_values()
    period = composed()["services"]["worker"]["stop_grace_period"].removesuffix("s")
    ends = {each["terminationGracePeriodSeconds"] for each in pods(rendered(LEAST)).values()}
    assert told == {
        "`--grace`": f"{RunOptions.grace:g} s",
        "`stop_grace_period`, `TimeoutStopSec`": f"{period} s",
        "the chart's `shutdown.pause` (`preStop`)": f"{values['shutdown']['pause']} s",
        "`terminationGracePeriodSeconds`": f"{ends.pop()} s",
        "(the server's)": "15 s",
        "`proxy_read_timeout`, `timeout server`": f"{_of(nginx, 'proxy_read_timeout')} s",
        "`proxy_connect_timeout`, `timeout connect`": f"{_of(nginx, 'proxy_connect_timeout')} s",
        "`client_max_body_size`": f"{_of(nginx, 'client_max_body_size')} MiB",
        "`keda.queueAge`": f"{values['keda']['queueAge']} s",
    }
    assert settings("worker")["TimeoutStopSec"] == settings("serve")["TimeoutStopSec"] == period


def _shipped_values() -> dict[str, Any]:
    with helm.Chart.load(CHART) as chart:
        values: dict[str, Any] = dict(chart.values)
    return values


def _of(text: str, directive: str) -> str:
    (value,) = re.findall(rf"^\s*{directive} (\d+)\w;", text, re.MULTILINE)
    return str(value)
