"""From pulled model files to the graphs that Triton serves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from aurum import files, paths
from aurum import kernels as ours
from aurum.imaging import align, faces
from aurum.models import families, kernels, manifest, parity, pull
from aurum.models.families import SERVED
from aurum.models.manifest import Model, Profile
from aurum.settings import Settings

SIMULATED = "simulated"


@dataclass(frozen=True)
class Prepared:
    """The graphs of a profile, ready to be installed into a model repository."""

    profile: Profile
    graphs: dict[str, Path]  # by served name
    ids: dict[str, str]  # by served name: what the graph's answers will say
    failures: dict[str, str] = field(default_factory=dict)  # profiles that can't be had, and why

    @property
    def simulated(self) -> bool:
        """Whether any answer will be made up."""
        return any(model.family == "simulated" for model in self.profile.models)


def prepare(
    settings: Settings,
    progress: pull.Progress = pull.silent,
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """Choose the profile, pull its files and build its graphs, as far as that isn't done yet.

    Where ``auto`` finds none that can be had, this is the simulated one, and `failures` says why.

    Raises ManifestError, PullError, and BuildError for a model that breaks the contract.
    """
    models = manifest.load()
    choice = pull.choose_profile(models, settings, progress)
    profile = choice.profile or models.profile(SIMULATED)
    graphs, ids = {}, {}
    for model in profile.models:
        for name in SERVED[model.role]:
            path = choice.paths.get(model.name)
            graphs[name], ids[name] = build(name, model, path, settings, say)
    return Prepared(profile, graphs, ids, choice.failures)


def build(
    name: str, entry: Model, upstream: Path | None, settings: Settings, say: Callable[[str], None]
) -> tuple[Path, str]:
    """The graph that is served as `name`, from the cache if it was built by this very code before.

    Returns its path and the id that its answers carry.
    """
    folder = settings.model_cache / "served"
    version = entry.sha256[:12] if entry.sha256 else "none"
    path = folder / f"{entry.name}-{name}-{version}-{_recipe(entry)}.onnx"
    if not path.is_file():
        say(f"building {name} from {entry.name}")
        graph = families.build(name, entry, onnx.load(str(upstream)) if upstream else None)
        if upstream:
            say(f"proving it equal to {upstream.name}")
            parity.prove(name, graph, onnx.load(str(upstream)), entry)
        folder.mkdir(parents=True, exist_ok=True)
        files.write(path, graph.SerializeToString(deterministic=True))
    if not ours.beside(path).is_file() and ours.find().name:
        _build_with_kernels(name, entry, upstream, path, say)
    return path, identity(path)


def _build_with_kernels(
    name: str, entry: Model, upstream: Path | None, plain: Path, say: Callable[[str], None]
) -> None:
    """The graph with kernels beside a plain one; the plain one once more where there are none.

    Only on a machine that can run it: what was not proven is not served.
    """
    target = ours.beside(plain)
    graph = kernels.build(name, entry, onnx.load(str(upstream))) if upstream else None
    if graph is None or upstream is None:
        files.write(target, plain.read_bytes())
        return
    say(f"proving {name} with our kernels equal to {upstream.name}")
    parity.prove(name, graph, onnx.load(str(upstream)), entry, ours.LIBRARY)
    mark = {item.key: item.value for item in graph.metadata_props}
    onnx.helper.set_model_props(graph, {**mark, ours.MARK: files.sha256(plain)})
    files.write(target, graph.SerializeToString(deterministic=True))


def install(prepared: Prepared, repository: Path) -> None:
    """Put the graphs into `repository` (a ``model_repository/``) as version 1, if they differ."""
    install_graphs(prepared.graphs, repository)


def install_graphs(graphs: Mapping[str, Path], repository: Path) -> None:
    """As `install`, of graphs by served name; those with kernels that lie beside them, too."""
    for name, source in graphs.items():
        target = repository / name / "1" / "model.onnx"
        _install(source, target)
        if ours.beside(source).is_file():
            _install(ours.beside(source), ours.beside(target))
        else:
            ours.beside(target).unlink(missing_ok=True)


def _install(source: Path, target: Path) -> None:
    if not target.is_file() or files.sha256(target) != files.sha256(source):
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write(target, source.read_bytes())


def identity(path: Path) -> str:
    """Which model a served graph names in its answers, e.g. ``edgeface_xs_q@f078bab9d777``."""
    model = onnx.load(str(path), load_external_data=False)
    return str(next(item.value for item in model.metadata_props if item.key == "aurum.model"))


def _recipe(entry: Model) -> str:
    """A digest of all that a graph is built from, but for its weights: code and manifest entry."""
    digest = hashlib.sha256(f"{onnx.__version__} {entry}".encode())
    folders = [
        (Path(folder), "*.py") for package in (families, kernels) for folder in package.__path__
    ]
    folders.append((paths.DATA / "backends" / "ops", "*.[ch]*"))
    sources = [path for folder, pattern in folders for path in sorted(folder.glob(pattern))]
    for source in (*sources, Path(align.__file__), Path(faces.__file__)):  # their constants
        digest.update(source.read_bytes())
    return digest.hexdigest()[:8]
