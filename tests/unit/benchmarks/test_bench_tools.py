"""The benchmarks' own tools: Triton's counters, photos, and in-process stand-ins for a server."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from images import ASTRONAUT

import benchmarks.__main__
from aurum.evaluation import photos
from benchmarks.baselines import in_process, plain
from benchmarks.common import triton_stats
from benchmarks.common.rows import ModelStats
from benchmarks.load import wrk
from benchmarks.performance import gpu


def counters(requests, executions, **spent):
    statistics = {
        name: {"count": requests, "ns": spent.get(name, 0)}
        for name in ("success", "queue", "compute_input", "compute_infer", "compute_output")
    }
    return {
        "inference_count": 2 * requests,
        "execution_count": executions,
        "inference_stats": statistics,
    }


def test_counters_are_the_difference_between_two_readings():
    before = {"busy": counters(10, 8, queue=5_000), "idle": counters(3, 3)}
    after = {
        "busy": counters(30, 18, queue=45_000, compute_infer=4_000_000),
        "idle": counters(3, 3),
        "new": counters(1, 1),
    }
    busy, new = triton_stats.between(before, after, 4, 16)
    # 20 requests of two items each in 10 executions; 40 µs and 4 ms over 20 requests.
    assert busy == ModelStats(4, 16, "busy", 20, 40, 10, 2.0, 0.0, 200.0, 0.0)
    assert (new.model, new.requests, new.executions) == ("new", 1, 1)


@pytest.mark.parametrize(
    ("config", "workers"),
    [
        ({}, 1),
        ({"instance_group": [{"count": 2}, {"count": 1}]}, 3),
        (
            {
                "instance_group": [{"count": 2}],
                "parameters": {"intra_op_thread_count": {"string_value": "2"}},
            },
            4,
        ),
        ({"parameters": {"intra_op_thread_count": {"string_value": "0"}}}, 1),
    ],
)
def test_a_models_cores_are_its_instances_times_their_threads(config, workers):
    assert triton_stats.workers(config) == workers


def test_photos_differ_only_in_their_number_of_faces():
    made = photos.tiled(ASTRONAUT, (0, 2))
    none, two = (cv2.imdecode(np.frombuffer(d, np.uint8), cv2.IMREAD_COLOR) for d in made.values())
    assert none.shape == two.shape == (photos.SIDE, photos.SIDE, 3)
    tile = photos.TILE
    assert np.abs(none[:, 2 * tile + 16 :].astype(int) - two[:, 2 * tile + 16 :]).max() == 0
    for start in (0, tile):
        changed = none[:tile, start : start + tile].astype(int) - two[:tile, start : start + tile]
        assert np.abs(changed).mean() > 20


def test_the_rates_of_several_workers_add_up():
    # 4 calls in 0.8 s and 2 calls in 1 s.
    load = in_process.load_of([[0.2] * 4, [0.5] * 2])
    assert (load.requests, load.failures) == (6, 0)
    assert load.rate == pytest.approx(4 / 0.8 + 2)
    assert load.p50 == pytest.approx(200)
    assert load.p99 == pytest.approx(500)


def test_yunet_heads_become_candidates():
    # 2 rows of 3 cells at stride 8
    cls, obj = np.zeros((2, 6, 1), np.float32)
    cls[4], obj[4] = 0.81, 1.5  # row 1, column 1; values above 1 are clipped
    cls[0], obj[0] = 0.5, 0.5  # score 0.5: below the threshold
    bbox, kps = np.zeros((6, 4), np.float32), np.zeros((6, 10), np.float32)
    bbox[4] = 0.5, 0.25, np.log(2), np.log(4)
    kps[4, :2] = 0.5, -1
    found = plain.decode_yunet([cls, obj, bbox, kps], stride=8, width=24, min_confidence=0.6)
    # Centre ((1 + 0.5) * 8, (1 + 0.25) * 8) = (12, 10), size 16 x 32.
    np.testing.assert_allclose(found.boxes, [[4, -6, 16, 32]], rtol=1e-6)
    np.testing.assert_allclose(found.landmarks[0, :2], [[12, 0], [8, 8]])
    np.testing.assert_allclose(found.scores, [0.9])


def test_a_missing_wrk_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(wrk.WrkError, match="apt-get install wrk"):
        wrk.post("http://127.0.0.1:1", wrk.Body(b""), 1, 1)


def test_without_a_gpu_none_is_reported(monkeypatch):
    monkeypatch.setattr(gpu.ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "CUDAExecutionProvider" in gpu.missing()


def started(monkeypatch, *arguments):
    """Run `python -m benchmarks` with these arguments; return the exit status."""
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])
    try:
        return benchmarks.__main__.main()
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize("command", benchmarks.__main__.COMMANDS)
def test_every_command_has_help(monkeypatch, capsys, command):
    if command == "quality cost":
        pytest.skip("the command has no options")
    assert not started(monkeypatch, *command.split(), "--help")
    assert f"python -m benchmarks {command}" in " ".join(capsys.readouterr().out.split())


def test_without_a_command_all_are_listed(monkeypatch, capsys):
    assert started(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert all(f"  {command}\n" in shown for command in benchmarks.__main__.COMMANDS)
    assert started(monkeypatch, "speed") == 2
    assert "hostile" in capsys.readouterr().err


def test_aurum_bench_passes_its_arguments_on():
    program = "from aurum.cli.app import main; main()"
    shown = subprocess.run(
        [sys.executable, "-c", program, "bench", "fairness", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--at-once" in shown.stdout


def test_a_missing_package_is_named_with_a_fix(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "benchmarks.performance.command", None)
    assert started(monkeypatch, "report", str(tmp_path)) == 1
    assert "make setup" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--suite", "huge"], "full, quick, smoke"),
        (["--suite", "smoke", "--only", "everything"], "perf_analyzer"),
        (["--suite", "smoke", "--url", "http://127.0.0.1:1"], "one grpc://"),
        (["--suite", "smoke", "--url", "ftp://x"], "the scheme must be one of"),
    ],
)
def test_wrong_usage_is_reported_before_any_measurement(
    monkeypatch, capsys, tmp_path, arguments, said
):
    assert started(monkeypatch, "run", "--out", str(tmp_path), *arguments) != 0
    assert said in capsys.readouterr().err
