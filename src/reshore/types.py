"""The nouns that every station shares: frozen, typed, without I/O.

A client's bytes become a `ChatRequest`, `CompletionRequest` or `EmbedRequest` in `wire/`; a backend
answers with a `Reply` whose chunks stream by; `wire/` turns them back into bytes. Nothing here
knows a dialect. Field names follow the vocabulary of the design: *prompt_tokens* and
*completion_tokens* whatever a dialect calls them, durations with their unit in the name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


# Whose words frame a conversation, whatever is left out of it.
SYSTEM_ROLES: frozenset[Role] = frozenset(("system", "developer"))


class TextPart(Struct, frozen=True, kw_only=True):
    """A piece of text inside a message."""

    text: str


class ImagePart(Struct, frozen=True, kw_only=True):
    """An image inside a message.

    Attributes:
        url: a `data:` URL, or an http(s) URL where the configuration allows fetching.
        param: where in the request it stood, for error messages.
    """

    url: str
    param: str


Part = TextPart | ImagePart


class ToolCall(Struct, frozen=True, kw_only=True):
    """A function call that the assistant asked for; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Message(Struct, frozen=True, kw_only=True):
    """One turn of a conversation. `content` is None only beside tool calls."""

    role: Role
    content: str | tuple[Part, ...] | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None

    @property
    def text(self) -> str:
        """What it says, without images.

        Each of several texts begins a line: they are pieces of their own (documents, results), and
        llama.cpp and vLLM write them so for templates that know no parts.
        """
        if isinstance(self.content, tuple):
            return "\n".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or ""


class Tool(Struct, frozen=True, kw_only=True):
    """A function that the model may call; `parameters` is a JSON Schema (an empty object: none)."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool = False


class ToolChoice(Struct, frozen=True, kw_only=True):
    """Whether the model may, must or must not call tools; `name` only with mode `named`."""

    mode: Literal["none", "auto", "required", "named"] = "auto"
    name: str | None = None


class ResponseFormat(Struct, frozen=True, kw_only=True):
    """The shape the answer must have. `schema` only with kind `json_schema`.

    `param` is where the schema stood in the request, for error messages.
    """

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    schema: dict[str, Any] | bool | None = None
    strict: bool = False
    param: str = "response_format.json_schema.schema"


class Sampling(Struct, frozen=True, kw_only=True):
    """How tokens are chosen. None means: the model's own default.

    `max_tokens` below 0 means until the model stops or the context ends, which is also what the
    engine does when neither request nor model says anything. `repeat_last_n` is how many tokens
    the penalties look back at (0: none, -1: the whole context). `logit_bias` maps token id to a
    bias in -100..100.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_last_n: int | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    logit_bias: dict[int, float] = {}


class Options(Struct, frozen=True, kw_only=True):
    """What a request says about the engine and not about the answer.

    Attributes:
        keep_alive_s: seconds the model stays loaded after this request; negative: forever;
            None: as configured.
        num_ctx: context length the client asks for; never causes a reload.
        truncate: what is too long is cut until it fits, and the reply says so; otherwise it is
            an error.
        keep_tokens: with `truncate`, how many tokens at its beginning a prompt keeps that is too
            long by itself (negative: as many as fit); None: such a prompt is an error.
    """

    keep_alive_s: float | None = None
    num_ctx: int | None = None
    truncate: bool = False
    keep_tokens: int | None = None


