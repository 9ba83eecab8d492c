"""The examples of the README, run as they stand but for the ports."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aurum.paths import CHECKOUT

BLOCK = re.compile(r"<!-- run -->\n```(\w+)\n(.*?)```", re.DOTALL)
README = CHECKOUT / "README.md"
EXAMPLES = BLOCK.findall(README.read_text(encoding="utf-8"))


def run(best, language, text, folder):
    http, grpc = (url.split("//")[1] for url in best.urls)
    for old, new in (
        ("127.0.0.1:8000", http),
        ("127.0.0.1:8001", grpc),
        (".venv/bin/", f"{Path(sys.executable).parent}/"),
        ("/tmp/aurum-", f"{folder}/aurum-"),
    ):
        text = text.replace(old, new)
    command = {"sh": ["sh", "-euc", text], "python": [sys.executable, "-c", text]}[language]
    environment = {**os.environ, "AURUM_URL": best.urls[0]}
    result = subprocess.run(
        command, check=False, cwd=CHECKOUT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_there_are_examples_of_every_way_in():
    assert [language for language, _ in EXAMPLES] == ["sh", "sh", "python", "python", "sh"]


def test_curl_with_json_gets_the_face(best, tmp_path):
    outputs = json.loads(run(best, *EXAMPLES[0], tmp_path))["outputs"]
    data = {item["name"]: np.reshape(item["data"], item["shape"]) for item in outputs}
    assert data["boxes"].shape == (1, 4)
    assert data["embeddings"].shape == (1, 512)
    assert np.linalg.norm(data["embeddings"][0]) == pytest.approx(1, abs=1e-5)


def test_curl_with_the_binary_form_gets_the_face(best, tmp_path):
    header = json.loads(run(best, *EXAMPLES[1], tmp_path))
    answer = (tmp_path / "aurum-answer").read_bytes()
    sizes = {item["name"]: item["parameters"]["binary_data_size"] for item in header["outputs"]}
    blob = answer[len(answer) - sum(sizes.values()) :]
    start = 0
    for name, size in sizes.items():
        if name == "embeddings":
            embedding = np.frombuffer(blob[start : start + size], "<f4")
        start += size
    assert embedding.shape == (512,)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)


def test_our_client_prints_the_face(best, tmp_path):
    (line,) = run(best, *EXAMPLES[2], tmp_path).splitlines()
    assert line.startswith("Box(x=")
    assert line.endswith("(512,)")


def test_a_plain_triton_client_gets_the_face(best, tmp_path):
    assert "(1, 512)" in run(best, *EXAMPLES[3], tmp_path)


def test_the_command_line_detects_draws_and_compares(best, tmp_path):
    text = run(best, *EXAMPLES[4], tmp_path)
    assert "1 face" in text
    assert "1.0000" in text
    assert (tmp_path / "aurum-drawn" / "astronaut.jpg").is_file()
