"""The asynchronous client, on which :mod:`aurum_client.sync` is built."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from aurum_client import _contract as contract
from aurum_client._address import open_transport
from aurum_client._describe import PROBE, describe
from aurum_client._fork import restart_when_forked
from aurum_client._headers import REQUEST_ID, valid_request_id
from aurum_client._parse import parse_analysis, parse_embedding, parse_faces
from aurum_client._retry import attempts
from aurum_client._tasks import run_concurrently
from aurum_client._values import boolean, count, seconds
from aurum_client.calibration import DEFAULT_FAR, check_far, check_prior
from aurum_client.comparison import Comparison
from aurum_client.errors import AurumError, ClientClosedError, EventLoopError
from aurum_client.images import Image, read_image
from aurum_client.options import (
    AnalyzeOptions,
    DetectOptions,
    EmbedOptions,
    Parameters,
    build_parameters,
)
from aurum_client.results import Analysis, Embedding, Faces, Health, ModelIds, ModelInfo
from aurum_client.transport import Answer, Outputs, Transport

T = TypeVar("T")
Progress = Callable[[int, int], None]


class AsyncFaceClient:
    """Detect, embed and compare faces on an Aurum server, from one event loop.

    In another event loop, such as that of a second ``asyncio.run``, calls raise EventLoopError. In
    a forked child, the client connects anew; over gRPC only if the parent hasn't used gRPC.

    Args:
        url: ``http://host:port``, ``https://host:port``, ``grpc://host:port`` or
            ``grpcs://host:port``; a bare ``host:port`` means HTTP. Proxy settings of the
            environment are ignored.
        timeout: the maximum duration of a call in seconds, including retries but not reading the
            image file. A call's own ``timeout`` overrides it.
        retries: how often to retry a call if no connection can be made or the server is
            unavailable (see :mod:`aurum_client.errors`).
        headers: HTTP headers or gRPC metadata to send with every request.
        ca_file: PEM file with the certificate authorities to trust over https and grpcs. The
            default is the system's (https) or gRPC's built-in list (grpcs).
        transport: overrides ``url``; for tests.

    An image is a file's path, its bytes, a binary file object, a numpy array of RGB pixels, or one
    of the other forms of :data:`aurum_client.Image`. Calls that take images accept these keyword
    arguments: ``timeout`` (seconds, or None for the client's timeout), ``request_id`` and the
    options in :mod:`aurum_client.options`: ``min_confidence``, ``detection_size``, ``orientation``,
    ``refine`` and ``tiles``; ``max_faces`` for ``detect``, ``analyze`` and ``analyze_many``;
    ``min_quality`` for all but ``detect``.

    ``request_id``: 1 to 128 printable ASCII characters, or None for a new id; sent as X-Request-Id.
    Results and errors have it, or the id by which a gateway replaced it, as the server's logs do.

    In addition to the errors listed for each call, any error in :mod:`aurum_client.errors` can be
    raised, and TypeError for an option that is unknown or has the wrong type.

    Raises:
        TypeError, ValueError: ``url`` is invalid, ``timeout`` is not above 0, ``retries`` is
            negative, a header contains other characters than printable ASCII or is X-Request-Id,
            or ``ca_file`` contains no certificates.
        OSError: ``ca_file`` cannot be read.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        retries: int = 2,
        headers: Mapping[str, str] | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._timeout = seconds("timeout", timeout)
        self._retries = count("retries", retries, least=0)
        self._transport = transport or open_transport(url, ca_file=ca_file, headers=headers or {})
        self._loop: asyncio.AbstractEventLoop | None = None  # that of the first call
        self._closed = False
        restart_when_forked(self)

    def forked(self) -> None:
        """Start afresh in a forked child; called by :mod:`aurum_client._fork`."""
        self._loop = None
        self._transport.forked()

    async def detect(
        self,
        image: Image,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[DetectOptions],
    ) -> Faces:
        """Detect faces: return boxes, five landmarks per face and scores.

        A photo without faces gives an empty result, not an error.

        Raises:
            InvalidImageError: the image cannot be read or decoded.
            InvalidRequestError: an option is out of range.
        """
        parameters = build_parameters(DetectOptions, options)
        return await self._infer(
            parse_faces, contract.DETECT, image, parameters, timeout, request_id
        )

    async def analyze(
        self,
        image: Image,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[AnalyzeOptions],
    ) -> Analysis:
        """Detect faces, and return the embedding and the quality of each.

        A photo without faces gives an empty result, not an error.

        Raises:
            InvalidImageError: the image cannot be read or decoded.
            InvalidRequestError: an option is out of range.
        """
        parameters = build_parameters(AnalyzeOptions, options)
        return await self._infer(
            parse_analysis, contract.ANALYZE, image, parameters, timeout, request_id
        )

    async def embed(
        self,
        image: Image,
        *,
        aligned: bool = False,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[EmbedOptions],
    ) -> Embedding:
        """Return the embedding of the largest face.

        ``aligned``: the image is a 112x112 face crop, aligned to the ArcFace template, and is
        embedded without detection.

        Raises:
            NoFaceError: no face was found in the image.
            LowQualityError: the face's quality is below ``min_quality``.
            InvalidImageError: the image cannot be read or decoded.
            InvalidRequestError: an option is out of range.
        """
        parameters = build_parameters(EmbedOptions, options)
        if boolean("aligned", aligned):
            parameters["aligned"] = True
        return await self._infer(
            parse_embedding, contract.EMBED, image, parameters, timeout, request_id
        )

    async def compare(
        self,
        a: Image,
        b: Image,
        *,
        far: float = DEFAULT_FAR,
        prior: float | None = None,
        aligned: bool = False,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[EmbedOptions],
    ) -> Comparison:
        """Embed the largest face of each image concurrently and compare the embeddings.

        ``far``: the false accept rate of the decision: 1e-4, 1e-3 or 1e-2. ``prior``: the fraction
        of same-person pairs among the pairs that you compare, above 0 and below 1; None for the
        calibration's own. ``aligned``: see :meth:`embed`. ``request_id`` gets the suffix ``-0`` for
        ``a`` and ``-1`` for ``b``.

        Raises:
            ValueError: ``far`` is not one of these rates, or ``prior`` is not above 0 and below 1.
            ModelMismatchError: the images were embedded by different models, because the server's
                model changed between the requests.
            NoFaceError, LowQualityError, InvalidImageError: as :meth:`embed`; a note on the error
                says which image caused it.
            InvalidRequestError: an option is out of range.
        """
        check_far(far)
        check_prior(prior)
        common_id = valid_request_id(request_id)

        async def embed(index: int, image: Image) -> Embedding:
            try:
                return await self.embed(
                    image,
                    aligned=aligned,
                    timeout=timeout,
                    request_id=f"{common_id}-{index}",
                    **options,
                )
            except AurumError as error:
                error.add_note(f"in the {('first', 'second')[index]} image of compare()")
                raise

        first, second = await run_concurrently([embed(0, a), embed(1, b)])
        return Comparison.between(first, second, far=far, prior=prior)

    async def analyze_many(
        self,
        images: Iterable[Image],
        *,
        concurrency: int = 8,
        progress: Progress | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[AnalyzeOptions],
    ) -> list[Analysis | AurumError]:
        """Analyze many images, ``concurrency`` at a time; return the results in input order.

        If an image fails, its result is the error and the other images continue. Files given as
        paths are read only when their turn comes.

        Args:
            images: the iterable is consumed at the start of the call.
            concurrency: at least 1. Over HTTP, at most 100 requests are sent at once.
            progress: called with (completed, total) after each image, in the client's event loop,
                so it must not block. An exception that it raises ends the call.
            timeout: seconds per image, not for the whole call.
            request_id: gets the suffix ``-<index>`` for each image.
            options: those of :meth:`analyze`.

        Raises:
            ClientClosedError: the client was closed before the call.
            ValueError: ``concurrency`` is below 1.
        """
        self._check_usable()
        concurrency = count("concurrency", concurrency, least=1)
        todo = list(images)
        answers: list[Analysis | AurumError | None] = [None] * len(todo)
        parameters = build_parameters(AnalyzeOptions, options)
        common_id = valid_request_id(request_id)
        queue = iter(enumerate(todo))
        done = 0

        async def work() -> None:
            nonlocal done
            # The workers share the iterator: each takes the next image as soon as it is free.
            for index, image in queue:
                try:
                    own_id = f"{common_id}-{index}"
                    answers[index] = await self._infer(
                        parse_analysis, contract.ANALYZE, image, parameters, timeout, own_id
                    )
                except AurumError as error:
                    answers[index] = error
                done += 1
                if progress is not None:
                    progress(done, len(todo))

        await run_concurrently(work() for _ in range(min(concurrency, len(todo))))
        return [answer for answer in answers if answer is not None]

    async def health(self, *, timeout: float | None = None) -> Health:
        """Check the server's health endpoints and run one inference on a tiny image.

        A failure is reported in the result, not raised. Nothing is retried.

        Raises:
            ClientClosedError: the client was closed before the call.
        """
        self._check_usable()
        live = ready = False
        latency: float | None = None
        models: ModelIds | None = None
        error: AurumError | None = None

        async def check(time_left: float) -> None:
            nonlocal live, ready, latency, models
            live = await self._transport.is_live()
            ready = await self._transport.is_ready()
            start = time.perf_counter()
            answer = await self._transport.infer(contract.DETECT, PROBE, {}, None, time_left)
            models = parse_faces(answer.outputs).models
            latency = time.perf_counter() - start

        try:
            await self._attempts(check, timeout, retries=0)
        except AurumError as failure:
            error = failure
        return Health(live=live, ready=ready, latency=latency, models=models, error=error)

    async def models(self, *, timeout: float | None = None) -> list[ModelInfo]:
        """Describe the server's public models, with the ids of the active detector and embedder.

        A model that the server lacks is listed as not ready. An id that could not be determined is
        None.
        """
        calls = (partial(describe, self._transport, name) for name in contract.PUBLIC_MODELS)
        return await run_concurrently(self._attempts(call, timeout) for call in calls)

    async def close(self) -> None:
        """Close the connections; pending calls raise ClientClosedError. Idempotent.

        Raises EventLoopError in another event loop than the client's while that one is open.
        """
        if not self._closed:
            if self._loop is None or not self._loop.is_closed():
                self._check_loop()
            self._closed = True
            await self._transport.close()

    async def __aenter__(self) -> Self:
        self._check_usable()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _check_usable(self) -> None:
        if self._closed:
            raise ClientClosedError("the client is closed")
        self._check_loop()

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise EventLoopError(
                "this AsyncFaceClient was first used in another event loop: make one client in "
                "each event loop (asyncio.run makes a new one), or use FaceClient"
            )

    async def _infer(
        self,
        parse: Callable[[Outputs, str], T],
        model: str,
        image: Image,
        parameters: Parameters,
        timeout: float | None,
        request_id: str | None,
    ) -> T:
        """Return the parsed response; it and errors get the id that the server's logs have."""
        self._check_usable()
        sent_id = valid_request_id(request_id)
        # Reading a file, possibly from a slow disk, must not block the event loop.
        data = image if isinstance(image, bytes) else await asyncio.to_thread(read_image, image)

        def send(time_left: float) -> Awaitable[Answer]:
            return self._transport.infer(model, data, parameters, sent_id, time_left)

        headers: Mapping[str, str] = {}
        try:
            outputs, headers = await self._attempts(send, timeout)
            return parse(outputs, headers.get(REQUEST_ID, sent_id))
        except AurumError as error:
            error.headers = error.headers or headers
            error.request_id = error.headers.get(REQUEST_ID, sent_id)
            raise

    async def _attempts(
        self,
        send: Callable[[float], Awaitable[T]],
        timeout: float | None,
        *,
        retries: int | None = None,
    ) -> T:
        """Run :func:`attempts` with the client's settings until the client is closed."""

        async def send_if_open(time_left: float) -> T:
            self._check_usable()
            try:
                return await send(time_left)
            except (AurumError, asyncio.CancelledError) as error:
                # close() interrupts pending calls: over HTTP as a lost connection, over gRPC as a
                # cancellation, which must not be confused with a cancellation by the caller.
                task: asyncio.Task[Any] | None = asyncio.current_task()
                if self._closed and not (task and task.cancelling()):
                    raise ClientClosedError("the client was closed during the call") from error
                raise

        return await attempts(
            send_if_open,
            timeout=self._timeout if timeout is None else seconds("timeout", timeout),
            retries=self._retries if retries is None else retries,
        )
