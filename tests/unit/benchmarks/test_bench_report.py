"""From raw rows to the report: the table of targets against hand-computed figures."""

import json
import math

import pytest

from benchmarks.common import names
from benchmarks.common.rows import ModelStats, Run, Sample, Table, Users, read
from benchmarks.load.outcome import Load
from benchmarks.performance import report
from benchmarks.performance.report import raw
from benchmarks.performance.report.targets import TARGETS
from benchmarks.performance.suites import SMOKE

MACHINE = {
    "cpu": "a CPU", "flags": ["avx2"], "cores": 2, "memory_gb": 8.0, "kernel": "6", "python": "3",
    "tritonserver": "2", "onnxruntime": "1", "opencv": "4", "numpy": "1",
    "models": {"face_detection": "d@1", "face_embedding": "e@2"}, "commit": "abc",
}  # fmt: skip


def add(folder, name, kind, rows):
    table = Table(folder / f"{name}.csv", kind)
    for row in rows:
        table.add(row)
    assert read(folder / f"{name}.csv", kind) == rows


def load(rate, p50=math.nan, p95=math.nan):
    return Load(100, 0, rate, p50, p95, 50.0)


def timed(index, what, clients, rate, p50, p95, size=1, cpu=5.0):
    return Run.of(index, what, clients, load(rate, p50, p95), size=size, cpu_ms=cpu)


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "raw"
    out.mkdir()
    (out / "machine.json").write_text(json.dumps(MACHINE))
    parts = ("compare", "models", "faces", "batching", "soak", "locust", "gpu")
    run = {
        "suite": {"name": "quick", "rounds": 2, "seconds": SMOKE.seconds},
        "parts": {
            name: {"seconds": 60, "notes": [f"{name} noted"], "commit": "abc"} for name in parts
        },
    }
    (out / "run.json").write_text(json.dumps(run))
    compare = []
    for index, (baseline, service, competitor) in enumerate([(100, 90, 60), (200, 160, 100)]):
        compare.append(timed(index, names.BASELINE, 2, baseline, 9.0, 9.0))
        for clients in (1, 8, 16):
            compare.append(timed(index, names.SERVICE, clients, service, 10.0 + index, 20.0))
            plain = timed(index, names.SERVICE_PLAIN, clients, 1.5 * service, 8.0, 9.0, cpu=9.5)
            compare.append(plain)
            compare.append(timed(index, names.COMPETITOR, clients, competitor, 20.0, 30.0))
    add(out, "compare", Run, compare)
    models = [
        timed(0, names.EMBEDDING_IN_PROCESS, 1, 50, 9.0, 9.0, size=8),  # 400 crops a second
        timed(0, names.EMBEDDING, 16, 300, 9.0, 9.0),  # 300 crops a second
        timed(0, names.EMBEDDING, 4, 48, 9.0, 9.0, size=8),  # 384 crops a second
        timed(0, names.DETECTION, 1, 100, 10.0, 15.0),
        timed(0, names.DETECTION, 8, 151, 50.0, 60.0),
        timed(0, names.ALIGNED, 1, 200, 5.0, 7.5),
        timed(0, names.ALIGNED, 8, 250, 30.0, 40.0),
    ]
    add(out, "models", Run, models)
    faces = [
        timed(0, names.EMBEDDING_IN_PROCESS, 1, 50, 9.0, 9.0, size=8),  # 2.5 ms a face
        timed(0, names.PHOTO, 1, 100, 9.0, 9.0, size=1, cpu=8.0),  # 10 ms
        timed(0, names.PHOTO, 1, 50, 9.0, 9.0, size=5, cpu=24.0),  # 20 ms: 2.5 ms a face
    ]
    add(out, "faces", Run, faces)
    stats = [
        ModelStats(0, 8, "face_detection", 100, 100, 50, 1000.0, 100.0, 8000.0, 200.0),
        ModelStats(0, 1, "face_detection", 10, 10, 10, 0.0, 100.0, 4000.0, 200.0),
    ]
    add(out, "batching", ModelStats, stats)
    add(out, "soak", Sample, [Sample(float(s), "tritonserver", 400.0 + s) for s in range(11)])
    add(out, "soak_load", Run, [timed(0, names.SERVICE, 4, 10.0, 50.0, 60.0)])
    users = [
        Users("s 1", names.ONE_FACE, "http", 90, rate, held, 900, 0, rate, 50.0, 60.0, 70.0, "{}")
        for rate, held in ((100.0, True), (130.0, False), (120.5, True))
    ]
    mixed = Users("", names.MIXED, "grpc", 8, 0.0, False, 99, 2, 500.0, 5.0, 6.0, 7.0, '{"400": 2}')
    add(out, "locust", Users, [*users, mixed])
    return tmp_path


