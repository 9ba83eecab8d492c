"""Write docs/reference/bad-input.md: each bad input of the tests and a real server's answer.

`make pages`
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import images
from test_bad_input import BAD, BAD_PARAMETERS, LIMITS
from test_contract import infer
from tritonclient.utils import InferenceServerException

from aurum.paths import CHECKOUT
from aurum.server.ephemeral import running
from aurum.settings import Settings

HEAD = """# Bad input

Written by `make pages`, which sends each input to a real server with the simulated profile, over
HTTP and over gRPC. The server refused each one with 400 over HTTP and INVALID_ARGUMENT over gRPC,
with the same message. To keep the files small, the limits were set to {max_image_bytes} bytes
({max_base64_bytes} as base64), {max_image_pixels} pixels and {max_photo_memory} bytes of memory.
The tests send the same inputs: `tests/service/test_bad_input.py`.

| sent | bytes | answer |
| --- | --- | --- |
"""


def answer(service, data, parameters):
    """Return the code and message, which must be the same over both transports."""
    errors = set()
    for transport in ("http", "grpc"):
        try:
            infer(service, transport, "analyze_faces", data, **parameters)
        except InferenceServerException as error:
            status = error.status().removeprefix("StatusCode.")
            assert status in ("400", "INVALID_ARGUMENT")
            errors.add(error.message().removeprefix("in ensemble 'analyze_faces', "))
    (message,) = errors
    return message


def main():
    """Send every input and write the table."""
    settings = replace(Settings.from_env(), profile="simulated", **LIMITS)
    rows = []
    with tempfile.TemporaryDirectory() as folder, running(settings, Path(folder)) as service:
        for name, (data, _) in BAD.items():
            rows.append((name, len(data), answer(service, data, {})))
        good = images.good()["jpeg"][0]
        for parameters, _ in BAD_PARAMETERS:
            name = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
            rows.append((f"`{name}`", len(good), answer(service, good, parameters)))
    table = "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)
    page = CHECKOUT / "docs" / "reference" / "bad-input.md"
    page.write_text(HEAD.format(**LIMITS) + table + "\n")
    print(f"{len(rows)} rows")


if __name__ == "__main__":
    main()
