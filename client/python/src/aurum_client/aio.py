"""The asynchronous client, which is the client: :mod:`aurum_client.sync` only waits for it."""

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
from aurum_client._contract import Outputs
from aurum_client._describe import describe
from aurum_client._parse import parse_analysis, parse_embedding, parse_faces
from aurum_client._probe import gray_png
from aurum_client._retry import attempts
from aurum_client._tasks import side_by_side
from aurum_client.calibration import DEFAULT_FAR, check_far, check_prior
from aurum_client.comparison import Comparison
from aurum_client.errors import AurumError, ClientClosedError
from aurum_client.images import Image, read_image
from aurum_client.options import (
    AnalyzeOptions,
    DetectOptions,
    EmbedOptions,
    Parameters,
    build_parameters,
)
from aurum_client.results import Analysis, Embedding, Faces, Health, ModelIds, ModelInfo
from aurum_client.transport import Transport

T = TypeVar("T")
Progress = Callable[[int, int], None]


class AsyncFaceClient:
    """Finds, embeds and compares faces on an Aurum server; for one event loop.

    Args:
        url: ``http://host:port``, ``https://``, ``grpc://host:port`` or ``grpcs://``; a bare
            ``host:port`` is HTTP. Proxies that the environment names are not used.
        timeout: seconds that a call may take in all, its retries included and the reading of
            the image file not; a call's own ``timeout`` goes before it.
        retries: how often a call is tried again when no connection can be made or the server
            says that it is unavailable (see :mod:`aurum_client.errors`); 0 for never.
        headers: HTTP headers, or gRPC metadata, to send with every request.
        ca_file: PEM file of the authorities to trust over https and grpcs. Without it those of the
            system (https), or gRPC's own list of the usual ones (grpcs).
        transport: goes before ``url``, for tests.

    Each call that takes an image also takes, by keyword, ``timeout`` (seconds for this call, None
    for the client's), ``request_id`` (a name for the server's logs and traces) and the options that
    :mod:`aurum_client.options` explains: ``min_confidence``, ``detection_size``, ``orientation``,
    ``refine`` and ``tiles``; ``max_faces``, of ``detect`` and ``analyze``; ``min_quality``, of
    ``analyze``, ``embed`` and ``compare``.

    Besides the errors that a call names, it raises the others of :mod:`aurum_client.errors`.
    An image is encoded (colour order, rotation and size are the file's affair) and is given as
    a path, its bytes or a binary file.

    Raises:
        ValueError: ``url`` is not one of the above, ``timeout`` or ``retries`` is negative, a
            header is not of printable ASCII, or ``ca_file`` has no certificates.
        OSError: ``ca_file`` can't be read.
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
        if timeout <= 0 or retries < 0:
            raise ValueError("timeout must be above 0 and retries not negative")
        self._transport = transport or open_transport(url, ca_file=ca_file, headers=headers or {})
        self._timeout = timeout
        self._retries = retries
        self._closed = False

    async def detect(
        self,
        image: Image,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[DetectOptions],
    ) -> Faces:
        """Find the faces: boxes, five landmarks each, scores; none is a success, too.

        Raises:
            InvalidImageError: the image cannot be read or decoded.
            InvalidRequestError: an option is out of its range.
        """
        parameters = build_parameters(DetectOptions, options)
        outputs = await self._infer(contract.DETECT, image, parameters, timeout, request_id)
        return parse_faces(outputs)

    async def analyze(
        self,
        image: Image,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[AnalyzeOptions],
    ) -> Analysis:
        """Find the faces, embed each and say how fit for recognition it is.

        Raises:
            InvalidImageError: the image cannot be read or decoded.
            InvalidRequestError: an option is out of its range.
        """
        parameters = build_parameters(AnalyzeOptions, options)
        outputs = await self._infer(contract.ANALYZE, image, parameters, timeout, request_id)
        return parse_analysis(outputs)

    async def embed(
        self,
        image: Image,
        *,
        aligned: bool = False,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[EmbedOptions],
    ) -> Embedding:
        """Embed the largest face, or, with ``aligned``, the image as the aligned crop it is.

        Raises:
            NoFaceError: there is no face in the image.
            LowQualityError: its quality is below ``min_quality``.
            InvalidImageError: the image cannot be read or decoded.
            InvalidRequestError: an option is out of its range.
        """
        parameters = build_parameters(EmbedOptions, options)
        if aligned:
            parameters["aligned"] = True
        outputs = await self._infer(contract.EMBED, image, parameters, timeout, request_id)
        return parse_embedding(outputs)

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
        """Embed the largest face of each image, at the same time, and compare the two.

        ``far``: the false accept rate of the decision, 1e-4, 1e-3 or 1e-2. ``prior``: the share
        of one person's pairs among all that you compare, None for the calibration's.
        ``request_id`` is followed by ``-0`` for ``a`` and ``-1`` for ``b``.

        Raises:
            ValueError: ``far`` is none of these, or ``prior`` is not between 0 and 1.
            ModelMismatchError: different embedders answered (the server's model was changed).
            NoFaceError, LowQualityError, InvalidImageError: for either; a note of the error says
                which.
            InvalidRequestError: an option is out of its range.
        """
        check_far(far)
        check_prior(prior)

        async def embed(index: int, image: Image) -> Embedding:
            try:
                return await self.embed(
                    image,
                    aligned=aligned,
                    timeout=timeout,
                    request_id=_numbered(request_id, index),
                    **options,
                )
            except AurumError as error:
                error.add_note(f"in the {('first', 'second')[index]} image of compare()")
                raise

        first, second = await side_by_side([embed(0, a), embed(1, b)])
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
        """Analyze many images, ``concurrency`` at a time; the answers keep their order.

        An image that fails has its error in its place, and the others go on. Of paths, only
        those under way are in memory.

        Args:
            images: all are listed at the start.
            concurrency: 1 or more; over HTTP at most 100 are on the wire at once.
            progress: called with (done, of how many) after each image, in the client's event
                loop: it must be quick. What it raises ends the call.
            timeout: seconds for each image, not for all.
            request_id: followed by ``-<index>`` for each image.
            options: as of :meth:`analyze`.

        Raises:
            ClientClosedError: the client was closed before the call.
            ValueError: ``concurrency`` is below 1.
        """
        self._check_open()
        if concurrency < 1:
            raise ValueError("concurrency must be 1 or more")
        todo = list(images)
        answers: list[Analysis | AurumError | None] = [None] * len(todo)
        parameters = build_parameters(AnalyzeOptions, options)
        queue = iter(enumerate(todo))
        done = 0

        async def work() -> None:
            nonlocal done
            # The workers share the iterator: each takes the next image when it is free.
            for index, image in queue:
                try:
                    outputs = await self._infer(
                        contract.ANALYZE, image, parameters, timeout, _numbered(request_id, index)
                    )
                    answers[index] = parse_analysis(outputs)
                except AurumError as error:
                    answers[index] = error
                done += 1
                if progress is not None:
                    progress(done, len(todo))

        await side_by_side(work() for _ in range(min(concurrency, len(todo))))
        return [answer for answer in answers if answer is not None]

    async def health(self, *, timeout: float | None = None) -> Health:
        """Ask the server how it is and let it infer a tiny image; what fails is in the answer.

        Nothing is retried, as this asks how the server is now.

        Raises:
            ClientClosedError: the client was closed before the call.
        """
        self._check_open()
        live = ready = False
        latency: float | None = None
        models: ModelIds | None = None
        error: AurumError | None = None

        async def look(time_left: float) -> None:
            nonlocal live, ready, latency, models
            live = await self._transport.is_live()
            ready = await self._transport.is_ready()
            start = time.perf_counter()
            outputs = await self._transport.infer(contract.DETECT, gray_png(), {}, None, time_left)
            models = parse_faces(outputs).models
            latency = time.perf_counter() - start

        try:
            await self._attempts(look, timeout, retries=0)
        except AurumError as failure:
            error = failure
        return Health(live=live, ready=ready, latency=latency, models=models, error=error)

    async def models(self, *, timeout: float | None = None) -> list[ModelInfo]:
        """Describe the server's public models, and name the detector and embedder that answer.

        A model that the server does not have is listed as not ready; an id that could not be
        found out is None.
        """
        asked = (partial(describe, self._transport, name) for name in contract.PUBLIC_MODELS)
        return await side_by_side(self._attempts(ask, timeout) for ask in asked)

    async def close(self) -> None:
        """Close the connections; calls under way raise ClientClosedError. Harmless twice."""
        if not self._closed:
            self._closed = True
            await self._transport.close()

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError("the client is closed")

    async def _infer(
        self,
        model: str,
        image: Image,
        parameters: Parameters,
        timeout: float | None,
        request_id: str | None,
    ) -> Outputs:
        self._check_open()
        # A file, maybe on a slow disk, must not hold up the event loop.
        data = image if isinstance(image, bytes) else await asyncio.to_thread(read_image, image)

        def send(time_left: float) -> Awaitable[Outputs]:
            return self._transport.infer(model, data, parameters, request_id, time_left)

        return await self._attempts(send, timeout)

    async def _attempts(
        self,
        send: Callable[[float], Awaitable[T]],
        timeout: float | None,
        *,
        retries: int | None = None,
    ) -> T:
        """Run :func:`attempts` with the client's settings, until the client is closed."""

        async def send_if_open(time_left: float) -> T:
            self._check_open()
            try:
                return await send(time_left)
            except (AurumError, asyncio.CancelledError) as error:
                # close() breaks what is under way: HTTP as a lost connection, gRPC as a
                # cancellation, which must not be mistaken for one of the caller's own.
                task: asyncio.Task[Any] | None = asyncio.current_task()
                if self._closed and not (task and task.cancelling()):
                    raise ClientClosedError("the client was closed during the call") from error
                raise

        return await attempts(
            send_if_open,
            timeout=self._timeout if timeout is None else timeout,
            retries=self._retries if retries is None else retries,
        )


def _numbered(request_id: str | None, index: int) -> str | None:
    return None if request_id is None else f"{request_id}-{index}"
