"""The embedded server's ONNX Runtime backend, with models that use features ours don't."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from numpy.typing import NDArray
from onnx import helper, parser
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from aurum.server.ephemeral import prepare_repositories
from aurum.server.server import Server, ServerError
from aurum.settings import Settings

INTEGERS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
Tensors = dict[str, NDArray[Any]]
TYPES = ["bool", *INTEGERS, "float16", "float32", "float64"]


def _onnx(text: str) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')


def _tensor(name: str, kind: str, dims: str) -> str:
    return f'{{ name: "{name}" data_type: TYPE_{kind} dims: [ {dims} ] }}'


def add(
    repository: Path,
    name: str,
    model: onnx.ModelProto,
    inputs: list[str],
    outputs: list[str],
    more: str,
    file: str = "model.onnx",
) -> None:
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    onnx.save(model, folder / file)
    (folder.parent / "config.pbtxt").write_text(
        f'name: "{name}" backend: "onnxruntime" {more}\n'
        f"input [ {', '.join(inputs)} ] output [ {', '.join(outputs)} ]"
    )


def each_type() -> onnx.ModelProto:
    """A model that returns each tensor unchanged."""
    values = [
        (f"{what}_{name}", helper.np_dtype_to_tensor_dtype(np.dtype(name)))
        for what in ("in", "out")
        for name in TYPES
    ]
    infos = [helper.make_tensor_value_info(name, kind, ["N", "M"]) for name, kind in values]
    nodes = [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in TYPES]
    graph = helper.make_graph(nodes, "types", infos[: len(TYPES)], infos[len(TYPES) :])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


# The word and the number at each index; onnxruntime refuses an index out of range.
WORDS = _onnx("""
    words (int64[N, 1] index) => (string[N, 1] word, float[N, 1] number, float[N, 1] unused)
    <string[3] all = {"", "zwei", "dreißig"}, float[3] numbers = {1, 2, 30}> {
        word = Gather (all, index)
        number = Gather (numbers, index)
        unused = Neg (number)
    }
