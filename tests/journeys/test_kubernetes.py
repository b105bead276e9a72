"""The manifests are Kubernetes' own kinds, and say what the compose files and the service say."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from captcha_bypass.api.native.openapi import document
from captcha_bypass.config import Config
from captcha_bypass.config.memory import needed_bytes
from tests.support.repository import ROOT

FOLDER = ROOT / "examples/kubernetes"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["captcha-bypass"]
FIELDS = Config.model_fields
BINARY = {"Mi": 1024**2, "Gi": 1024**3}


def of_kind(kind: str) -> dict[str, Any]:
    everything = [
        item for file in FOLDER.glob("*.yaml") for item in yaml.safe_load_all(file.read_text())
    ]
    (found,) = (item for item in everything if item["kind"] == kind)
    return dict(found)


DEPLOYMENT = of_kind("Deployment")
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
SERVICE = of_kind("Service")
POLICY = of_kind("NetworkPolicy")


@pytest.mark.parametrize("kind", ["Deployment", "Service", "NetworkPolicy"])
@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_manifests_have_only_what_kubernetes_knows(kind: str, version: str) -> None:
    kubernetes_validate.validate(of_kind(kind), version, strict=True)


def test_the_validator_refuses_what_kubernetes_does_not_know() -> None:
    wrong = {**SERVICE, "spec": {**SERVICE["spec"], "port": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.30", strict=True)


def test_all_labels_and_ports_lead_to_the_pod() -> None:
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    monitor = of_kind("ServiceMonitor")["spec"]
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"] == labels
    assert SERVICE["spec"]["selector"] == labels
    assert POLICY["spec"]["podSelector"]["matchLabels"] == labels
    assert monitor["selector"]["matchLabels"] == SERVICE["metadata"]["labels"]
    (port,), (published,) = CONTAINER["ports"], SERVICE["spec"]["ports"]
    assert port["containerPort"] == published["port"] == FIELDS["port"].default
    assert port["name"] == published["name"] == published["targetPort"]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] == published["name"]
    assert endpoint["path"] in document()["paths"]
    assert POLICY["spec"]["ingress"][0]["ports"] == [{"port": published["port"]}]


def test_probes_ask_for_what_each_is_about() -> None:
    asked = {name: CONTAINER[name]["httpGet"]["path"] for name in CONTAINER if "Probe" in name}
    # A browser that cannot be had is no reason to kill the service: it tries again by itself.
    assert asked == {
        "startupProbe": "/health",
        "readinessProbe": "/health",
        "livenessProbe": "/live",
    }
    assert set(asked.values()) <= set(document()["paths"])
    assert POD["terminationGracePeriodSeconds"] > FIELDS["shutdown_timeout"].default


def test_variables_are_settings_and_no_service_link_is_among_them() -> None:
    names = {item["name"] for item in CONTAINER["env"]}
    known = {f"CAPTCHA_BYPASS_{name.upper()}" for name in FIELDS} | {"WORKERS"}
    assert names <= known
    assert POD["enableServiceLinks"] is False


def test_what_is_written_is_what_compose_lets_be_written() -> None:
    mounts = {item["mountPath"]: item["name"] for item in CONTAINER["volumeMounts"]}
    volumes = {item.pop("name"): item for item in map(dict, POD["volumes"])}
    paths = {entry.partition(":")[0] for entry in COMPOSE["tmpfs"]}
    assert {path for path in mounts if "emptyDir" in volumes[mounts[path]]} == paths | {"/dev/shm"}
    assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
    assert set(mounts.values()) == set(volumes)
    (keys,) = (item["value"] for item in CONTAINER["env"] if item["name"].endswith("KEY_FILE"))
    assert str(Path(keys).parent) in mounts


def test_the_pod_has_no_power_it_does_not_need() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsGroup"] == 0
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_memory_is_enough_for_the_workers() -> None:
    (workers,) = (int(item["value"]) for item in CONTAINER["env"] if item["name"] == "WORKERS")
    number, unit = re.fullmatch(
        r"(\d+)(Mi|Gi)", CONTAINER["resources"]["limits"]["memory"]
    ).groups()  # type: ignore[union-attr]
    limits = FIELDS["tasks_per_browser"].default, FIELDS["max_browser_bytes"].default
    assert int(number) * BINARY[unit] >= needed_bytes(workers, *limits)


def test_the_policy_refuses_what_the_firewall_refuses() -> None:
    firewall = (ROOT / "compose.hardened.yaml").read_text()
    (listed,) = re.findall(r"ip daddr \{(.*?)\} reject", firewall, re.DOTALL)
    v4, _ = (rule["ipBlock"] for rule in POLICY["spec"]["egress"][1]["to"])
    assert POLICY["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert set(map(ip_network, v4["except"])) == {ip_network(i.strip()) for i in listed.split(",")}
