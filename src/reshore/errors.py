"""Every exception that reshore raises on purpose.

    ReshoreError
    ├── ConfigError                 a setting is wrong; names the key and where it was read
    ├── RequestError                the client's request cannot be answered as it is (param)
    │   ├── UnknownModel            no such model here; carries the nearest names
    │   ├── UnfitModel              installed, but llama.cpp cannot answer with it (state)
    │   ├── ContextTooLong          prompt longer than the context length; carries both numbers
    │   ├── Unsupported             the model or engine cannot do what the field asks
    │   │   └── LacksCapability     the model has no such capability (model, capability)
    │   ├── EmptyBody               a body was needed and none came
    │   ├── WrongOptionType         one of Ollama's `options` has another type than it takes
    │   ├── BodyTooLarge            over a configured byte limit
    │   ├── UnknownEndpoint         no such path here
    │   ├── WrongMethod             the path exists, for another method
    │   ├── NoWebSocket             a WebSocket is asked for, and there are none here
    │   ├── RequestTimeout          the body did not arrive in time
    │   ├── UnsupportedMedia        a content type or encoding that is not read here
    │   ├── Unauthorized            no key, or a wrong one
    │   ├── Forbidden               Host, Origin or address not allowed
    │   ├── NoTarget                the route has no target on the side that was asked for
    │   └── LoopDetected            the request has been through this server before
    ├── Overloaded                  the queue is full; carries retry_after_s
    ├── ShuttingDown                draining; no new work is accepted
    ├── BackendError                a backend failed (backend, retryable)
    │   ├── Unreachable             no connection
    │   │   ├── Disconnected        the connection broke after the request was sent
    │   │   └── CircuitOpen         it failed so often that it is given a rest (retry_after_s)
    │   ├── BackendTimeout  ├── BadReply  └── UpstreamStatus
    ├── EngineError                 a llama.cpp child failed (model, log_tail)
    │   ├── StartFailed  ├── OutOfMemory  ├── Crashed  └── Stalled
    ├── StoreError                  the model store or a source failed
    │   ├── BadName  ├── BadModelFile  ├── BadRecipe  ├── DigestMismatch  ├── DiskFull
    │   ├── SourceError             a registry, package index or file could not give the model
    │   │   ├── LicenceNotAccepted  its terms ask for consent; carries them
    │   │   └── UnfitSource         it could be had, and llama.cpp cannot answer with it (state)
    │   └── ReadOnlyModel           it is in a store that is only read (model, root)
    ├── RouteError                  a route cannot be set
    │   ├── RouteNotFound           no such route, or no such version in the history
    │   └── RouteConflict           somebody else changed the routes in the meantime (version)
    ├── HistoryError                the history of the routes cannot be read or written
    ├── LedgerError                 the ledger's database failed or cannot be reached
    ├── LearnError                  a router cannot be trained, or a trained one cannot be read
    ├── JudgeError                  a check or judge of pairs cannot be used, or gave no verdict
    ├── CompareError                what is to be compared, or its answers, cannot be read
    └── AlreadyRunning              another process holds this RESHORE_HOME

Classes carry facts, never HTTP: `server/errors.py` holds the one table from class to status.
A message says what happened, to which model or file, and what to do next.
"""

from __future__ import annotations

from typing import Literal


class ReshoreError(Exception):
    """Base of all errors with a message meant for the person at the other end."""


class ConfigError(ReshoreError):
    """A setting is unknown, malformed or contradictory."""


class RequestError(ReshoreError):
    """The request cannot be answered as it was sent.

    Args:
        message: what is wrong and what to send instead.
        param: path of the offending field (`messages[2].content`), None if it is the whole body.
        code: the machine-readable code that OpenAI's clients switch on, None if there is none.
    """

    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        if code is not None:
            self.code = code


class UnknownModel(RequestError):
    """No model of that name is installed and no alias leads to one.

    Args:
        model: the name that was asked for.
        nearest: names of installed models that are spelled alike.
        stand_in: the model that would answer for it if it were installed, "" for none.
    """

    code = "model_not_found"

    def __init__(self, model: str, *, nearest: tuple[str, ...] = (), stand_in: str = "") -> None:
        near = f" Nearest installed: {', '.join(nearest)}." if nearest else ""
        instead = f" On this machine '{stand_in}' would stand for it." if stand_in else ""
        super().__init__(
            f"The model '{model}' is not installed here.{near}{instead} Get it with "
            f"`reshore pull {stand_in or model}`, or see what is installed: `reshore list`.",
            param="model",
        )
        self.model = model
        self.nearest = nearest
        self.stand_in = stand_in


