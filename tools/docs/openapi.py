"""Write docs/reference/openapi.json: the service's HTTP interface as OpenAPI 3.1.

Names, datatypes and shapes come from aurum/contract.py, the gateway's errors from
aurum/gateway/errors.py, descriptions from the tables of docs/reference/contract.md. `make pages`
"""

import importlib.metadata
import json
import re

from tables import rows

from aurum import contract
from aurum.gateway.errors import refusals
from aurum.paths import CHECKOUT
from aurum.settings import Settings

REFERENCE = CHECKOUT / "docs" / "reference"
FILE = REFERENCE / "openapi.json"
CONTRACT = (REFERENCE / "contract.md").read_text(encoding="utf-8")

JSON_TYPES = {"FP32": "number", "INT32": "integer", "BOOL": "boolean", "BYTES": "string"}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
PARAMETERS = {
    "min_confidence": SHARE,
    "max_faces": {"type": "integer", "minimum": 0},
    "detection_size": {
        "type": "integer",
        "minimum": contract.STRIDE,
        "multipleOf": contract.STRIDE,
    },
    "tiles": {"type": "integer", "minimum": 0, "maximum": contract.MAX_TILES},
    "orientation": {"type": "string", "enum": list(contract.ORIENTATIONS)},
    "refine": {"type": "boolean"},
    "min_quality": SHARE,
    "aligned": {"type": "boolean"},
}
LENGTH = "Inference-Header-Content-Length"
BINARY = "application/octet-stream"
BYTES = {"type": "string", "format": "binary"}


def document() -> dict:
    """Return the description of all public routes."""
    known = {name for name, *_ in _rows("## Parameters", 1)}
    if known != set(PARAMETERS) or known != set(contract.PARAMETERS):
        raise ValueError("PARAMETERS, aurum/contract.py and docs/reference/contract.md differ")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Aurum Face Serving",
            "version": importlib.metadata.version("aurum-face-serving"),
            "summary": "Faces in photos: boxes, landmarks, quality and embeddings",
            "description": "The KServe v2 protocol as Triton speaks it, with the public pipelines. "
            "Numbers among the parameters may also be sent as text. With "
            f"{BINARY}, tensors follow the JSON as bytes, or the body is the photo itself: see "
            f"{LENGTH}.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": Settings().http_url, "description": "started by `aurum up`"},
            {
                "url": "https://{host}",
                "description": "behind the gateway, with an API key",
                "variables": {"host": {"default": "localhost:8443"}},
            },
        ],
        "security": [{}, {"key": []}],
        "paths": _health() | {f"/v2/models/{name}/infer": _infer(name) for name in _PIPELINES},
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": _common() | _tensors() | _requests(),
            "responses": {f"Error{status}": _error(codes) for status, codes in ERRORS.items()},
        },
    }


def _rows(heading: str, columns: int) -> list[list[str]]:
    """Return the contract's table below a heading, without links."""
    return [
        [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", cell) for cell in row]
        for row in rows(CONTRACT, heading, columns)
    ]


_PIPELINES = dict(_rows("## Pipelines", 2))


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _ref(name: str) -> dict:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict, required: tuple[str, ...] = (), **more: object) -> dict:
    return {"type": "object", "required": list(required), "properties": properties, **more}


def _array(items: dict, count: int | None = None) -> dict:
    bounds = {} if count is None else {"minItems": count, "maxItems": count}
    return {"type": "array", "items": items, **bounds}


# --- routes ---


