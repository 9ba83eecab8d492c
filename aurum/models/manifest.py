"""Read and strictly check the manifest ``models.toml``, which lists all models and profiles."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aurum.models import calibrations
from aurum.models.calibrations import Calibration
from aurum.models.toml_table import ManifestError, Table

FILE = Path(__file__).with_name("models.toml")
AUTO = "auto"
ROLES_OF_FAMILY = {
    "yunet": ("detector",),
    "scrfd": ("detector",),
    "arcface": ("embedder",),  # any embedder of aligned 112x112 crops
    "simulated": ("detector", "embedder"),
    "minifasnet": ("liveness",),
}
ROLES = ("detector", "embedder", "liveness")
SUFFIXES = {"minifasnet": "pth"}  # of the families that are not published as .onnx
COMMERCIAL_USE = ("yes", "unclear", "no")  # from most to least permissive
# Bytes of model files beyond which a server needs more than 500 MB: with the 9 MB of the default
# profile it takes 419 MB under load (docs/reports/performance.md).
LARGE = 90_000_000


@dataclass(frozen=True)
class InputFacts:
    """The input that a model's graph needs: ``(pixel - mean) / std`` of pixels from 0 to 255."""

    color: str  # RGB or BGR
    mean: float
    std: float
    layout: str  # NCHW
    size: tuple[int, int] | None  # height and width in pixels; None: any
    multiple_of: int | None  # height and width must be multiples of this, in pixels
    source: str  # where these facts are documented


@dataclass(frozen=True)
class Model:
    """One model. A simulated model has no file: its `file`, `sha256` and `input` are None."""

    name: str
    role: str
    family: str
    description: str
    licence: str
    commercial_use: str
    tested: bool
    upstream: str | None = None
    file: str | None = None
    sha256: str | None = None
    sha256_source: str | None = None  # where the sha256 was read
    bytes: int | None = None
    urls: tuple[str, ...] = ()
    input: InputFacts | None = None
    calibration: Calibration | None = None  # only for a calibrated embedder
    # For a detector: a photo whose best face fits worse may be rotated. 0: the detector also reads
    # rotated faces.
    upright_fit: float = 0.0

    @property
    def id(self) -> str | None:
        """Name and hash of the weights, such as ``edgeface_xs_q@f078bab9d777``.

        None for a simulated model, whose id is known only after its graph is built.
        """
        return f"{self.name}@{self.sha256[:12]}" if self.sha256 else None


@dataclass(frozen=True)
class Profile:
    """A detector and an embedder that are served together."""

    name: str
    description: str
    detector: Model
    embedder: Model

    @property
    def models(self) -> tuple[Model, Model]:
        """The detector and the embedder."""
        return self.detector, self.embedder

    @property
    def commercial_use(self) -> str:
        """The stricter of the two models' values: ``yes``, ``unclear`` or ``no``."""
        return max((model.commercial_use for model in self.models), key=COMMERCIAL_USE.index)

    @property
    def large(self) -> bool:
        """Whether its server is known to need more than 500 MB of memory."""
        return sum(model.bytes or 0 for model in self.models) > LARGE


@dataclass(frozen=True)
class Manifest:
    """All models and profiles by name, and the order in which the profile `auto` tries them.

    `liveness` are the models that make up `face_liveness` with AURUM_LIVENESS=1: those for the
    crops of 2.7 and of 4 times a face's box. It is empty if the manifest has none.
    """

    models: Mapping[str, Model]
    profiles: Mapping[str, Profile]
    auto: tuple[str, ...]
    liveness: tuple[Model, ...] = ()

    def profile(self, name: str) -> Profile:
        """Return the profile called `name`. Raises ManifestError, which lists all names."""
        if name not in self.profiles:
            names = ", ".join([AUTO, *self.profiles])
            raise ManifestError(f"there is no profile {name!r}; the profiles are: {names}")
        return self.profiles[name]

    def profile_of(self, detector: str, embedder: str) -> Profile | None:
        """Return the profile whose models have these ids, or None."""
        for profile in self.profiles.values():
            if all(
                # The manifest doesn't know the full id of a simulated model.
                given == model.id if model.id else given.startswith(f"{model.name}@")
                for given, model in zip((detector, embedder), profile.models, strict=True)
            ):
                return profile
        return None


