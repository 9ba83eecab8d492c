"""perf_analyzer's arguments, inputs and reports, without running it."""

import base64
import json
import struct

import cv2
import numpy as np
import pytest
from images import ASTRONAUT

from aurum.imaging.letterbox import letterbox, planar
from aurum.settings import Settings
from benchmarks.common.rows import Sweep
from benchmarks.load import inputs
from benchmarks.load.outcome import Load
from benchmarks.load.perf_analyzer import (
    SMOKE,
    PerfAnalyzerError,
    Plan,
    Result,
    parse,
    protocol_of,
)

# Written by perf_analyzer 2.51 (--verbose-csv), unchanged.
CSV = """\
Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,\
Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,p50 latency,\
p90 latency,p95 latency,p99 latency,Avg latency,request/response,response wait
2,35.5625,83,52980,3,221,2030,242,7,55560,68352,79982,87193,55570,90,55437
"""
LOG = """\
  Client: 
    Request count: 107
  Server: 
    Inference count: 107
    Avg request latency: 53702 usec (overhead 12630 usec + queue 4288 usec + compute 36784 usec)

  Composing models: 
  embed_crops, version: 1
      Inference count: 108
      Execution count: 108
      Successful request count: 108
      Avg request latency: 1453 usec (overhead 5 usec + queue 217 usec + compute input 79 usec \
+ compute infer 1132 usec + compute output 19 usec)

  face_detection, version: 1
      Inference count: 108
      Avg request latency: 23634 usec (overhead 5 usec + queue 2858 usec + compute input 186 usec \
+ compute infer 20081 usec + compute output 503 usec)

Inferences/Second vs. Client Average Batch Latency
"""


def test_the_csv_and_the_request_count_become_a_result():
    times = (83, 52980, 3, 221, 2030, 242, 7, 55560, 68352, 79982, 87193, 55570, 90, 55437)
    result = parse(CSV, LOG, "embed_face", "grpc")
    assert result == Result(Sweep("embed_face", "grpc", 2, 35.5625, *times), requests=107)
    assert (result.row.send_us, result.row.queue_us, result.row.infer_us) == (83, 3, 2030)
    assert (result.row.receive_us, result.row.p95_us, result.row.mean_us) == (7, 79982, 55570)
    assert result.load == Load(107, 0, 35.5625, 55.56, 79.982, 87.193)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("", "0 results"),
        (CSV + CSV.splitlines()[1] + "\n", "2 results"),
        (CSV.replace("p95 latency", "p94 latency"), "p95 latency"),
        (CSV.replace("79982", "soon"), "soon"),
        (CSV.replace(",55570,90,55437", "").replace(",87193", ""), "int()"),
    ],
)
def test_an_unexpected_csv_is_refused_and_shown(report, said):
    with pytest.raises(PerfAnalyzerError) as error:
        parse(report, LOG, "embed_face", "grpc")
    assert said in str(error.value)
    assert report in str(error.value)


def test_a_plan_has_windows_of_requests_or_of_time():
    assert Plan(requests=50, stability=20, trials=4).flags() == [
        "--measurement-mode=count_windows",
        "--measurement-request-count=50",
        "--stability-percentage=20",
        "--max-trials=4",
    ]
    assert SMOKE.flags()[:2] == ["--measurement-mode=time_windows", "--measurement-interval=500"]


def test_the_protocol_follows_the_address_scheme():
    assert protocol_of("http://127.0.0.1:8000") == "http"
    assert protocol_of("grpc://127.0.0.1:8001") == "grpc"
    with pytest.raises(PerfAnalyzerError, match=r"127\.0\.0\.1:8000: the address must begin with"):
        protocol_of("127.0.0.1:8000")


class Finder:
    """A stand-in for the client: the astronaut has a face, anything else has none."""

    def __init__(self, url):
        self.url = url

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def detect(self, photo):
        return Found() if photo == ASTRONAUT.read_bytes() else []


class Found:
    boxes = np.array([[170, 70, 100, 140]], np.float32)
    landmarks = np.array([[[200, 120], [240, 120], [220, 145], [205, 165], [235, 165]]], np.float32)


@pytest.fixture
def wall(tmp_path):
    path = tmp_path / "wall.png"
    cv2.imwrite(str(path), np.full((100, 900, 3), 127, np.uint8))
    return path


def test_each_workload_gets_inputs_of_its_own_kind(monkeypatch, tmp_path, wall):
    monkeypatch.setattr(inputs, "FaceClient", Finder)
    workloads = inputs.write([ASTRONAUT, wall], "http://nowhere", tmp_path, Settings())
    entries = {item.name: json.loads(item.data.read_text())["data"] for item in workloads}
    assert {item.name: (item.model, item.calls, item.parameters) for item in workloads} == {
        "face_detection": ("face_detection", (), ()),
        "face_embedding": ("face_embedding", (), ()),
        "detect_faces": ("detect_faces", ("face_detection",), ()),
        "embed_face": ("embed_face", ("face_detection", "face_embedding"), ()),
        "embed_face_aligned": ("embed_face", ("face_embedding",), ("aligned:true:bool",)),
        "analyze_faces": ("analyze_faces", ("face_detection", "face_embedding"), ()),
    }
    both = [ASTRONAUT.read_bytes(), wall.read_bytes()]
    assert [elements(entry["image"]) for entry in entries["analyze_faces"]] == both
    assert entries["detect_faces"] == entries["analyze_faces"]
    assert [elements(entry["image"]) for entry in entries["embed_face"]] == both[:1]
    square, strip = (pixels(entry["images"]) for entry in entries["face_detection"])
    rgb = cv2.cvtColor(cv2.imread(str(wall)), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(strip, planar(letterbox(rgb, 640).image))
    assert square.shape == (3, 512, 512)
    (crop,) = (pixels(entry["crops"]) for entry in entries["face_embedding"])
    assert crop.shape == (112, 112, 3)
    (png,) = (elements(entry["image"]) for entry in entries["embed_face_aligned"])
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded[..., ::-1], crop)


def test_photos_without_a_face_are_named_in_the_error(monkeypatch, tmp_path, wall):
    monkeypatch.setattr(inputs, "FaceClient", Finder)
    with pytest.raises(inputs.NoFacesError, match=r"http://nowhere finds no face in .*wall\.png"):
        inputs.write([wall], "http://nowhere", tmp_path, Settings())


def content(entry):
    return base64.b64decode(entry["content"]["b64"], validate=True)


def pixels(entry):
    return np.frombuffer(content(entry), np.uint8).reshape(entry["shape"])


def elements(entry):
    """The only element of a BYTES tensor in Triton's wire format."""
    assert entry["shape"] == [1]
    data = content(entry)
    assert struct.unpack("<I", data[:4]) == (len(data) - 4,)
    return data[4:]
