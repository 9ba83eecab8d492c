"""What the images are built from: the files that .dockerignore lets through."""

from __future__ import annotations

import re
import subprocess

import pytest
from stand_ins import DOCKERFILES


def copied(project) -> list[str]:
    """What our Dockerfiles copy from the checkout."""
    text = "\n".join((project.folder / name).read_text() for name in DOCKERFILES)
    return sorted(set(re.findall(r"^COPY (?!--from=)(\S+) ", text, re.M)))


def test_secrets_graphs_and_compiled_files_stay_outside(project, tmp_path):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /\nCMD none\n")
    image = project.engine.out("build", "-q", "-f", dockerfile, project.folder)
    container = project.engine.out("create", image)
    exported = tmp_path / "files.tar"
    project.engine.run("export", "-o", exported, container)
    project.engine.run("rm", container)
    listed = subprocess.run(["tar", "-tf", exported], capture_output=True, text=True, check=True)
    files = listed.stdout.split()
    assert "aurum/server/container.py" in files
    secret = re.compile(r"secrets/.|\.key$|\.pem$|^\.env|\.onnx$|\.so$|^\.git|^tests/")
    assert [name for name in files if secret.search(name)] == []


@pytest.mark.parametrize("tool", ["docker", "buildah"])
def test_the_builders_of_docker_and_podman_find_what_is_copied(project, tmp_path, tool):
    """buildah is what `podman build` runs; it reads .dockerignore in its own way."""
    dockerfile = tmp_path / "Dockerfile"
    lines = [f"COPY {source} /{number}/" for number, source in enumerate(copied(project))]
    dockerfile.write_text("\n".join(["FROM scratch", *lines, ""]))
    if tool == "docker":
        project.engine.run("build", "-q", "-f", dockerfile, project.folder)
        return
    storage = ("--root", tmp_path / "root", "--runroot", tmp_path / "run", "--storage-driver=vfs")
    done = subprocess.run(
        ["buildah", *storage, "build", "--isolation=chroot", "-f", dockerfile, project.folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("more", ["deploy/compose/dev.yml", "deploy/compose/gpu.yml"])
def test_compose_takes_the_variations(project, more):
    project.compose("-f", "docker-compose.yml", "-f", more, "--profile", "*", "config", "--quiet")