""")
SUM = _onnx("sum (float[A, B] x, float[A, B] y) => (float[A, B] z) { z = Add (x, y) }")


def kind(name: str) -> str:
    return str(np_to_triton_dtype(np.dtype(name)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("backend")
    settings, _ = prepare_repositories(replace(Settings.from_env(), profile="simulated"), folder)
    repository = settings.repositories / "model_repository"
    add(
        repository,
        "types",
        each_type(),
        [_tensor(f"in_{name}", kind(name), "-1") for name in TYPES],
        [_tensor(f"out_{name}", kind(name), "-1") for name in TYPES],
        "max_batch_size: 4 dynamic_batching { max_queue_delay_microseconds: 100000 }",
    )
    add(
        repository,
        "words",
        WORDS,
        [_tensor("index", "INT64", "1")],
        [_tensor("word", "STRING", "1"), _tensor("number", "FP32", "1")],
        "max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 200000 }",
    )
    keys = {"intra_op_thread_count": 2, "inter_op_thread_count": 2, "execution_mode": 1}
    keys |= {"enable_mem_arena": 0, "enable_mem_pattern": 0}
    parameters = ", ".join(
        f'{{ key: "{key}" value: {{ string_value: "{value}" }} }}' for key, value in keys.items()
    )
    add(
        repository,
        "sum",
        SUM,
        [_tensor("x", "FP32", "-1, -1"), _tensor("y", "FP32", "-1, -1")],
        [_tensor("z", "FP32", "-1, -1")],
        'max_batch_size: 0 default_model_filename: "sum.onnx" '
        f"optimization {{ graph {{ level: -1 }} }} parameters [ {parameters} ]",
        file="sum.onnx",
    )
    with Server(settings) as server:
        server.wait_ready()
        yield server


@pytest.fixture(params=["http", "grpc"])
def ask(request: pytest.FixtureRequest, server: Server) -> Callable[..., Any]:
    """Ask a model; return its answer."""
    module, url = {
        "http": (triton_http, server.settings.http_url),
        "grpc": (triton_grpc, server.settings.grpc_url),
    }[request.param]

    def infer(
        model: str, tensors: dict[str, NDArray[Any]], outputs: list[str] | None = None
    ) -> Any:
        inputs = []
        for name, value in tensors.items():
            inputs.append(module.InferInput(name, list(value.shape), kind(value.dtype.name)))
            inputs[-1].set_data_from_numpy(value)
        wanted = [module.InferRequestedOutput(name) for name in outputs] if outputs else None
        with module.InferenceServerClient(url.partition("://")[2]) as client:
            return client.infer(model, inputs, outputs=wanted)

    return infer


def test_tensors_of_every_type_keep_type_and_value_also_in_a_batch(ask):
    generator = np.random.default_rng(0)

    def random(rows: int) -> dict[str, NDArray[Any]]:
        return {
            f"in_{name}": generator.integers(0, 2 if name == "bool" else 100, (rows, 3)).astype(
                name
            )
            for name in TYPES
        }

    given = [random(rows) for rows in (1, 2, 1, 3, 1, 4)]
    with ThreadPoolExecutor(len(given)) as pool:
        answers = list(pool.map(lambda tensors: ask("types", tensors), given))
    for tensors, answer in zip(given, answers, strict=True):
        for name in TYPES:
            got = answer.as_numpy(f"out_{name}")
            assert got.dtype == np.dtype(name)
            np.testing.assert_array_equal(got, tensors[f"in_{name}"])


def test_strings_and_the_requested_outputs_are_returned(ask):
    index = np.array([[2], [0], [1]], np.int64)
    answer = ask("words", {"index": index})
    assert [text.decode() for text in answer.as_numpy("word")[:, 0]] == ["dreißig", "", "zwei"]
    np.testing.assert_array_equal(answer.as_numpy("number"), [[30], [1], [2]])
    answer = ask("words", {"index": index}, ["number"])
    assert answer.as_numpy("word") is None
    np.testing.assert_array_equal(answer.as_numpy("number"), [[30], [1], [2]])


def test_a_request_that_the_graph_refuses_affects_no_other_in_its_batch(ask):
    def number(index: int) -> float | str:
        try:
            answer = ask("words", {"index": np.array([[index]], np.int64)})
            return float(answer.as_numpy("number")[0, 0])
        except InferenceServerException as error:
            return f"{error.status()} {error.message()}"

    with ThreadPoolExecutor(5) as pool:
        *right, wrong = pool.map(number, [0, 1, 2, 0, 7])
    assert right == [1, 2, 30, 1]
    assert isinstance(wrong, str)
    assert wrong.startswith(("400", "StatusCode.INVALID_ARGUMENT"))
    assert "the graph refused inputs of shape index [1,1]: " in wrong


def test_a_model_without_batching_with_another_file_and_every_parameter(ask):
    """With tensors of 4 MB, which reach Triton in parts."""
    x, y = np.random.default_rng(0).standard_normal((2, 1000, 1000), np.float32)
    np.testing.assert_array_equal(ask("sum", {"x": x, "y": y}).as_numpy("z"), x + y)
    with pytest.raises(InferenceServerException, match=r"refused.*x \[2,3\], y \[4,5\]"):
        ask("sum", {"x": np.zeros((2, 3), np.float32), "y": np.zeros((4, 5), np.float32)})


@pytest.mark.parametrize("cores", ["0-0", "1-0", "0-4000000000", "4000-4001", "-1-1", "all", "", 7])
def test_a_request_that_names_any_cores_is_answered(server, cores):
    index = triton_http.InferInput("index", [1, 1], "INT64")
    index.set_data_from_numpy(np.array([[2]], np.int64))
    with triton_http.InferenceServerClient(server.settings.http_url.partition("://")[2]) as client:
        answer = client.infer("words", [index], parameters={"cores": cores})
    np.testing.assert_array_equal(answer.as_numpy("number"), [[30]])


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ('default_model_filename: "none.onnx"', r"no model file at .*/none\.onnx"),
        (
            'parameters { key: "intra_op_thread_count" value { string_value: "two" } }',
            "can't load .*: intra_op_thread_count must be a number, 0 or more, not 'two'",
        ),
        (
            'model_operations { op_library_filename: "libnone.so" }',
            r"can't load .*libnone\.so",
        ),
    ],
    ids=["no file", "no number", "no library"],
)
def test_a_model_that_cannot_be_loaded_fails_the_start_with_its_reason(tmp_path, more, reason):
    settings, _ = prepare_repositories(replace(Settings.from_env(), profile="simulated"), tmp_path)
    tensors = [_tensor("x", "FP32", "-1, -1"), _tensor("y", "FP32", "-1, -1")]
    repository = settings.repositories / "model_repository"
    add(repository, "sum", SUM, tensors, [_tensor("z", "FP32", "-1, -1")], more)
    with (
        pytest.raises(ServerError, match=f"failed to load 'sum'.*{reason}"),
        Server(settings) as it,
    ):
        it.wait_ready()
