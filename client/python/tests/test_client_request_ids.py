"""Request ids and response headers on results and errors, and how rate limits are retried."""

from __future__ import annotations

import asyncio
import re
import time
from email.utils import formatdate

import pytest
from aurum_client import (
    Answer,
    AsyncFaceClient,
    AurumError,
    InvalidImageError,
    ProtocolError,
    RateLimitError,
    UnavailableError,
    _retry,
)
from wire_servers import talk

NEW_ID = re.compile(r"[0-9a-f]{32}")


def test_an_id_is_sent_as_a_header_and_is_on_every_result(server):
    async def conversation(client):
        for call in (client.detect, client.embed, client.analyze):
            result = await call(b"1", request_id="order-17")
            assert result.request_id == "order-17"
            assert (server.seen["id"], server.headers["x-request-id"]) == ("order-17",) * 2
        compared = await client.compare(b"1", b"1", request_id="pair")
        assert (compared.a.request_id, compared.b.request_id) == ("pair-0", "pair-1")
        many = await client.analyze_many([b"1", b"bad"], request_id="many")
        assert [item.request_id for item in many] == ["many-0", "many-1"]

    talk(server, conversation)


def test_a_call_without_an_id_gets_a_new_one(server):
    async def conversation(client):
        ids = set()
        for _ in range(3):
            result = await client.detect(b"1")
            assert result.request_id == server.seen["id"] == server.headers["x-request-id"]
            ids.add(result.request_id)
        compared = await client.compare(b"1", b"1")
        assert compared.a.request_id[:-1] == compared.b.request_id[:-1]
        assert len(ids) == 3
        assert all(NEW_ID.fullmatch(one) for one in ids)

    talk(server, conversation)


@pytest.mark.parametrize("image", [b"1", b"bad"])
def test_the_id_by_which_a_gateway_replaced_ours_counts(server, image):
    async def conversation(client):
        server.answer_headers = {"X-Request-Id": "the-gateways", "X-More": "yes"}
        (answer,) = await client.analyze_many([image], request_id="ours")
        assert isinstance(answer, InvalidImageError) is (image == b"bad")
        assert answer.request_id == "the-gateways"

    talk(server, conversation)


def test_errors_have_the_id_and_the_headers(server):
    async def conversation(client):
        server.answer_headers = {"X-More": "yes"}
        with pytest.raises(InvalidImageError) as caught:
            await client.analyze(b"bad", request_id="r-1")
        assert caught.value.request_id == "r-1"
        assert caught.value.headers["x-more"] == "yes"
        with pytest.raises(AurumError) as caught:
            await client.analyze(b"hang", request_id="r-2", timeout=0.1)
        assert (caught.value.request_id, caught.value.headers) == ("r-2", {})

    talk(server, conversation)


def test_an_invalid_response_has_the_id_and_the_headers_too(fake):
    transport = fake(lambda *_: Answer({}, {"x-more": "yes"}))

    async def main():
        client = AsyncFaceClient("http://nowhere:1", transport=transport)
        for call in (client.detect, client.analyze, client.embed):
            with pytest.raises(ProtocolError) as caught:
                await call(b"1", request_id="r-1")
            assert caught.value.request_id == "r-1"
            assert caught.value.headers == {"x-more": "yes"}

    asyncio.run(main())


def test_concurrent_calls_keep_their_headers_apart(server):
    async def conversation(client):
        images = [b"bad" if number % 3 else b"1" for number in range(60)]
        answers = await client.analyze_many(images, concurrency=20, request_id="r")
        assert [answer.request_id for answer in answers] == [f"r-{n}" for n in range(60)]

    talk(server, conversation)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        *(("", ValueError), (" a", ValueError), ("a\r\nX-Key: b", ValueError), ("ä", ValueError)),
        *(("\ud800", ValueError), ("a" * 129, ValueError), (17, TypeError), (b"a", TypeError)),
    ],
)
def test_an_id_that_cannot_be_sent_is_refused_by_name(fake, given, kind):
    transport = fake()

    async def main():
        client = AsyncFaceClient("http://nowhere:1", transport=transport)
        for call in (
            client.detect(b"1", request_id=given),
            client.compare(b"1", b"1", request_id=given),
            client.analyze_many([b"1"], request_id=given),
        ):
            with pytest.raises(kind, match=r"^request_id"):
                await call

    asyncio.run(main())
    assert transport.calls == []


def test_a_rate_limit_is_an_error_of_its_own_with_the_time_to_wait(server):
    async def conversation(client):
        server.answer_headers = {"Retry-After": "7"}
        with pytest.raises(RateLimitError) as caught:
            await client.detect(b"quick")
        assert isinstance(caught.value, UnavailableError)
        assert (caught.value.code, caught.value.retry_after) == ("rate_limited", 7)

    # Seven seconds don't fit into the timeout, so the error comes at once.
    talk(server, conversation, timeout=5, retries=2)


def test_a_rate_limit_is_retried_within_the_timeout(server, no_waiting):
    async def conversation(client):
        server.answer_headers = {"Retry-After": "0"}
        with pytest.raises(RateLimitError):
            await client.detect(b"quick")

    talk(server, conversation)
    assert no_waiting == [0, 1]


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        *(("3", 3), ("0", 0), ("", None), ("soon", None), ("-1", None), ("1.5", None)),
        *(("9" * 5000, None), ("nan", None), (formatdate(0, usegmt=True), 0)),
    ],
)
def test_retry_after(given, wait):
    error = UnavailableError("x")
    error.headers = {"retry-after": given}
    assert error.retry_after == wait
    delay = _retry.delay_before_retry(error, 0, retries=1, time_left=100)
    assert (wait or 0) <= delay <= (wait or 0) + _retry.BASE


def test_retry_after_may_be_a_date():
    error = UnavailableError("x")
    error.headers = {"retry-after": formatdate(time.time() + 1000, usegmt=True)}
    assert 0 < error.retry_after <= 1000
    assert _retry.delay_before_retry(error, 0, retries=1, time_left=10) is None
    assert UnavailableError("x").retry_after is None
