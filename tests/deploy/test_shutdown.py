"""Who stops a process gives it more time than it takes."""

from __future__ import annotations

import re

import pytest

from tests.deploy.shipped import DEPLOY, composed
from tests.deploy.test_chart import LEAST, pods, rendered
from tests.deploy.test_units import settings
from turnwise.cli.run_options import RunOptions
from turnwise.http import replica, serve
from turnwise.stores.redis import clients

STORE = clients.PATIENCE + 2 * clients.TIMEOUT
"""Seconds after which a call of a store that hangs has failed, at the latest."""
LONGEST = RunOptions.grace + replica.LAST_ANSWERS + serve._CLOSING + STORE


@pytest.mark.parametrize("verb", ["serve", "worker"])
def test_systemd_waits(verb: str) -> None:
    assert int(settings(verb)["TimeoutStopSec"]) >= LONGEST
    assert settings(verb)["KillMode"] == "mixed"  # the process alone is told


@pytest.mark.parametrize("service", ["serve-1", "serve-2", "serve-3", "worker"])
def test_compose_waits(service: str) -> None:
    period = composed()["services"][service]["stop_grace_period"]
    assert int(period.removesuffix("s")) >= LONGEST


@pytest.mark.parametrize("grace", [20, 120])
def test_kubernetes_waits(grace: int) -> None:
    objects = rendered({**LEAST, "shutdown": {"grace": grace}})
    for pod in pods(objects).values():
        (container,) = pod["containers"]
        values = {each["name"]: each.get("value") for each in container["env"]}
        assert values["TURNWISE_GRACE"] == str(grace)
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        left = pod["terminationGracePeriodSeconds"] - pause
        assert left >= LONGEST - RunOptions.grace + grace


def test_a_start_is_waited_for_longer_than_its_check_tries() -> None:
    tries = re.search(r"--retry (\d+) --retry-delay 1 ", settings("serve")["ExecStartPost"])
    assert tries is not None
    assert int(settings("serve")["TimeoutStartSec"]) > int(tries[1])


def test_a_proxy_waits_longer_than_any_client_may() -> None:
    """Whose answer is no stream: `timeout` of the chat wire is 3600 at most."""
    nginx = (DEPLOY / "nginx/turnwise.conf").read_text()
    haproxy = (DEPLOY / "haproxy/haproxy.cfg").read_text()
    waits = re.findall(
        r"(?:proxy_read_timeout|timeout server|timeout client) +(\d+)s", nginx + haproxy
    )
    assert len(waits) == 3
    assert min(map(int, waits)) > 3600
