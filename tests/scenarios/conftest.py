"""One service behind its gateway, with the mini app in front of it, for all scenarios but the
rollout."""

from __future__ import annotations

import pytest
import scenario_world
from gateway_world import gateway_for
from scenario_page import Seen

from aurum.paths import CHECKOUT
from aurum.server.ephemeral import running
from aurum.settings import Settings


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """The default profile, or the simulated one if no weights are available."""
    scenario_world.build()
    with running(Settings.from_env(), tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="session")
def gateway(service):
    with gateway_for(service) as world:
        yield world


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    with scenario_world.redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def app(gateway, redis):
    with scenario_world.app(gateway, redis) as app:
        yield app


@pytest.fixture(scope="session")
def photos(service):
    return scenario_world.Photos(service.urls[0])


@pytest.fixture
def real(service):
    if service.prepared.simulated:
        pytest.skip("no weights: AURUM_MODEL_MIRROR has no real models (docs/reference/models.md)")


@pytest.fixture
def seen(request, service):
    """Collects a scenario's output, which docs/reports/scenarios.md must show."""
    seen = Seen()
    yield seen
    if writer := request.config.pluginmanager.get_plugin("writer"):
        writer.seen[request.node.name] = seen
    elif not service.prepared.simulated:
        seen.check(request.node.name)


@pytest.fixture(scope="session")
def lfw():
    folder = CHECKOUT.parent / "shared" / "datasets" / "lfw"
    if not folder.is_dir():
        pytest.skip("no LFW beside the checkout: ../shared/datasets/lfw")
    return folder