class ChatRequest(Struct, frozen=True, kw_only=True):
    """A conversation to continue.

    Attributes:
        top_logprobs: None for no log-probabilities at all.
        thinking: whether the model thinks first; None leaves it to the model.
        context: tokens of an earlier exchange, as `Reply.context` gave them, that go before the
            conversation as they are (Ollama's `context`).
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = ResponseFormat()
    sampling: Sampling = Sampling()
    options: Options = Options()
    n: int = 1
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    thinking: bool | None = None
    context: tuple[int, ...] = ()


Prompt = str | tuple[int, ...]


class CompletionRequest(Struct, frozen=True, kw_only=True):
    """Raw text to continue, without a chat template.

    Attributes:
        prompts: texts or token ids; choice `i` of the reply belongs to prompt `i // n`.
        best_of: how many are generated per prompt, of which the `n` likeliest are returned.
        echo: the prompt stands before the completion.
        logprobs: alternatives per token, None for no log-probabilities.
        response_format: the shape of the completion; not together with a suffix.
    """

    model: str
    prompts: tuple[Prompt, ...]
    suffix: str | None = None
    echo: bool = False
    n: int = 1
    best_of: int | None = None
    logprobs: int | None = None
    response_format: ResponseFormat = ResponseFormat()
    sampling: Sampling = Sampling()
    options: Options = Options()


class EmbedRequest(Struct, frozen=True, kw_only=True):
    """Inputs to embed; `dimensions` cuts and renormalises each vector.

    `normalise` False leaves the vectors as long as the model makes them. `prompt_name` asks for a
    task prefix of the model (`query`, `document`) before each input.
    """

    model: str
    inputs: tuple[Prompt, ...]
    dimensions: int | None = None
    normalise: bool = True
    prompt_name: str | None = None
    options: Options = Options()


class Usage(Struct, frozen=True, kw_only=True):
    """Token counts of one reply.

    `cached_tokens` of the prompt came from the prefix cache; `reasoning_tokens` of the completion
    were thought and not said, None where whoever answered does not count them apart. Audio and
    images are some of the prompt's and the completion's, and cost otherwise than text.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int | None = None
    prompt_audio_tokens: int = 0
    prompt_image_tokens: int = 0
    completion_audio_tokens: int = 0
    completion_image_tokens: int = 0


class Timings(Struct, frozen=True, kw_only=True):
    """Where the time of one generation went, in milliseconds."""

    load_ms: float = 0.0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0


class TopLogprob(Struct, frozen=True, kw_only=True):
    """One candidate token; `bytes` are its UTF-8 bytes (a token may be half a character)."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class TokenLogprob(Struct, frozen=True, kw_only=True):
    """The chosen token with its likeliest rivals, likeliest first."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TopLogprob, ...] = ()


