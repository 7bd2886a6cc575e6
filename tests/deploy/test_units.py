"""The systemd units, as systemd reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.shipped import DEPLOY, ROOT, run, tool, unknown

UNITS = {verb: DEPLOY / f"systemd/turnwise-{verb}@.service" for verb in ("serve", "worker")}
ENVIRONMENT = DEPLOY / "systemd/turnwise.env"


def settings(verb: str) -> dict[str, str]:
    """The settings of a unit; the last one of a name."""
    return dict(re.findall(r"^([A-Z]\w+)=(.*)$", UNITS[verb].read_text(), re.MULTILINE))


@pytest.fixture(params=UNITS)
def verb(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_systemd_finds_nothing(verb: str, tmp_path: Path) -> None:
    text = UNITS[verb].read_text()
    at = settings(verb)["ExecStart"].split()[0]
    assert at == "/opt/shop/.venv/bin/turnwise"
    unit = tmp_path / f"turnwise-{verb}@8001.service"
    unit.write_text(text.replace(at, tool("turnwise")).replace("/usr/bin/curl", tool("curl")))
    done = run("systemd-analyze", "verify", "--man=no", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_unit_may_do_little(verb: str) -> None:
    done = run("systemd-analyze", "security", "--offline=yes", "--threshold=15", UNITS[verb])
    assert done.returncode == 0, done.stdout  # exposed by 1.5 of 10 at most


def test_each_variable_is_an_option_and_no_password_is_in_a_unit(verb: str) -> None:
    own = set(re.findall(r"\b([A-Z_]+)=", settings(verb)["Environment"]))
    shared = set(re.findall(r"^([A-Z_]+)=", ENVIRONMENT.read_text(), re.MULTILINE))
    assert unknown(own, verb) == set()
    assert unknown(shared, "serve", "worker") == set()
    assert not own & shared
    assert "TURNWISE_URL" in shared
    assert settings(verb)["EnvironmentFile"] == "/etc/turnwise/turnwise.env"


def test_the_page_that_a_unit_names_exists(verb: str) -> None:
    page = settings(verb)["Documentation"].removeprefix("file:///opt/shop/turnwise/")
    assert (ROOT / page).is_file()


def test_it_is_started_when_it_is_ready_and_stays_stopped(verb: str) -> None:
    assert settings(verb)["ExecStartPost"].endswith("http://127.0.0.1:%i/readyz")
    port = {"serve": "TURNWISE_PORT", "worker": "TURNWISE_METRICS_PORT"}[verb]
    assert f"{port}=%i" in settings(verb)["Environment"].split()
    assert settings(verb)["Restart"] == "on-failure"
    assert settings(verb)["KillSignal"] == "SIGTERM"
