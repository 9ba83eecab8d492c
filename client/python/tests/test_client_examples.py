"""The examples of the READMEs satisfy a strict type checker."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
CHECKOUT = PROJECT.parents[1]


def examples(page: Path) -> list[str]:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if "aurum_client" in block]


def check(folder: Path, texts: list[str]) -> str:
    """Return mypy's complaints about each text as a file of its own."""
    files = [folder / f"example_{number}.py" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    cache = CHECKOUT / ".mypy_cache" / "examples"
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache)]
    # Outside the checkout, as a user has it: its settings don't apply.
    done = subprocess.run(
        [*command, *map(str, files)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert not done.stderr, done.stderr
    return "" if done.returncode == 0 else done.stdout


def test_the_examples_are_well_typed(tmp_path):
    texts = examples(PROJECT / "README.md")
    assert len(texts) > 3
    texts += examples(CHECKOUT / "README.md")
    assert not check(tmp_path, texts)


def test_a_wrong_example_is_noticed(tmp_path):
    text = (
        "from aurum_client import FaceClient\n"
        'with FaceClient("") as client:\n'
        '    client.detect("", max_faces="5")\n'
        "    client.detect(7)\n"
        '    client.detect("")[0].embedding.shape\n'
    )
    complaints = check(tmp_path, [text])
    assert [f"example_0.py:{line}: error" in complaints for line in (3, 4, 5)] == [True] * 3
