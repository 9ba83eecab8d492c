"""An outage: the service is killed while in use, and comes back."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import scenario_world
from waiting import eventually


def test_the_app_goes_on_by_itself_and_says_who_answered(service, gateway, redis, photos, seen):
    """The app falls back to the same models in its own process and needs no restart."""
    real = not service.prepared.simulated
    models = str(service.settings.repositories / "model_repository")
    with (
        scenario_world.app(
            gateway, redis, AURUM_LOCAL_MODELS=models, AURUM_LOCAL_THREADS="1"
        ) as app,
        scenario_world.worker(gateway, redis),
        ThreadPoolExecutor(8) as pool,
    ):
        before = app.keep("ann", photos.ann)
        assert before.source == "triton"
        service.server.kill()
        replies = list(pool.map(app.keep, ["eve"] * 24, [photos.ann] * 24))
        assert Counter(reply.source for reply in replies) == {"local": 24}
        seen("The service is killed. 24 members go on: 24 answered, marked as source local.")
        if real:
            assert all(reply.accepted and reply.score == before.score for reply in replies)
            seen(f'They are told: "{replies[0].message}"')
            during = app.compare("ann", photos.ann)
            assert (during.source, during.match) == ("local", True)
            assert app.compare("ann", photos.bob).match is False
            seen(
                f"Ann is still known: similarity {during.similarity:.4f} to what the service kept."
            )
        assert app.mode == "local"
        queued = photos.one_of_many(7)
        job = app.put_into_queue(queued)

        service.server.stop()  # only cleans up
        service.server.start()
        service.server.wait_ready()
        eventually(lambda: app.mode == "triton")
        after = app.keep("ann", photos.ann)
        assert (after.source, after.models) == ("triton", before.models)
        scored = app.scored(job)
        assert (scored.state, scored.score["source"]) == ("completed", "triton")
        seen("It is started again: the app asks it again, by itself.")
        seen("A photo that was put into the queue meanwhile has waited, and is scored by it.")


def test_an_app_without_models_of_its_own_invents_nothing_in_silence(
    service, gateway, redis, photos, seen
):
    """Simulated answers, where allowed, are marked and never stored as a selfie."""
    with (
        scenario_world.app(gateway, redis, FALLBACK_TO_SIMULATED="true") as made_up,
        scenario_world.app(gateway, redis, ML_SERVICE_TIMEOUT="3000") as plain,
    ):
        service.server.kill()
        reply = made_up.keep("ann", photos.ann)
        assert (reply.source, reply.simulated, reply.accepted) == ("simulated", True, False)
        assert made_up.compare("ann", photos.ann).status == 404  # it was not stored
        seen(f'Made-up answers allowed: marked as simulated, not kept. "{reply.message}"')
        reply = plain.keep("ann", photos.ann)
        assert (reply.status, reply.accepted) == (503, False)
        seen(f'No fallback at all: HTTP 503. "{reply.message}"')
        service.server.stop()
        service.server.start()
        service.server.wait_ready()
        eventually(lambda: made_up.mode == plain.mode == "triton")
        assert (
            made_up.keep("ann", photos.ann).source
            == plain.keep("ann", photos.ann).source
            == "triton"
        )
        seen("The service is back: both apps ask it again.")