def _health() -> dict:
    def route(what: str, text: str, answer: dict, parameters: tuple = ()) -> dict:
        responses = {"200": answer, "400": _error(["not ready, or no such model"])}
        return {
            "get": {
                "operationId": what,
                "tags": ["health"],
                "summary": text,
                "parameters": list(parameters),
                "responses": responses | _failures(401, 404, 405, 413, 429, 503),
            }
        }

    model = {
        "name": "pipeline",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": list(_PIPELINES)},
    }
    empty = {"description": "yes, with an empty body"}
    server, metadata = (
        {"description": "metadata", "content": {"application/json": {"schema": _ref(name)}}}
        for name in ("ServerMetadata", "ModelMetadata")
    )
    alone = "; not behind the gateway"
    return {
        "/v2/health/live": route("live", "Whether the server runs", empty),
        "/v2/health/ready": route("ready", "Whether the server can answer", empty),
        "/v2/models/{pipeline}/ready": route(
            "pipeline_ready", "Whether a pipeline can answer", empty, (model,)
        ),
        "/v2": route("server_metadata", f"The server's name and version{alone}", server),
        "/v2/models/{pipeline}": route(
            "pipeline_metadata", f"A pipeline's inputs and outputs{alone}", metadata, (model,)
        ),
    }


def _infer(pipeline: str) -> dict:
    def header(name: str, schema: dict, text: str) -> dict:
        return {"name": name, "in": "header", "schema": schema, "description": text}

    name = _camel(pipeline)
    length = {"type": "integer", "minimum": 0}
    answers = {
        "200": {
            "description": f"The faces. {BINARY} if the request was, or asked for binary outputs: "
            "JSON, then the tensors' bytes in the order of the outputs",
            "headers": {
                LENGTH: {"schema": length, "description": "of the JSON in a binary answer"}
            },
            "content": {
                "application/json": {"schema": _ref(f"{name}Answer")},
                BINARY: {"schema": BYTES},
            },
        },
        **_failures(*ERRORS),
    }
    return {
        "post": {
            "operationId": pipeline,
            "tags": ["pipelines"],
            "summary": _PIPELINES[pipeline].capitalize(),
            "parameters": [
                header(
                    LENGTH,
                    length,
                    f"With {BINARY}: the length of the JSON before the tensors' bytes; 0 if the "
                    "body is the photo alone. Not with JSON alone",
                ),
                header("X-Request-Id", {"type": "string"}, "An id for logs and support"),
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": _ref(f"{name}Request")},
                    BINARY: {"schema": BYTES},
                },
            },
            "responses": answers,
        }
    }


def _codes() -> dict[int, list[str]]:
    """Return the codes of errors by HTTP status: the service's and the gateway's."""
    codes: dict[int, list[str]] = {}
    found = [(int(status), code) for code, status in _rows("## Errors", 2)]
    for status, code in [*found, *((item.status, item.code) for item in refusals(0, 0, ""))]:
        if code not in codes.setdefault(status, []):
            codes[status].append(code)
    return dict(sorted(codes.items()))


def _failures(*statuses: int) -> dict:
    return {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in statuses}


def _error(codes: list[str]) -> dict:
    text = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": _ref("Error"),
    }
    content = {
        "application/json": {"schema": _ref("Error")},
        "text/plain": {"schema": text},  # Triton's header where it read no JSON; the body is JSON
    }
    return {"description": ", ".join(codes), "content": content}


ERRORS = _codes()

# --- schemas ---


def _common() -> dict:
    text, integer, flag = ({"type": name} for name in ("string", "integer", "boolean"))
    tensor = _object(
        {"name": text, "datatype": text, "shape": _array(integer)}, ("name", "datatype", "shape")
    )
    return {
        "Error": _object(
            {"error": text},
            ("error",),
            description="The message begins with a code in brackets, after Triton's "
            "`in ensemble '<name>', `; Triton's own messages have no code",
        ),
        "ServerMetadata": _object(
            {"name": text, "version": text, "extensions": _array(text)},
            ("name", "version", "extensions"),
        ),
        "ModelMetadata": _object(
            {
                "name": text,
                "versions": _array(text),
                "platform": text,
                "inputs": _array(tensor),
                "outputs": _array(tensor),
            },
            ("name", "versions", "platform", "inputs", "outputs"),
        ),
        "SequenceParameters": _object(
            {"sequence_id": integer, "sequence_start": flag, "sequence_end": flag},
            description="Triton's, without meaning here; repeated for each output",
        ),
        "BinaryData": _object(
            {"binary_data_size": {"type": "integer", "minimum": 0}},
            ("binary_data_size",),
            description="Instead of `data`: how many bytes behind the JSON are this tensor's",
        ),
    }


