"""The rollout state: round trips, atomic writes and damaged files."""

import json
from dataclasses import replace

import pytest

from aurum import files
from aurum.kernels import beside
from aurum.releases.active import FILE, Versions
from aurum.releases.state import Check, Graph, Release, State, StateError, Store, Validation


def release(number: int, **versions: int) -> Release:
    graphs = {name: Graph(f"{name}@{number}", "0" * 64, of) for name, of in versions.items()}
    return Release(number, "a profile", graphs, "now", "a test")


OLD = release(1, face_detection=1, face_embedding=1)
NEW = replace(
    release(2, face_detection=1, face_embedding=2),
    validation=Validation("now", "a test", (Check("one", True, ""), Check("two", False, "why"))),
)


def test_a_state_round_trips(tmp_path):
    store = Store(tmp_path / "new" / "folder")
    assert store.load() == State()
    state = State(OLD, None, NEW, 2, 12.5).noted("stage", "a test", NEW, "detail")
    store.save(state)
    assert store.load() == state
    assert not store.load().candidate.validation.passed
    assert state.history[-1].previous == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": 2}', '{"format": 1}', '{"format": 1, "current": 3}'],
)
def test_a_damaged_state_is_refused_by_writers(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StateError, match=r"state\.json can't be read.*\n.*To fix"):
        Store(tmp_path).load()


def test_a_state_of_another_format_is_not_misread(tmp_path):
    store = Store(tmp_path)
    store.save(State(OLD))
    document = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**document, "more": 1}))
    with pytest.raises(StateError, match="more"):
        store.load()


def test_pipelines_follow_the_state_and_survive_its_damage(tmp_path):
    store, versions = Store(tmp_path), Versions(tmp_path)
    assert versions.now() == {}
    store.save(State(candidate=NEW))
    assert versions.now() == {}  # a staged release is not called
    store.save(State(NEW, OLD))
    assert versions.now() == {"face_detection": 1, "face_embedding": 2}
    (tmp_path / FILE).write_text("{")
    assert versions.now() == {"face_detection": 1, "face_embedding": 2}
    with pytest.raises(ValueError, match="Expecting"):
        Versions(tmp_path)  # but no step starts with it
    store.save(State(OLD))
    assert versions.now() == {"face_detection": 1, "face_embedding": 1}
    (tmp_path / FILE).unlink()
    assert versions.now() == {}


def test_graphs_are_stored_by_content_and_verified(tmp_path):
    source = tmp_path / "source.onnx"
    source.write_bytes(b"a graph")
    store = Store(tmp_path / "store")
    digest, kernels = store.keep(source)
    assert kernels == ""
    graph = Graph("a@1", digest, 3)
    kept = store.graph(graph)
    assert kept.read_bytes() == b"a graph"
    (tmp_path / "models").mkdir()
    store.put(graph, tmp_path / "models" / "3")
    assert (tmp_path / "models" / "3" / "model.onnx").read_bytes() == b"a graph"
    kept.write_bytes(b"a grap")
    with pytest.raises(StateError, match="is damaged"):
        store.graph(graph)
    with pytest.raises(StateError, match="is damaged"):
        store.put(graph, tmp_path / "models" / "4")
    assert not (tmp_path / "models" / "4").exists()
    store.keep(source)  # repairs it
    assert store.graph(graph).read_bytes() == b"a graph"
    kept.unlink()
    with pytest.raises(StateError, match="can't be read"):
        store.graph(graph)


def test_a_graph_with_kernels_is_stored_with_its_plain_one(tmp_path):
    source = tmp_path / "source.onnx"
    source.write_bytes(b"plain")
    beside(source).write_bytes(b"with kernels")
    store = Store(tmp_path / "store")
    digest, own = store.keep(source)
    both = Graph("a@1", digest, 3, own)
    for graph, expected in ((both, b"with kernels"), (Graph("a@1", digest, 4), b"plain")):
        folder = tmp_path / str(graph.version)
        store.put(graph, folder)
        assert (folder / "model.onnx").read_bytes() == b"plain"
        assert (folder / "model.kernels.onnx").read_bytes() == expected
    release = Release(1, "", {"face_embedding": both}, "now", "a test")
    store.tidy(State(release))
    beside(store.graph(both)).write_bytes(b"with kernel")
    with pytest.raises(StateError, match="is damaged"):
        store.put(both, tmp_path / "5")
    store.save(State(release))
    assert store.load().current == release
    store.tidy(State())
    assert list((tmp_path / "store" / "graphs").iterdir()) == []


def test_only_graphs_of_the_state_are_stored(tmp_path):
    store = Store(tmp_path / "store")
    digests = []
    for content in (b"one", b"two"):
        (tmp_path / "source").write_bytes(content)
        digests.append(store.keep(tmp_path / "source")[0])
    used = Release(1, "", {"face_embedding": Graph("a@1", digests[0], 1)}, "now", "a test")
    store.tidy(State(previous=used))
    assert [path.stem for path in (tmp_path / "store" / "graphs").iterdir()] == digests[:1]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write(path, b"old")

    def full(*of):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
