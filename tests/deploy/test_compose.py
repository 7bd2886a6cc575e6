"""The compose file, as Compose reads it; its processes run in test_running."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.shipped import DEPLOY, composed, unknown


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = composed()["services"]
    return found


def test_there_are_three_replicas_two_workers_a_proxy_and_a_store(services: dict[str, Any]) -> None:
    assert services.keys() == {"serve-1", "serve-2", "serve-3", "worker", "nginx", "valkey"}
    assert services["worker"]["deploy"]["replicas"] == 2
    for name in ("serve-1", "serve-2", "serve-3", "worker"):
        assert services[name]["image"] == "shop"
        assert services[name]["read_only"]


def test_each_variable_is_an_option(services: dict[str, Any]) -> None:
    for name in ("serve-1", "serve-2", "serve-3", "worker"):
        (verb,) = services[name]["command"]
        assert unknown(set(services[name]["environment"]), verb) == set()


def test_the_proxy_knows_each_replica_s_address(services: dict[str, Any]) -> None:
    addresses = {
        f"{services[f'serve-{number}']['networks']['default']['ipv4_address']}:8000"
        for number in (1, 2, 3)
    }
    for file in ("nginx/turnwise.conf", "haproxy/haproxy.cfg"):
        assert (
            set(re.findall(r"server [^;\n]*?([\d.]+:\d+)", (DEPLOY / file).read_text()))
            == addresses
        )


def test_only_the_proxy_is_reached_and_only_from_this_machine(services: dict[str, Any]) -> None:
    published = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert published.keys() == {"nginx"}
    (port,) = published["nginx"]
    assert port["host_ip"] == "127.0.0.1"
    assert f"listen {port['target']};" in (DEPLOY / "nginx/turnwise.conf").read_text()


def test_the_store_s_user_has_the_documented_rights() -> None:
    content = composed()["configs"]["users.acl"]["content"]
    shipped = (DEPLOY / "redis/users.acl").read_text()
    default, user = content.splitlines()
    assert default == shipped.splitlines()[0]
    (documented,) = [line for line in shipped.splitlines() if line.startswith("user turnwise ")]
    assert set(user.split()[4:]) == {*documented.split()[4:], "+client|setinfo"}


def test_every_file_that_is_mounted_is_shipped(services: dict[str, Any]) -> None:
    mounted = [
        volume["source"]
        for each in services.values()
        for volume in each.get("volumes", ())
        if volume["type"] == "bind"
    ]
    assert sorted(mounted) == [
        str(DEPLOY / "nginx/turnwise.conf"),
        str(DEPLOY / "redis/single.conf"),
    ]
    assert all((DEPLOY / path).is_file() for path in mounted)
