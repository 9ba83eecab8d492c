"""The warm-up requests of the GPU configurations, as far as a server without a GPU can run them."""

import re
from dataclasses import replace

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from aurum import contract
from aurum.server.ephemeral import prepare_repositories
from aurum.server.server import Server
from aurum.settings import Settings


def on_a_cpu(text: str) -> str:
    config = text_format.Parse(text, ModelConfig())
    config.ClearField("optimization")
    for group in config.instance_group:
        group.kind = ModelInstanceGroup.KIND_CPU
    return text_format.MessageToString(config)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a server logs that starts with them."""
    folder = tmp_path_factory.mktemp("gpu")
    settings = replace(Settings.from_env(), kernels="off", log_level="verbose", log_folder=folder)
    settings, _ = prepare_repositories(settings, folder / "repositories")
    for model in (settings.repositories / "model_repository").iterdir():
        text = (model / "configs" / "gpu.pbtxt").read_text()
        (model / "config.pbtxt").write_text(on_a_cpu(text))
    with Server(settings) as server:
        server.wait_ready()
        return server.log.read_text()


@pytest.mark.parametrize("model", contract.MODELS)
def test_the_models_take_their_warm_up_requests(log: str, model: str):
    """A model that refuses one would not load, and the server not become ready."""
    samples = re.findall(rf"model '{model}' instance \S+ is running warmup sample '(\w+)'", log)
    assert len(set(samples)) == 2
