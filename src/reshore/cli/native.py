"""The native API as the terminal speaks it. Its field names are known here and nowhere else."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from reshore.cli.admin import AdminClient
from reshore.errors import UnknownModel, UpstreamStatus

_NOT_FOUND = 404
_NANOSECONDS = 1e9


class Settings(Struct, frozen=True, kw_only=True):
    """How answers are asked for. None: as the model and the server have it.

    Attributes:
        format: "json", or a JSON Schema.
        think: whether to think before the answer, or how hard ("low" … "max").
        keep_alive: how long the model stays loaded afterwards ("5m", "-1").
        options: by the names of a Modelfile's PARAMETER.
    """

    system: str | None = None
    format: str | dict[str, Any] | None = None
    think: bool | str | None = None
    keep_alive: str | None = None
    options: dict[str, Any] = {}


class Turn(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of a conversation; `images` are base64."""

    role: str
    content: str
    images: tuple[str, ...] = ()


class Counts(Struct, frozen=True, kw_only=True):
    """What an answer took."""

    total_s: float
    load_s: float
    prompt_tokens: int
    prompt_s: float
    completion_tokens: int
    completion_s: float


class Piece(Struct, frozen=True, kw_only=True):
    """A part of an answer as it arrives; the last one has `finish_reason` and `counts`.

    `notices` come with the first: what the server clamped, cut or ignored.
    """

    text: str = ""
    reasoning: str = ""
    model: str | None = None
    finish_reason: str | None = None
    counts: Counts | None = None
    notices: Mapping[str, str] = {}


class Description(Struct, frozen=True, kw_only=True):
    """What the server knows of a model; texts are empty where there are none."""

    capabilities: tuple[str, ...] = ()
    architecture: str = ""
    parameter_size: str = ""
    quantization: str = ""
    context_length: int | None = None
    parameters: str = ""
    system: str = ""
    template: str = ""
    license: str = ""
    modelfile: str = ""
    messages: tuple[Turn, ...] = ()


class NativeApi:
    """Talks to the server of a RESHORE_HOME.

    Raises (all methods):
        UnknownModel: it has no such model.
        BackendError: it refused, failed or went away.
    """

    def __init__(self, server: AdminClient) -> None:
        self._server = server

    def chat(self, model: str, messages: Sequence[Turn], settings: Settings) -> Generator[Piece]:
        """Stream an answer. Closing the iterator ends the generation."""
        body = _chat_body(model, messages, settings)
        notices: dict[str, str] = {}
        with self._naming(model):
            events = self._server.stream("/api/chat", body, notices=notices)
            with contextlib.closing(events):
                for event in events:
                    yield _piece(event, notices)
                    notices = {}

    def load(self, model: str, settings: Settings) -> None:
        """Have the model in memory; returns when it is."""
        for _ in self.chat(model, (), settings):
            pass

    def describe(self, model: str) -> Description:
        """Capabilities, texts and numbers of a model."""
        with self._naming(model):
            reply = self._server.post("/api/show", {"model": model})
        return _description(msgspec.json.decode(reply, type=dict[str, Any]))

    def create(self, name: str, base: str, settings: Settings, messages: Sequence[Turn]) -> None:
        """Derive the model `name` from `base`, with system prompt, options and conversation."""
        said = [{"role": turn.role, "content": turn.content} for turn in messages]
        body = {
            "model": name,
            "from": base,
            "system": settings.system,
            "parameters": settings.options,
            "messages": said,
        }
        wanted = {key: value for key, value in body.items() if value}
        with self._naming(base):
            for _ in self._server.stream("/api/create", wanted):
                pass

    @contextlib.contextmanager
    def _naming(self, model: str) -> Iterator[None]:
        """A refusal of the name, with what to do about it."""
        try:
            yield
        except UpstreamStatus as error:
            if error.status != _NOT_FOUND:
                raise
            raise UnknownModel(model) from error


def _chat_body(model: str, messages: Sequence[Turn], settings: Settings) -> dict[str, Any]:
    system = (Turn(role="system", content=settings.system),) if settings.system else ()
    wanted = {
        "format": settings.format,
        "think": settings.think,
        "keep_alive": settings.keep_alive,
        "options": settings.options or None,
    }
    given = {key: value for key, value in wanted.items() if value is not None}
    return {"model": model, "messages": [*system, *messages] if messages else [], **given}


def _piece(event: dict[str, Any], notices: Mapping[str, str]) -> Piece:
    message = event.get("message") or {}
    return Piece(
        text=message.get("content") or "",
        reasoning=message.get("thinking") or "",
        model=event.get("model"),
        finish_reason=event.get("done_reason"),
        counts=_counts(event) if event.get("done") else None,
        notices=notices,
    )


def _counts(event: dict[str, Any]) -> Counts:
    def seconds(name: str) -> float:
        return float(event.get(name) or 0) / _NANOSECONDS

    return Counts(
        total_s=seconds("total_duration"),
        load_s=seconds("load_duration"),
        prompt_tokens=event.get("prompt_eval_count") or 0,
        prompt_s=seconds("prompt_eval_duration"),
        completion_tokens=event.get("eval_count") or 0,
        completion_s=seconds("eval_duration"),
    )


def _description(reply: dict[str, Any]) -> Description:
    details = reply.get("details") or {}
    facts = reply.get("model_info") or {}
    architecture = facts.get("general.architecture") or details.get("family") or ""
    return Description(
        capabilities=tuple(reply.get("capabilities") or ()),
        architecture=architecture,
        parameter_size=details.get("parameter_size") or "",
        quantization=details.get("quantization_level") or "",
        context_length=facts.get(f"{architecture}.context_length"),
        parameters=reply.get("parameters") or "",
        system=reply.get("system") or "",
        template=reply.get("template") or "",
        license=reply.get("license") or "",
        modelfile=reply.get("modelfile") or "",
        messages=tuple(
            Turn(role=str(said.get("role")), content=said.get("content") or "")
            for said in reply.get("messages") or ()
        ),
    )
