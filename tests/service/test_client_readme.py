"""The examples of the Python client's README run as pasted."""

from __future__ import annotations

import re

import doc_blocks
import pytest

PAGE = "client/python/README.md"
EXAMPLES = doc_blocks.blocks(PAGE)


@pytest.fixture
def run(simulated, tmp_path, astronaut):
    """Run an example in a checkout that has its photos."""
    folder = doc_blocks.as_checkout(tmp_path)
    for name in ("photo", "anna", "who"):
        (folder / f"{name}.jpg").write_bytes(astronaut)
    ports = dict(
        zip(("8000", "8001"), (url.rpartition(":")[2] for url in simulated.urls), strict=True)
    )
    return lambda block: doc_blocks.run(block, folder, ports=ports)


SHOWN = {
    "NoFaceError": r"Box\(.*\(512,\)\n(.*\n)*\S.*\d",
    "asyncio": r"\[\[.*\]\] \[.*\]\n",
    "cv2": r"\[\[.*\]\]\n\[\[.*\]\]\n",
    "RateLimitError": r"order-17\n",
    "json": r"uncalibrated\n",
}


@pytest.mark.parametrize("word", SHOWN)
def test_an_example_runs(run, word):
    (block,) = (block for block in EXAMPLES if word in block.text)
    assert re.match(SHOWN[word], run(block))


def test_every_example_is_run():
    text = (doc_blocks.CHECKOUT / PAGE).read_text(encoding="utf-8")
    assert text.count("```python") == len(EXAMPLES) == len(SHOWN)
