"""The alert rules and the dashboard under `deploy/`: they work, and what they name exists."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from typer.testing import CliRunner

from turnwise.cli.app import app
from turnwise.observe.names import OUTCOMES
from turnwise.observe.prometheus import FleetFigures, FleetMetrics, TurnMetrics
from turnwise.types import SessionCounts, Unclaimed, WorkerInfo

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/turnwise.rules.yml"
TESTS = RULES.with_name("turnwise.test.yml")
DASHBOARD = ROOT / "deploy/grafana/turnwise.json"


def worker(**fields: Any) -> WorkerInfo:
    known: dict[str, Any] = {
        "name": "w", "host": "h", "pid": 1, "version": "1", "started_at": 0.0, "silent_for": 0.0,
        "alive": True, "stopping": False, "quiet": False, "agents": (), "concurrency": 50,
        "active": 3, "turns": (),
    }  # fmt: skip
    return WorkerInfo(**(known | fields))


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is missing: install prometheus")
        pytest.skip("promtool is not installed")
    return found


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def fleet(registry: CollectorRegistry) -> FleetMetrics:
    return FleetMetrics(registry)


def series(registry: CollectorRegistry) -> set[str]:
    return {sample.name for family in registry.collect() for sample in family.samples}


def expressions() -> list[str]:
    return [
        target["expr"]
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
    ]


def test_each_rule_does_what_its_test_says(promtool: str) -> None:
    for words in (["check", "rules", RULES.name], ["test", "rules", TESTS.name]):
        done = subprocess.run([promtool, *words], cwd=RULES.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_test_that_fires_it_and_one_that_does_not() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    text = TESTS.read_text()
    assert sorted(alerts) == sorted(re.findall(r"- name: (Turnwise\w+)", text))
    assert sorted(alerts) == sorted(re.findall(r"alertname: (\w+), exp_alerts: \[\]", text))


def test_each_command_that_an_alert_names_exists() -> None:
    told = "".join(re.findall(r"description: .*\n", RULES.read_text()))
    commands = set(re.findall(r"`turnwise ([^`]+)`", told))
    assert len(commands) >= 5
    for command in commands:
        done = CliRunner().invoke(app, [*command.split(), "--help"])
        assert done.exit_code == 0, f"{command}: {done.output}"


def test_the_dashboard_s_expressions_are_right(promtool: str, tmp_path: Path) -> None:
    rules = [
        f"      - {{record: 'a:b:c{index}', expr: {json.dumps(expression)}}}"
        for index, expression in enumerate(expressions())
    ]
    file = tmp_path / "rules.yml"
    text = "\n".join(["groups:", "  - name: dashboard", "    rules:", *rules])
    file.write_text(text.replace("$__rate_interval", "5m").replace("$__range", "1h"))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", [RULES, TESTS, DASHBOARD], ids=lambda path: path.name)
def test_every_metric_that_is_named_exists(
    registry: CollectorRegistry, fleet: FleetMetrics, file: Path
) -> None:
    metrics = TurnMetrics(registry)
    fleet.show(FleetFigures([], Unclaimed(0, None), sessions=SessionCounts({}, None, 0)))
    for counter in (metrics._turns, metrics._refusals, metrics._replayed):
        counter.labels(*("" for _ in counter._labelnames))  # they have no series without a label
    named = set(re.findall(r"\bturnwise_\w+", file.read_text()))
    assert named
    assert named <= series(registry)


def test_what_the_fleet_shows(registry: CollectorRegistry, fleet: FleetMetrics) -> None:
    assert registry.get_sample_value("turnwise_store_up") == 0
    assert series(registry) == {"turnwise_store_up"}
    silent = worker(alive=False, active=50)
    workers = [worker(), worker(stopping=True, active=1), silent, worker(quiet=True, active=0)]
    fleet.show(FleetFigures(workers, Unclaimed(7, 1500), 2, 3))
    assert registry.get_sample_value("turnwise_store_up") == 1
    states = {
        state: registry.get_sample_value("turnwise_workers", {"state": state})
        for state in ("alive", "quiet", "stopping", "silent")
    }
    assert states == {"alive": 1, "quiet": 1, "stopping": 1, "silent": 1}
    assert registry.get_sample_value("turnwise_worker_slots") == 150
    assert registry.get_sample_value("turnwise_worker_slots_used") == 4
    assert registry.get_sample_value("turnwise_queue_unclaimed") == 7
    assert registry.get_sample_value("turnwise_queue_oldest_seconds") == 1.5
    assert registry.get_sample_value("turnwise_queue_pauses") == 2
    assert registry.get_sample_value("turnwise_dead_letters") == 3
    assert registry.get_sample_value("turnwise_sessions", {"state": "idle"}) is None  # no count yet
    counts = SessionCounts({"idle": 1000, "parked": 2}, 7.5, 20)
    fleet.show(FleetFigures(workers, Unclaimed(7, 1500), sessions=counts))
    told = {
        state: registry.get_sample_value("turnwise_sessions", {"state": state})
        for state in ("idle", "parked", "stopped", "unreadable")
    }
    assert told == {"idle": 1000, "parked": 2, "stopped": 0, "unreadable": 0}
    assert registry.get_sample_value("turnwise_approvals_oldest_seconds") == 7.5
    assert registry.get_sample_value("turnwise_sessions_counted_seconds") == 20
    fleet.show_unreached()
    assert series(registry) == {"turnwise_store_up"}


def test_each_outcome_is_counted_from_0(registry: CollectorRegistry) -> None:
    """A series that begins at 1 has not increased, so its first event would alert nobody."""
    TurnMetrics(registry)
    for outcome in OUTCOMES.values():
        labels = {"outcome": outcome}
        assert registry.get_sample_value("turnwise_turn_seconds_count", labels) == 0


def test_the_metrics_are_well_formed(
    promtool: str, registry: CollectorRegistry, fleet: FleetMetrics
) -> None:
    TurnMetrics(registry)
    fleet.show(FleetFigures([worker()], Unclaimed(1, 1), sessions=SessionCounts({}, None, 0)))
    done = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(registry), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
