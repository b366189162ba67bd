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
from functools import partial
from typing import Any

import msgspec

from reshore.backends import tools
from reshore.backends.answer import ignoring
from reshore.backends.answer_format import Verify, format_grammar
from reshore.backends.choices import EngineCalls, Transform, WrittenCalls, without_rivals
from reshore.backends.defaults import (
    with_model_defaults,
    with_model_options,
    with_own_messages,
)
from reshore.backends.generation import Call
from reshore.backends.tool_stream import OPEN
from reshore.backends.vocabulary import refuse_unknown_tokens
from reshore.checks.tool_arguments import answer_violations
from reshore.checks.validator import Work
from reshore.config import LimitsConfig
from reshore.errors import LacksCapability, Unsupported
from reshore.models.facts import Servable
from reshore.models.thinking import Marks, find_marks
from reshore.types import (
    ChatRequest,
    CompletionRequest,
    ImagePart,
    Message,
    Prompt,
    Sampling,
    ToolCall,
    ToolChoice,
)
from reshore.wire.llamacpp.requests import chat_body, completion_body

VerifyCalls = Callable[[Sequence[ToolCall]], Sequence[str]]


@dataclass(frozen=True)
class ChatPlan:
    """A chat request as the engine will get it.

    Attributes:
        request: what is sent, after tools and model defaults were worked in.
        grammar: GBNF the answer must follow, None for free text.
        thinking: what the template is told about thinking, None for nothing.
        marks: what stands around the model's thoughts, None where it is not known or it has none.
        prompt: the prompt that the template has made, to be completed as it is; None leaves it to
            the engine to make it, and to read the answer.
        verify: finds what in a finished answer breaks the schema, where the grammar could not
            enforce all of it; None where there is nothing to find.
        verify_calls: the same for finished calls and the schemas of their tools.
        ignored: the fields of the request that this answer cannot honour.
    """

    request: ChatRequest
    grammar: str | None
    thinking: bool | None
    new_transform: Callable[[], Transform | None]
    verify: Verify | None = None
    verify_calls: VerifyCalls | None = None
    marks: Marks | None = None
    prompt: Prompt | None = None
    ignored: tuple[str, ...] = ()

    @property
    def notices(self) -> dict[str, str]:
        """What the client is told, by header."""
        return ignoring(self.ignored)

    def with_sampling(self, sampling: Sampling) -> ChatPlan:
        return replace(self, request=msgspec.structs.replace(self.request, sampling=sampling))

    def with_messages(self, messages: tuple[Message, ...]) -> ChatPlan:
        return replace(self, request=msgspec.structs.replace(self.request, messages=messages))

    def without_context(self) -> ChatPlan:
        return replace(self, request=msgspec.structs.replace(self.request, context=()))

    def body(self, *, n: int, seed_offset: int) -> dict[str, Any]:
        return chat_body(
            self.request,
            n=n,
            seed_offset=seed_offset,
            grammar=self.grammar,
            thinking=self.thinking,
        )

    def call(self, *, n: int, first_choice: int) -> Call:
        """The engine call for `n` choices, of which the first is `first_choice` of the reply."""
        if self.prompt is None:
            body = self.body(n=n, seed_offset=first_choice)
            return Call("/v1/chat/completions", body, first_choice)
        request = CompletionRequest(
            model=self.request.model,
            prompts=(self.prompt,),
            logprobs=self.request.top_logprobs,
            sampling=self.request.sampling,
        )
        body = completion_body(
            request,
            self.prompt,
            n=n,
            seed_offset=first_choice,
            grammar=self.grammar,
            shown=self.marks.tags if self.marks else (),
        )
        return Call("/v1/completions", body, first_choice)


def plan_chat(request: ChatRequest, model: Servable, limits: LimitsConfig) -> ChatPlan:
    """Decide how `model` answers `request`.

    Raises:
        Unsupported: the model lacks a capability that the request needs.
        RequestError: a schema is invalid, too large, or strict beyond what can be enforced.
    """
    _check_capabilities(request, model)
    completed = msgspec.structs.replace(
        request,
        messages=with_own_messages(request.messages, model.system, model.messages),
        sampling=with_model_defaults(request.sampling, model.parameters),
        options=with_model_options(request.options, model.parameters),
    )
    plan = _plan(completed, model, limits)
    return replace(plan, ignored=_ignored(request, plan))


