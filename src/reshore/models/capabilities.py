"""What a model can be asked for, from its header and what comes with it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reshore.models.facts import GgufFacts
from reshore.models.thinking import find_marks

_POOLING_NONE, _POOLING_RANK = 0, 4
_TOOL_TEMPLATE = "tokenizer.chat_template.tool_use"  # llama.cpp takes it when there are tools
_THINKING_NAMES = frozenset({"enable_thinking", "thinking", "reasoning_effort"})
_INFILL = frozenset({"fim_pre", "fim_suf", "fim_mid"})

_OPENING = re.compile(r"\{\{|\{%|\{#")
_ENDRAW = re.compile(r"\{%[-+]?\s*endraw\b")
# A literal, an attribute, a name, or the end of the expression.
_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|\.\s*[A-Za-z_]\w*|([A-Za-z_]\w*)|([%}]\})""",
    re.DOTALL,
)


def capabilities(facts: GgufFacts, *, projector: bool = False) -> tuple[str, ...]:
    """The capabilities of a model, in the order in which Ollama lists them.

    Args:
        facts: the model file's header.
        projector: whether a vision projector comes with it.
    """
    if facts.pooling == _POOLING_RANK:
        return ()  # a reranker: neither text nor vectors come out of it
    if not facts.causal or facts.pooling not in (None, _POOLING_NONE):
        return ("embedding",)
    found = {"completion"}
    names = frozenset(template_names(facts.chat_template or ""))
    if "tools" in names or _TOOL_TEMPLATE in facts.metadata:
        found.add("tools")
    if facts.special_tokens.keys() >= _INFILL:
        found.add("insert")
    if projector:
        found.add("vision")
    if names & _THINKING_NAMES or find_marks(facts.chat_template):
        found.add("thinking")
    order = ("completion", "tools", "insert", "vision", "embedding", "thinking")
    return tuple(capability for capability in order if capability in found)


def template_names(template: str) -> Iterator[str]:
    """Every name that the expressions and statements of a Jinja template refer to.

    Text, comments, string literals and attributes do not count: a template that writes
    "use your tools" or reads `message.tools` has no `tools`. Nothing is ever rendered.
    """
    position = 0
    while match := _OPENING.search(template, position):
        end = template.find("#}", match.end()) if match[0] == "{#" else -1
        if match[0] != "{#":
            names, end = _expression(template, match.end())
            yield from names
            if names == ["raw"] and end >= 0:
                closing = _ENDRAW.search(template, end)
                end = closing.start() if closing else -1
        if end < 0:  # nothing after an opening that is never closed is an expression
            return
        position = end


def _expression(template: str, start: int) -> tuple[list[str], int]:
    """The names from `start` to the closing brackets, and where they end (-1: nowhere)."""
    names = []
    for token in _TOKEN.finditer(template, start):
        if token[1]:
            names.append(token[1])
        elif token[2]:
            return names, token.end()
    return names, -1
