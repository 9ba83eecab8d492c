"""Getting model files: from the cache, else the mirror, else their upstream.

A file is kept only if its sha256 is the manifest's, whatever place it came from. Nothing here
touches the network once a file is in the cache.
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
from aurum.models.download import TIMEOUTS, Refused, Timeouts, Unfit, Web, extent, why
from aurum.models.manifest import AUTO, Manifest, Model, Profile
from aurum.settings import Settings

log = logging.getLogger(__name__)

# Called with the file's name, the bytes there are so far, and how many there will be, if known.
Progress = Callable[[str, int, int | None], None]
Status = Literal["ok", "missing", "corrupt"]

CHUNK = 1 << 20  # bytes
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a user's quota, a limit of processes
MOST_BYTES = 1 << 30  # of a file whose size the manifest does not give


class PullError(OperatorError, RuntimeError):
    """A model file cannot be had; the message lists the places tried, why, and how to mend it."""


class LicenceError(OperatorError, RuntimeError):
    """A profile may not be served, since AURUM_REQUIRE_COMMERCIAL is set; the message says why."""


@dataclass(frozen=True)
class Choice:
    """What `choose_profile` came to: the profile, its files, and why earlier ones were passed over.

    `profile` is None where no profile of the order can be had or is allowed. `paths` is by model
    name; a simulated model has no path. `failures` is by profile name.
    """

    profile: Profile | None
    paths: dict[str, Path]
    failures: dict[str, str]


def silent(name: str, done: int, total: int | None) -> None:
    """Show no progress."""


def verify(model: Model, settings: Settings) -> Status:
    """Look at the model's file in the cache. A simulated model has none, and is always ok.

    Raises OSError if the file is there but cannot be read.
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
    """Return the path of the model's file in the cache, after getting it there if need be.

    Raises PullError if the file cannot be had, and ValueError for a simulated model.
    """
    if model.file is None:
        raise ValueError(f"model {model.name} is simulated and has no file")
    target = settings.model_cache / model.file
    try:
        # Without the lock, so that a cache that is good may also be read-only.
        if verify(model, settings) == "ok":
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.locked(target.with_name(f".{target.name}.lock")):
            _Job(model, settings, progress, timeouts).run()
    except OSError as error:
        mend = "free some space there" if error.errno in FULL else "make it writable"
        raise PullError(
            f"{model.file} cannot be kept in {target.parent}: {error}.\n"
            f"To mend: {mend}, or set AURUM_MODEL_CACHE to another folder."
        ) from error
    return target


def pull_profile(
    profile: Profile,
    settings: Settings,
    progress: Progress = silent,
    timeouts: Timeouts = TIMEOUTS,
) -> dict[str, Path]:
    """Pull the files of a profile; the result is by model name, without the simulated models.

    Raises PullError for the first file that cannot be had.
    """
    with_file = [model for model in profile.models if model.file is not None]
    return {model.name: pull(model, settings, progress, timeouts) for model in with_file}


def choose_profile(
    manifest: Manifest,
    settings: Settings,
    progress: Progress = silent,
    timeouts: Timeouts = TIMEOUTS,
) -> Choice:
    """Pull the profile that the settings name; for `auto`, the first in its order that can be had.

    Raises ManifestError for an unknown name, and PullError or LicenceError for a named profile that
    cannot be had or is not allowed: who names a profile wants no other. `auto` never raises them;
    see `Choice`.
    """
    if settings.profile != AUTO:
        profile = manifest.profile(settings.profile)
        _check_licences(profile, settings)
        return Choice(profile, pull_profile(profile, settings, progress, timeouts), {})
    failures: dict[str, str] = {}
    for name in manifest.auto:
        profile = manifest.profiles[name]
        try:
            _check_licences(profile, settings)
            return Choice(profile, pull_profile(profile, settings, progress, timeouts), failures)
        except (PullError, LicenceError) as error:
            failures[name] = str(error)
    return Choice(None, {}, failures)


