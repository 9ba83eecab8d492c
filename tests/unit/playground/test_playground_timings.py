"""Server-Timing: step times are reported only if they belong to one request."""

import asyncio

import httpx
import pytest

from aurum.playground import timings

MODELS = ("face_detection", "face_landmarks", "face_embedding")
NOTHING = dict.fromkeys(("analyze_faces", "detect_faces", *MODELS), (0, 0))


def steps(after, before=NOTHING):
    text = timings.header(0.001, 0.03, "analyze_faces", before, {**NOTHING, **after})
    return [item.split(";")[0] for item in text.split(", ")], text


def test_a_single_request_has_all_steps():
    names, text = steps(
        {
            "analyze_faces": (1, 20_000_000),
            "face_detection": (2, 9_000_000),
            "face_landmarks": (3, 2_000_000),
            "face_embedding": (1, 5_000_000),
        }
    )
    assert names == ["receive", "triton", *MODELS, "step"]
    assert text == (
        'receive;dur=1.00, triton;dur=30.00, face_detection;dur=9.00;desc="2", '
        'face_landmarks;dur=2.00;desc="3", face_embedding;dur=5.00;desc="1", step;dur=4.00'
    )


def test_liveness_is_a_step_where_it_is_served():
    calls = {"analyze_faces": (1, 20_000_000), "face_liveness": (1, 2_000_000)}
    names, text = steps(calls)
    assert names == ["receive", "triton", *MODELS, "face_liveness", "step"]
    assert 'face_liveness;dur=2.00;desc="1", step;dur=18.00' in text


def test_earlier_counts_are_subtracted():
    before = {**NOTHING, "analyze_faces": (7, 10**9), "face_detection": (9, 10**9)}
    after = {**before, "analyze_faces": (8, 10**9 + 4_000_000)}
    assert "step;dur=4.00" in steps(after, before)[1]


@pytest.mark.parametrize(
    "after",
    [
        {},
        {"analyze_faces": (2, 20_000_000)},
        {"analyze_faces": (1, 20_000_000), "detect_faces": (1, 10_000_000)},
        {"detect_faces": (1, 10_000_000)},
    ],
    ids=["nothing counted", "two of one", "two pipelines", "another's"],
)
def test_possible_times_of_another_request_are_left_out(after):
    assert steps(after)[0] == ["receive", "triton"]


def test_overlapping_calls_have_no_remainder():
    names, _ = steps({"analyze_faces": (1, 20_000_000), "face_embedding": (5, 30_000_000)})
    assert names == ["receive", "triton", *MODELS]


def test_without_counters_only_measured_times_are_reported():
    assert timings.header(0.001, 0.03, "analyze_faces", {}, {}) == (
        "receive;dur=1.00, triton;dur=30.00"
    )


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(400), httpx.Response(200, text="<html>"), httpx.Response(200, json={})],
    ids=["refused", "no JSON", "not Triton's"],
)
def test_unavailable_counters_are_empty(answer):
    async def read():
        transport = httpx.MockTransport(lambda request: answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await timings.read(client)

    assert asyncio.run(read()) == {}
