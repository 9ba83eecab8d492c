"""The steps of a rollout. Each is one command; the service may be restarted between any two.

A release becomes active when the state file that names it replaces the previous file. Before that,
the new release is only loaded beside the old one. Afterwards the old one stays loaded, for requests
that began earlier and for a rollback.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import onnx
from aurum_client import AurumError, FaceClient
from google.protobuf.message import DecodeError

from aurum import contract, files, kernels, native
from aurum.contract import MODELS
from aurum.errors import OperatorError
from aurum.models import build, families, manifest, parity, pull
from aurum.models.build import BuiltProfile
from aurum.paths import PHOTO
from aurum.releases.active import FIRST
from aurum.releases.state import Graph, Release, State, Store, Validation, now
from aurum.rollout import validation
from aurum.server import served_copy
from aurum.server.served_copy import Running, ServedCopyError
from aurum.settings import Settings

Say = Callable[[str], None]


class RolloutError(OperatorError, RuntimeError):
    """A step is not possible; the message says why. What is served has not changed."""


class Rollout:
    """A rollout for the repositories of `settings`; `by` names the operator in the history."""

    def __init__(self, settings: Settings, by: str, say: Say) -> None:
        self.settings = settings
        self.store = Store(settings.rollout)
        self._by = by
        self._say = say

    def stage(self, profile: str, progress: pull.Progress = pull.silent) -> Release:
        """Pull and build a profile's graphs, check their parity, and store them as the candidate.

        Raises RolloutError, ManifestError, PullError, LicenceError and BuildError.
        """
        with self._exclusive():
            state = self.store.load()
            prepared = self._prepare(profile, progress)
            kept = {name: self.store.keep(path) for name, path in prepared.graphs.items()}
            served = state.current or self._currently_served()
            number = state.newest + 1
            candidate = Release(
                number,
                prepared.profile.name,
                {
                    name: Graph(
                        prepared.ids[name], digest, _version(name, both, served, number), own
                    )
                    for name, both in kept.items()
                    for digest, own in [both]
                },
                now(),
                self._by,
            )
            if served and candidate.graphs == served.graphs:
                raise RolloutError(f"profile {prepared.profile.name} is already served: {served}")
            state = replace(state, candidate=candidate, newest=number)
            state = state.noted("stage", self._by, candidate, prepared.profile.name)
            self.store.save(state)
            self.store.tidy(state)
            return candidate

    def validate(
        self, gates: validation.Gates, accuracy: validation.Accuracy | None = None
    ) -> Validation:
        """Validate the candidate on a throwaway server. Raises RolloutError if there is none."""
        with self._exclusive():
            state = self.store.load()
            candidate = _candidate(state)
            served = state.current or self._currently_served()
            checks = validation.validate(
                candidate, served, self.store, self.settings, gates, accuracy
            )
            result = Validation(now(), self._by, checks)
            what = "validate" if result.passed else "validate failed"
            detail = "; ".join(f"{item.name}: {item.detail}" for item in checks if not item.ok)
            state = replace(state, candidate=replace(candidate, validation=result))
            self.store.save(state.noted(what, self._by, candidate, detail))
            return result

    def promote(self, new_embedding_space: bool = False) -> Release:
        """Load the candidate beside the active release, make it active, and verify its answers.

        Raises RolloutError and ServedCopyError.
        """
        with self._exclusive(), served_copy.exclusive(self.settings):
            state = self.store.load()
            candidate = _candidate(state)
            if candidate.validation is None or not candidate.validation.passed:
                failed = "failed its validation" if candidate.validation else "was not validated"
                raise RolloutError(f"{candidate} {failed}: run `aurum rollout validate` first")
            served = state.current or self._currently_served()
            if served and not new_embedding_space:
                _same_space(served, candidate)
            running = served_copy.servers(self.settings)
            try:
                if served:
                    self._make_room(running, state, served)
                self._load(running, candidate)
                self._switch(
                    replace(state, current=candidate, previous=served, candidate=None),
                    "promote",
                )
                self._verify(running, candidate)
            except (OperatorError, OSError) as error:
                # If the candidate was active, it stays loaded for requests in flight.
                if served and self.store.load().current == state.current:
                    for server in running:
                        server.keep(served)
                self._switch(state, "promote failed", str(error), candidate)
                raise
            return candidate

    def rollback(self) -> tuple[Release, Release]:
        """Make the previous release active again; return it and the release that it replaces.

        Raises RolloutError, and ServedCopyError if a server can't load it or does not answer.
        """
        with self._exclusive(), served_copy.exclusive(self.settings):
            state = self.store.load()
            if state.current is None or state.previous is None:
                raise RolloutError("there is no previous release to go back to")
            running = served_copy.servers(self.settings)
            self._load(running, state.previous)
            self._switch(replace(state, current=state.previous, previous=None), "rollback")
            try:
                self._verify(running, state.previous)
            except ServedCopyError as error:
                raise ServedCopyError(f"{state.previous} is active again, but {error}") from error
            return state.previous, state.current

    def _prepare(self, profile: str, progress: pull.Progress) -> BuiltProfile:
        settings = replace(self.settings, profile=profile, liveness=False)  # in no release
        try:
            prepared = build.prepare(settings, progress, self._say)
            if prepared.failures and prepared.simulated:
                raise RolloutError("\n".join(prepared.failures.values()))
            for model in prepared.profile.models:
                # Checked again: a cached graph may be old, and this is the last check before users.
                if model.file:
                    for name in families.SERVED[model.role]:
                        self._say(f"checking parity of {name} with {model.file}")
                        upstream = onnx.load(str(settings.model_cache / model.file))
                        graph = prepared.graphs[name]
                        parity.check_parity(name, onnx.load(str(graph)), upstream, model)
                        with_kernels = kernels.beside(graph)
                        if with_kernels.is_file() and kernels.find().name:
                            own = onnx.load(str(with_kernels))
                            parity.check_parity(name, own, upstream, model, native.OPERATORS)
            return prepared
        except (DecodeError, StopIteration) as error:
            raise RolloutError(
                f"a built graph of {profile} is damaged ({error}); remove "
                f"{settings.model_cache / 'served'} and stage it again"
            ) from error

    def _currently_served(self) -> Release | None:
        """Store what is served without an active release as release 1; None if nothing is."""
        running = served_copy.servers(self.settings)
        folder = running[0].folder if running else self.settings.repositories
        graphs = {
            name: folder / "model_repository" / name / str(FIRST) / "model.onnx" for name in MODELS
        }
        if not all(path.is_file() for path in graphs.values()):
            return None
        found = {
            name: Graph(build.identity(path), digest, FIRST, own)
            for name, path in graphs.items()
            for digest, own in [self.store.keep(path)]
        }
        profile = manifest.load().profile_of(
            found[contract.DETECTION].id, found[contract.EMBEDDING].id
        )
        return Release(FIRST, profile.name if profile else "", found, now(), self._by)

    def _make_room(self, running: list[Running], state: State, served: Release) -> None:
        """Unload the release before `served` to free memory; a rollback would load it again."""
        if any(server.holds_more_than(served) for server in running):
            # Until then, a request that began before the last switch may still need it.
            rest = state.switched + self.settings.drain_timeout - time.time()
            if rest > 0:
                self._say(f"waiting {rest:.0f} s for requests that may need the previous release")
                time.sleep(rest)
            for server in running:
                server.keep(served)

    def _load(self, running: list[Running], release: Release) -> None:
        for server in running:
            self._say(f"loading {release} on {server.url}")
            server.load(release, self.store, self.settings.ready_timeout)
        self.store.paths(release)  # the next start needs intact files, too

    def _switch(
        self, state: State, what: str, detail: str = "", about: Release | None = None
    ) -> None:
        """Save the state with a history entry; this makes `state.current` active."""
        release = about or state.current
        assert release is not None
        before = self.store.load()
        before = replace(before, current=before.current or state.previous)
        noted = before.noted(what, self._by, release, detail)
        self.store.save(replace(state, switched=time.time(), history=noted.history))

    def _verify(self, running: list[Running], release: Release) -> None:
        """Check that each server's pipeline answers with the models of `release`."""
        for server in running:
            try:
                with FaceClient(server.url, timeout=30) as client:
                    found = client.analyze(PHOTO).models
            except AurumError as error:
                raise ServedCopyError(f"{server.url} does not answer: {error}") from error
            # The embedder is not named if the detector finds no face.
            said = (found.detector, found.embedder or release.ids[contract.EMBEDDING])
            if said != (release.ids[contract.DETECTION], release.ids[contract.EMBEDDING]):
                raise ServedCopyError(f"{server.url} answers with {said} instead of {release}")

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        folder = self.settings.rollout
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with files.locked(folder / "command.lock", wait=False):
                yield
        except BlockingIOError:
            raise RolloutError("another rollout command is running here; wait for it") from None
        except OSError as error:
            raise RolloutError(f"{folder} can't be used: {error}") from error


