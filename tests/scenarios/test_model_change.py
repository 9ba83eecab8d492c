"""A model change: another embedder goes live and is rolled back while members keep sending."""

import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import scenario_world
from gateway_world import gateway_for, wait_for_more
from rollout_world import World

from aurum.models import build
from aurum.models.pull import PullError
from aurum.settings import Settings

AURUM = Path(sys.executable).with_name("aurum")
pytestmark = pytest.mark.usefixtures("real")


@pytest.fixture
def world(tmp_path):
    try:
        build.prepare(replace(Settings.from_env(), profile="edgeface-xxs"))
        world = World(tmp_path, "edgeface-xs")
    except PullError as error:
        pytest.skip(f"no second embedder to roll out: {error}")
    yield world
    world.server.stop()


def test_another_embedder_and_back(world, redis, photos, seen):
    behind = SimpleNamespace(settings=world.settings)
    with gateway_for(behind) as gateway, scenario_world.app(gateway, redis) as app:
        app.keep("ann", photos.ann)
        with members_sending(app, photos.ann) as answers:
            wait_for_more(answers, 10)
            for step in (["stage", "edgeface-xxs"], ["validate", "--rounds", "3"]):
                operator(world, *step)
                wait_for_more(answers, 10)
            (old,) = embedders(answers)
            seen(f"Staged and validated: all answers are still by {old}.")

            operator(world, "promote", "--new-embedding-space")
            wait_for_more(answers, 10)  # some were in flight
            since = len(answers)
            wait_for_more(answers, 20)
            (new,) = embedders(answers[since:])
            assert new != old
            seen(f"Promoted: all answers are by {new}.")
            refused = app.compare("ann", photos.ann)
            assert refused.status == 409
            seen(f'Ann, whose selfie is of the old model, is told: "{refused.message}"')
            seen(f"Because: {refused.detail}")
            app.keep("bob", photos.bob)

            operator(world, "rollback")
            wait_for_more(answers, 10)
            since = len(answers)
            wait_for_more(answers, 20)
            assert embedders(answers[since:]) == {old}
            again = app.compare("ann", photos.ann)
            assert again.match is True
            assert app.compare("bob", photos.bob).status == 409
            seen(f"Rolled back: all answers are by {old}, and Ann's selfie compares again.")
    assert Counter(answer.status for answer in answers) == {200: len(answers)}
    count = Counter(answer.models["embedder"] for answer in answers)
    assert set(count) == {old, new}
    seen("Every answer named its model; 0 failed.")
    seen.measured(
        f"{len(answers)} answers: {count[old]} by the old, {count[new]} by the new model."
    )


def embedders(answers) -> set[str]:
    return {answer.models["embedder"] for answer in answers}


def operator(world: World, *step: str) -> None:
    """Run `aurum rollout ...` as an operator types it."""
    environment = {**os.environ, **world.settings.to_env()}
    done = subprocess.run(
        [AURUM, "rollout", *step], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def members_sending(app, photo):
    """Keep two members sending; yield the growing list of answers."""
    answers: list[SimpleNamespace] = []
    stop = threading.Event()

    def send(member: str) -> None:
        while not stop.is_set():
            answers.append(app.keep(member, photo))

    with ThreadPoolExecutor(2) as pool:
        senders = [pool.submit(send, f"member-{number}") for number in range(2)]
        try:
            yield answers
        finally:
            stop.set()
        for sender in senders:
            sender.result()
