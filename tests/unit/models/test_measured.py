"""The measured figures of the profiles, and the page that shows them."""

from dataclasses import replace

from profiles_table import PAGE, table

from aurum.models import manifest, measured
from aurum.models.measured import Accuracy, Cost, Measured

PROFILES = manifest.load().profiles
DEFAULT = PROFILES["edgeface-xs"]
IDS = tuple(model.id for model in DEFAULT.models)
FOUND = Measured(
    IDS,
    Accuracy(0.99433, 0.0012, 0.99267, 3000, "pairs.txt", "2026-11-29"),
    Cost(14.06, 271.4, 300, "a processor", 2, "2026-11-29"),
)


def test_figures_are_kept(tmp_path):
    path = tmp_path / "measured.json"
    figures = {"edgeface-xs": FOUND, "scrfd": Measured(("a", "b"))}
    measured.save(figures, path)
    assert measured.load(path) == figures
    before = path.read_bytes()
    measured.save(measured.load(path), path)
    assert path.read_bytes() == before


def test_cells_are_percent_ms_and_megabytes():
    assert measured.cells(FOUND) == ("99.43", "99.27", "14.1", "271")
    assert measured.cells(replace(FOUND, cost=None)) == ("99.43", "99.27", "-", "-")
    assert measured.cells(Measured(IDS)) == ("-",) * 4


def test_figures_of_other_weights_do_not_count():
    assert measured.of(DEFAULT, {"edgeface-xs": FOUND}) == FOUND
    other = replace(FOUND, models=("yunet_s_dynamic@0", IDS[1]))
    assert measured.of(DEFAULT, {"edgeface-xs": other}) == Measured(IDS)
    assert measured.of(DEFAULT, {}) == Measured(IDS)


def test_the_committed_figures_are_of_the_manifests_models():
    figures = measured.load()
    assert {"edgeface-xs", "edgeface-xxs", "yunet-n", "scrfd"} <= set(figures)
    for name, found in figures.items():
        assert measured.of(PROFILES[name], figures) == found
        assert all(model.tested for model in PROFILES[name].models)


def test_the_page_has_the_table_with_every_profile():
    assert table() in PAGE.read_text(encoding="utf-8")
    assert table().count("\n") == len(PROFILES) + 1
