"""The Helm chart, rendered by Helm itself and checked against the schemas of Kubernetes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
from prometheus_client import CollectorRegistry

from tests.deploy.shipped import DEPLOY, documents, run, unknown
from turnwise.observe.prometheus import FleetFigures, FleetMetrics
from turnwise.types import Unclaimed

CHART = DEPLOY / "helm/turnwise"
LEAST: dict[str, Any] = {"image": {"repository": "shop"}, "store": {"secret": "redis"}}
MOST: dict[str, Any] = {
    **LEAST,
    "secrets": ["openai"],
    "imagePullSecrets": [{"name": "registry"}],
    "environment": {"TURNWISE_LEASE": "5", "TURNWISE_LOG_FORMAT": "text"},
    "serve": {"quota": "app:quota"},
    "keda": {"enabled": True},
    "ingress": {"enabled": True, "host": "shop.example", "tlsSecret": "certificate"},
    "networkPolicy": {"store": {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [6379]}},
}
SCHEMA = Path(__file__).with_name("scaled-object.schema.json")


def rendered(values: dict[str, Any]) -> list[Any]:
    """The objects that these values make."""
    with helm.Chart.load(CHART) as chart:
        files = chart.render(values, name="shop", namespace="shops")
    return [
        found for name, text in files.items() if name.endswith(".yaml") for found in documents(text)
    ]


def named(objects: list[Any], kind: str) -> dict[str, Any]:
    """The objects of a kind, by their names."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: list[Any]) -> dict[str, Any]:
    """The pods' specs, by the part that they are."""
    return {
        name.removeprefix("shop-"): each["spec"]["template"]["spec"]
        for name, each in named(objects, "Deployment").items()
    }


@pytest.fixture(params=[LEAST, MOST], ids=["least", "most"])
def objects(request: pytest.FixtureRequest) -> list[Any]:
    return rendered(request.param)


@pytest.mark.parametrize("values", [LEAST, MOST], ids=["least", "most"])
def test_helm_s_own_linter_finds_nothing(values: dict[str, Any]) -> None:
    report = helm.lint(CHART, values, strict=True, kube_version="v1.30.0")
    assert report["errors"] == []
    told = [each["error"] for each in report["messages"]]
    assert [text for text in told if "icon is recommended" not in text] == []


