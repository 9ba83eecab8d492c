"""Real servers for the tests: the best available profile, and the simulated one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import up_process
from aurum_client import FaceClient

from aurum.paths import CHECKOUT, PHOTO
from aurum.server.ephemeral import Service, running
from aurum.settings import Settings

settings, up = up_process.settings, up_process.up


@pytest.fixture(scope="session")
def best(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The default profile, or the simulated one if no weights are available."""
    with running(Settings.from_env(), tmp_path_factory.mktemp("best")) as service:
        yield service


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = replace(Settings.from_env(), profile="simulated")
    with running(settings, tmp_path_factory.mktemp("simulated")) as service:
        yield service


@pytest.fixture(params=["best", "simulated"])
def service(request: pytest.FixtureRequest) -> Service:
    """Tests run against both: none may depend on which models answer."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def real(best: Service) -> Service:
    """The default profile, for tests of accuracy."""
    if best.prepared.simulated:
        pytest.skip("no weights: AURUM_MODEL_MIRROR has no real models (docs/reference/models.md)")
    return best


@pytest.fixture(params=["http", "grpc"])
def client(request: pytest.FixtureRequest, service: Service) -> Iterator[FaceClient]:
    url = service.urls[0 if request.param == "http" else 1]
    with FaceClient(url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def astronaut() -> bytes:
    """512x512, one face."""
    return PHOTO.read_bytes()


@pytest.fixture(scope="session")
def blurred(astronaut: bytes) -> bytes:
    """The astronaut, so blurred that the face is not recognizable."""
    photo = cv2.imdecode(np.frombuffer(astronaut, np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".png", cv2.GaussianBlur(photo, (0, 0), 4))[1].tobytes()


@pytest.fixture(scope="session")
def photo_folder() -> Path:
    """The folder in AURUM_TEST_PHOTOS, which need not exist."""
    return Path(os.environ.get("AURUM_TEST_PHOTOS") or CHECKOUT.parent / "shared" / "photos")


@pytest.fixture(scope="session")
def photos(photo_folder: Path) -> Path:
    """Group photos, for tests that count their faces."""
    if not photo_folder.is_dir():
        pytest.skip("no group photos: set AURUM_TEST_PHOTOS to a folder that has them")
    return photo_folder


@pytest.fixture
def people(tmp_path: Path, photos: Path) -> Path:
    """Two people with two photos each in LFW's layout, and a pairs file with one set."""
    crowd = cv2.imread(str(photos / "src_meeting.jpg"))
    both = {"Ann": cv2.imread(str(PHOTO)), "Bob": crowd}
    for name, photo in both.items():
        (tmp_path / "faces" / name).mkdir(parents=True)
        for number, quality in ((1, 95), (2, 60)):
            path = tmp_path / "faces" / name / f"{name}_{number:04d}.jpg"
            cv2.imwrite(str(path), photo, [cv2.IMWRITE_JPEG_QUALITY, quality])
    pairs = "1\t2\nAnn\t1\t2\nBob\t1\t2\nAnn\t1\tBob\t1\nAnn\t2\tBob\t2\n"
    (tmp_path / "pairs.txt").write_text(pairs)
    return tmp_path


@pytest.fixture
def record_figure(record_property):
    """Record a figure with the test result, and print it."""

    def record(name: str, value: object) -> None:
        record_property(name, str(value))
        print(f"\n{name}: {value}", end="")

    return record
