"""The native API's management of models: create, pull, push, copy, delete, blobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.routing import Route

from reshore.backends.answer import IGNORED
from reshore.errors import BadName, RequestError
from reshore.models import create, pull, push
from reshore.models.blocking import blocking
from reshore.models.names import parse_name
from reshore.models.parameters import typed_parameters
from reshore.models.progress import OnProgress, Progress, ignore
from reshore.models.recipe import Recipe
from reshore.models.sources.manner import Manner
from reshore.server.blobs import Blobs
from reshore.server.exchange import Exchange
from reshore.server.native import NativeEndpoint
from reshore.server.relay import STREAM_HEADERS
from reshore.server.services import Services
from reshore.types import Message
from reshore.wire.ollama.encode import NDJSON, encode_json, encode_line
from reshore.wire.ollama.management import (
    CopyRequest,
    CreateRequest,
    DeleteRequest,
    T,
    TransferRequest,
    decode_management,
)

Work = Callable[[OnProgress], Awaitable[object]]

_SUCCESS = Progress(status="success")


def management_routes(services: Services) -> list[Route]:
    """The endpoints that change which models there are."""
    return [
        Route("/api/create", Create(services), methods=["POST"]),
        Route("/api/pull", Pull(services), methods=["POST"]),
        Route("/api/push", Push(services), methods=["POST"]),
        Route("/api/copy", Copy(services), methods=["POST"]),
        Route("/api/delete", Delete(services), methods=["DELETE"]),
        Route("/api/blobs/{digest:path}", Blobs(services), methods=["HEAD", "POST"]),
    ]


class ManagementEndpoint(NativeEndpoint):
    """An endpoint that changes which models there are."""

    async def _decoded(self, exchange: Exchange, kind: type[T]) -> T:
        body = await exchange.json(self._services.config.limits)
        request, ignored = decode_management(body, kind)
        if ignored:
            exchange.notice(IGNORED, ", ".join(ignored))
        asked = request.source if isinstance(request, CopyRequest) else request.asked
        exchange.asked_model = asked
        return request

    async def _work(self, exchange: Exchange, work: Work, *, stream: bool | None) -> None:
        """Do long work and tell how it goes; a client that hangs up ends it.

        A stream begins with the first event, so what fails before that still has a status.
        """
        async with self._services.drain.interruptible(exchange.receive):
            if stream is False:
                await work(ignore)
                await exchange.reply(200, encode_json(_SUCCESS))
                return
            async for event in events_of(work):
                if exchange.status == 0:
                    await exchange.start_stream(200, [(b"content-type", NDJSON), *STREAM_HEADERS])
                await exchange.send(encode_line(event))
        await exchange.end_stream()


class Create(ManagementEndpoint):
    """`POST /api/create`"""

    async def answer(self, exchange: Exchange) -> None:
        request = await self._decoded(exchange, CreateRequest)
        name = checked_name(request.asked, "invalid model name")
        recipe = recipe_of(request)
        store = self._services.store

        async def work(on_progress: OnProgress) -> None:
            await create.create(store, name, recipe, on_progress=on_progress)

        await self._work(exchange, work, stream=request.stream)


class Pull(ManagementEndpoint):
    """`POST /api/pull`"""

    async def answer(self, exchange: Exchange) -> None:
        request = await self._decoded(exchange, TransferRequest)
        name = checked_name(request.asked, "invalid model name")
        store = self._services.store
        wishes = pull.Wishes(insecure=bool(request.insecure))

        async def work(on_progress: OnProgress) -> None:
            await pull.pull(store, name, wishes, Manner(on_progress=on_progress))

        await self._work(exchange, work, stream=request.stream)


class Push(ManagementEndpoint):
    """`POST /api/push`"""

    async def answer(self, exchange: Exchange) -> None:
        request = await self._decoded(exchange, TransferRequest)
        name = checked_name(request.asked, "invalid model name")
        store = self._services.store

        async def work(on_progress: OnProgress) -> None:
            manner = Manner(on_progress=on_progress)
            await push.push(store, name, manner, insecure=bool(request.insecure))

        await self._work(exchange, work, stream=request.stream)


class Copy(ManagementEndpoint):
    """`POST /api/copy`"""

    async def answer(self, exchange: Exchange) -> None:
        request = await self._decoded(exchange, CopyRequest)
        source = checked_name(request.source, f'source "{request.source}" is invalid')
        target = checked_name(
            request.destination, f'destination "{request.destination}" is invalid'
        )
        await blocking(self._services.store.copy, source, target)
        await exchange.reply(200, b"")


class Delete(ManagementEndpoint):
    """`DELETE /api/delete`; its engine, unless others share it, ends with its requests."""

    async def answer(self, exchange: Exchange) -> None:
        request = await self._decoded(exchange, DeleteRequest)
        name = checked_name(request.asked, f'name "{request.asked}" is invalid')
        removed = await blocking(self._services.store.remove, name)
        await self._services.pool.forget(str(removed))
        await exchange.reply(200, b"")


def checked_name(text: str, otherwise: str) -> str:
    """A well-formed model name.

    Raises:
        RequestError: it is not, in the words of `otherwise`; without any: `model is required`.
    """
    if not text:
        raise RequestError("model is required", param="model")
    try:
        parse_name(text)
    except BadName as error:
        raise RequestError(otherwise, param="model") from error
    return text


def recipe_of(request: CreateRequest) -> Recipe:
    """What a create request asks for.

    Raises:
        RequestError: neither a base nor files are given, or a parameter is not one.
    """
    if not request.from_ and not request.files:
        raise RequestError("neither 'from' or 'files' was specified", param="from")
    if request.from_:
        checked_name(request.from_, "invalid model name")
    messages = request.messages
    return Recipe(
        base=request.from_ or None,
        files=request.files or {},
        adapters=request.adapters or {},
        template=request.template,
        system=request.system,
        parameters=typed_parameters(request.parameters or {}),
        messages=None
        if messages is None
        else tuple(Message(role=turn.role, content=turn.content) for turn in messages),
        licenses=request.licenses,
        quantize=request.quantize or request.quantization or None,
    )


async def events_of(work: Work) -> AsyncIterator[Progress]:
    """What a piece of work tells, while it goes on; it ends when this does, however this ends.

    Raises:
        Exception: what the work raised, after its last event.
    """
    events = _Events()
    task = asyncio.ensure_future(work(events.add))
    task.add_done_callback(lambda _: events.close())
    try:
        async for event in events:
            yield event
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])


class _Events:
    """Progress for a reader who may be slow: of one blob's events, the newest waits for him."""

    def __init__(self) -> None:
        self._waiting: list[Progress] = []
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, event: Progress) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.total is not None and last.status == event.status:
            self._waiting[-1] = event
        else:
            self._waiting.append(event)
        self._changed.set()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[Progress]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            waiting, self._waiting = self._waiting, []
            for event in waiting:
                yield event
            if self._closed and not self._waiting:
                return
