"""A Python-based Triton backend named ``onnxruntime``, for servers that have no native one.

The embedded tritonserver (of the nvidia-pytriton wheel) carries only the Python backend. Put in
``<backend-directory>/onnxruntime/``, this file serves any ``backend: "onnxruntime"`` model by the
onnxruntime wheel, so that one model repository runs here and on NVIDIA's container unchanged.

It reads ``<repository>/<version>/<default_model_filename or model.onnx>``, runs what Triton's
dynamic batcher put together as one batch, and understands these keys of the native backend's
``parameters``: ``intra_op_thread_count``, ``inter_op_thread_count``, ``execution_mode`` (0
sequential, 1 parallel), ``enable_mem_arena``, ``enable_mem_pattern``; and
``optimization { graph { level } }`` (-1 basic, otherwise all). One key is its own, because here
each model is a process: ``nice``, by how much it yields to other processes (0, the default, to 19).
"""

import json
import os

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One model instance: one onnxruntime session in a process of its own."""

    def initialize(self, args):
        """Load the graph; a file that can't be loaded fails the model with its reason."""
        config = json.loads(args["model_config"])
        os.nice(int(_parameters(config).get("nice", 0)))
        name = config.get("default_model_filename") or "model.onnx"
        path = os.path.join(args["model_repository"], args["model_version"], name)
        if not os.path.isfile(path):
            raise pb_utils.TritonModelException(f"no model file at {path}")
        try:
            self.session = ort.InferenceSession(
                path, _options(config), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no one base class for what a bad file raises
            raise pb_utils.TritonModelException(f"can't load {path}: {error}") from error
        self.batches = config["max_batch_size"] > 0
        self.inputs = [item["name"] for item in config["input"]]
        self.outputs = [item["name"] for item in config["output"]]
        # Another model's file would else fail each request rather than the start.
        _same(path, "inputs", self.session.get_inputs(), self.inputs)
        _same(path, "outputs", self.session.get_outputs(), self.outputs)

    def execute(self, requests):
        """Answer all requests: in one run where they form a batch, else one by one."""
        feeds = [self._feed(request) for request in requests]
        if self.batches and len(feeds) > 1:
            # Triton's batcher only joins requests of the same shape, and never too many.
            together = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
            sizes = [len(next(iter(feed.values()))) for feed in feeds]
            try:
                results = self.session.run(self.outputs, together)
            except Exception:  # one of them is at fault: find out which, below
                return [self._answer_alone(feed) for feed in feeds]
            ends = np.cumsum(sizes)[:-1]
            parts = zip(*(np.split(result, ends) for result in results), strict=True)
            return [self._response(part) for part in parts]
        return [self._answer_alone(feed) for feed in feeds]

    def _feed(self, request):
        tensors = ((name, pb_utils.get_input_tensor_by_name(request, name)) for name in self.inputs)
        return {name: tensor.as_numpy() for name, tensor in tensors if tensor is not None}

    def _answer_alone(self, feed):
        try:
            return self._response(self.session.run(self.outputs, feed))
        except Exception as error:  # bad shapes surface as several classes of onnxruntime's
            shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in feed.items())
            message = f"the graph refused inputs of shape {shapes}: {error}"
            return pb_utils.InferenceResponse(
                error=pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG)
            )

    def _response(self, results):
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(name, np.ascontiguousarray(result))
                for name, result in zip(self.outputs, results, strict=True)
            ]
        )


def _same(path, what, found, named):
    """Whether the graph has what the configuration names; it may have more outputs."""
    names = [item.name for item in found]
    missing = set(named) - set(names) or (what == "inputs" and set(names) - set(named))
    if missing:
        message = f"{path} has {what} {names}, its configuration {named}"
        raise pb_utils.TritonModelException(message)


def _options(config):
    """Session options from the keys that Triton's native backend documents."""
    given = _parameters(config)
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(given.get("intra_op_thread_count", 0))
    options.inter_op_num_threads = int(given.get("inter_op_thread_count", 0))
    # Spinning threads of one model would take the cores from the next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if given.get("execution_mode") == "1":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.enable_cpu_mem_arena = given.get("enable_mem_arena", "1") != "0"
    options.enable_mem_pattern = given.get("enable_mem_pattern", "1") != "0"
    if config.get("optimization", {}).get("graph", {}).get("level") == -1:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return options


def _parameters(config):
    return {key: item["string_value"] for key, item in config.get("parameters", {}).items()}
