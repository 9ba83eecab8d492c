"""Liveness in results: present if the server scores it, else None."""

import json

import numpy as np
import pytest
from aurum_client import FaceClient, ProtocolError
from aurum_client._parse import parse_analysis, parse_embedding


def scored(outputs, *scores):
    return outputs | {"liveness": np.array(scores, np.float32)}


def test_each_face_has_its_score(outputs):
    analysis = parse_analysis(scored(outputs(3), 0.75, 0.5, 0.25))
    assert analysis.liveness.tolist() == [0.75, 0.5, 0.25]
    assert not analysis.liveness.flags.writeable
    assert [face.liveness_score for face in analysis] == [0.75, 0.5, 0.25]
    assert [face.is_live for face in analysis] == [True, True, False]
    assert json.dumps(analysis[2].is_live) == "false"  # a bool, not NumPy's


@pytest.mark.parametrize("add", [lambda made: made, scored], ids=["version 0.2", "off"])
def test_a_server_that_does_not_score_it_gives_none(outputs, add):
    analysis = parse_analysis(add(outputs(2)))
    assert analysis.liveness.shape == (0,)
    assert [(face.liveness_score, face.is_live) for face in analysis] == [(None, None)] * 2
    embedding = parse_embedding(add(outputs(1)))
    assert (embedding.liveness_score, embedding.is_live) == (None, None)


def test_an_embedding_has_it(fake, outputs):
    transport = fake(lambda model, image: scored(outputs(1), 0.625))
    with FaceClient("http://fake", transport=transport) as client:
        embedding = client.embed(b"photo")
    assert (embedding.liveness_score, embedding.is_live) == (0.625, True)


@pytest.mark.parametrize("scores", [(0.5,), (0.5, 0.5, 0.5)])
def test_a_wrong_number_of_scores_is_an_error(outputs, scores):
    with pytest.raises(ProtocolError, match=f"'liveness' has {len(scores)} values, not 2 or 0"):
        parse_analysis(scored(outputs(2), *scores))
