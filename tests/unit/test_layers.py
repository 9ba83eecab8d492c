"""Imports inside the package go downwards only, as docs/design/architecture.md says."""

import ast
import re
from collections import Counter

import pytest

from aurum.paths import CHECKOUT, PACKAGE

# From top to bottom; packages of one layer know nothing of each other.
LAYERS = (
    {"cli"},
    {"rollout", "playground", "doctor", "evaluation", "bulk"},
    {"server", "gateway", "members"},
    {"models", "pipeline"},
    {"releases"},
    {"quality", "telemetry"},
    {"imaging"},
)
# Modules beside the packages, which any package may use, and which use only each other.
GROUND = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
LEVEL = {name: number for number, names in enumerate(LAYERS) for name in names}


def imports(path):
    """The packages and modules of aurum that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "aurum":
            yield from (alias.name for alias in node.names if not alias.name.startswith("__"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aurum."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name.split(".")[0] != "benchmarks", path
                if alias.name.startswith("aurum."):
                    yield alias.name.split(".")[1]


@pytest.mark.parametrize("name", sorted(LEVEL))
def test_a_package_imports_only_what_is_below(name):
    for path in (PACKAGE / name).rglob("*.py"):
        for other in imports(path):
            below = other in GROUND or other == name or LEVEL[other] > LEVEL[name]
            assert below, f"{path.relative_to(CHECKOUT)} imports aurum.{other}"


@pytest.mark.parametrize("name", sorted(GROUND))
def test_the_ground_floor_imports_no_package(name):
    assert GROUND.issuperset(imports(PACKAGE / f"{name}.py"))


def test_every_package_has_its_layer():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(LEVEL)


def test_nothing_in_the_package_imports_the_benchmarks():
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) benchmarks", path.read_text("utf-8"), re.M), path


def test_the_architecture_page_lists_the_packages():
    page = (CHECKOUT / "docs" / "design" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (`.*?`) \|", page, re.M)
    listed = [(int(layer), name) for layer, names in rows for name in re.findall(r"`(\w+)`", names)]
    wanted = [(number + 1, name) for name, number in LEVEL.items()]
    assert sorted(listed) == sorted([*wanted, *((len(LAYERS) + 1, name) for name in GROUND)])


@pytest.mark.parametrize("folder", ["aurum", "benchmarks", "client", "tests", "tools", "scripts"])
def test_no_module_is_longer_than_400_lines(folder):
    for kind in ("py", "ts", "js", "cc", "h", "sh"):
        for path in (CHECKOUT / folder).rglob(f"*.{kind}"):
            if not {"node_modules", "dist", "build"} & set(path.parts):
                assert path.read_text("utf-8").count("\n") <= 400, path


def test_test_modules_of_one_run_have_different_names():
    """pytest can't import two of one name, and says so only when it collects both folders."""
    found = [
        path for path in (CHECKOUT / "tests").rglob("test_*.py") if "containers" not in path.parts
    ]
    names = Counter(path.name for path in found)
    assert [name for name, count in names.items() if count > 1] == []