def active_release(settings: Settings) -> Release | None:
    """Return the release that a start serves; None if it serves AURUM_PROFILE.

    Raises StateError, and LicenceError if AURUM_REQUIRE_COMMERCIAL does not allow the release.
    """
    store = Store(settings.rollout)
    release = store.load().current
    if release:
        store.paths(release)
        profile = manifest.load().profiles.get(release.profile)
        use = profile.commercial_use if profile else "unknown"
        if settings.require_commercial and use != "yes":
            raise pull.LicenceError(
                f"AURUM_REQUIRE_COMMERCIAL=1 does not allow the active {release}: its "
                f"commercial use is {use}.\nTo fix: `aurum rollout rollback`, or remove "
                f"{settings.rollout} to serve AURUM_PROFILE."
            )
    return release


def _version(name: str, kept: tuple[str, str], served: Release | None, number: int) -> int:
    """Return a graph's version; an unchanged graph keeps its version and is not loaded again."""
    if served and served.graphs[name].files == kept:
        return served.graphs[name].version
    return number


def _candidate(state: State) -> Release:
    if state.candidate is None:
        raise RolloutError("nothing is staged: run `aurum rollout stage PROFILE` first")
    return state.candidate


def _same_space(served: Release, candidate: Release) -> None:
    old, new = served.ids[contract.EMBEDDING], candidate.ids[contract.EMBEDDING]
    if old != new:
        raise RolloutError(
            f"{new} has another embedding space than {old}: its embeddings can't be compared with "
            "those that you have stored, and your thresholds and quality weights don't apply to "
            "them. Embed your stored photos again first, then promote with --new-embedding-space "
            "(docs/guides/rollout.md)."
        )
