"""A disk that fills up during a pull: a tmpfs if mounting is allowed, else a file size limit."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from http_server import CONTENT, at, files, has_file, model_of, serving

from aurum.models.pull import PullError, pull
from aurum.settings import Settings

SMALL = len(CONTENT) // 2


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[], None]]:
    """Limit `folder` to less than CONTENT's size; yield a function that lifts the limit."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "none", folder]
    if shutil.which("mount") and not subprocess.run(mount, check=False).returncode:
        larger = ["mount", "-o", f"remount,size={4 * len(CONTENT)}", folder]
        try:
            yield lambda: subprocess.run(larger, check=True)
        finally:
            subprocess.run(["umount", folder], check=True)
    else:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, before[1]))
        try:
            yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("source", ["mirror", "upstream"])
def test_a_full_disk_is_reported_leaves_no_partial_file_and_a_later_pull_works(tmp_path, source):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / str(model_of().file)).write_bytes(CONTENT)
    settings = Settings(model_cache=tmp_path / "disk", model_mirror=str(mirror))
    with serving() as site, small_disk(settings.model_cache) as grow:
        model = model_of()
        if source == "upstream":
            model, settings = at(site, "ranges"), replace(settings, model_mirror="")
        reason = r"(?s)cannot be kept in .*(No space left|File too large).*free some space there"
        with pytest.raises(PullError, match=reason):
            pull(model, settings)
        assert files(settings) == []
        grow()
        pull(model, settings)
        assert has_file(settings)
