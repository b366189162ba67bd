"""How a model will be made to answer a chat request: prompt, grammar, parser. Pure.

| request | model with a tool template | model without |
|---|---|---|
| no tools, or `tool_choice: none` | as it is | as it is |
| tools, `auto` | the engine's own parser | tools written into the prompt, our grammar and parser |
| tools, `required` or named | the template writes the tools, our grammar and parser | the same |

The engine's own `required` is a wish: measured with xllamacpp 2026.10 and a Hermes tool template,
it let the model answer in plain text. A grammar of ours is a promise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from reshore.backends import tools
from reshore.backends.choices import EngineCalls, WrittenCalls, without_rivals
from reshore.backends.defaults import with_model_defaults, with_model_options, with_system
from reshore.backends.tool_stream import OPEN
from reshore.checks.json_schema import violations
from reshore.config import LimitsConfig
from reshore.engine.grammar import Grammar, compile_schema, json_object
from reshore.errors import RequestError, Unsupported
from reshore.models.facts import Servable
from reshore.types import ChatRequest, Chunk, ImagePart, Sampling, ToolChoice
from reshore.wire.llamacpp.requests import chat_body

Transform = Callable[[Chunk], Sequence[Chunk]]
Verify = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class ChatPlan:
    """A chat request as the engine will get it.

    Attributes:
        request: what is sent, after tools and model defaults were worked in.
        grammar: GBNF the answer must follow, None for free text.
        thinking: what the template is told about thinking, None for nothing.
        verify: finds what in a finished answer breaks the schema, where the grammar could not
            enforce all of it; None where there is nothing to find.
    """

    request: ChatRequest
    grammar: str | None
    thinking: bool | None
    new_transform: Callable[[], Transform | None]
    verify: Verify | None = None

    def with_sampling(self, sampling: Sampling) -> ChatPlan:
        return replace(self, request=msgspec.structs.replace(self.request, sampling=sampling))

    def body(self, *, n: int, seed_offset: int) -> dict[str, Any]:
        return chat_body(
            self.request,
            n=n,
            seed_offset=seed_offset,
            grammar=self.grammar,
            thinking=self.thinking,
        )


def plan_chat(request: ChatRequest, model: Servable, limits: LimitsConfig) -> ChatPlan:
    """Decide how `model` answers `request`.

    Raises:
        Unsupported: the model lacks a capability that the request needs.
        RequestError: a schema is invalid, too large, or strict beyond what can be enforced.
    """
    _check_capabilities(request, model)
    request = msgspec.structs.replace(
        request,
        messages=with_system(request.messages, model.system),
        sampling=with_model_defaults(request.sampling, model.parameters),
        options=with_model_options(request.options, model.parameters),
    )
    if request.tools and request.tool_choice.mode != "none":
        return _plan_tools(request, model, limits)
    request = msgspec.structs.replace(request, tools=(), tool_choice=ToolChoice())
    grammar, verify = _format_grammar(request, limits)
    return ChatPlan(
        request=request,
        grammar=grammar,
        thinking=_thinking(request, model, constrained=grammar is not None),
        new_transform=(lambda: without_rivals) if request.top_logprobs == 0 else (lambda: None),
        verify=verify,
    )


def _plan_tools(request: ChatRequest, model: Servable, limits: LimitsConfig) -> ChatPlan:
    if request.response_format.kind != "text":
        raise Unsupported(
            "response_format cannot be combined with tools on a local model; "
            "send tool_choice 'none' for the turn that must be JSON",
            param="response_format",
        )
    templated = "tools" in model.capabilities
    if templated and request.tool_choice.mode == "auto" and not _holds_strictly(request, model):
        if request.top_logprobs is not None:
            raise Unsupported(
                f"{model.name} gives no logprobs together with tools; leave one of them out",
                param="logprobs",
            )
        return ChatPlan(
            request=request,
            grammar=None,
            thinking=_thinking(request, model, constrained=False),
            new_transform=EngineCalls,
        )
    grammar = tools.grammar(
        request.tools, request.tool_choice, request.parallel_tool_calls, limits=limits
    )
    return ChatPlan(
        request=request if templated else tools.render(request),
        grammar=grammar,
        thinking=_thinking(request, model, constrained=True),
        new_transform=WrittenCalls,
    )


def _holds_strictly(request: ChatRequest, model: Servable) -> bool:
    """Strict tools on a model that writes calls as we do: our grammar keeps the promise."""
    template = model.facts.chat_template or ""
    return OPEN in template and any(tool.strict for tool in request.tools)


def _check_capabilities(request: ChatRequest, model: Servable) -> None:
    if "completion" not in model.capabilities:
        raise Unsupported(f"{model.name} does not support chat: it embeds text", param="model")
    if "thinking" not in model.capabilities and request.reasoning_effort not in (None, "none"):
        raise Unsupported(
            f"{model.name} does not reason, so reasoning_effort "
            f"'{request.reasoning_effort}' cannot be honoured; leave it out or send 'none'",
            param="reasoning_effort",
        )
    if "vision" in model.capabilities:
        return
    for message in request.messages:
        for part in message.content or ():
            if isinstance(part, ImagePart):
                raise Unsupported(f"{model.name} does not support images", param=part.param)


def _thinking(request: ChatRequest, model: Servable, *, constrained: bool) -> bool | None:
    """A grammar holds from the first token on, so a constrained answer cannot think first."""
    if "thinking" not in model.capabilities:
        return None
    if constrained or request.reasoning_effort == "none":
        return False
    return True if request.reasoning_effort else None


def _format_grammar(request: ChatRequest, limits: LimitsConfig) -> tuple[str | None, Verify | None]:
    wanted = request.response_format
    if wanted.kind == "text":
        return None, None
    if wanted.kind == "json_object":
        return json_object(limits=limits).text, None
    schema = True if wanted.schema is None else wanted.schema
    grammar = compile_schema(schema, limits=limits, param=_SCHEMA)
    if not grammar.unenforced:
        return grammar.text, None
    if wanted.strict:
        raise _unenforceable(grammar)
    return grammar.text, lambda text: violations(schema, text)


_SCHEMA = "response_format.json_schema.schema"


def _unenforceable(grammar: Grammar) -> RequestError:
    keyword = grammar.unenforced[0]
    path = ".".join(step for step in (_SCHEMA, keyword.path, keyword.name) if step)
    return RequestError(
        f"'{keyword.name}' ({path}) cannot be enforced while generating, and the schema is "
        "strict. Leave the keyword out, or send strict: false to have the answer checked "
        "afterwards.",
        param=path,
        code="unsupported_schema_keyword",
    )