class ToolCallDelta(Struct, frozen=True, kw_only=True):
    """A piece of a tool call. `id` and `name` stand in the first piece only; `index` is dense."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Chunk(Struct, frozen=True, kw_only=True, gc=False):
    """A piece of a reply, for choice `index`.

    Exactly one chunk per choice carries `finish_reason`. `usage` and `timings` come once, after
    the last finish, in a chunk with index -1 that belongs to no choice.
    """

    index: int = 0
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    timings: Timings | None = None


@dataclass(frozen=True)
class Reply:
    """A generation under way.

    Attributes:
        model: the name of the model that answers, as `reshore list` shows it.
        chunks: batches of chunks; what arrived together is given together, so that a burst costs
            one write. Closing or cancelling the iteration ends the generation.
        notices: things the client is told in response headers (`num_ctx` clamped, …), by header.
        system_fingerprint: changes whenever the same seed may give another text.
        verify: what in one choice's finished text breaks the schema that was asked for, where
            generation could not enforce all of it; None where there is nothing to check.
        verify_calls: the same for the finished tool calls of a choice.
        context: token ids of the prompt and of the finished text given to it, for a request that
            goes on from there; only while the reply is open. None where there are no such ids.
    """

    model: str
    chunks: AsyncIterator[Sequence[Chunk]]
    notices: dict[str, str] = field(default_factory=dict)
    system_fingerprint: str = "fp_reshore"
    verify: Callable[[str], Sequence[str]] | None = None
    verify_calls: Callable[[Sequence[ToolCall]], Sequence[str]] | None = None
    context: Callable[[str], Awaitable[Sequence[int]]] | None = None


class Embeddings(Struct, frozen=True, kw_only=True):
    """One vector per input, in the order of the inputs, as little-endian float32 bytes."""

    model: str
    vectors: tuple[bytes, ...]
    prompt_tokens: int
    load_ms: float = 0.0
    notices: dict[str, str] = {}


class ModelInfo(Struct, frozen=True, kw_only=True):
    """A model that can be asked for by `name`.

    `capabilities` are among completion, tools, vision, embedding, thinking, insert.
    """

    name: str
    created_s: int
    owned_by: str = "library"
    capabilities: tuple[str, ...] = ()
    context_length: int | None = None


Side = Literal["local", "cloud"]
AttemptRole = Literal[
    "primary", "retry", "fallback", "hedge", "escalate", "resume", "check", "shadow", "judge"
]


class Target(Struct, frozen=True, kw_only=True):
    """Who is to answer.

    Attributes:
        backend: `local`, or the name of an upstream (`[upstreams.NAME]`).
        model: the model's name there; an empty one stands for the name the client asked for.
    """

    side: Side
    backend: str
    model: str


class Decision(Struct, frozen=True, kw_only=True):
    """Who was to answer one request, and why. What it came to is in the Outcome's attempts.

    Attributes:
        side: where the first attempt goes.
        route: the pattern of the route that matched, "" where none did.
        policy: the route's policy as text; what stood in for it where there was no route.
        why: the reasons, in one line for people.
        version: number of the routing snapshot in force, 0 where nothing was ever set.
        score: the complexity score in 0..1, where a policy asked for one.
        private: a privacy rule kept it on this machine.
    """

    side: Side
    route: str = ""
    policy: str = ""
    why: str = ""
    version: int = 0
    score: float | None = None
    private: bool = False


class Attempt(Struct, frozen=True, kw_only=True):
    """One try at answering a request, by one backend.

    Attributes:
        role: `primary`; `retry` of the same target; `fallback` to another one; `hedge` beside a
            late one; `escalate` after checks of a local answer; `resume` of a stream that broke
            off; `check`, a further sample that a cascade compares; `shadow` and `judge` belong to
            nobody's answer.
        answered: its reply (or a part of it) is what the client got.
        status: HTTP status of the upstream; None from a local engine, or without a reply.
        error: class name of what went wrong; `Cancelled` where it lost against another attempt.
        started_ms: since the request arrived.
        ttft_ms: from its own begin to the first event, None without one.
        total_ms: from its own begin to its end.
    """

    role: AttemptRole
    target: Target
    answered: bool = False
    status: int | None = None
    error: str | None = None
    finish_reason: str | None = None
    started_ms: float = 0.0
    ttft_ms: float | None = None
    total_ms: float = 0.0
    usage: Usage | None = None
    timings: Timings | None = None


class Outcome(Struct, frozen=True, kw_only=True):
    """How one request ended: written once, read by logs, ledger and metrics alike.

    Attributes:
        model: the model that answered, None when none was reached.
        asked_model: the name the client sent, None when the body was not understood.
        key: which API key asked: the first 8 hex digits of its SHA-256; None without keys.
        ttft_ms: from the first byte of the request to the first chunk, None without a chunk.
        usage: of the reply that the client got; the costs are in the attempts.
        error: class name of what went wrong, None when nothing did; `ClientGone` for a hang-up.
        wall_s: when the request arrived, seconds since the epoch.
    """

    request_id: str
    method: str
    path: str
    status: int
    total_ms: float
    stream: bool = False
    asked_model: str | None = None
    model: str | None = None
    key: str | None = None
    ttft_ms: float | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    error: str | None = None
    decision: Decision | None = None
    attempts: tuple[Attempt, ...] = ()
    wall_s: float = 0.0

    @property
    def side(self) -> Side | None:
        """Where the answer came from; without an answer, where it was to come from."""
        for attempt in self.attempts:
            if attempt.answered:
                return attempt.target.side
        return self.decision.side if self.decision else None

    @property
    def tpot_ms(self) -> float | None:
        """Milliseconds per token after the first, as the client saw them; None if it saw none."""
        usage, first_ms = self.usage, self.ttft_ms
        if usage is None or first_ms is None or usage.completion_tokens < 2:
            return None
        return (self.total_ms - first_ms) / (usage.completion_tokens - 1)
