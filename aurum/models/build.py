"""Build the graphs that Triton serves from downloaded model files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from aurum import contract, files, kernels, native, paths
from aurum.imaging import align, faces
from aurum.models import calibrations, families, manifest, parity, pull
from aurum.models import kernels as kernel_graphs
from aurum.models.families import SERVED, checkpoint, minifasnet
from aurum.models.families.graph import BuildError
from aurum.models.manifest import Model, Profile
from aurum.models.toml_table import ManifestError
from aurum.settings import Settings

SIMULATED = "simulated"


@dataclass(frozen=True)
class BuiltProfile:
    """A profile with its built graphs, ready to be installed into a model repository."""

    profile: Profile
    graphs: dict[str, Path]  # by served name
    ids: dict[str, str]  # by served name: the model id in the graph's answers
    failures: dict[str, str] = field(default_factory=dict)  # unavailable profiles, and why

    @property
    def simulated(self) -> bool:
        """Whether any model is simulated."""
        return any(model.family == "simulated" for model in self.profile.models)


def prepare(
    settings: Settings,
    progress: pull.Progress = pull.silent,
    say: Callable[[str], None] = lambda line: None,
) -> BuiltProfile:
    """Choose the profile, pull its files and build its graphs, unless they are cached.

    With AURUM_LIVENESS=1, the graph of `face_liveness` is added to those of the profile. If no
    profile of ``auto`` is available, the result is the simulated one, and `failures` says why. An
    embedder that the user has calibrated has that calibration.

    Raises ManifestError, PullError, and BuildError for a model that breaks the contract.
    """
    models = manifest.load()
    choice = pull.choose_profile(models, settings, progress)
    profile = with_own_calibration(choice.profile or models.profile(SIMULATED), settings)
    graphs, ids = {}, {}
    for model in profile.models:
        for name in SERVED[model.role]:
            path = choice.paths.get(model.name)
            graphs[name], ids[name] = build(name, model, path, settings, say)
    if settings.liveness:
        graphs[contract.LIVENESS], ids[contract.LIVENESS] = prepare_liveness(
            settings, progress, say
        )
    return BuiltProfile(profile, graphs, ids, choice.failures)


def with_own_calibration(profile: Profile, settings: Settings) -> Profile:
    """Replace the embedder's calibration by the user's own, if there is one.

    Raises ManifestError if that file is damaged.
    """
    own = calibrations.own(str(profile.embedder.id), settings)
    if own is None:
        return profile
    return replace(profile, embedder=replace(profile.embedder, calibration=own))


def prepare_liveness(
    settings: Settings,
    progress: pull.Progress = pull.silent,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Path, str]:
    """Pull the manifest's liveness models and build `face_liveness`, unless it is cached.

    No release has this graph: it belongs to no profile, and its scores depend on no other model's.

    Returns its path and its id. Raises ManifestError, PullError, LicenceError and BuildError.
    """
    entries = manifest.load().liveness
    if not entries:
        raise ManifestError("AURUM_LIVENESS=1: models.toml names no models for it")
    pull.check_licences("AURUM_LIVENESS=1", entries, settings)
    hashes = [str(entry.sha256)[:12] for entry in entries]
    recipe = "-".join([*hashes, *map(_recipe, entries)])
    path = settings.model_cache / "served" / f"{contract.LIVENESS}-{recipe}.onnx"
    if not path.is_file():
        try:
            pulled = [pull.pull(entry, settings, progress) for entry in entries]
        except pull.PullError as error:
            raise pull.PullError(f"{error}\nOr unset AURUM_LIVENESS, which needs it.") from error
        say(f"building {contract.LIVENESS} from {' and '.join(entry.name for entry in entries)}")
        tensors = [checkpoint.read(source) for source in pulled]
        checkpoints = dict(zip(contract.MODEL_INPUTS[contract.LIVENESS], tensors, strict=True))
        graph = minifasnet.build(checkpoints, f"{entries[0].family}@{'+'.join(hashes)}")
        say(f"checking parity of {contract.LIVENESS} with its checkpoints")
        parity.check_liveness(graph, checkpoints)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, graph.SerializeToString(deterministic=True))
    return path, identity(path)


def build(
    name: str, entry: Model, upstream: Path | None, settings: Settings, say: Callable[[str], None]
) -> tuple[Path, str]:
    """Build the graph served as `name`, unless this version of the code has cached it.

    Returns its path and the model id in its answers.
    """
    folder = settings.model_cache / "served"
    version = entry.sha256[:12] if entry.sha256 else "none"
    path = folder / f"{entry.name}-{name}-{version}-{_recipe(entry)}.onnx"
    if not path.is_file():
        say(f"building {name} from {entry.name}")
        graph = families.build(name, entry, onnx.load(str(upstream)) if upstream else None)
        if upstream:
            say(f"checking parity with {upstream.name}")
            parity.check_parity(name, graph, onnx.load(str(upstream)), entry)
        folder.mkdir(parents=True, exist_ok=True)
        files.write(path, graph.SerializeToString(deterministic=True))
    if not kernels.beside(path).is_file() and kernels.find().name:
        _build_with_kernels(name, entry, upstream, path, say)
    return path, identity(path)


def _build_with_kernels(
    name: str, entry: Model, upstream: Path | None, plain: Path, say: Callable[[str], None]
) -> None:
    """Build the graph with kernels beside a plain one; without kernels for it, copy the plain one.

    This needs a machine that can run the kernels: a graph without a parity check is not served.
    """
    target = kernels.beside(plain)
    graph = kernel_graphs.build(name, entry, onnx.load(str(upstream))) if upstream else None
    if graph is not None and upstream is not None:
        say(f"checking parity of {name} (with our kernels) with {upstream.name}")
        try:
            parity.check_parity(name, graph, onnx.load(str(upstream)), entry, native.OPERATORS)
        except BuildError as error:
            if entry.tested:
                raise
            # An untested sister of a known net may have sizes that no kernel has.
            say(f"{entry.name} is served without our kernels: {error}")
            graph = None
    if graph is None:
        files.write(target, plain.read_bytes())
        return
    mark = {item.key: item.value for item in graph.metadata_props}
    onnx.helper.set_model_props(graph, {**mark, kernels.MARK: files.sha256(plain)})
    files.write(target, graph.SerializeToString(deterministic=True))


def install(prepared: BuiltProfile, repository: Path) -> None:
    """Install the graphs in `repository` (a ``model_repository/``) as version 1, if they differ."""
    install_graphs(prepared.graphs, repository)


def install_graphs(graphs: Mapping[str, Path], repository: Path) -> None:
    """Like `install`, for graphs by served name; includes the graphs with kernels beside them."""
    for name, source in graphs.items():
        target = repository / name / "1" / "model.onnx"
        files.copy_if_changed(source, target)
        if kernels.beside(source).is_file():
            files.copy_if_changed(kernels.beside(source), kernels.beside(target))
        else:
            kernels.beside(target).unlink(missing_ok=True)


def identity(path: Path) -> str:
    """Return the model id in a served graph's answers, such as ``edgeface_xs_q@f078bab9d777``."""
    model = onnx.load(str(path), load_external_data=False)
    return str(next(item.value for item in model.metadata_props if item.key == "aurum.model"))


def _recipe(entry: Model) -> str:
    """Digest of everything a graph is built from except its weights: code and manifest entry."""
    digest = hashlib.sha256(f"{onnx.__version__} {entry}".encode())
    folders = [
        (Path(folder), "*.py")
        for package in (families, kernel_graphs)
        for folder in package.__path__
    ]
    folders.append((paths.DATA / "backends" / "ops", "*.[ch]*"))
    sources = [path for folder, pattern in folders for path in sorted(folder.glob(pattern))]
    for source in (*sources, Path(align.__file__), Path(faces.__file__)):  # their constants
        digest.update(source.read_bytes())
    return digest.hexdigest()[:8]
