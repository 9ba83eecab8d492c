"""The GPU configurations are valid for Triton and have the same contract as the CPU ones."""

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from aurum.paths import CHECKOUT

REPOSITORY = CHECKOUT / "model_repository"


def parsed(path):
    return text_format.Parse(path.read_text(), ModelConfig())


@pytest.mark.parametrize("name", ["face_detection", "face_embedding", "face_liveness"])
def test_the_gpu_configuration_has_the_same_tensors_and_runs_on_a_gpu(name):
    cpu = parsed(REPOSITORY / name / "config.pbtxt")
    gpu = parsed(REPOSITORY / name / "configs" / "gpu.pbtxt")
    assert (gpu.name, gpu.backend) == (name, "onnxruntime")
    assert list(gpu.input) == list(cpu.input)
    assert list(gpu.output) == list(cpu.output)
    assert gpu.max_batch_size >= cpu.max_batch_size
    assert max(gpu.dynamic_batching.preferred_batch_size) == gpu.max_batch_size
    assert [group.kind for group in gpu.instance_group] == [ModelInstanceGroup.KIND_GPU]
    (accelerator,) = gpu.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert accelerator.parameters["precision_mode"] == "FP16"
    assert accelerator.parameters["trt_engine_cache_enable"] == "1"
