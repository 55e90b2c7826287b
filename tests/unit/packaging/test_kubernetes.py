"""The manifests against Kubernetes' own schemas, against each other and against the images."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from xenolith.contract.ports import DEFAULT_PORTS

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = sorted(file.parent for file in (ROOT / "deploy/kubernetes").glob("*/kustomization.yaml"))
VERSIONS = ("1.29", "1.34")


def built(folder: Path) -> list[dict[str, Any]]:
    """What Kustomize makes of a folder: its resources, with labels on them and on the pods of templates."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(kustomization) <= {"apiVersion", "kind", "labels", "resources", "images"}
    listed = kustomization["resources"]
    assert sorted(listed) == sorted(f.name for f in folder.glob("*.yaml") if f.name != "kustomization.yaml")
    resources = [part for file in listed for part in yaml.safe_load_all((folder / file).read_text())]
    for labels in kustomization["labels"]:
        for resource in resources:
            holders = [resource["metadata"]]
            if "template" in resource.get("spec", {}):
                holders.append(resource["spec"]["template"].setdefault("metadata", {}))
            for holder in holders:
                holder.setdefault("labels", {}).update(labels["pairs"])
    images = {image["name"] for image in kustomization.get("images", ())}
    for container in containers(resources):
        image = container["image"]
        assert image in images or re.fullmatch(r"\w+:\d+\.\d+\.\d+[\w.-]*", image), f"{image} has no tag"
    return resources


def templates(resources: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for resource in resources:
        if "template" in resource.get("spec", {}):
            yield resource, resource["spec"]["template"]


def containers(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for _, template in templates(resources) for one in template["spec"]["containers"]]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", ())
    return all(labels.get(name) == value for name, value in wanted) and all(
        labels.get(one["key"]) in one["values"] for one in expressions
    )


@pytest.fixture(scope="module")
def base() -> list[dict[str, Any]]:
    return built(ROOT / "deploy/kubernetes/base")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_resource_keeps_the_schema(folder: Path, version: str) -> None:
    for resource in built(folder):
        kubernetes_validate.validate(resource, version, strict=True)


def test_selectors_find_pods_and_ports_are_those_that_the_services_listen_on(base) -> None:
    pods = {
        template["metadata"]["labels"]["app.kubernetes.io/name"]: template for _, template in templates(base)
    }
    assert set(pods) == {"redis", *DEFAULT_PORTS}
    for resource in base:
        kind, spec = resource["kind"], resource["spec"]
        if kind == "Service":
            (ports,) = [
                {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
                for template in pods.values()
                if selects({"matchLabels": spec["selector"]}, template["metadata"]["labels"])
            ]
            assert {port["targetPort"]: port["port"] for port in spec["ports"]} == ports
            name = resource["metadata"]["name"]
            assert ports.get("grpc") == DEFAULT_PORTS.get(name)
            assert (spec.get("clusterIP") == "None") == (name in DEFAULT_PORTS)
        elif kind in {"Deployment", "StatefulSet", "PodDisruptionBudget"}:
            assert any(selects(spec["selector"], pod["metadata"]["labels"]) for pod in pods.values())
        elif kind == "NetworkPolicy":
            assert any(selects(spec["podSelector"], pod["metadata"]["labels"]) for pod in pods.values())
        elif kind == "HorizontalPodAutoscaler":
            target = spec["scaleTargetRef"]
            assert (target["kind"], target["name"]) in {(r["kind"], r["metadata"]["name"]) for r in base}


def test_every_container_is_bounded_probed_and_locked_down(base) -> None:
    for container in containers(base):
        name = container["name"]
        assert {"cpu", "memory"} == set(container["resources"]["limits"]), name
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert {"readinessProbe", "livenessProbe"} <= set(container), name
    for _, template in templates(base):
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        mounted = {m["name"] for c in template["spec"]["containers"] for m in c["volumeMounts"]}
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        assert mounted - volumes <= {"runs"}


def test_redis_is_reached_by_oracles_alone(base) -> None:
    policies = {r["metadata"]["name"]: r["spec"] for r in base if r["kind"] == "NetworkPolicy"}
    assert policies["nobody-by-default"]["policyTypes"] == ["Ingress"]
    assert "ingress" not in policies["nobody-by-default"]
    (rule,) = policies["redis"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "oracle"}}}]


def test_the_services_settings_exist(base) -> None:
    from generator_svc.service.settings import GeneratorSettings
    from oracle_svc.service.settings import OracleSettings
    from trainer_svc.settings import TrainerSettings
    from xenolith.serving import ServingSettings

    known = {
        f"{kind.model_config['env_prefix']}{field}".upper()
        for kind in (GeneratorSettings, OracleSettings, TrainerSettings, ServingSettings)
        for field in kind.model_fields
    }
    for container in containers(base):
        set_here = {variable["name"] for variable in container.get("env", ())}
        assert set_here - known <= {"HOME", "USER", "XENOLITH_SECRETS_DIR"}, container["name"]
