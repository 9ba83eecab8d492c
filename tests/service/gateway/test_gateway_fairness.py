"""Heavy photos of one key don't make the photos of another wait for all of them."""

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

SIDE = 3000  # of the heavy photos, some tenths of a second each
AT_ONCE = 31


@pytest.mark.parametrize("pipeline", ["analyze_faces", "embed_face"])
def test_a_selfie_waits_for_no_other_keys_heavy_photos(simulated, record_figure, pipeline):
    with gateway_for(simulated, rate=10_000, burst=10_000, connections=32) as world:
        one, other = (
            Address(world.gateway.url, world.gateway.grpc_url, key, world.ca)
            for key in (world.key, keys.add(world.gateway.settings.gateway_keys, "other"))
        )
        photo = fairness.heavy(SIDE)
        waits = fairness.selfies(one, other, photo, AT_ONCE, 10, pipeline)

    overtaken = [wait.overtaken for wait in waits]
    record_figure("heavy photos answered while a selfie waited", overtaken)
    # First in, first out, it would be all of them.
    assert median(overtaken) <= 4


def test_of_more_photos_than_a_key_may_have_waiting_the_oldest_are_given_up(
    tmp_path, record_figure
):
    """As the gateway lets no more through, these are of callers who have gone."""
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