def _check_licences(profile: Profile, settings: Settings) -> None:
    """Doubt is not enough to sell upon: what is unclear is refused like what is forbidden."""
    if settings.require_commercial and profile.commercial_use != "yes":
        doubtful = [model for model in profile.models if model.commercial_use != "yes"]
        raise LicenceError(
            f"AURUM_REQUIRE_COMMERCIAL=1 does not allow profile {profile.name}:\n"
            + "\n".join(
                f"{model.name}, commercial use {model.commercial_use}: {model.licence}"
                for model in doubtful
            )
            + "\nTo mend: choose another AURUM_PROFILE (`aurum models list`); or, once you hold "
            'the rights, set commercial_use = "yes" for these models in models.toml.'
        )


def _is_web(place: str) -> bool:
    return place.startswith(("http://", "https://"))


class _Job:
    """Getting one model's file into the cache, by a caller that holds the lock."""

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
        """Take the file from the first place that gives it. Raises PullError and OSError."""
        status = verify(self.model, self.settings)  # another process may have got it by now
        if status == "ok":
            return
        if status == "corrupt":
            log.warning("%s is corrupt; it is removed and pulled again", self.target)
            self.target.unlink()
        tried = [f"cache {self.target}: {status}"]
        with Web(self.timeouts) as web:
            for place in self._places():
                try:
                    self._download(web, place) if _is_web(place) else self._copy(Path(place))
                    return
                except Refused as error:
                    shown = re.sub(r"(?<=://)[^/@]*@", "", place)  # without a mirror's password
                    tried.append(f"{shown}: {error}")
        raise PullError(self._report(tried))

    def _places(self) -> list[str]:
        """Paths and addresses of the file, in the order in which they are tried."""
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
            tried.append("upstream: not asked, because of AURUM_OFFLINE=1")
        lines = "".join(f"  - {line}\n" for line in tried)
        return (
            f"{self.name} cannot be had:\n{lines}"
            f"To mend: set AURUM_MODEL_MIRROR to a folder or an http(s) address that has "
            f"{self.name} (sha256 {self.model.sha256}), or put it at {self.target}."
        )

    def _copy(self, source: Path) -> None:
        copy = self.target.with_name(f"{self.name}.copy")
        try:
            file = source.open("rb")
        except OSError as error:
            raise Refused(error.strerror or str(error)) from error
        try:
            with file:
                total = os.fstat(file.fileno()).st_size
                self._write(copy, 0, iter(lambda: file.read(CHUNK), b""), total)
            self._keep(copy)
        finally:
            copy.unlink(missing_ok=True)

    def _download(self, web: Web, url: str) -> None:
        """Download into the ``.part`` file, which a later call continues from any address."""
        while True:
            offset = self.part.stat().st_size if self.part.exists() else 0
            try:
                with web.get(url, offset) as response:
                    start, total = extent(response, offset)
                    self._write(self.part, start, response.iter_bytes(), total)
                return self._keep(self.part)
            except Unfit:
                self.part.unlink(missing_ok=True)
                if not offset:
                    raise
                # The part of an earlier call may be to blame, so once more from the start.
            except httpx.HTTPError as error:
                raise Refused(f"broke off ({why(error)}); the next pull continues it") from error

    def _write(self, path: Path, done: int, chunks: Iterable[bytes], total: int | None) -> None:
        """Write `chunks` into `path` from byte `done` on, and never more than the file has.

        `total` is the size in bytes that the place announced, if it did.
        """
        expected = self.model.bytes or total
        most = self.model.bytes or min(total or MOST_BYTES, MOST_BYTES)
        if total is not None and (total > most or total != expected):
            raise Unfit(f"has {total} bytes, expected {self.model.bytes or f'at most {most}'}")
        try:
            with path.open("r+b" if done else "wb") as file:
                file.seek(done)
                for chunk in chunks:
                    done += len(chunk)
                    if done > most:
                        raise Unfit(f"has more than {most} bytes")
                    file.write(chunk)
                    self.progress(self.name, done, expected)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)  # it may be what filled the disk
            raise
        if expected is not None and done < expected:
            raise Refused(f"ended after {done} of {expected} bytes; the next pull continues it")

    def _keep(self, complete: Path) -> None:
        """Put a complete file into its place, if it is the right one."""
        got = files.sha256(complete)
        if got != self.model.sha256:
            raise Unfit(f"has sha256 {got}, expected {self.model.sha256}")
        complete.replace(self.target)
        self.part.unlink(missing_ok=True)