def _tensors() -> dict:
    """Return a schema for each output."""
    texts = {name: content for name, _, _, _, content in _rows("### Outputs", 5)}
    found = {}
    for outputs in contract.OUTPUTS.values():
        for name, (datatype, shape) in outputs.items():
            form = _array({"type": "integer"}, len(shape)) | {"prefixItems": [*map(_side, shape)]}
            found[f"{_camel(name)}Output"] = _object(
                {
                    "name": {"type": "string", "const": name},
                    "datatype": {"type": "string", "const": datatype},
                    "shape": form,
                    "data": _array({"type": JSON_TYPES[datatype]}),
                    "parameters": _ref("BinaryData"),
                },
                ("name", "datatype", "shape"),
                description=texts[name],
            )
    return found


def _side(length: int) -> dict:
    # Not `const`, which openapi-python-client doesn't tell from the others in `prefixItems`.
    fixed = {} if length < 0 else {"maximum": length}
    return {"type": "integer", "minimum": max(length, 0), **fixed}


def _requests() -> dict:
    """Return schemas of the pipelines' requests and answers."""
    text = {"type": "string"}
    image = _object(
        {
            "name": {"type": "string", "const": contract.INPUT},
            "datatype": {"type": "string", "const": "BYTES"},
            "shape": _array({"type": "integer", "const": 1}, 1),
            "data": _array({"type": "string", "contentEncoding": "base64"}, 1),
            "parameters": _ref("BinaryData"),
        },
        ("name", "datatype", "shape"),
        description="The photo: an encoded JPEG, PNG, WebP, HEIC or AVIF, as base64",
    )
    found = {"ImageInput": image}
    for pipeline, outputs in contract.OUTPUTS.items():
        name = _camel(pipeline)
        tensors = {output: _ref(f"{_camel(output)}Output") for output in outputs}
        found[f"{name}Parameters"] = _parameters(pipeline)
        found[f"{name}RequestedOutput"] = _object(
            {
                "name": {"type": "string", "enum": list(outputs)},
                "parameters": _object({"binary_data": {"type": "boolean"}}),
            },
            ("name",),
        )
        found[f"{name}Request"] = _object(
            {
                "id": text,
                "inputs": _array(_ref("ImageInput"), 1),
                "parameters": _ref(f"{name}Parameters"),
                "outputs": _array(_ref(f"{name}RequestedOutput"))
                | {"description": "Only these; all if absent"},
            },
            ("inputs",),
        )
        one = {
            "oneOf": list(tensors.values()),
            "discriminator": {
                "propertyName": "name",
                "mapping": {output: tensor["$ref"] for output, tensor in tensors.items()},
            },
        }
        found[f"{name}Answer"] = _object(
            {
                "id": text,
                "model_name": {"type": "string", "const": pipeline},
                "model_version": text,
                "parameters": _ref("SequenceParameters"),
                "outputs": _array(one),
            },
            ("model_name", "model_version", "outputs"),
        )
    return found


def _parameters(pipeline: str) -> dict:
    found = {}
    for name, _, allowed, default, where, meaning in _rows("## Parameters", 6):
        if where == "all" or pipeline in where.split(", "):
            text = f"{meaning}. Allowed: {allowed}. Default: {default}"
            found[name] = PARAMETERS[name] | {"description": text}
    found["binary_data_output"] = {
        "type": "boolean",
        "description": "Triton's: send all outputs as bytes behind the JSON",
    }
    return _object(found, patternProperties={"^(triton_|x-)": True}, additionalProperties=False)


def text() -> str:
    """Return the file's content."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
