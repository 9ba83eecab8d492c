"""The container serves what its settings ask for, from folders that it may not change."""

import os
from dataclasses import replace

import pytest

from aurum.contract import LIVENESS, REPOSITORIES
from aurum.paths import CHECKOUT
from aurum.server.container import link_repositories
from aurum.settings import Settings


@pytest.mark.parametrize("liveness", [True, False])
def test_liveness_is_linked_only_if_it_is_wanted(tmp_path, liveness):
    settings = replace(Settings(), repositories=CHECKOUT, liveness=liveness)
    folder = link_repositories(settings, tmp_path / "served")
    for repository in REPOSITORIES:
        want = set(os.listdir(CHECKOUT / repository))
        if not liveness:
            want.discard(LIVENESS)
        assert set(os.listdir(folder / repository)) == want
    assert (folder / "model_repository/face_detection/config.pbtxt").is_file()
    assert (LIVENESS in settings.served_models) == liveness
