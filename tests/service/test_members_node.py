"""The pinned packages of LanceDB for Python and Node.js read the same table."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aurum_client import FaceClient
from bulk_output import like, row, write

from aurum.members import create, enrolment
from aurum.paths import CHECKOUT, PHOTO

CLIENT = CHECKOUT / "client" / "node"
EXAMPLE = CLIENT / "example" / "find.mjs"
NODE = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The example with the packages that it names, installed beside it."""
    folder = tmp_path_factory.mktemp("node")
    shutil.copy(EXAMPLE, folder)
    shutil.copy(CLIENT / ".npmrc", folder)
    (folder / "package.json").write_text('{"private": true}')
    packages = re.search(r"npm install aurum-face-client (.*?)`", EXAMPLE.read_text())[1].split()
    subprocess.run(["npm", "run", "build"], cwd=CLIENT, env=NODE, check=True, capture_output=True)
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", CLIENT, *packages],
        cwd=folder,
        env=NODE,
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"npm has no {' '.join(packages)} here: {installed.stderr[-200:]}")
    return folder / EXAMPLE.name


def find(example, url, db, photo):
    return subprocess.run(
        ["node", example, db, photo],
        env={**NODE, "AURUM_TRITON_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def members(tmp_path, vector, models):
    rows = [row(f"other{number}", like(vector, 0.1, number)) for number in range(20)]
    rows = [one | {"embedder": models.embedder} for one in [*rows, row("eileen", vector)]]
    output = write(tmp_path / "out", rows, models=(models.detector, models.embedder))
    enrolled = enrolment.read(output)
    create(tmp_path / "db", enrolled.model, enrolled.batches())
    return tmp_path / "db"


def test_node_finds_who_python_enrolled(example, simulated, tmp_path):
    with FaceClient(simulated.urls[0]) as client:
        face = client.embed(PHOTO)
    db = members(tmp_path, face.vector, face.models)
    found = json.loads(find(example, simulated.urls[0], db, PHOTO).stdout)
    first, second, *_ = found["candidates"]
    assert (first["member"], first["match"], second["match"]) == ("eileen", True, False)
    assert first["similarity"] == pytest.approx(1, abs=1e-4)
    assert second["similarity"] == pytest.approx(0.1, abs=1e-4)
    assert found["threshold"] == 0.4


def test_node_refuses_another_embedders_table(example, best, simulated, tmp_path):
    if best.prepared.simulated:
        pytest.skip("there is only one embedder here")
    with FaceClient(simulated.urls[0]) as client:
        face = client.embed(PHOTO)
    done = find(example, best.urls[0], members(tmp_path, face.vector, face.models), PHOTO)
    assert done.returncode == 1
    assert "the table has simulated" in done.stderr
