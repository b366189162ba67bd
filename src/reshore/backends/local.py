"""Answers from models on this machine: the backend over the engine pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import msgspec

from reshore.backends.answer_format import format_grammar
from reshore.backends.budget import (
    chat_bytes,
    clamp_num_ctx,
    count_chat,
    limit_tokens,
    refuse_hopeless,
)
from reshore.backends.chat_plan import ChatPlan, plan_chat
from reshore.backends.choices import Transform
from reshore.backends.completion_plan import best_of_calls, completion_calls, echo_texts
from reshore.backends.continuation import context_of, continued
from reshore.backends.embedder import as_embedder
from reshore.backends.embedding import embed_inputs
from reshore.backends.fanout import Batches, Closing, Tally, merge, split_choices
from reshore.backends.generation import Call, generate
from reshore.backends.images import ImageFetcher
from reshore.backends.library import Library
from reshore.backends.prompts import with_prompt
from reshore.backends.thinking import after_thinking
from reshore.backends.truncation import fit_conversation, fit_prompt
from reshore.backends.vocabulary import refuse_unknown_tokens
from reshore.config import Config
from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.engine.pool import Lease, Pool
from reshore.errors import ContextTooLong, LacksCapability
from reshore.models.facts import Servable
from reshore.types import (
    ChatRequest,
    Chunk,
    CompletionRequest,
    Embeddings,
    EmbedRequest,
    ModelInfo,
    Reply,
)


class LocalBackend:
    """The `Backend` whose engines run on this machine. Owned by the app's lifespan."""

    def __init__(self, library: Library, pool: Pool, client: EngineClient, config: Config) -> None:
        self._library = library
        self._pool = pool
        self._client = client
        self._config = config
        self._images = ImageFetcher(enabled=config.image_urls)

    @asynccontextmanager
    async def chat(self, request: ChatRequest) -> AsyncIterator[Reply]:
        """Continue a conversation. See `Backend`."""
        model = await self._library.find(request.model)
        plan = plan_chat(request, model, self._config.limits)
        plan = plan.with_messages(await self._images.inline(plan.request.messages))
        async with (
            self._pool.lease(
                model, weight=request.n, keep_alive_s=request.options.keep_alive_s
            ) as lease,
            AsyncExitStack() as stack,
        ):
            engine = lease.engine
            notices = dict(plan.notices)
            chunks = None
            while chunks is None:
                try:
                    chunks = await stack.enter_async_context(self._chatting(plan, lease, notices))
                except ContextTooLong as refusal:
                    if not request.options.truncate:
                        raise
                    plan = await fit_conversation(plan, engine, self._client, notices, refusal)
            yield Reply(
                model=model.name,
                chunks=chunks,
                notices=notices,
                system_fingerprint=_fingerprint(model),
                verify=plan.verify,
                verify_calls=plan.verify_calls,
                context=context_of(plan, engine, self._client),
            )

    @asynccontextmanager
    async def complete(self, request: CompletionRequest) -> AsyncIterator[Reply]:
        """Continue raw text. See `Backend`."""
        model = await self._library.find(request.model)
        if "completion" not in model.capabilities:
            raise LacksCapability(
                f"{model.name} cannot complete text: it embeds",
                model=model.name,
                capability="completion",
            )
        if request.suffix is not None and "insert" not in model.capabilities:
            raise LacksCapability(
                f"{model.name} has no infill tokens, so suffix cannot be honoured",
                model=model.name,
                capability="insert",
                param="suffix",
            )
        refuse_unknown_tokens(request.sampling.logit_bias, model)
        grammar, verify = format_grammar(request.response_format, self._config.limits)
        weight = len(request.prompts) * (request.best_of or request.n)
        async with (
            self._pool.lease(
                model, weight=weight, keep_alive_s=request.options.keep_alive_s
            ) as lease,
            AsyncExitStack() as stack,
        ):
            engine = lease.engine
            notices: dict[str, str] = {}
            completing = self._completing(request, lease, notices, grammar)
            try:
                chunks = await stack.enter_async_context(completing)
            except ContextTooLong as refusal:
                request = await fit_prompt(request, engine, self._client, notices, refusal)
                completing = self._completing(request, lease, notices, grammar)
                chunks = await stack.enter_async_context(completing)
            echoes = await echo_texts(request, engine, self._client)
            yield Reply(
                model=model.name,
                chunks=_echoed(chunks, echoes) if echoes else chunks,
                notices=notices,
                system_fingerprint=_fingerprint(model),
                verify=verify,
            )

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Embed every input. See `Backend`."""
        model, notices = as_embedder(await self._library.find(request.model))
        request, prompted = with_prompt(request, model, self._config.model(model.name))
        async with self._pool.lease(
            model, weight=1, keep_alive_s=request.options.keep_alive_s
        ) as lease:
            embeddings = await embed_inputs(request, lease.engine, self._client)
        return msgspec.structs.replace(
            embeddings, load_ms=lease.load_ms, notices=embeddings.notices | prompted | notices
        )

    async def load(self, model: str, *, keep_alive_s: float | None = None) -> float:
        """Load a model. See `Backend`."""
        found = await self._library.find(model)
        async with self._pool.lease(found, keep_alive_s=keep_alive_s) as lease:
            return lease.load_ms

    async def unload(self, model: str) -> None:
        """Unload a model. See `Backend`."""
        await self._pool.unload(await self._library.listed(model))

    async def models(self) -> Sequence[ModelInfo]:
        """Every installed model, newest first."""
        return await self._library.infos()

    async def aclose(self) -> None:
        """Nothing of its own to close: the pool and the client belong to the app."""

    @asynccontextmanager
    async def _chatting(
        self, plan: ChatPlan, lease: Lease, notices: dict[str, str]
    ) -> AsyncIterator[AsyncIterator[Sequence[Chunk]]]:
        """The chunks of a planned chat, the first of them there.

        Raises:
            ContextTooLong: the conversation does not fit.
        """
        engine, n = lease.engine, plan.request.n
        refuse_hopeless(chat_bytes(plan.request), engine.context_length, "messages")
        plan = await self._limit_context(plan, engine, notices)
        plan = await after_thinking(plan, engine, self._client)
        plan = await continued(plan, engine, self._client)
        calls = _chat_calls(plan, n, engine.slots)
        chunks = self._run(engine.model, lease, calls, plan.new_transform)
        async with aclosing(chunks) as stream:
            yield await _started(stream)

    @asynccontextmanager
    async def _completing(
        self, request: CompletionRequest, lease: Lease, notices: dict[str, str], grammar: str | None
    ) -> AsyncIterator[AsyncIterator[Sequence[Chunk]]]:
        """The chunks of a completion, the first of them there.

        Raises:
            ContextTooLong: a prompt does not fit.
        """
        engine = lease.engine
        for prompt in request.prompts:
            refuse_hopeless(len(prompt), engine.context_length, "prompt")
        calls = await completion_calls(
            request, engine.model, engine, self._client, notices, grammar=grammar
        )
        chunks = self._run(engine.model, lease, calls, lambda: None)
        if (request.best_of or request.n) > request.n:
            chunks = best_of_calls(chunks, request)
        async with aclosing(chunks) as stream:
            yield await _started(stream)

    async def _limit_context(
        self, plan: ChatPlan, engine: Engine, notices: dict[str, str]
    ) -> ChatPlan:
        num_ctx = clamp_num_ctx(plan.request.options, engine, notices)
        if num_ctx is None:
            return plan
        tokens = await count_chat(self._client, engine, plan.body(n=1, seed_offset=0))
        tokens += len(plan.request.context)
        sampling = limit_tokens(
            plan.request.sampling, prompt_tokens=tokens, num_ctx=num_ctx, param="messages"
        )
        return plan.with_sampling(sampling)

    def _run(
        self,
        model: Servable,
        lease: Lease,
        calls: Sequence[Call],
        new_transform: Callable[[], Transform | None],
    ) -> Batches:
        """All calls side by side, at most as many as the engine has slots, then the closing."""
        tally = Tally()
        places = asyncio.Semaphore(lease.engine.slots)
        timeout_s = self._config.engine_for(model.name).token_timeout_s

        def closing() -> Sequence[Chunk]:
            return (tally.closing(lease.load_ms),)

        def stream(call: Call, closing: Closing | None = None) -> Batches:
            return generate(
                self._client,
                lease.engine,
                call,
                tally=tally,
                places=places,
                transform=new_transform(),
                token_timeout_s=timeout_s,
                closing=closing,
            )

        # A single call, the usual case, pays for no layer around it on each chunk.
        if len(calls) == 1:
            return stream(calls[0], closing)
        return merge([stream(call) for call in calls], closing)


def _chat_calls(plan: ChatPlan, n: int, slots: int) -> list[Call]:
    calls, first = [], 0
    for size in split_choices(n, slots):
        calls.append(plan.call(n=size, first_choice=first))
        first += size
    return calls


async def _started(chunks: Batches) -> AsyncIterator[Sequence[Chunk]]:
    """`chunks` with the first batch already there: what fails before it still has a status."""
    return _Resumed(await anext(chunks), chunks)


class _Resumed:
    """A stream whose first batch was taken. No generator, as one more would cost every batch."""

    def __init__(self, first: Sequence[Chunk], rest: Batches) -> None:
        self._first: Sequence[Chunk] | None = first
        self._rest = rest

    def __aiter__(self) -> _Resumed:
        return self

    def __anext__(self) -> Awaitable[Sequence[Chunk]]:
        if self._first is None:
            return self._rest.__anext__()
        first, self._first = self._first, None
        return _given(first)


async def _given(batch: Sequence[Chunk]) -> Sequence[Chunk]:
    return batch


async def _echoed(chunks: AsyncIterator[Sequence[Chunk]], echoes: Sequence[str]) -> Batches:
    """Each choice led by its prompt (`echo`)."""
    yield [Chunk(index=index, content=text) for index, text in enumerate(echoes)]
    async for batch in chunks:
        yield batch


def _fingerprint(model: Servable) -> str:
    """Changes with the weights and the template: what a seed's repeatability rests on."""
    return f"fp_{model.digest[:10]}"