@pytest.mark.parametrize("version", ["1.30.0", "1.37.0"])
def test_kubernetes_knows_every_field(objects: list[Any], version: str, tmp_path: Path) -> None:
    files = []
    for number, each in enumerate(objects):
        if each["kind"] != "ScaledObject":
            files.append(tmp_path / f"{number}.json")
            files[-1].write_text(json.dumps(each))
    done = run("kubernetes-validate", "--strict", "-k", version, *files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("passed for resource") == len(files) >= 8


def test_keda_knows_every_field_and_the_metric_exists(tmp_path: Path) -> None:
    (scaled,) = named(objects := rendered(MOST), "ScaledObject").values()
    file = tmp_path / "scaled.json"
    file.write_text(json.dumps(scaled))
    done = run("check-jsonschema", "--schemafile", SCHEMA, file)
    assert done.returncode == 0, done.stdout
    (trigger,) = scaled["spec"]["triggers"]
    fleet = FleetMetrics(registry := CollectorRegistry())
    fleet.show(FleetFigures([], Unclaimed(0, None)))
    series = {sample.name for family in registry.collect() for sample in family.samples}
    assert trigger["metadata"]["valueLocation"] in series
    name = scaled["spec"]["scaleTargetRef"]["name"]
    assert trigger["metadata"]["url"] == f"http://{name}.shops.svc:9000/metrics"
    (port,) = named(objects, "Service")[name]["spec"]["ports"]
    assert port["port"] == 9000
    assert "replicas" not in named(objects, "Deployment")[name]["spec"]
    assert scaled["spec"]["minReplicaCount"] >= 1  # no worker, no metric


def test_a_pod_is_asked_where_it_answers(objects: list[Any]) -> None:
    for part, variable in (("serve", "TURNWISE_PORT"), ("worker", "TURNWISE_METRICS_PORT")):
        (container,) = pods(objects)[part]["containers"]
        (port,) = container["ports"]
        values = {each["name"]: each.get("value") for each in container["env"]}
        assert values[variable] == str(port["containerPort"])
        asked = {
            probe: container[f"{probe}Probe"]["httpGet"]["path"]
            for probe in ("startup", "liveness", "readiness")
        }
        assert asked == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
        assert {container[f"{probe}Probe"]["httpGet"]["port"] for probe in asked} == {port["name"]}
        assert container["args"] == [part]
        names = [each["name"] for each in container["env"]]
        assert sorted(set(names)) == sorted(names)
        assert unknown(set(names), part) == set()


def test_a_pod_may_do_little(objects: list[Any]) -> None:
    for pod in pods(objects).values():
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        assert not pod["enableServiceLinks"]  # they would set TURNWISE_ variables


def test_secrets_are_only_named(objects: list[Any]) -> None:
    assert not named(objects, "Secret")
    for pod in pods(objects).values():
        (container,) = pod["containers"]
        (url,) = [each for each in container["env"] if each["name"] == "TURNWISE_URL"]
        assert url["valueFrom"] == {"secretKeyRef": {"name": "redis", "key": "url"}}
    assert "redis://" not in json.dumps(objects)


def test_a_drain_of_nodes_and_a_deploy_leave_replicas(objects: list[Any]) -> None:
    deployments, budgets = named(objects, "Deployment"), named(objects, "PodDisruptionBudget")
    assert budgets.keys() == deployments.keys() == {"shop-serve", "shop-worker"}
    for name, budget in budgets.items():
        spec = deployments[name]["spec"]
        assert 1 <= budget["spec"]["minAvailable"] < spec.get("replicas", 2)
        labels = spec["template"]["metadata"]["labels"]
        for selector in (budget["spec"]["selector"], spec["selector"]):
            assert selector["matchLabels"].items() <= labels.items()
    rolling = deployments["shop-serve"]["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_network_lets_through_what_is_needed(objects: list[Any]) -> None:
    policies = named(objects, "NetworkPolicy")
    assert policies.keys() == {"shop-serve", "shop-worker"}
    for name, policy in policies.items():
        spec = policy["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        (opened,) = [rule["ports"] for rule in spec["ingress"]]
        (container,) = pods(objects)[name.removeprefix("shop-")]["containers"]
        assert opened == [{"port": container["ports"][0]["name"]}]
        reached = [port["port"] for rule in spec["egress"] for port in rule["ports"]]
        assert reached == [53, 53, 6379, 443]


def test_an_ingress_streams_and_sends_nothing_twice() -> None:
    (ingress,) = named(rendered(MOST), "Ingress").values()
    prefix = "nginx.ingress.kubernetes.io/"
    settings = {
        name.removeprefix(prefix): value
        for name, value in ingress["metadata"]["annotations"].items()
    }
    assert settings["proxy-buffering"] == "off"
    assert "non_idempotent" not in settings["proxy-next-upstream"]
    nginx = (DEPLOY / "nginx/turnwise.conf").read_text()
    for name in ("proxy-read-timeout", "proxy-connect-timeout"):
        assert f"{name.replace('-', '_')} {settings[name]}s;" in nginx


def _without(*path: str) -> Callable[[], dict[str, Any]]:
    def values() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(MOST))
        found[path[0]] = {**found[path[0]], path[1]: ""}
        return found

    return values


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (_without("image", "repository"), "repository"),
        (_without("store", "secret"), "secret"),
        (lambda: {**LEAST, "worker": {"replica": 3}}, "replica"),
        (lambda: {**LEAST, "environment": {"TURNWISE_LEASE": 5}}, "TURNWISE_LEASE"),
        (_without("ingress", "host"), "ingress.host"),
    ],
)
def test_what_must_be_set_is_asked_for(values: Callable[[], dict[str, Any]], told: str) -> None:
    with pytest.raises(helm.HelmError) as raised:
        rendered(values())
    assert told in str(raised.value)
