"""Heavy photos with one key don't delay photos with another key until all of them are done."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import median

import httpx
import pytest
from gateway_world import RAW, gateway_for

from aurum.gateway import keys
from aurum.server.ephemeral import running
from aurum.settings import Settings
from benchmarks.robustness import fairness
from benchmarks.robustness.hostile.send import Address

SIDE = 3000  # side of the heavy photos, some tenths of a second each
AT_ONCE = 31


@pytest.mark.parametrize("pipeline", ["analyze_faces", "embed_face"])
def test_a_selfie_does_not_wait_for_another_keys_heavy_photos(simulated, record_figure, pipeline):
    with gateway_for(simulated, rate=10_000, burst=10_000, connections=32) as world:
        one, other = (
            Address(world.gateway.url, world.gateway.grpc_url, key, world.ca)
            for key in (world.key, keys.add(world.gateway.settings.gateway_keys, "other"))
        )
        photo = fairness.heavy(SIDE)
        waits = fairness.selfies(one, other, photo, AT_ONCE, 10, pipeline)

    overtaken = [wait.overtaken for wait in waits]
    record_figure("heavy photos answered while a selfie waited", overtaken)
    # In first-in, first-out order it would be all of them.
    assert median(overtaken) <= 4


def test_if_a_key_exceeds_its_waiting_photos_the_oldest_are_dropped(tmp_path, record_figure):
    """The gateway lets no more through, so their callers must have gone."""
    settings = replace(Settings.from_env(), profile="simulated", gateway_connections=2)
    photo = fairness.heavy(SIDE)
    with running(settings, tmp_path) as service, ThreadPoolExecutor(16) as pool:
        url = f"{service.urls[0]}/v2/models/detect_faces/infer"

        def ask(key: str) -> httpx.Response:
            named = {"X-Aurum-Key": key} if key else {}
            return httpx.post(url, content=photo, headers={**RAW, **named}, timeout=60)

        of_one = list(pool.map(ask, ["one"] * 16))
        of_none = list(pool.map(ask, [""] * 16))

    record_figure("answers", Counter(answer.status_code for answer in of_one))
    assert {answer.status_code for answer in of_one} == {200, 400}
    given_up = [answer.text for answer in of_one if answer.status_code == 400]
    words = "[unavailable] more photos of this API key wait than AURUM_GATEWAY_CONNECTIONS"
    assert [text for text in given_up if words not in text] == []
    assert [answer.text for answer in of_none if answer.status_code != 200] == []
