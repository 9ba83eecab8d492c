"""A request's id reaches the Python backends over both protocols, and no other header does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from aurum.server.ephemeral import add_model, prepare_repositories
from aurum.server.server import Server
from aurum.settings import Settings

CONFIG = """name: "echo" backend: "python" max_batch_size: 0
output [ { name: "parameters" data_type: TYPE_STRING dims: [ 1 ] } ]
input [ { name: "nothing" data_type: TYPE_UINT8 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU } ]"""
MODEL = """
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        return [pb.InferenceResponse([pb.Tensor(
            "parameters", np.array([r.parameters().encode()], dtype=object))]) for r in requests]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A server with one more model, which answers with its parameters."""
    folder: Path = tmp_path_factory.mktemp("echo")
    settings, _ = prepare_repositories(replace(Settings.from_env(), profile="simulated"), folder)
    add_model(folder, "echo", CONFIG, MODEL)
    with Server(settings) as server:
        server.wait_ready()
        yield server


@pytest.mark.parametrize("module", [triton_http, triton_grpc])
def test_the_id_is_a_parameter_and_other_headers_are_not(server, module):
    port = server.settings.http_port if module is triton_http else server.settings.grpc_port
    nothing = module.InferInput("nothing", [1], "UINT8")
    nothing.set_data_from_numpy(np.zeros(1, np.uint8))
    headers = {
        "x-request-id": "order-17",
        "not-x-request-id": "a",
        "x-request-id-not": "b",
        "authorization": "Bearer secret",
    }
    with module.InferenceServerClient(f"127.0.0.1:{port}") as client:
        answer = client.infer("echo", [nothing], headers=headers, parameters={"own": "1"})
    given = json.loads(answer.as_numpy("parameters")[0])
    assert {name.lower(): value for name, value in given.items()} == {
        "x-request-id": "order-17",
        "own": "1",
    }
