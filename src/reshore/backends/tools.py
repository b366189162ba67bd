"""Tools for models whose chat template has no section for them.

llama.cpp drops `tools` in silence where the template does not ask for them. For such models the
tools go into the system message, the answer is held to the call format by a grammar built from the
tools' own schemas, and the calls are read back out of the text (`tool_stream`). The format is that
of Hermes models, which many small models have seen:

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby

import msgspec

from reshore.backends.tool_stream import LEAD, MIDDLE, OPEN, TAIL, ToolStream
from reshore.config import LimitsConfig
from reshore.engine.grammar import Grammar, Keyword, add_schema
from reshore.engine.grammar.gbnf import Expr, Lit, Ref, Rules, alt, seq
from reshore.engine.grammar.until import text_until
from reshore.errors import RequestError
from reshore.types import (
    SYSTEM_ROLES,
    ChatRequest,
    ImagePart,
    Message,
    Part,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
)

__all__ = ["ToolStream", "grammar", "render"]

# Calls in one answer where parallel calls are allowed: a model must not go on for ever.
MAX_CALLS = 8


def render(request: ChatRequest) -> ChatRequest:
    """The same conversation without tools: as text that any chat template can carry.

    Earlier calls become the text that made them, consecutive results one user turn. With
    `tool_choice` none the tools themselves are left out.

    Raises:
        RequestError: `tool_choice` names a function that is not among the tools.
    """
    messages = _as_text(request.messages)
    tools = _offered(request.tools, request.tool_choice)
    if tools:
        messages = _with_system(messages, _describe(tools, request.tool_choice))
    return msgspec.structs.replace(
        request, messages=messages, tools=(), tool_choice=ToolChoice(), parallel_tool_calls=True
    )


def grammar(
    tools: Sequence[Tool], choice: ToolChoice, parallel: bool, *, limits: LimitsConfig
) -> Grammar | None:
    """The grammar that holds an answer to `choice`; None where anything may be answered.

    `required` and a named function: one call, or up to `MAX_CALLS` if `parallel`, whose arguments
    fit the tool's schema, but for what is `unenforced`. `auto`: the same behind any text, or text
    alone.

    Raises:
        RequestError: a schema is malformed or too large; a strict tool has a keyword that the
            grammar cannot enforce; the named function is not among the tools.
    """
    offered = _offered(tools, choice)
    if not offered:
        return None
    rules = Rules(limit_bytes=limits.grammar_bytes, param="tools")
    bodies: dict[str, Ref] = {}
    unenforced: list[Keyword] = []
    for index, tool in enumerate(tools):
        if tool in offered:
            body, lax = _body(rules, _param(index), tool, limits)
            bodies[_param(index)] = rules.define(body)
            unenforced += lax
    # A function that can never be called would otherwise just never be.
    rules.require(bodies)
    one = rules.define(alt(*bodies.values()))
    calls: Expr = one
    if parallel and choice.mode != "named":
        more = rules.define(seq(Lit("\n" + OPEN), one))
        calls = seq(one, rules.repeat(more, 0, MAX_CALLS - 1))
    root: Expr = seq(Lit(OPEN), calls)
    if choice.mode == "auto":
        root = text_until(rules, OPEN, rules.define(calls), may_end=True)
    return Grammar(rules.text(root), tuple(unenforced))


def _offered(tools: Sequence[Tool], choice: ToolChoice) -> tuple[Tool, ...]:
    if choice.mode == "none":
        return ()
    if choice.mode != "named":
        return tuple(tools)
    named = tuple(tool for tool in tools if tool.name == choice.name)
    if not named:
        raise RequestError(
            f"tool_choice names the function '{choice.name}', which is not among the tools.",
            param="tool_choice",
        )
    return named


def _param(index: int) -> str:
    return f"tools[{index}].function.parameters"


def _body(
    rules: Rules, param: str, tool: Tool, limits: LimitsConfig
) -> tuple[Expr, Sequence[Keyword]]:
    """What follows the opening tag of a call of `tool`, and the keywords that it lets through."""
    arguments: Expr = Lit("{}")
    unenforced: Sequence[Keyword] = ()
    if tool.parameters:
        arguments, unenforced = add_schema(
            rules, tool.parameters, limits=limits, param=param, only_objects=True
        )
        if tool.strict and unenforced:
            raise _not_strict(tool, param, unenforced[0])
    name = json.dumps(tool.name, ensure_ascii=False)[1:-1]
    return seq(Lit(LEAD + name + MIDDLE), arguments, Lit(TAIL)), unenforced


def _not_strict(tool: Tool, param: str, keyword: Keyword) -> RequestError:
    where = ".".join(step for step in (param, keyword.path, keyword.name) if step)
    return RequestError(
        f"The function '{tool.name}' is strict, but `{keyword.name}` ({where}) cannot be enforced "
        "here. Leave it out of the schema, or send `strict: false`.",
        param=where,
    )


def _describe(tools: Sequence[Tool], choice: ToolChoice) -> str:
    listed = "\n".join(_signature(tool) for tool in tools)
    when = "To call a function, answer" if choice.mode == "auto" else "Call a function: answer"
    return (
        f"You have these functions:\n<tools>\n{listed}\n</tools>\n"
        f'{when} with its name and arguments:\n{OPEN}{LEAD}NAME{MIDDLE}{{"KEY": VALUE}}{TAIL}'
    )


def _signature(tool: Tool) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return json.dumps({key: value for key, value in function.items() if value}, ensure_ascii=False)


def _with_system(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    first = messages[0] if messages else None
    if first is None or first.role not in SYSTEM_ROLES:
        return (Message(role="system", content=text), *messages)
    if isinstance(first.content, tuple):
        content: str | tuple[object, ...] = (*first.content, TextPart(text=f"\n{text}"))
    else:
        content = f"{first.content}\n\n{text}" if first.content else text
    return (msgspec.structs.replace(first, content=content), *messages[1:])


def _as_text(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Calls and results as ordinary turns."""
    rendered: list[Message] = []
    for is_result, turns in groupby(messages, key=lambda message: message.role == "tool"):
        if is_result:
            rendered.append(_results(tuple(turns)))
        else:
            rendered += (_with_calls(turn) if turn.tool_calls else turn for turn in turns)
    return tuple(rendered)


def _results(turns: Sequence[Message]) -> Message:
    """Consecutive results as one turn of the user; images stand before the text."""
    text = "\n".join(f"<tool_response>\n{turn.text}\n</tool_response>" for turn in turns)
    return Message(role="user", content=_beside(_images(turns), text))


def _with_calls(message: Message) -> Message:
    pieces = [message.text, *[_call_text(call) for call in message.tool_calls]]
    text = "\n".join(piece for piece in pieces if piece)
    content = _beside(_images([message]), text)
    return msgspec.structs.replace(message, content=content, tool_calls=())


def _images(turns: Sequence[Message]) -> tuple[Part, ...]:
    parts = (part for turn in turns if isinstance(turn.content, tuple) for part in turn.content)
    return tuple(part for part in parts if isinstance(part, ImagePart))


def _beside(images: tuple[Part, ...], text: str) -> str | tuple[Part, ...]:
    return (*images, TextPart(text=text)) if images else text


def _call_text(call: ToolCall) -> str:
    name = json.dumps(call.name, ensure_ascii=False)[1:-1]
    return f"{OPEN}{LEAD}{name}{MIDDLE}{call.arguments or '{}'}{TAIL}"