def _plan(request: ChatRequest, model: Servable, limits: LimitsConfig) -> ChatPlan:
    if request.tools and request.tool_choice.mode != "none":
        plan = _plan_tools(request, model, limits)
        return plan if request.tool_choice.mode == "auto" else _unstopped(plan)
    request = msgspec.structs.replace(request, tools=(), tool_choice=ToolChoice())
    grammar, verify = format_grammar(request.response_format, limits)
    return ChatPlan(
        request=request,
        grammar=grammar,
        thinking=_thinking(request, model, constrained=grammar is not None),
        new_transform=(lambda: without_rivals) if request.top_logprobs == 0 else (lambda: None),
        verify=verify,
        marks=_marks(model),
    )


def _plan_tools(request: ChatRequest, model: Servable, limits: LimitsConfig) -> ChatPlan:
    if request.response_format.kind != "text":
        field = request.response_format.param.partition(".")[0]
        raise Unsupported(
            f"{field} cannot be combined with tools on a local model; leave the tools out of the "
            "turn that must be JSON, or send tool_choice 'none'",
            param=field,
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
            marks=_marks(model),
        )
    grammar = tools.grammar(
        request.tools, request.tool_choice, request.parallel_tool_calls, limits=limits
    )
    verify = partial(answer_violations, request.tools, work=Work())  # for all choices together
    return ChatPlan(
        request=request if templated else tools.render(request),
        grammar=grammar.text if grammar else None,
        thinking=_thinking(request, model, constrained=True),
        new_transform=WrittenCalls,
        verify_calls=verify if grammar and grammar.unenforced else None,
        marks=_marks(model),
    )


def _unstopped(plan: ChatPlan) -> ChatPlan:
    """A call that must come, whole: a stop text would match what it is written with, and cut it."""
    return plan.with_sampling(msgspec.structs.replace(plan.request.sampling, stop=()))


def _ignored(request: ChatRequest, plan: ChatPlan) -> tuple[str, ...]:
    """What of a client's wishes does not reach the engine, although nothing is refused."""
    names: list[str] = []
    if request.sampling.stop and not plan.request.sampling.stop:
        names.append("stop")
    if plan.grammar is not None and plan.thinking is False:
        if request.thinking:
            names.append("think")
        elif request.reasoning_effort not in (None, "none"):
            names.append("reasoning_effort")
    return tuple(names)


def _holds_strictly(request: ChatRequest, model: Servable) -> bool:
    """Strict tools on a model that writes calls as we do: our grammar keeps the promise."""
    template = model.facts.chat_template or ""
    return OPEN in template and any(tool.strict for tool in request.tools)


def _check_capabilities(request: ChatRequest, model: Servable) -> None:
    if "completion" not in model.capabilities:
        raise LacksCapability(
            f"{model.name} does not support chat: it embeds text",
            model=model.name,
            capability="completion",
        )
    if model.template is None:
        raise Unsupported(
            f"{model.name} has no chat template that can be run here, so it cannot chat. Send its "
            "raw prompt to /v1/completions, or name its format: "
            f"`[models.'{model.name}'] chat_template = 'chatml'` in reshore.toml.",
            param="model",
        )
    asks_to_think = request.thinking or request.reasoning_effort not in (None, "none")
    if "thinking" not in model.capabilities and asks_to_think:
        raise LacksCapability(
            f"{model.name} does not reason, so reasoning_effort "
            f"'{request.reasoning_effort}' cannot be honoured; leave it out or send 'none'",
            model=model.name,
            capability="thinking",
            param="reasoning_effort",
        )
    refuse_unknown_tokens(request.sampling.logit_bias, model)
    if "vision" in model.capabilities:
        return
    for message in request.messages:
        for part in message.content or ():
            if isinstance(part, ImagePart):
                raise LacksCapability(
                    f"{model.name} does not support images",
                    model=model.name,
                    capability="vision",
                    param=part.param,
                )


def _marks(model: Servable) -> Marks | None:
    return find_marks(model.facts.chat_template) if "thinking" in model.capabilities else None


def _thinking(request: ChatRequest, model: Servable, *, constrained: bool) -> bool | None:
    """What the template is told.

    A grammar holds from the first token on. A constrained answer can be thought about only where
    the grammar can tell the end of a thought (`backends.thinking`), and where it is a whole one.
    """
    if "thinking" not in model.capabilities:
        return None
    if request.thinking is False or request.reasoning_effort == "none":
        return False
    if constrained and (_marks(model) is None or request.messages[-1].role == "assistant"):
        return False
    return True if request.thinking or request.reasoning_effort else None