class UnfitModel(RequestError):
    """The model is installed, but llama.cpp cannot load it, or would answer nonsense with it.

    Args:
        model: its name.
        state: the verdict, `needs a fix` or `unsupported`.
        why: the reason, and what to do.
    """

    code = "model_unfit"

    def __init__(self, model: str, *, state: str, why: str) -> None:
        super().__init__(
            f"'{model}' cannot be served here ({state}). {why} `reshore show {model}` says more.",
            param="model",
        )
        self.model = model
        self.state = state


class ContextTooLong(RequestError):
    """The prompt alone is longer than the context that it may have.

    Args:
        setting: what limits it: the context of a slot, or the request's own `num_ctx`.
    """

    code = "context_length_exceeded"

    def __init__(
        self,
        *,
        prompt_tokens: int,
        context_length: int,
        param: str = "messages",
        setting: Literal["engine.context_length", "num_ctx"] = "engine.context_length",
    ) -> None:
        own = setting == "engine.context_length"
        limited = (
            "This model's context length here is" if own else "`num_ctx` limits the context to"
        )
        super().__init__(
            f"{limited} {context_length} tokens, but the input has {prompt_tokens} tokens. "
            f"Send a shorter input, or raise `{setting}`.",
            param=param,
        )
        self.setting = setting
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length


class Unsupported(RequestError):
    """The model or its engine cannot honour what a field asks for."""

    code = "unsupported_parameter"


class LacksCapability(Unsupported):
    """The model does not have the capability that the request needs.

    Args:
        message: what is missing and what to do instead.
        model: the model, as `reshore list` shows it.
        capability: completion, insert, vision, embedding or thinking.
    """

    def __init__(
        self, message: str, *, model: str, capability: str, param: str | None = "model"
    ) -> None:
        super().__init__(message, param=param)
        self.model = model
        self.capability = capability


class EmptyBody(RequestError):
    """The request has no body where one is needed."""


class WrongOptionType(RequestError):
    """A value in `options` has another type than the option takes."""


class BodyTooLarge(RequestError):
    """The request body is over the configured limit."""

    code = "request_too_large"


class UnknownEndpoint(RequestError):
    """Nothing is served at this path."""

    code = "unknown_url"


class WrongMethod(RequestError):
    """The path is served, but not for this method."""

    code = "method_not_supported"


class NoWebSocket(RequestError):
    """The client asks for a WebSocket, which nothing here speaks."""

    code = "websocket_not_supported"


class RequestTimeout(RequestError):
    """The request's body did not arrive in the time it was given."""

    code = "request_timeout"


class UnsupportedMedia(RequestError):
    """The body has a content type or encoding that is not read here."""

    code = "unsupported_media_type"


class Unauthorized(RequestError):
    """The request carries no API key, or one that is not ours."""

    code = "invalid_api_key"


class Forbidden(RequestError):
    """The Host, Origin or address of the request is not allowed here."""

    code = "forbidden"


class NoTarget(RequestError):
    """A pin, a panic switch or a privacy rule asks for a side where the name has no target."""

    code = "no_target"


class LoopDetected(RequestError):
    """The request came back to the server that sent it on: its `via` header names this one."""

    code = "loop_detected"


class Overloaded(ReshoreError):
    """The queue of the model is full.

    Args:
        message: which model, and how long its queue is.
        retry_after_s: a fair time to wait before the next try.
    """

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ShuttingDown(ReshoreError):
    """The server drains: it finishes what it has and accepts nothing new."""


