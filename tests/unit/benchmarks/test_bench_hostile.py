"""Hostile requests are reproducible, and wrong answers are detected."""

import hashlib
import json
import struct
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as protocol

from benchmarks.robustness.hostile import bases, judge, report
from benchmarks.robustness.hostile.cases import HEAVY, KINDS, case, kind
from benchmarks.robustness.hostile.judge import WrongAnswerError
from benchmarks.robustness.hostile.run import Result, _watched, keep, one_of_each
from benchmarks.robustness.hostile.send import LEFT, NONE, Address, Answer, Sender
from benchmarks.robustness.hostile.served import Served

DIGEST = """
import hashlib
from benchmarks.robustness.hostile.cases import case
print(hashlib.sha256(b"".join(case(5, n).call.body for n in range(200))).hexdigest())
"""


def test_a_case_is_reproducible_from_its_number_in_any_process():
    for made in (bases.jpegs, bases.pngs, bases.webps, bases.avifs):
        made.cache_clear()
    with ThreadPoolExecutor(8) as threads:  # as the benchmark makes them
        bodies = list(threads.map(lambda n: case(5, n).call.body, range(200)))
    here = hashlib.sha256(b"".join(bodies)).hexdigest()
    there = subprocess.run(
        [sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == here
    assert case(5, 7) != case(6, 7)


def test_some_of_every_kind_and_all_heavy_ones_are_measured():
    chosen = one_of_each(1, range(5000), 120)
    kinds = Counter(kind(1, number) for number in chosen)
    every = Counter(kind(1, number) for number in range(5000))
    assert set(kinds) == set(every)
    assert kinds[HEAVY] == every[HEAVY]
    assert len(chosen) < 200
    assert kind(1, 7) == case(1, 7).kind


def test_every_kind_occurs():
    assert {case(1, n).kind for n in range(5000)} == set(KINDS)


def test_a_case_is_saved_as_it_was_sent(tmp_path):
    item = case(1, 3)
    assert keep(item, 1, tmp_path).read_bytes() == item.call.body
    assert json.loads((tmp_path / "1-3.json").read_text())["kind"] == item.kind


def http(status: int, message: str) -> Answer:
    return Answer(str(status), json.dumps({"error": message}).encode(), 0.0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http(400, "in ensemble 'x', [invalid_image] the bytes are not an image"), "invalid_image"),
        (http(400, "[bad_request] not a request"), "bad_request"),
        (http(413, "[too_large] the body"), "too_large"),
        (http(400, "unexpected shape for input 'image'"), judge.TRITON),
        (Answer("INVALID_ARGUMENT", b"", 0.0, error="[no_face] none"), "no_face"),
        (Answer("INTERNAL", b"", 0.0, error="Unable to parse request"), judge.GARBLED),
        (Answer(LEFT, b"", 0.1), LEFT),
        (Answer("200", b"", 0.0, plain=True), judge.OK),
        (Answer("405", b"", 0.0, plain=True), "405"),  # of HEAD
        (http(401, "[unauthenticated] this service wants an API key"), "unauthenticated"),
    ],
)
def test_allowed_answers_are_accepted(answer, said):
    assert judge.classify(answer) == said


@pytest.mark.parametrize(
    "answer",
    [
        http(500, "in ensemble 'x', [internal] TypeError"),
        http(500, "failed to parse the request JSON buffer"),
        http(400, "in ensemble 'x', [internal] TypeError"),
        http(500, "[invalid_image] the right words, the wrong status"),
        http(503, "[unavailable] no server can answer now"),
        http(400, ""),
        Answer("400", b"<html>", 0.0),
        Answer("200", b"<html>", 0.0),
        Answer("OK", b"\xff\xff", 0.0),
        Answer(NONE, b"", 60.0, error="TimeoutError()"),
        Answer("DEADLINE_EXCEEDED", b"", 60.0, error="Deadline Exceeded"),
        Answer("INTERNAL", b"", 0.0, error="[internal] KeyError"),
    ],
)
def test_wrong_answers_are_detected(answer):
    with pytest.raises(WrongAnswerError):
        judge.classify(answer)


def grpc_answer(boxes: np.ndarray, scores: np.ndarray) -> Answer:
    response = protocol.ModelInferResponse()
    for name, value in (("boxes", boxes), ("scores", scores)):
        response.outputs.add(name=name, datatype="FP32", shape=value.shape)
        response.raw_output_contents.append(value.astype(np.float32).tobytes())
    return Answer("OK", response.SerializeToString(), 0.0)


def test_lengths_must_agree_and_numbers_must_be_finite():
    assert judge.classify(grpc_answer(np.zeros((2, 4)), np.zeros(2))) == judge.OK
    for boxes, scores in ((np.zeros((2, 4)), np.zeros(3)), (np.full((1, 4), np.nan), np.zeros(1))):
        with pytest.raises(WrongAnswerError, match="don't fit"):
            judge.classify(grpc_answer(boxes, scores))


def test_binary_http_answers_are_read():
    head = {
        "name": "scores",
        "datatype": "FP32",
        "shape": [1],
        "parameters": {"binary_data_size": 4},
    }
    text = json.dumps({"outputs": [head]}).encode()
    body = text + struct.pack("<f", 0.5)
    answer = Answer("200", body, 0.0, {"inference-header-content-length": str(len(text))})
    assert judge.tensors(answer)["scores"].tolist() == [0.5]


def test_a_missing_answer_is_an_outcome_too():
    sender = Sender(Address("http://127.0.0.1:9", "grpc://127.0.0.1:9"))
    item = next(found for n in range(50) if (found := case(1, n)).call.protocol == "http")
    assert sender.send(item.call).status == NONE
    sender.close()


def test_a_process_that_ends_is_detected_and_reported():
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    result = Result(1)
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as parent:
        import psutil
        from waiting import eventually

        child = eventually(lambda: psutil.Process(parent.pid).children())[0]
        quiet = SimpleNamespace(disturbed=lambda: ["upstream server temporarily disabled"])
        nowhere = Address("", "")
        with _watched(Served(nowhere, nowhere, [parent.pid], quiet, 1.0), result):
            child.kill()
            parent.wait()
    assert len(result.wrong) == 2
    assert result.ejected == 1
    shown = report.report(result, "command")
    assert "processes of the server ended" in shown
    assert "counted against a server: upstream server temporarily disabled" in shown