EXPECTED = {
    "`analyze_faces` throughput at 8 clients, `refine` off / competitor's": ([2.25, 2.4], True),
    "`analyze_faces` throughput at 16 clients, `refine` off / competitor's": ([2.25, 2.4], True),
    "`analyze_faces` throughput at 8 clients / competitor's": ([1.5, 1.6], True),
    "`analyze_faces` throughput at 16 clients / competitor's": ([1.5, 1.6], True),
    "`analyze_faces` throughput at 8 clients, `refine` off / plain baseline": ([1.35, 1.2], True),
    "`analyze_faces` throughput at 16 clients, `refine` off / plain baseline": ([1.35, 1.2], True),
    "p50 at one client, `refine` off / competitor's": ([0.4, 0.4], True),
    "CPU time of a photo at 8 clients, `refine` off": ([9.5, 9.5], False),
    "CPU time of a photo at 8 clients": ([5.0, 5.0], True),
    "`face_embedding` throughput, requests of whole batches / in-process batched calls": (
        [0.96],
        True,
    ),
    "`face_embedding` throughput, requests of one crop / in-process batched calls": ([0.75], False),
    "`face_detection` p95 at one client": ([15], False),
    "`face_detection` throughput": ([151], False),
    "`embed_face` aligned p95 at one client": ([7.5], False),
    "`embed_face` aligned throughput": ([250], False),
    "one more face in a photo, time at one client / embedder's cost of a face in a batch": (
        [1.0],
        True,
    ),
    "one more face in a photo, CPU time / embedder's cost of a face in a batch": ([1.6], False),
    "memory of all processes under load (PSS), most": ([410], True),
    "memory of all processes, growth over the last 80 % of the time": ([60], False),
    "failed requests of the soak": ([0], True),
    "Locust: rate held at p95 < 100 ms": ([120.5], False),
}


def test_every_target_is_measured_and_evaluated(folder):
    figures = raw.load(folder / "raw")
    assert [target.figure for target in TARGETS] == list(EXPECTED)
    for target in TARGETS:
        values, met = EXPECTED[target.figure]
        assert target.measure(figures) == pytest.approx(values), target.figure
        assert target.met(sorted(values)[0]) == met, target.figure


def test_the_report_is_complete_and_deterministic(folder):
    path = report.write(folder)
    text = path.read_text()
    command = "`aurum bench run --suite quick --only compare --out DIR`"
    assert f"| <= 9.2 ms | 9.50 ms | 9.50 .. 9.50 | **no** | {command} |" in text
    assert "| >= 130 /s | 120.5 /s | 120.5 .. 120.5 | **no** |" in text
    assert "| face_detection | 8 | 100 | 2.00 | 1.00 | 0.10 | 8.00 | 0.20 |" in text
    assert (
        '| mixed | grpc |  | 8 | no limit | 500.0 | 5.00 | 6.00 | 7.00 | 2 | {"400": 2} |' in text
    )
    assert "- gpu noted" in text
    assert "## perf_analyzer\n\nNot measured in this run." in text
    shown = {plot.name: plot.read_bytes() for plot in (folder / "plots").iterdir()}
    assert {f"plots/{name}" in text for name in shown} == {True}
    assert len(shown) == 6
    assert report.write(folder).read_text() == text
    assert {plot.name: plot.read_bytes() for plot in (folder / "plots").iterdir()} == shown


def test_a_folder_without_raw_figures_is_named_in_the_error(tmp_path):
    with pytest.raises(raw.RawError, match=str(tmp_path)):
        report.write(tmp_path)


def test_a_part_without_rows_is_not_measured(folder):
    for path in (folder / "raw").glob("*.csv"):
        path.unlink()
    text = report.write(folder).read_text()
    assert text.count("| not measured |") == len(TARGETS)
