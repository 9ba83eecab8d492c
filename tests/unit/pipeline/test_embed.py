import numpy as np
import pytest

from aurum.contract import EMBEDDING_SIZE
from aurum.paths import CHECKOUT
from aurum.pipeline.embed import CHUNK, Embeddings, embed_crops, from_graph


def crops(count):
    """Distinct crops: each is filled with its number."""
    return np.repeat(np.arange(count, dtype=np.uint8), 112 * 112 * 3).reshape(-1, 112, 112, 3)


class Embedder:
    """Returns embeddings that start with the crop's and the call's number; the last id repeats."""

    def __init__(self, *ids):
        self.ids = ids
        self.sizes = []

    def __call__(self, some):
        call = len(self.sizes)
        self.sizes.append(len(some))
        embeddings = np.zeros((len(some), EMBEDDING_SIZE), np.float32)
        embeddings[:, 0] = some[:, 0, 0, 0]
        embeddings[:, 1] = call
        calibration = np.full(6, call, np.float32)
        return Embeddings(
            embeddings, embeddings[:, 0], self.ids[min(call, len(self.ids) - 1)], calibration
        )


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (1, [1]),
        (CHUNK, [CHUNK]),
        (CHUNK + 1, [CHUNK, 1]),
        (3 * CHUNK, [CHUNK] * 3),
        (3 * CHUNK + 5, [CHUNK, CHUNK, CHUNK, 5]),
    ],
)
def test_crops_are_embedded_in_chunks_and_keep_their_order(count, sizes):
    embed = Embedder(b"m@1")

    embeddings, norms, model, calibration = embed_crops(crops(count), embed)

    assert embed.sizes == sizes
    assert embeddings.shape == (count, EMBEDDING_SIZE)
    assert embeddings.dtype == np.float32
    assert embeddings[:, 0].tolist() == list(range(count))
    assert norms.tolist() == list(range(count))
    assert model == b"m@1"
    assert calibration.tolist() == [0] * 6


def test_without_crops_the_embedder_is_not_called():
    embed = Embedder(b"m@1")

    embeddings, norms, model, calibration = embed_crops(crops(0), embed)

    assert embed.sizes == []
    assert embeddings.shape == (0, EMBEDDING_SIZE)
    assert embeddings.dtype == np.float32
    assert model == b""
    assert norms.shape == calibration.shape == (0,)


def test_embeddings_of_two_models_are_never_mixed():
    embed = Embedder(b"old", b"old", b"new")

    with pytest.raises(RuntimeError, match="several embedders"):
        embed_crops(crops(3 * CHUNK), embed)


def test_an_embedder_error_is_passed_on():
    def broken(some):
        raise RuntimeError("the embedder is away")

    with pytest.raises(RuntimeError, match="is away"):
        embed_crops(crops(1), broken)


def test_the_calibration_of_an_uncalibrated_embedder_is_nan():
    vectors, norms = np.zeros((2, EMBEDDING_SIZE), np.float32), np.array([[3], [4]], np.float32)
    row = np.array([0.1, 0.2, 0.3, 20, -5, 0.5], np.float32)

    known = from_graph(vectors, norms, b"m@1", np.stack([row, row]))
    unknown = from_graph(vectors, norms, b"m@1", np.full((2, 6), np.nan, np.float32))

    assert known.norms.tolist() == [3, 4]
    assert known.calibration.tolist() == row.tolist()
    assert unknown.calibration.shape == (0,)


def test_a_chunk_fits_the_embedders_batch_size():
    config = CHECKOUT / "model_repository" / "face_embedding" / "config.pbtxt"

    assert f"max_batch_size: {CHUNK}\n" in config.read_text(encoding="utf-8")
