"""aurum.contract, which defines the public names, against everything that repeats them."""

import re

import pytest
import tables
from aurum_client import _contract as client
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from aurum import contract
from aurum.models.families import SERVED
from aurum.paths import CHECKOUT
from aurum.pipeline.request import RequestError, parse_options
from aurum.settings import Settings

EVERY_MODEL = (*contract.MODELS, contract.LIVENESS)
PAGE = (CHECKOUT / "docs" / "reference" / "contract.md").read_text(encoding="utf-8")


def served(path):
    return text_format.Parse((CHECKOUT / path / "config.pbtxt").read_text(), ModelConfig())


def tensors(listed):
    names = {"TYPE_STRING": "BYTES"}
    found = {}
    for item in listed:
        kind = ModelConfig.DESCRIPTOR.fields_by_name["input"].message_type.fields_by_name[
            "data_type"
        ].enum_type.values_by_number[item.data_type].name  # fmt: skip
        datatype = names.get(kind, kind.removeprefix("TYPE_"))
        found[item.name] = contract.Tensor(datatype, tuple(item.dims))
    return found


def shape(text):
    """`[F,4]` or `[N,3,H,W]`, without the batch; any letter is -1. `[F] or [0]`: any length."""
    sizes = text.split(" or ")[0].strip("[]").split(",")
    if " or " in text:
        return (-1,)
    return tuple(int(size) if size.isdecimal() else -1 for size in sizes if size != "N")


@pytest.mark.parametrize("name", contract.PIPELINES)
def test_the_ensembles_have_its_tensors(name):
    config = served(f"ensembles/{name}")
    assert tensors(config.output) == contract.OUTPUTS[name]
    assert tensors(config.input) == {contract.INPUT: contract.Tensor("BYTES", (1,))}


def test_the_step_has_the_tensors_of_all_pipelines_and_one_that_asks_for_a_single_face():
    outputs = tensors(served(f"python_backends/{contract.STEP}").output)
    assert outputs.pop("largest_embedding") == outputs["embeddings"]
    assert outputs == contract.OUTPUTS[contract.ANALYZE_FACES]


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_the_models_have_its_tensors(name):
    folder = CHECKOUT / "model_repository" / name
    paths = [folder / "config.pbtxt", *folder.glob("configs/*.pbtxt")]
    assert len(paths) == (2 if name == contract.LIVENESS else 3)  # no kernels compute liveness
    for path in paths:
        config = text_format.Parse(path.read_text(), ModelConfig())
        assert tensors(config.input) == contract.MODEL_INPUTS[name]
        assert tensors(config.output) == contract.MODEL_OUTPUTS[name]


def test_every_model_of_a_profile_is_built_by_some_role():
    assert {name for names in SERVED.values() for name in names} == set(contract.MODELS)


def test_the_parameters_are_those_that_are_parsed():
    with pytest.raises(RequestError) as caught:
        parse_options({"nonsense": 1}, Settings())
    assert str(caught.value).endswith("known: " + ", ".join(contract.PARAMETERS))


def test_the_page_has_the_pipelines_and_their_outputs():
    assert [row[0] for row in tables.rows(PAGE, "## Pipelines", 1)] == list(contract.PIPELINES)
    found = {name: {} for name in contract.PIPELINES}
    for name, datatype, form, where in tables.rows(PAGE, "### Outputs", 4):
        for pipeline in contract.PIPELINES if where == "all" else where.split(", "):
            found[pipeline][name] = contract.Tensor(datatype, shape(form))
    assert found == contract.OUTPUTS


def test_the_page_has_the_dimensions():
    assert [int(row[1]) for row in tables.rows(PAGE, "### Dimensions", 2)] == [
        contract.EMBEDDING_SIZE,
        contract.LANDMARK_COUNT,
        len(contract.QUALITY_PARTS),
        contract.CALIBRATION_SIZE,
        contract.CROP_SIDE,
        contract.SECOND_LOOK_SIDE,
        contract.LIVENESS_SIDE,
        contract.STRIDE,
    ]


def test_the_page_has_the_parameters():
    found = {row[0]: row for row in tables.rows(PAGE, "## Parameters", 3)}
    assert found.keys() == set(contract.PARAMETERS)
    assert found["orientation"][2] == ", ".join(contract.ORIENTATIONS)
    assert found["tiles"][2] == f"0..{contract.MAX_TILES}"


def test_the_page_has_the_models():
    found = {name: ({}, {}) for name in EVERY_MODEL}
    for model, tensor, direction, datatype, form in tables.rows(PAGE, "## Models", 5):
        one = contract.Tensor(datatype, shape(form))
        found[model][direction == "output"][tensor] = one
    assert found == {
        name: (contract.MODEL_INPUTS[name], contract.MODEL_OUTPUTS[name]) for name in EVERY_MODEL
    }


def test_the_page_has_the_codes_and_defaults():
    codes = {row[0] for row in tables.rows(PAGE, "## Errors", 1)}
    # Callers see a cancelled request as unavailable, and a model's error in Triton's own words.
    assert codes == {*contract.CLIENT_FAULTS, *contract.SERVER_FAULTS} - {"cancelled", "model"}
    for variable, default, *_ in tables.rows(PAGE, "### Limits", 3):
        if variable.startswith("AURUM_"):
            name = variable.removeprefix("AURUM_").lower()
            assert str(getattr(Settings(), name)) == default, variable
    text = re.findall(r"\(`AURUM_(\w+)`\)", PAGE.partition("## Parameters")[2])
    assert "MIN_CONFIDENCE" in text


def test_the_quality_parts_are_documented_in_order():
    page = (CHECKOUT / "docs" / "design" / "quality.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \d+ \| `(\w+)` \|", page.partition("\n## Parts\n")[2], re.M)
    assert tuple(listed[: len(contract.QUALITY_PARTS)]) == contract.QUALITY_PARTS


def test_the_python_client_has_the_same():
    assert (client.DETECTOR, client.EMBEDDER) == (contract.DETECTION, contract.EMBEDDING)
    assert (client.DETECT, client.EMBED, client.ANALYZE) == contract.PIPELINES
    assert client.LANDMARKS == contract.LANDMARK_COUNT
    assert client.EMBEDDING_SIZE == contract.EMBEDDING_SIZE
    assert client.CALIBRATION_SIZE == contract.CALIBRATION_SIZE
    assert client.ALIGNED_SIDE == contract.CROP_SIDE
    assert client.RECOGNIZABLE == contract.RECOGNIZABLE
    assert client.LIVE_FROM == contract.LIVE_FROM
    codes = {client.INVALID_IMAGE, client.INVALID_PARAMETER, client.NO_FACE, client.LOW_QUALITY}
    assert codes | {client.UNAVAILABLE} <= {*contract.CLIENT_FAULTS, *contract.SERVER_FAULTS}
