"""The Kubernetes manifests, checked against the real schemas and each other, without a cluster."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.main import get_command

from aurum.bulk.shards import Shard
from aurum.cli import USAGE
from aurum.cli.app import app
from aurum.paths import CHECKOUT
from aurum.server.container import ALIVE
from aurum.settings import PREFIX, Settings

FOLDER = CHECKOUT / "deploy" / "kubernetes"
VERSIONS = ("1.27", "1.31", "1.34")
KSERVE = "serving.kserve.io/"


def read(folder: Path) -> list[dict[str, Any]]:
    """The objects that a folder's kustomization lists."""
    named = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    texts = ((folder / name).read_text() for name in named)
    return [document for text in texts for document in yaml.safe_load_all(text)]


PLAIN, SERVED, BULK = read(FOLDER), read(FOLDER / "kserve"), read(FOLDER / "bulk")


def name_of(document: dict[str, Any]) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


def one(kind: str, name: str) -> dict[str, Any]:
    [found] = [item for item in PLAIN if name_of(item) == f"{kind}-{name}"]
    return found


def pod(name: str) -> dict[str, Any]:
    return one("Deployment", name)["spec"]["template"]["spec"]


def container(name: str) -> dict[str, Any]:
    [found] = pod(name)["containers"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", [*PLAIN, *BULK], ids=name_of)
def test_the_manifests_match_the_kubernetes_schemas(document, version):
    kubernetes_validate.validate(document, version, strict=True)


def test_the_schemas_reject_a_wrong_field():
    wrong = json.loads(json.dumps(one("Deployment", "triton")))
    wrong["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize(
    ("folder", "image"),
    [(FOLDER, "triton"), (FOLDER / "kserve", "triton"), (FOLDER / "bulk", "bulk")],
    ids=["plain", "kserve", "bulk"],
)
def test_kustomize_builds_the_folders(folder, image):
    command = ["kubectl", "kustomize", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    documents = list(yaml.safe_load_all(built))
    assert {item["kind"] for item in documents} == {item["kind"] for item in read(folder)}
    assert f"image: aurum/{image}:0.2.0" in built


# --- KServe: no package has its schemas, but its Python SDK has classes generated from them ---


def sdk(kind: str) -> dict[str, str] | None:
    """A class's JSON names and types; parsed, as an import would need many packages."""
    found = importlib.util.find_spec("kserve")
    assert found is not None
    assert found.submodule_search_locations
    file = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
    path = Path(found.submodule_search_locations[0]) / "models" / f"{file}.py"
    if not path.is_file():
        return None
    tables = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("openapi_types", "attribute_map")
    }  # fmt: skip
    names = tables["attribute_map"]
    return {names[key]: value for key, value in tables["openapi_types"].items()}


def check(value: Any, kind: str, where: str) -> int:
    """Fail on unknown fields or wrong types; return the number of fields checked."""
    scalars = {"str": str, "int": int, "bool": bool, "float": float}
    if match := re.fullmatch(r"list\[(\w+)\]", kind):
        assert isinstance(value, list), where
        return sum(check(item, match[1], f"{where}[]") for item in value)
    if kind in scalars:
        assert type(value) is scalars[kind], f"{where} must be {kind}"
        return 1
    fields = sdk(kind)
    if (
        fields is None
    ):  # a class of Kubernetes itself; the probes and volumes are those of triton.yaml
        return 0
    assert isinstance(value, dict), where
    assert set(value) <= set(fields), f"{where}: unknown {set(value) - set(fields)}"
    return sum(check(item, fields[key], f"{where}.{key}") for key, item in value.items())


@pytest.mark.parametrize("document", SERVED, ids=name_of)
def test_the_manifests_match_the_kserve_classes(document):
    if importlib.util.find_spec("kserve") is None:
        pytest.skip("the KServe SDK is not installed: pip install --no-deps kserve")
    version = document["apiVersion"].removeprefix(KSERVE)
    kind = version.capitalize() + document["kind"]
    assert check(document, kind, document["kind"]) >= 5
    document["spec"]["storageUris"] = []
    with pytest.raises(AssertionError, match="unknown"):
        check(document, kind, document["kind"])
    del document["spec"]["storageUris"]


def test_kserve_runs_the_same_container():
    runtime, service = (next(d for d in SERVED if d["kind"] == kind)
                        for kind in ("ServingRuntime", "InferenceService"))  # fmt: skip
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    formats = [item["name"] for item in runtime["spec"]["supportedModelFormats"]]
    assert model["modelFormat"]["name"] in formats
    claim = one("PersistentVolumeClaim", "aurum-models")["metadata"]["name"]
    assert model["storageUri"] == f"pvc://{claim}"
    [ours] = runtime["spec"]["containers"]
    for key in ("image", "resources"):
        assert ours[key] == container("triton")[key]
    assert ours["readinessProbe"]["exec"] == container("triton")["readinessProbe"]["exec"]


# --- consistency ---


@pytest.mark.parametrize("name", ["triton", "gateway"])
def test_labels_ports_and_volumes_match(name):
    deployment = one("Deployment", name)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert one("Service", name)["spec"]["selector"].items() <= labels.items()
    budget = one("PodDisruptionBudget", name)["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert deployment["spec"]["replicas"] > budget["maxUnavailable"]
    ports = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
    for port in one("Service", name)["spec"]["ports"]:
        assert port["targetPort"] in ports
    file = CHECKOUT / ("Dockerfile" if name == "triton" else "deploy/gateway/Dockerfile")
    exposed = re.search(r"EXPOSE (.*)", file.read_text())[1].split()
    assert sorted(map(int, exposed)) == sorted(ports.values())
    volumes = {volume["name"] for volume in pod(name)["volumes"]}
    assert {mount["name"] for mount in container(name)["volumeMounts"]} == volumes


@pytest.mark.parametrize("name", ["triton", "gateway"])
def test_pods_are_confined(name):
    security = {**pod(name)["securityContext"], **container(name)["securityContext"]}
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == 1000
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert container(name)["resources"]["limits"]["memory"]
    assert pod(name)["enableServiceLinks"] is False  # service variables would look like settings
    for variable in container(name).get("env", []):
        assert hasattr(Settings(), variable["name"].removeprefix(PREFIX).lower())


def test_triton_is_ready_when_it_answers_a_photo_and_has_time_to_drain():
    triton = container("triton")
    health = re.search(r"CMD (\[.*?\])", (CHECKOUT / "Dockerfile").read_text().replace("\\\n", ""))
    mine = triton["readinessProbe"]["exec"]["command"]
    short = {"--output": "-o", "--header": "-H"}
    assert [short.get(word, word) for word in mine] == json.loads(health[1])
    assert triton["startupProbe"]["exec"]["command"] == mine
    assert "exec" in triton["livenessProbe"]  # /v2/health/live is 200 while the step hangs
    wait = int(triton["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = next(int(v["value"]) for v in triton["env"] if v["name"] == "AURUM_DRAIN_TIMEOUT")
    assert pod("triton")["terminationGracePeriodSeconds"] > wait + drain
    assert one("Service", "triton")["spec"]["clusterIP"] == "None"


def test_network_policies_open_only_what_is_named():
    closed = one("NetworkPolicy", "nothing")["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    [from_gateway, from_monitoring] = one("NetworkPolicy", "triton")["spec"]["ingress"]
    assert from_gateway["from"] == [{"podSelector": {"matchLabels": {"app": "gateway"}}}]
    assert [port["port"] for port in from_gateway["ports"]] == ["http", "grpc"]
    assert [port["port"] for port in from_monitoring["ports"]] == ["metrics"]
    outside = [item for item in PLAIN if item["kind"] == "Service"
               and item["spec"].get("type", "ClusterIP") != "ClusterIP"]  # fmt: skip
    assert [name_of(item) for item in outside] == ["Service-gateway"]


def test_scaling_uses_the_metric_that_the_adapter_provides():
    [metric] = one("HorizontalPodAutoscaler", "triton")["spec"]["metrics"]
    [rule] = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]


@pytest.mark.parametrize("which", ["plain", "kserve"])
def test_liveness_is_a_file_that_the_container_touches(which, tmp_path):
    if which == "plain":
        probe = container("triton")["livenessProbe"]
    else:
        [runtime] = [item for item in SERVED if item["kind"] == "ServingRuntime"]
        probe = runtime["spec"]["containers"][0]["livenessProbe"]
    shell, option, script = probe["exec"]["command"]
    assert str(ALIVE) in script
    file = tmp_path / ALIVE.name

    def well() -> bool:
        asked = script.replace(str(ALIVE), str(file))
        return subprocess.run([shell, option, asked], check=False).returncode == 0

    assert not well()
    file.touch()
    assert well()
    os.utime(file, (0, time.time() - 15))
    assert not well()


# --- bulk ---


def job() -> dict[str, Any]:
    [found] = [item for item in BULK if item["kind"] == "Job"]
    return found["spec"]


def test_the_jobs_pods_do_one_shard_each_with_options_that_exist():
    spec = job()
    assert spec["completionMode"] == "Indexed"
    [bulk] = spec["template"]["spec"]["containers"]
    parameters = {
        option: parameter
        for parameter in get_command(app).commands["bulk"].commands["run"].params
        for option in parameter.opts
    }
    assert bulk["args"][:2] == ["bulk", "run"]
    given = dict(word.split("=", 1) for word in bulk["args"] if word.startswith("--"))
    assert given.keys() <= parameters.keys()
    shards = {
        Shard.parse(given["--shard"].replace("$(JOB_COMPLETION_INDEX)", str(index)))
        for index in range(spec["completions"])
    }
    assert shards == {Shard(index, spec["completions"]) for index in range(spec["completions"])}
    [rule] = [rule for rule in spec["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    assert rule["onExitCodes"]["values"] == [USAGE]


def test_the_jobs_pods_are_confined_and_reach_only_triton():
    pod = job()["template"]["spec"]
    [bulk] = pod["containers"]
    security = {**pod["securityContext"], **bulk["securityContext"]}
    theirs = {**one("Deployment", "triton")["spec"]["template"]["spec"]["securityContext"]}
    theirs |= container("triton")["securityContext"]
    assert security.items() >= theirs.items()
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in bulk["volumeMounts"]} == volumes
    objects = {name_of(item): item["spec"] for item in BULK}
    service = objects["Service-triton-bulk"]
    assert f"--url=http://triton-bulk:{service['ports'][0]['port']}" in bulk["args"]
    assert service["selector"] == one("Service", "triton")["spec"]["selector"]
    labels = job()["template"]["metadata"]["labels"]
    [rule] = objects["NetworkPolicy-triton-from-bulk"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": labels}}]
    [to_triton, look_up] = objects["NetworkPolicy-bulk"]["egress"]
    assert to_triton["to"] == [{"podSelector": {"matchLabels": service["selector"]}}]
    assert look_up == one("NetworkPolicy", "gateway")["spec"]["egress"][1]
    assert "ingress" not in objects["NetworkPolicy-bulk"]