def load(path: Path = FILE) -> Manifest:
    """Read and check the manifest. Raises ManifestError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error
    try:
        return _manifest(document)
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from None


def _manifest(document: dict[str, Any]) -> Manifest:
    top = Table("the manifest", document)
    models: dict[str, Model] = {}
    files: dict[str, str] = {}
    for number, value in enumerate(top.take("models", list, "an array of tables"), start=1):
        model = _model(value, number)
        if model.name in models:
            raise ManifestError(f"model {model.name!r}, field `name`: two models have this name")
        if model.file and files.setdefault(model.file, model.name) != model.name:
            raise ManifestError(
                f"model {model.name!r}, field `file`: {model.file!r} is already the file of "
                f"model {files[model.file]!r}; the cache needs another name"
            )
        models[model.name] = model
    tables = top.take("profiles", dict, "a table of tables")
    profiles = {name: _profile(name, value, models) for name, value in tables.items()}
    order = tuple(top.take(AUTO, list, "a list of profiles"))
    liveness = _liveness(top, models)
    top.done()
    _check_order(order, profiles)
    return Manifest(models, profiles, order, liveness)


def _model(value: object, number: int) -> Model:
    table = Table(f"model number {number}", value)
    name = table.text("name", r"[A-Za-z0-9._-]+", "made of letters, digits and . _ -")
    table.entry = f"model {name!r}"
    family = table.one_of("family", tuple(ROLES_OF_FAMILY))
    role = table.one_of("role", ROLES)
    if role not in ROLES_OF_FAMILY[family]:
        raise table.error("role", f"is {role!r}; family {family} has {ROLES_OF_FAMILY[family][0]}s")
    model = Model(
        name=name,
        role=role,
        family=family,
        description=table.text("description"),
        licence=table.text("licence"),
        commercial_use=table.one_of("commercial_use", COMMERCIAL_USE),
        tested=table.take("tested", bool, "true or false"),
        **({} if family == "simulated" else _file(table, SUFFIXES.get(family, "onnx"))),
    )
    if role == "embedder" and family != "simulated":
        given = table.take("calibration", dict, "a table", None)
        known = given and calibrations.parse(given, table.entry, str(model.id))
        model = replace(model, calibration=known)
    elif role == "detector" and family != "simulated":
        model = replace(model, upright_fit=table.number("upright_fit", 0, 1, 0.0))
    table.done()
    return model


def _file(table: Table, suffix: str) -> dict[str, Any]:
    """Parse the fields of a model that has a file, whose name ends in `suffix`."""
    urls = table.take("urls", list, "a list of http(s) addresses, which may be empty")
    for url in urls:
        if not (isinstance(url, str) and re.fullmatch(r"https?://[^\s/]+/\S+", url)):
            raise table.error("urls", f"has {url!r}; must be a list of http(s) addresses")
    return {
        "upstream": table.text("upstream", r"https?://\S+", "an http(s) address"),
        # No slashes: the name is appended to the cache folder and to the mirror's address.
        "file": table.text(
            "file", rf"[A-Za-z0-9_][A-Za-z0-9._-]*\.{suffix}", f"a plain name of *.{suffix}"
        ),
        "sha256": table.text("sha256", r"[0-9a-f]{64}", "64 hexadecimal digits in lower case"),
        "sha256_source": table.text("sha256_source"),
        "bytes": table.count("bytes"),
        "urls": tuple(urls),
        "input": _input(table),
    }


def _input(model: Table) -> InputFacts:
    table = Table(f"{model.entry}, input", model.take("input", dict, "a table"))
    size = table.take("size", list, "height and width", None)
    if size is not None and not (len(size) == 2 and all(type(n) is int and n > 0 for n in size)):
        raise table.error("size", f"is {size!r}; must be height and width in pixels")
    facts = InputFacts(
        color=table.one_of("color", ("RGB", "BGR")),
        mean=table.number("mean", 0),
        std=table.number("std", 1e-6),
        layout=table.one_of("layout", ("NCHW",)),
        size=(size[0], size[1]) if size else None,
        multiple_of=table.count("multiple_of"),
        source=table.text("source"),
    )
    if (facts.size is None) == (facts.multiple_of is None):
        raise table.error("size", "either it or `multiple_of` must be given, and not both")
    table.done()
    return facts


def _profile(name: str, value: object, models: Mapping[str, Model]) -> Profile:
    table = Table(f"profile {name!r}", value)
    if name == AUTO:
        raise ManifestError(f"profile {AUTO!r}: the name is taken; it is the list `{AUTO}`")
    profile = Profile(
        name,
        table.text("description"),
        _of_role(table, "detector", models),
        _of_role(table, "embedder", models),
    )
    table.done()
    return profile


def _of_role(table: Table, role: str, models: Mapping[str, Model]) -> Model:
    return models[table.one_of(role, tuple(m.name for m in models.values() if m.role == role))]


def _liveness(top: Table, models: Mapping[str, Model]) -> tuple[Model, ...]:
    names = top.take("liveness", list, "a list of two models", [])
    allowed = [model.name for model in models.values() if model.role == "liveness"]
    if names and (len(names) != 2 or not all(name in allowed for name in names)):
        raise top.error("liveness", f"is {names!r}; must be two of {', '.join(allowed) or 'none'}")
    return tuple(models[name] for name in names)


def _check_order(order: tuple[Any, ...], profiles: Mapping[str, Profile]) -> None:
    for name in order:
        if name not in profiles:
            allowed = ", ".join(profiles)
            raise ManifestError(f"field `{AUTO}`: has {name!r}; must be of {allowed}")
        if profiles[name].commercial_use == "no":
            # Such models must be chosen explicitly.
            raise ManifestError(f"field `{AUTO}`: {name!r} is for non-commercial use only")
    if len(set(order)) < len(order):
        raise ManifestError(f"field `{AUTO}`: names a profile twice")
