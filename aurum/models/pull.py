"""Get model files from the cache, else from the mirror, else from their upstream.

A file is kept only if its sha256 matches the manifest, whatever its source. Once a file is in the
cache, nothing here uses the network.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from aurum import files
from aurum.errors import OperatorError
from aurum.models.download import (
    TIMEOUTS,
    Downloader,
    MismatchError,
    SourceError,
    Timeouts,
    describe,
    extent,
)
from aurum.models.manifest import AUTO, Manifest, Model, Profile
from aurum.settings import Settings

log = logging.getLogger(__name__)

# Called with the file's name, the bytes received so far, and the total, if known.
Progress = Callable[[str, int, int | None], None]
Status = Literal["ok", "missing", "corrupt"]

CHUNK = 1 << 20  # bytes
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # full disk, user quota, process file-size limit
MOST_BYTES = 1 << 30  # for a file whose size is not in the manifest


class PullError(OperatorError, RuntimeError):
    """A model file is unavailable; the message lists the sources tried, and how to fix it."""


class LicenceError(OperatorError, RuntimeError):
    """AURUM_REQUIRE_COMMERCIAL forbids serving a profile; the message says why."""


@dataclass(frozen=True)
class Choice:
    """Result of `choose_profile`: the profile, its files, and why earlier profiles were skipped.

    `profile` is None if no profile of ``auto`` is available and allowed. `paths` is by model name;
    a simulated model has no path. `failures` is by profile name.
    """

    profile: Profile | None
    paths: dict[str, Path]
    failures: dict[str, str]


def silent(name: str, done: int, total: int | None) -> None:
    """Show no progress."""


def verify(model: Model, settings: Settings) -> Status:
    """Check the model's file in the cache. A simulated model has none and is always ok.

    Raises OSError if the file exists but can't be read.
    """
    if model.file is None:
        return "ok"
    try:
        return (
            "ok" if files.sha256(settings.model_cache / model.file) == model.sha256 else "corrupt"
        )
    except FileNotFoundError:
        return "missing"


def pull(
    model: Model,
    settings: Settings,
    progress: Progress = silent,
    timeouts: Timeouts = TIMEOUTS,
) -> Path:
    """Return the path of the model's file in the cache, downloading it if necessary.

    Raises PullError if the file is unavailable, and ValueError for a simulated model.
    """
    if model.file is None:
        raise ValueError(f"model {model.name} is simulated and has no file")
    target = settings.model_cache / model.file
    try:
        # Without the lock, so that a complete cache may be read-only.
        if verify(model, settings) == "ok":
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.locked(target.with_name(f".{target.name}.lock")):
            _Job(model, settings, progress, timeouts).run()
    except OSError as error:
        fix = "free some space there" if error.errno in FULL else "make it writable"
        raise PullError(
            f"{model.file} cannot be kept in {target.parent}: {error}.\n"
            f"To fix: {fix}, or set AURUM_MODEL_CACHE to another folder."
        ) from error
    return target


def pull_profile(
    profile: Profile,
    settings: Settings,
    progress: Progress = silent,
    timeouts: Timeouts = TIMEOUTS,
) -> dict[str, Path]:
    """Pull the files of a profile; the result is by model name, without simulated models.

    Raises PullError for the first file that is unavailable.
    """
    with_file = [model for model in profile.models if model.file is not None]
    return {model.name: pull(model, settings, progress, timeouts) for model in with_file}


def choose_profile(
    manifest: Manifest,
    settings: Settings,
    progress: Progress = silent,
    timeouts: Timeouts = TIMEOUTS,
) -> Choice:
    """Pull the configured profile; for `auto`, the first in its list that is available.

    Raises ManifestError for an unknown name, and PullError or LicenceError if a profile was named
    and is unavailable or not allowed: there is no fallback then. `auto` never raises these two; see
    `Choice`.
    """
    if settings.profile != AUTO:
        profile = manifest.profile(settings.profile)
        check_licences(f"profile {profile.name}", profile.models, settings)
        return Choice(profile, pull_profile(profile, settings, progress, timeouts), {})
    failures: dict[str, str] = {}
    for name in manifest.auto:
        profile = manifest.profiles[name]
        try:
            check_licences(f"profile {name}", profile.models, settings)
            return Choice(profile, pull_profile(profile, settings, progress, timeouts), failures)
        except (PullError, LicenceError) as error:
            failures[name] = str(error)
    return Choice(None, {}, failures)


def refused(models: Iterable[Model], settings: Settings) -> list[Model]:
    """List the models that AURUM_REQUIRE_COMMERCIAL doesn't allow; unclear licences forbid, too."""
    if not settings.require_commercial:
        return []
    return [model for model in models if model.commercial_use != "yes"]


def check_licences(what: str, models: Iterable[Model], settings: Settings) -> None:
    """Raise LicenceError, in which `what` names the models, if one of them is :func:`refused`."""
    if doubtful := refused(models, settings):
        raise LicenceError(
            f"AURUM_REQUIRE_COMMERCIAL=1 does not allow {what}:\n"
            + "\n".join(
                f"{model.name}, commercial use {model.commercial_use}: {model.licence}"
                for model in doubtful
            )
            + "\nTo fix: choose another AURUM_PROFILE (`aurum models list`); or, once you hold "
            'the rights, set commercial_use = "yes" for these models in models.toml.'
        )


