"""docs/reference/openapi.json against the running server: requests, answers and errors."""

import base64
import json

import httpx
import images
import pytest
from gateway_world import gateway_for
from jsonschema import Draft202012Validator

from aurum import contract
from aurum.paths import CHECKOUT

DOCUMENT = json.loads((CHECKOUT / "docs/reference/openapi.json").read_text(encoding="utf-8"))
NAMES = {name: name.title().replace("_", "") for name in contract.PIPELINES}
LENGTH = "Inference-Header-Content-Length"
RAW = {"Content-Type": "application/octet-stream", LENGTH: "0"}
OPTIONS = {
    "min_confidence": 0.25,
    "max_faces": 3,
    "detection_size": 320,
    "tiles": 2,
    "orientation": "exif",
    "refine": False,
}


def check(name, value):
    """Validate against a schema of the document."""
    Draft202012Validator({**DOCUMENT, "$ref": f"#/components/schemas/{name}"}).validate(value)


@pytest.fixture(scope="module")
def http(best):
    with httpx.Client(base_url=best.urls[0], timeout=60, trust_env=False) as client:
        yield client


def request(photo, **more):
    data = [base64.b64encode(photo).decode()]
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": data}
    return {"inputs": [image], **more}


def infer(http, pipeline, body):
    """Send a request that the document allows; return the response and its documented form."""
    check(f"{NAMES[pipeline]}Request", body)
    answer = http.post(f"/v2/models/{pipeline}/infer", json=body)
    return answer, documented(answer, f"/v2/models/{pipeline}/infer", "post")


def documented(answer, path, method="get"):
    """Return the response that the document has for this status; its content type is there."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    found = responses[str(answer.status_code)]
    if "$ref" in found:
        found = DOCUMENT["components"]["responses"][found["$ref"].rpartition("/")[2]]
    if answer.content:
        assert answer.headers["content-type"] in found["content"]
    return found


@pytest.mark.parametrize("pipeline", contract.PIPELINES)
@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["plain", "options"])
def test_answers_are_as_described(http, astronaut, pipeline, options):
    answer, _ = infer(http, pipeline, request(astronaut, id="7", parameters=options))
    assert answer.status_code == 200
    check(f"{NAMES[pipeline]}Answer", answer.json())
    assert {output["name"] for output in answer.json()["outputs"]} == set(
        contract.OUTPUTS[pipeline]
    )


def test_an_answer_without_faces_is_as_described(http):
    photo = images.save(images.Image.new("RGB", (64, 48)), "PNG")
    answer, _ = infer(http, "analyze_faces", request(photo))
    assert answer.status_code == 200
    check("AnalyzeFacesAnswer", answer.json())


def test_an_answer_in_binary_is_as_described(http, astronaut):
    outputs = [{"name": "embeddings", "parameters": {"binary_data": True}}, {"name": "scores"}]
    answers = [
        infer(http, "analyze_faces", request(astronaut, outputs=outputs))[0],
        http.post("/v2/models/analyze_faces/infer", content=astronaut, headers=RAW),
    ]
    for answer in answers:
        found = documented(answer, "/v2/models/analyze_faces/infer", "post")
        assert set(found["headers"]) == {LENGTH}
        length = int(answer.headers[LENGTH])
        check("AnalyzeFacesAnswer", json.loads(answer.content[:length]))


@pytest.mark.parametrize(
    "change",
    [
        lambda outputs: outputs[0].update(name="nonsense"),
        lambda outputs: outputs[0].update(datatype="FP64"),
        lambda outputs: outputs[0].update(shape=[1, 2, 3, 4]),
        lambda outputs: outputs[0].update(data={}),
        lambda outputs: outputs[0].pop("shape"),
    ],
)
def test_another_answer_is_told_apart(http, astronaut, change):
    answer = infer(http, "detect_faces", request(astronaut))[0].json()
    change(answer["outputs"])
    with pytest.raises(Exception, match="is not valid under any of the given schemas"):
        check("DetectFacesAnswer", answer)


@pytest.mark.parametrize(
    ("pipeline", "photo", "options", "code"),
    [
        ("analyze_faces", b"no photo", {}, "invalid_image"),
        ("embed_face", images.save(images.Image.new("RGB", (64, 48)), "PNG"), {}, "no_face"),
        ("embed_face", None, {"min_quality": 1}, "low_quality"),
        ("embed_face", None, {"aligned": True}, "not_aligned"),
    ],
)
def test_errors_are_as_described(http, astronaut, pipeline, photo, options, code):
    answer, found = infer(http, pipeline, request(photo or astronaut, parameters=options))
    assert answer.status_code >= 400
    check("Error", answer.json())
    assert f"[{code}]" in answer.json()["error"]
    assert code in found["description"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"not JSON",
        b'{"inputs":[]}',
        json.dumps(request(b"x", parameters={"nonsense": 1})),
        json.dumps(request(b"x", outputs=[{"name": "nonsense"}])),
    ],
)
def test_errors_of_other_requests_are_as_described(http, body):
    answer = http.post("/v2/models/analyze_faces/infer", content=body)
    documented(answer, "/v2/models/analyze_faces/infer", "post")
    check("Error", answer.json())


@pytest.mark.parametrize("path", [path for path in DOCUMENT["paths"] if "infer" not in path])
@pytest.mark.parametrize("pipeline", [*contract.PIPELINES, "no_such_model"])
def test_health_and_metadata_are_as_described(http, path, pipeline):
    answer = http.get(path.replace("{pipeline}", pipeline))
    missing = pipeline == "no_such_model" and "{pipeline}" in path
    assert (answer.status_code == 200) is not missing
    found = documented(answer, path)
    if missing:
        check("Error", answer.json())
    elif "content" in found:
        check(found["content"]["application/json"]["schema"]["$ref"].split("/")[-1], answer.json())
    else:
        assert answer.content == b""


@pytest.fixture(scope="module")
def gateway(best):
    with gateway_for(best) as world, world.http() as client:
        yield client


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200),
        ({"headers": {"Authorization": "Bearer wrong"}}, 401),
        ({"headers": {"Content-Encoding": "gzip"}}, 415),
        ({"content": b"[]"}, 400),
        ({"method": "GET"}, 405),
    ],
)
def test_the_gateways_answers_are_as_described(gateway, astronaut, change, status):
    path = "/v2/models/detect_faces/infer"
    sent = {"method": "POST", "content": json.dumps(request(astronaut)), **change}
    answer = gateway.request(url=path, **sent)
    assert answer.status_code == status
    documented(answer, path, "post")
    check("DetectFacesAnswer" if status == 200 else "Error", answer.json())
