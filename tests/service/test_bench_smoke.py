"""The load tools run against a real server and their reports can be read. No times are judged."""

import pytest
from aurum_client import FaceClient
from typer import Typer
from typer.testing import CliRunner

from aurum.models.prove import PHOTO
from aurum.settings import Settings
from benchmarks import inputs, locust_run, perf_analyzer


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_perf_analyzer_measures_models_and_pipelines(simulated, tmp_path, protocol):
    url = simulated.urls[protocol == "grpc"]
    workloads = {
        item.name: item for item in inputs.write([PHOTO], url, tmp_path, Settings.from_env())
    }
    names = ["face_detection", "face_embedding", "analyze_faces"]
    if protocol == "grpc":
        names.append("embed_face_aligned")
    for name in names:
        result = perf_analyzer.run(url, workloads[name], 2, tmp_path, perf_analyzer.SMOKE)
        assert result.concurrency == 2
        assert result.throughput > 0
        assert 0 < result.p50_ms <= result.p90_ms <= result.p95_ms <= result.p99_ms
        models = {step.model for step in result.steps}
        assert models >= set(workloads[name].calls)
        assert (tmp_path / f"{name}-{protocol}-2.csv").is_file()


def test_perf_analyzer_s_failure_is_shown_with_its_reason(simulated, tmp_path):
    data = tmp_path / "bad.json"
    data.write_text('{"data": [{"image": ["not a photo"]}]}')
    workload = inputs.Workload("bad", "analyze_faces", data)
    with pytest.raises(perf_analyzer.PerfAnalyzerError, match=r"\[invalid_image\]"):
        perf_analyzer.run(simulated.urls[0], workload, 1, tmp_path, perf_analyzer.SMOKE)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_locust_uploads_photos_without_failures(simulated, tmp_path, protocol):
    url = simulated.urls[protocol == "grpc"]
    load = locust_run.run(url, tmp_path, users=2, seconds=2)
    assert load.requests > 0
    assert load.failures == 0
    assert load.rps > 0
    assert 0 < load.p50_ms <= load.p95_ms <= load.p99_ms
    assert (tmp_path / "locust.html").is_file()
    with FaceClient(url) as client:  # the server is as well as before
        assert client.analyze(PHOTO)


@pytest.mark.parametrize(
    ("protocol", "status"), [("http", "400"), ("grpc", "StatusCode.INVALID_ARGUMENT")]
)
def test_locust_counts_failures_by_their_reason(simulated, tmp_path, protocol, status):
    (tmp_path / "broken.jpg").write_bytes(PHOTO.read_bytes()[:1000])
    url = simulated.urls[protocol == "grpc"]
    load = locust_run.run_rate(url, tmp_path / "run", 5, seconds=2, photos=tmp_path)
    assert load.failures == load.requests > 0
    assert load.reasons == {f"{status} [invalid_image]": load.failures}
    assert not locust_run.held(load, 5)


def invoke(main, *arguments):
    app = Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_drivers_command_lines_show_a_line_for_each_run(simulated, tmp_path):
    flags = ("--smoke", "--concurrency", 2, "--workload", "face_embedding", "--out", tmp_path)
    shown = invoke(perf_analyzer.main, *simulated.urls, *flags)
    assert shown.exit_code == 0, shown.output
    assert [line.split()[:3] for line in shown.output.splitlines()] == [
        ["face_embedding", "http", "x2"],
        ["face_embedding", "grpc", "x2"],
    ]
    shown = invoke(
        locust_run.main, simulated.urls[0], "--users", 1, "--seconds", 1, "--out", tmp_path
    )
    assert shown.exit_code == 0, shown.output
    assert " 0 failures" in shown.output


def test_the_drivers_command_lines_say_what_went_wrong(tmp_path):
    shown = invoke(locust_run.main, "ftp://host", "--out", tmp_path)
    assert (shown.exit_code, "ftp://host" in shown.output) == (1, True)
    nothing = tmp_path / "nothing.jpg"
    with pytest.raises(locust_run.LocustError, match=r"nothing\.jpg"):
        locust_run.run("http://127.0.0.1:9", tmp_path, users=1, seconds=1, photos=nothing)