class BackendError(ReshoreError):
    """A backend did not give a usable reply.

    Args:
        message: what happened.
        backend: name of the backend.
        retryable: whether the same request may succeed when sent again.
    """

    def __init__(self, message: str, *, backend: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.backend = backend
        self.retryable = retryable


class Unreachable(BackendError):
    """No connection to the backend."""


class Disconnected(Unreachable):
    """The connection broke after the request was sent: it may have been worked on, and charged."""


class CircuitOpen(Unreachable):
    """The backend failed so often that it is given a rest; nothing was sent to it.

    Args:
        message: which backend and model, and since how many failures.
        retry_after_s: until it is tried again.
    """

    def __init__(self, message: str, *, backend: str, retry_after_s: float) -> None:
        super().__init__(message, backend=backend)
        self.retry_after_s = retry_after_s


class BackendTimeout(BackendError):
    """The backend did not answer in the time it was given."""


class BadReply(BackendError):
    """The backend answered something that its protocol does not allow."""


class UpstreamStatus(BackendError):
    """The backend answered with an error status of its own.

    Args:
        message: what it said.
        status: the HTTP status.
        code: the machine-readable code in its body, None without one.
        body: the reply as it came, for a client that speaks the same dialect.
        content_type: of `body`.
        retry_after_s: how long it asked to wait, None if it did not.
    """

    def __init__(
        self,
        message: str,
        *,
        backend: str,
        status: int,
        retryable: bool = False,
        code: str | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, backend=backend, retryable=retryable)
        self.status = status
        self.code = code
        self.body = body
        self.content_type = content_type
        self.retry_after_s = retry_after_s


class EngineError(ReshoreError):
    """An engine process failed.

    Args:
        message: what happened and what to do next.
        model: the model whose engine it is.
        log_tail: the last lines that the engine logged, oldest first.
    """

    def __init__(self, message: str, *, model: str, log_tail: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.model = model
        self.log_tail = log_tail


class StartFailed(EngineError):
    """The engine did not become ready."""


class OutOfMemory(EngineError):
    """The model does not fit into the memory that is left, whatever is evicted."""


class Crashed(EngineError):
    """The engine process ended while it was needed."""


class Stalled(EngineError):
    """The engine process lives but gave no token within the time limit."""


class StoreError(ReshoreError):
    """The model store, or a source that feeds it, failed."""


class BadName(StoreError):
    """A model name, tag or digest is not well-formed."""


class BadModelFile(StoreError):
    """A model file is damaged, hostile or of a kind that cannot be served."""


class BadRecipe(StoreError):
    """What a model is to be made of (a Modelfile, say) cannot be understood or carried out."""


class DigestMismatch(StoreError):
    """Bytes do not have the digest they should have."""

    def __init__(self, what: str, *, want: str, got: str) -> None:
        super().__init__(
            f"digest mismatch for {what}: expected {want}, got {got}. "
            "Pull the model again, or make it again."
        )
        self.want = want
        self.got = got


class DiskFull(StoreError):
    """No space is left where the store is."""


class SourceError(StoreError):
    """A registry, package index or file could not give the model."""


class LicenceNotAccepted(SourceError):
    """The model's terms ask for consent before it is fetched.

    Args:
        model: the model.
        licence: the name of the terms.
        text: the terms, or where they are, to be shown before asking.
    """

    def __init__(self, model: str, *, licence: str, text: str) -> None:
        super().__init__(
            f"{model} may only be used under the {licence}. Read them and accept them:\n{text}"
        )
        self.model = model
        self.licence = licence
        self.text = text


class UnfitSource(SourceError):
    """The model is there, but not worth fetching: llama.cpp could not answer with it.

    Args:
        model: its name at the source.
        called: what it was to be called here.
        state: the verdict, `needs a fix` or `unsupported`.
        why: the reason, and what to do.
    """

    def __init__(self, model: str, *, called: str, state: str, why: str) -> None:
        super().__init__(
            f"'{model}' is not fetched: it could not be served here ({state}). {why} For an engine "
            f'of yours that can do more, set `force = true` in [models."{called}"].'
        )
        self.model = model
        self.state = state


class ReadOnlyModel(StoreError):
    """The model cannot be removed: its store is another program's and only read.

    Args:
        model: its name.
        root: the folder of the store.
    """

    def __init__(self, model: str, *, root: str) -> None:
        super().__init__(
            f"{model} cannot be removed here: it is in a store that is only read ({root}). Remove "
            "it with the program that keeps the store (`ollama rm`), or take the store out of "
            "`read_models` (OLLAMA_MODELS)."
        )
        self.model = model
        self.root = root


class RouteError(ReshoreError):
    """A policy is malformed or contradicts itself, or a route cannot be set as it is."""


class RouteNotFound(RouteError):
    """No route is set for that name, or the history has no such version."""


class RouteConflict(RouteError):
    """The routes are not those any more that a change was meant for.

    Args:
        expected: the version that was to be changed.
        version: the version in force.
    """

    def __init__(self, *, expected: int, version: int) -> None:
        super().__init__(
            f"version {version} of the routes is in force, not {expected}: somebody changed them "
            "in the meantime. Look at `reshore route show`, and try again."
        )
        self.expected = expected
        self.version = version


class HistoryError(ReshoreError):
    """The history of the routes (`routes/` in RESHORE_HOME) cannot be read or written."""


class LedgerError(ReshoreError):
    """The ledger's database cannot be reached, read or written."""


class LearnError(ReshoreError):
    """A router cannot be trained from these pairs, or a trained one cannot be read."""


class JudgeError(ReshoreError):
    """A check of the user's or a judge cannot be used, or gave no verdict on a pair."""


class CompareError(ReshoreError):
    """The prompts of a comparison or the file of its answers cannot be read or written."""


class AlreadyRunning(ReshoreError):
    """Another process owns this RESHORE_HOME."""
