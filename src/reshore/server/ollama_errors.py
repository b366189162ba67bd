"""How the native API words an error: `{"error": "text"}`, statuses and texts as Ollama's.

The classes are those of `server.errors`; only what Ollama answers differently is listed here
(facts, section 1.2). Clients match on these texts, so they are part of the protocol.
"""

from __future__ import annotations

from reshore import errors
from reshore.errors import LacksCapability
from reshore.models.names import parse_name
from reshore.server.errors import Rendered, render
from reshore.wire.ollama.encode import error_body, error_line

PREFIX = "/api/"

_EMBEDDING_PATHS = ("/api/embed", "/api/embeddings")

# What Ollama answers with its one status for "the model failed".
_ENGINE_STATUS = 500


def speaks_native(path: str) -> bool:
    """Whether errors of this path are worded by this module."""
    return path.startswith(PREFIX)


def render_native(error: BaseException, *, path: str, asked: str) -> Rendered:
    """What a client of the native API is told of `error`.

    Args:
        path: of the endpoint; some texts differ between endpoints.
        asked: the model's name as the client wrote it.
    """
    rendered = render(error)
    status = _ENGINE_STATUS if isinstance(error, errors.EngineError) else rendered.status
    if isinstance(error, errors.WrongOptionType):
        status = _ENGINE_STATUS
    text = _text(error, path, asked) or rendered.message
    return Rendered(
        status=status,
        message=text,
        body=error_body(text),
        headers=rendered.headers,
        event=error_line(text),
    )


def _text(error: BaseException, path: str, asked: str) -> str | None:
    """Ollama's words, None where ours are as good."""
    match error:
        case errors.EmptyBody():
            return "missing request body"
        case errors.UnknownModel():
            return _unknown_model(path, asked or error.model)
        case LacksCapability():
            return _lacking(error, path, asked)
        case errors.ContextTooLong():
            return _too_long(error, path)
        case errors.Overloaded():
            return "server busy, please try again.  maximum pending requests exceeded"
        case errors.Crashed():
            return f"model runner has unexpectedly stopped, this may be temporary: {error}"
        case errors.UnknownEndpoint():
            return f"404 page not found: {error}"
    return None


def _unknown_model(path: str, asked: str) -> str:
    if path in _EMBEDDING_PATHS:
        return f'model "{asked}" not found, try pulling it first'
    if path == "/api/copy":
        return f'model "{asked}" not found'
    return f"model '{asked}' not found"


def _lacking(error: LacksCapability, path: str, asked: str) -> str:
    name = asked or error.model
    if error.capability == "completion":
        return f'"{name}" does not support {"chat" if path == "/api/chat" else "generate"}'
    if error.capability == "thinking":
        return f'"{name}" does not support thinking'
    if error.capability == "embedding":
        return f'"{name}" does not support embeddings; use an embedding model'
    return f"{parse_name(error.model).full} does not support {error.capability}"


def _too_long(error: errors.ContextTooLong, path: str) -> str:
    if path in _EMBEDDING_PATHS:
        return "the input length exceeds the context length"
    return (
        "the prompt is longer than the context length currently available to the model; shorten "
        f"the prompt ({error.prompt_tokens} tokens, the context has {error.context_length}) or "
        f"raise `{error.setting}`"
    )
