"""How text completions reach the engine: a call per prompt, `best_of`, `echo`, `suffix`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from reshore.backends.budget import clamp_num_ctx, detokenize, limit_tokens, tokenize
from reshore.backends.defaults import with_model_defaults, with_model_options
from reshore.backends.fanout import Batches, split_choices
from reshore.backends.generation import Call
from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.models.facts import Servable
from reshore.types import Chunk, CompletionRequest, Prompt
from reshore.wire.llamacpp.events import NO_CHOICE, decode_infill
from reshore.wire.llamacpp.requests import completion_body, infill_body


async def completion_calls(
    request: CompletionRequest,
    model: Servable,
    engine: Engine,
    client: EngineClient,
    notices: dict[str, str],
    *,
    grammar: str | None = None,
) -> list[Call]:
    """The engine calls of a request, choices numbered prompt by prompt.

    Args:
        notices: gets what the client is to be told.
        grammar: GBNF that every completion must follow.

    Raises:
        ContextTooLong: a prompt leaves no room within the request's `num_ctx`.
    """
    options = with_model_options(request.options, model.parameters)
    request = msgspec.structs.replace(
        request, sampling=with_model_defaults(request.sampling, model.parameters)
    )
    num_ctx = clamp_num_ctx(options, engine, notices)
    calls: list[Call] = []
    each = request.best_of or request.n
    for place, prompt in enumerate(request.prompts):
        fitted = request
        if num_ctx is not None:
            tokens = len(await _ids(prompt, engine, client))
            sampling = limit_tokens(
                request.sampling, prompt_tokens=tokens, num_ctx=num_ctx, param="prompt"
            )
            fitted = msgspec.structs.replace(request, sampling=sampling)
        calls += await _prompt_calls(fitted, prompt, place, place * each, engine, client, grammar)
    return calls


async def _prompt_calls(
    request: CompletionRequest,
    prompt: Prompt,
    place: int,
    first: int,
    engine: Engine,
    client: EngineClient,
    grammar: str | None,
) -> list[Call]:
    each = request.best_of or request.n
    calls: list[Call] = []
    if request.suffix is not None:
        text = await _text(prompt, engine, client)
        for offset in range(each):  # the infill endpoint knows no n
            body = infill_body(request, text, seed_offset=offset)
            calls.append(
                Call("/infill", body, first + offset, place, decode_infill, marked_end=False)
            )
        return calls
    offset = 0
    for size in split_choices(each, engine.slots):
        body = completion_body(request, prompt, n=size, seed_offset=offset, grammar=grammar)
        calls.append(Call("/v1/completions", body, first + offset, place))
        offset += size
    return calls


async def echo_texts(request: CompletionRequest, engine: Engine, client: EngineClient) -> list[str]:
    """What stands before each choice when `echo` is asked for: its prompt, as text."""
    if not request.echo:
        return []
    texts = [await _text(prompt, engine, client) for prompt in request.prompts]
    return [text for text in texts for _ in range(request.n)]


async def _text(prompt: Prompt, engine: Engine, client: EngineClient) -> str:
    return prompt if isinstance(prompt, str) else await detokenize(client, engine, prompt)


async def _ids(prompt: Prompt, engine: Engine, client: EngineClient) -> Sequence[int]:
    return await tokenize(client, engine, prompt) if isinstance(prompt, str) else prompt


@dataclass
class _Candidate:
    chunks: list[Chunk] = field(default_factory=list)
    logprob: float = 0.0
    tokens: int = 0

    def add(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        self.logprob += sum(token.logprob for token in chunk.logprobs)
        self.tokens += len(chunk.logprobs)

    @property
    def score(self) -> float:
        """Mean log-probability per token, by which OpenAI defines the best of several."""
        return self.logprob / self.tokens if self.tokens else float("-inf")


async def best_of_calls(chunks: Batches, request: CompletionRequest) -> Batches:
    """Of `best_of` candidates per prompt the `n` likeliest, renumbered, likeliest first."""
    each = request.best_of or request.n
    candidates = [_Candidate() for _ in range(each * len(request.prompts))]
    closing: list[Chunk] = []
    async for batch in chunks:
        for chunk in batch:
            if chunk.index == NO_CHOICE:
                closing.append(chunk)
            else:
                candidates[chunk.index].add(chunk)
    for place in range(len(request.prompts)):
        ranked = sorted(
            candidates[place * each : (place + 1) * each], key=lambda c: c.score, reverse=True
        )
        for rank, candidate in enumerate(ranked[: request.n]):
            yield _renumbered(candidate.chunks, place * request.n + rank, request.logprobs)
    yield closing


def _renumbered(chunks: Sequence[Chunk], index: int, logprobs: int | None) -> list[Chunk]:
    if logprobs is None:
        return [msgspec.structs.replace(chunk, index=index, logprobs=()) for chunk in chunks]
    return [msgspec.structs.replace(chunk, index=index) for chunk in chunks]
