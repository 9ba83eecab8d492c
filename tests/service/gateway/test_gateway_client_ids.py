"""Request ids and rate limits between the Python client, a real gateway and a real service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from aurum_client import AccessDeniedError, InvalidImageError, RateLimitError
from gateway_world import World, gateway_for
from waiting import eventually

from aurum.server.ephemeral import Service, running
from aurum.settings import Settings

PROTOCOLS = ("http", "grpc")


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    settings = replace(Settings.from_env(), profile="simulated", request_log="all")
    with running(settings, tmp_path_factory.mktemp("client-ids")) as service:
        yield service


@pytest.fixture(scope="module")
def world(service) -> Iterator[World]:
    with gateway_for(service, rate=10_000, burst=10_000) as world:
        yield world


def logged(world: World, service: Service, one: str) -> bool:
    """Wait until the id is in the gateway's log and in the service's, which follow the answer."""
    log = service.server.log
    eventually(lambda: one in world.ids())
    return eventually(lambda: f'"{one}"' in log.read_text(errors="replace"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_id_is_in_the_result_and_in_both_logs(world, service, astronaut, protocol):
    with world.client(protocol) as client:
        given = client.detect(astronaut, request_id=f"order-{protocol}").request_id
        made = client.analyze(astronaut).request_id
        with pytest.raises(InvalidImageError) as caught:
            client.embed(b"not a photo", request_id=f"bad-{protocol}")
    assert given == f"order-{protocol}"
    assert caught.value.request_id == caught.value.headers["x-request-id"] == f"bad-{protocol}"
    assert all(logged(world, service, one) for one in (given, made, f"bad-{protocol}"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_id_that_the_gateway_replaces_is_replaced_in_the_result(
    world, service, astronaut, protocol
):
    """The gateway keeps 1 to 64 letters, digits and `._:-`."""
    with world.client(protocol) as client:
        found = client.detect(astronaut, request_id="two words").request_id
    assert found != "two words"
    assert logged(world, service, found)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_gateways_own_errors_have_the_id(world, astronaut, protocol):
    with (
        world.client(protocol, headers={"Authorization": "Bearer nobody"}) as client,
        pytest.raises(AccessDeniedError) as caught,
    ):
        client.detect(astronaut, request_id=f"stranger-{protocol}")
    assert caught.value.request_id == f"stranger-{protocol}"
    assert caught.value.headers["x-request-id"] == f"stranger-{protocol}"
    eventually(lambda: f"stranger-{protocol}" in world.ids())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_rate_limit_is_an_error_of_its_own_and_a_retry_waits_it_out(service, astronaut, protocol):
    with gateway_for(service, rate=1, burst=1) as world:
        with world.client(protocol) as client:
            results = client.analyze_many([astronaut] * 6, concurrency=6)
        refused = [item for item in results if isinstance(item, RateLimitError)]
        assert 0 < len(refused) < 6
        for error in refused:
            assert (error.code, error.retry_after) == ("rate_limited", 1)
            eventually(lambda one=error.request_id: one in world.ids())
        with world.client(protocol, retries=5, timeout=60) as client:
            for _ in range(4):
                assert len(client.detect(astronaut)) == 1
