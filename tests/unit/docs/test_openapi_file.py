"""docs/reference/openapi.json: generated, valid, and complete."""

import openapi
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from aurum import contract


def test_the_file_is_what_the_contract_gives():
    assert openapi.FILE.read_text(encoding="utf-8") == openapi.text(), "run `make pages`"


def test_it_is_valid_openapi():
    validate(openapi.document(), cls=OpenAPIV31SpecValidator)


def test_it_has_all_pipelines_outputs_and_parameters():
    document = openapi.document()
    schemas = document["components"]["schemas"]
    named = {path.split("/")[3] for path in document["paths"] if path.endswith("/infer")}
    assert named == set(contract.PIPELINES)
    described = set()
    for pipeline, name in zip(
        contract.PIPELINES, ("DetectFaces", "EmbedFace", "AnalyzeFaces"), strict=True
    ):
        mapping = schemas[f"{name}Answer"]["properties"]["outputs"]["items"]["discriminator"]
        assert set(mapping["mapping"]) == set(contract.OUTPUTS[pipeline])
        described |= set(schemas[f"{name}Parameters"]["properties"])
    assert described == {*contract.PARAMETERS, "binary_data_output"}
