"""The Compose files: schema, Docker Compose itself where installed, and our own rules."""

from __future__ import annotations

import importlib.resources
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
import yaml

from aurum.paths import CHECKOUT
from aurum.settings import PREFIX, Settings

MAIN = "docker-compose.yml"
FILES = [MAIN, "deploy/compose/dev.yml", "deploy/compose/gpu.yml"]
# Created at run time: a folder of Docker's.
LATER = {"/var/lib/docker/containers"}


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((CHECKOUT / name).read_text())


SERVICES = load(MAIN)["services"]


@pytest.mark.parametrize("name", FILES)
def test_the_files_match_the_compose_specification(name):
    """The schema comes with check-jsonschema, which keeps it current."""
    package = importlib.resources.files("check_jsonschema.builtin_schemas")
    schema = json.loads((package / "vendor" / "compose-spec.json").read_text())
    jsonschema.validate(load(name), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"x": {"volume": []}}}, schema)


@pytest.mark.parametrize("more", [[], ["deploy/compose/dev.yml"], ["deploy/compose/gpu.yml"]])
def test_docker_compose_accepts_the_files(more):
    compose = compose_command()
    if compose is None:
        pytest.skip("Docker Compose is not installed")
    files = itertools.chain.from_iterable(("-f", name) for name in [MAIN, *more])
    command = [*compose, *files, "--profile", "*", "config", "--format", "json"]
    environment = {**os.environ, "GRAFANA_ADMIN_PASSWORD": "x"}
    result = run(command, environment)
    assert result.returncode == 0, result.stderr
    assert set(json.loads(result.stdout)["services"]) == set(SERVICES)


def run(
    command: list[str], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )


def compose_command() -> list[str] | None:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            version = run([*command, "version"])
            if version.returncode == 0 and re.search(r"version v?[2-9]", version.stdout):
                return command
    return None


@pytest.mark.parametrize("name", FILES)
def test_every_mounted_path_exists(name):
    for service in load(name)["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (CHECKOUT / source).exists(), source
            elif source.startswith("/"):
                assert source in LATER
            else:
                assert source in load(name)["volumes"]
            assert volume.endswith(":ro") or not source.startswith((".", "/"))


def test_every_variable_is_in_the_example_file_with_its_default():
    used: dict[str, str] = {}
    for name in FILES:
        for variable, default in re.findall(
            r"\$\{([A-Z0-9_]+)(?::-([^}]*))?", (CHECKOUT / name).read_text()
        ):
            if name == MAIN:
                assert used.setdefault(variable, default) == default, variable
            else:
                assert variable in used
    lines = (CHECKOUT / ".env.example").read_text()
    example = dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", lines, re.M))
    assert example == used
    for variable, default in used.items():
        if variable.startswith(PREFIX) and variable != "AURUM_GATEWAY_PUBLISH":
            assert Settings().to_env()[variable] == default, variable


def test_the_files_hold_no_secrets():
    for name in [*FILES, ".env.example"]:
        for line in (CHECKOUT / name).read_text().splitlines():
            match = re.search(r"(PASSWORD|TOKEN|SECRET|KEY)\w*\s*[:=]\s*(\S*)", line)
            assert match is None or match[2] in ("",) or match[2].startswith("${"), line


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_monitored_and_confined(name):
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), "pinned"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["restart"] == "unless-stopped"
    assert not service.get("privileged")
    assert service["logging"]["options"]["max-size"]
    own = name in ("triton", "gateway")
    # `docker compose up --wait` fails with one that is disabled.
    assert own or service["healthcheck"]["test"], "ours have theirs in the Dockerfile"
    assert service["user"] == "1000:1000" or not own
    assert service["user"] != "0:0" or name == "logs"


def test_prometheus_scrapes_only_existing_services():
    text = (CHECKOUT / "monitoring" / "prometheus.yml").read_text()
    hosts = set(re.findall(r'"(?:http://)?([a-z-]+):\d+', text))
    assert len(hosts) > 3
    assert hosts <= set(SERVICES)
    assert (
        "http://prometheus:"
        in (CHECKOUT / "monitoring/grafana/provisioning/datasources/prometheus.yml").read_text()
    )


def test_only_the_gateway_is_open_to_the_network():
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert name == "gateway" or port.startswith("127.0.0.1:")
    assert SERVICES["triton"]["networks"] == ["inner"]
    assert load(MAIN)["networks"]["inner"]["internal"] is True
    assert SERVICES["triton"]["shm_size"] == "1gb"
    for port in load("deploy/compose/dev.yml")["services"]["triton"]["ports"]:
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "name",
    [
        *("Dockerfile", "deploy/gateway/Dockerfile"),
        *("deploy/logs/Dockerfile", "deploy/bulk/Dockerfile"),
    ],
)
def test_dockerfiles_are_pinned_and_copy_existing_files(name):
    text = (CHECKOUT / name).read_text()
    [base] = set(re.findall(r"^FROM (\S+)(?: AS \w+)?$", text, re.M))
    assert re.search(r":(\d+\.\d+-py3|bookworm-\d{8}-slim)(@sha256:[0-9a-f]{64})?$", base)
    for source in re.findall(r"^COPY (?!--from=)(\S+) ", text, re.M):
        assert (CHECKOUT / source).exists()
    if name != "deploy/logs/Dockerfile":
        assert "USER 1000:1000\n" in text
        assert ("HEALTHCHECK" in text) is (name != "deploy/bulk/Dockerfile")  # which ends


def test_podman_could_run_it():
    """Which knows neither another service's PID namespace nor the owner of a tmpfs."""
    for service in SERVICES.values():
        assert "pid" not in service
        assert not [place for place in service.get("tmpfs", []) if "uid=" in place]
    for line in (CHECKOUT / ".dockerignore").read_text().splitlines():
        assert not re.match(r"!.*/", line), "an exception within an excluded folder"


def test_the_gateways_health_does_not_depend_on_triton():
    assert "/gateway/live" in (CHECKOUT / "deploy/gateway/Dockerfile").read_text()
    assert SERVICES["gateway"]["depends_on"] == ["triton"]  # and not that it is healthy


def test_the_gateway_needs_no_python_packages(tmp_path):
    """As in its image: Python without site-packages gets as far as the missing certificate."""
    environment = {"PATH": os.environ["PATH"], "AURUM_GATEWAY_CERTIFICATE": str(tmp_path / "none")}
    result = run([sys.executable, "-S", "-m", "aurum.gateway"], environment)
    assert result.returncode == 1
    assert "AURUM_GATEWAY_CERTIFICATE: there is no file" in result.stderr
