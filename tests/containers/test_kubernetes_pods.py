"""Both pods' containers under the securityContext, mounts and probes of deploy/kubernetes.

There is no cluster: Docker runs what a kubelet would, from the manifests.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine import Engine
from project import Project
from waiting import eventually

from aurum.bulk.status import status
from aurum.paths import PHOTO

FOLDER = Path("deploy/kubernetes")


def deployment(project: Project, name: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((project.folder / FOLDER / f"{name}.yaml").read_text())
    (found,) = (item for item in documents if item["kind"] == "Deployment")
    return found["spec"]["template"]["spec"]


def arguments(pod: dict[str, Any], sources: dict[str, Path]) -> list[str]:
    """The options of `docker run` that stand for a pod's only container."""
    (container,) = pod["containers"]
    security = {**pod["securityContext"], **container["securityContext"]}
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["runAsNonRoot"] is True
    user = f"{security['runAsUser']}:{security['runAsGroup']}"
    dropped = [f"--cap-drop={name}" for name in security["capabilities"]["drop"]]
    found = ["--read-only", f"--user={user}", "--security-opt=no-new-privileges", *dropped]
    found += [f"--env={item['name']}={item['value']}" for item in container.get("env", [])]
    found.append(f"--memory={container['resources']['limits']['memory'].rstrip('i')}")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        path, volume = mount["mountPath"], volumes[mount["name"]]
        if "emptyDir" in volume:
            size = volume["emptyDir"].get("sizeLimit", "64Mi").rstrip("i")
            found.append(f"--tmpfs={path}:mode=1777,size={size},exec")
        else:
            source = sources[mount["name"]] / mount.get("subPath", "")
            found.append(f"--volume={source}:{path}:{'ro' if mount.get('readOnly') else 'rw'}")
    return found


@pytest.fixture(scope="module")
def pods(project: Project) -> Iterator[dict[str, Any]]:
    """The containers' names, and what starts one; the gateway's runs, on a network of its own."""
    engine, folder = project.engine, Path(tempfile.mkdtemp(prefix="aurum-secrets-"))
    folder.chmod(0o755)
    secrets = project.folder / "deploy" / "gateway" / "secrets"
    for name in ("tls/tls.crt", "tls/tls.key", "keys/keys"):  # defaultMode 0440, fsGroup 1000
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(secrets / target.name, target)
        target.chmod(0o440)
        shutil.chown(target, 0, 1000)
    engine.run("network", "create", "aurum-pods")
    names = {name: f"aurum-pod-{name}" for name in ("gateway", "triton")}
    options = {
        "gateway": arguments(
            deployment(project, "gateway"), {"tls": folder / "tls", "keys": folder / "keys"}
        ),
        "triton": arguments(deployment(project, "triton"), {"models": project.folder}),
    }

    def start(name: str) -> None:
        engine.run(
            "run", "--detach", "--network=aurum-pods", f"--network-alias={name}",
            f"--name={names[name]}", *options[name], f"aurum/{name}:0.2.0",
        )  # fmt: skip

    try:
        start("gateway")
        yield {**names, "start": start}
    finally:
        engine.run("rm", "-f", *names.values(), check=False)
        engine.run("network", "rm", "aurum-pods", check=False)
        shutil.rmtree(folder)


def probe(engine: Engine, container: str, how: dict[str, Any]) -> bool:
    """What a kubelet would find: an exec's status, or an HTTPS GET's from the pod itself."""
    if "exec" in how:
        command = how["exec"]["command"]
    else:
        get = how["httpGet"]
        assert (get["port"], get["scheme"]) == ("https", "HTTPS")
        command = ["curl", "-fsSk", "-o", "/dev/null", f"https://127.0.0.1:8443{get['path']}"]
    return engine.run("exec", container, *command, check=False).returncode == 0


def test_the_gateways_pod_lives_without_triton_and_is_ready_with_it(project, pods):
    engine = project.engine
    (gateway,), (triton,) = (
        deployment(project, name)["containers"] for name in ("gateway", "triton")
    )
    eventually(lambda: probe(engine, pods["gateway"], gateway["livenessProbe"]), 30)
    assert not probe(engine, pods["gateway"], gateway["readinessProbe"])
    pods["start"]("triton")
    eventually(lambda: probe(engine, pods["triton"], triton["startupProbe"]), 90, pause=0.5)
    assert probe(engine, pods["triton"], triton["readinessProbe"])
    assert probe(engine, pods["triton"], triton["livenessProbe"])
    eventually(lambda: probe(engine, pods["gateway"], gateway["readinessProbe"]), 30)
    restarts = "{{.RestartCount}} {{.State.Running}}"
    for name in ("gateway", "triton"):
        assert engine.out("inspect", "-f", restarts, pods[name]) == "0 true"


def test_the_jobs_pods_embed_one_shard_each(project, pods):
    """The image is built as the guide says; Triton's Service is the network's alias here."""
    engine = project.engine
    file = project.folder / "deploy" / "bulk" / "Dockerfile"
    engine.run("build", "--quiet", "--tag=aurum/bulk:0.2.0", f"--file={file}", project.folder)
    documents = yaml.safe_load_all((project.folder / FOLDER / "bulk" / "job.yaml").read_text())
    spec = next(item["spec"] for item in documents if item["kind"] == "Job")
    pod = spec["template"]["spec"]
    folder = Path(tempfile.mkdtemp(prefix="aurum-bulk-"))
    folder.chmod(0o755)
    try:
        for name in ("photos", "out"):
            (folder / name).mkdir()
            shutil.chown(folder / name, 1000, 1000)
        for number in range(12):
            shutil.copy(PHOTO, folder / "photos" / f"{number}.jpg")
        options = arguments(pod, {"photos": folder / "photos", "out": folder / "out"})
        for index in range(spec["completions"]):
            words = [
                word.replace("$(JOB_COMPLETION_INDEX)", str(index)).replace("triton-bulk", "triton")
                for word in pod["containers"][0]["args"]
            ]
            engine.run("run", "--rm", "--network=aurum-pods", *options, "aurum/bulk:0.2.0", *words)
        found = status(folder / "out" / "embeddings")
        assert (found.photos, found.faces, found.failures) == (12, 12, {})
        assert len(found.shards) > 1
    finally:
        shutil.rmtree(folder)


def test_tritons_pod_is_not_live_where_its_step_hangs(project, pods):
    """By inference, which the container does itself: it ends, and Kubernetes starts it again."""
    project.engine.process(pods["triton"], "stub .* each_face_0_0").suspend()
    state = ("inspect", "-f", "{{.State.Running}} {{.State.ExitCode}}", pods["triton"])
    eventually(lambda: project.engine.out(*state) == "false 1", 60, pause=0.5)
    assert "each_face hangs" in project.engine.run("logs", pods["triton"]).stderr


def test_sigterm_ends_both_pods_with_0(project, pods):
    project.engine.run("start", pods["triton"])
    (triton,) = deployment(project, "triton")["containers"]
    eventually(
        lambda: probe(project.engine, pods["triton"], triton["readinessProbe"]), 90, pause=0.5
    )
    for name in ("gateway", "triton"):
        project.engine.run("stop", "--time=60", pods[name])
        code = project.engine.out("inspect", "-f", "{{.State.ExitCode}}", pods[name])
        assert code == "0", name
