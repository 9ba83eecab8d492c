"""A disk that fills up during a pull."""

from __future__ import annotations

from dataclasses import replace

import pytest
from http_server import CONTENT, at, files, has_file, model_of, serving
from small_disk import small_disk

from aurum.models.pull import PullError, pull
from aurum.settings import Settings


@pytest.mark.parametrize("source", ["mirror", "upstream"])
def test_a_full_disk_is_reported_leaves_no_partial_file_and_a_later_pull_works(tmp_path, source):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / str(model_of().file)).write_bytes(CONTENT)
    settings = Settings(model_cache=tmp_path / "disk", model_mirror=str(mirror))
    with serving() as site, small_disk(settings.model_cache, len(CONTENT) // 2) as resize:
        model = model_of()
        if source == "upstream":
            model, settings = at(site, "ranges"), replace(settings, model_mirror="")
        reason = r"(?s)cannot be kept in .*(No space left|File too large).*free some space there"
        with pytest.raises(PullError, match=reason):
            pull(model, settings)
        assert files(settings) == []
        resize(4 * len(CONTENT))
        pull(model, settings)
        assert has_file(settings)