def _is_web(place: str) -> bool:
    return place.startswith(("http://", "https://"))


class _Job:
    """Gets one model's file into the cache; the caller holds the lock."""

    def __init__(
        self, model: Model, settings: Settings, progress: Progress, timeouts: Timeouts
    ) -> None:
        self.model = model
        self.name = str(model.file)
        self.settings = settings
        self.progress = progress
        self.timeouts = timeouts
        self.target = settings.model_cache / self.name
        self.part = settings.model_cache / f"{self.name}.part"

    def run(self) -> None:
        """Get the file from the first source that has it. Raises PullError and OSError."""
        status = verify(self.model, self.settings)  # another process may have pulled it by now
        if status == "ok":
            return
        if status == "corrupt":
            log.warning("%s is corrupt; it is removed and pulled again", self.target)
            self.target.unlink()
        tried = [f"cache {self.target}: {status}"]
        with Downloader(self.timeouts) as downloader:
            for place in self._places():
                try:
                    self._download(downloader, place) if _is_web(place) else self._copy(Path(place))
                    return
                except SourceError as error:
                    shown = re.sub(r"(?<=://)[^/@]*@", "", place)  # without a mirror's password
                    tried.append(f"{shown}: {error}")
        raise PullError(self._report(tried))

    def _places(self) -> list[str]:
        """List the file's sources, paths and addresses, in the order in which they are tried."""
        mirror = self.settings.model_mirror
        places = [] if self.settings.offline else list(self.model.urls)
        if mirror:
            folder = mirror.rstrip("/") if _is_web(mirror) else Path(mirror).expanduser()
            places.insert(0, f"{folder}/{self.name}")
        return places

    def _report(self, tried: list[str]) -> str:
        if not self.settings.model_mirror:
            tried.append("mirror: none is set")
        if not self.model.urls:
            tried.append("upstream: it publishes no such file")
        elif self.settings.offline:
            tried.append("upstream: not tried, because of AURUM_OFFLINE=1")
        lines = "".join(f"  - {line}\n" for line in tried)
        return (
            f"{self.name} is unavailable:\n{lines}"
            f"To fix: set AURUM_MODEL_MIRROR to a folder or an http(s) address that has "
            f"{self.name} (sha256 {self.model.sha256}), or put it at {self.target}."
        )

    def _copy(self, source: Path) -> None:
        copy = self.target.with_name(f"{self.name}.copy")
        try:
            file = source.open("rb")
        except OSError as error:
            raise SourceError(error.strerror or str(error)) from error
        try:
            with file:
                total = os.fstat(file.fileno()).st_size
                self._write(copy, 0, iter(lambda: file.read(CHUNK), b""), total)
            self._keep(copy)
        finally:
            copy.unlink(missing_ok=True)

    def _download(self, downloader: Downloader, url: str) -> None:
        """Download into the ``.part`` file, which a later call can resume from any address."""
        while True:
            offset = self.part.stat().st_size if self.part.exists() else 0
            try:
                with downloader.get(url, offset) as response:
                    start, total = extent(response, offset)
                    self._write(self.part, start, response.iter_bytes(), total)
                return self._keep(self.part)
            except MismatchError:
                self.part.unlink(missing_ok=True)
                if not offset:
                    raise
                # The partial file of an earlier call may be the cause: start over once.
            except httpx.HTTPError as error:
                raise SourceError(
                    f"broke off ({describe(error)}); the next pull continues it"
                ) from error

    def _write(self, path: Path, done: int, chunks: Iterable[bytes], total: int | None) -> None:
        """Write `chunks` to `path` from byte `done` on, never more than the file's size.

        `total` is the size in bytes that the source announced, if any.
        """
        expected = self.model.bytes or total
        most = self.model.bytes or min(total or MOST_BYTES, MOST_BYTES)
        if total is not None and (total > most or total != expected):
            raise MismatchError(
                f"has {total} bytes, expected {self.model.bytes or f'at most {most}'}"
            )
        try:
            with path.open("r+b" if done else "wb") as file:
                file.seek(done)
                for chunk in chunks:
                    done += len(chunk)
                    if done > most:
                        raise MismatchError(f"has more than {most} bytes")
                    file.write(chunk)
                    self.progress(self.name, done, expected)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)  # this file may have filled the disk
            raise
        if expected is not None and done < expected:
            raise SourceError(f"ended after {done} of {expected} bytes; the next pull continues it")

    def _keep(self, complete: Path) -> None:
        """Move a complete file to its final path if its sha256 is correct."""
        got = files.sha256(complete)
        if got != self.model.sha256:
            raise MismatchError(f"has sha256 {got}, expected {self.model.sha256}")
        complete.replace(self.target)
        self.part.unlink(missing_ok=True)
