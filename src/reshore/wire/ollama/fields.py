"""Every field of Ollama's generating and reading requests, and what becomes of it here.

The classes are those of OpenAI's table (`wire.openai.fields`): *honoured*, *harmless* (named in
the header `x-reshore-ignored`) and *refused*. A field that is not in the table is tolerated and
named in the header, as Ollama's clients send many. `docs/compatibility-ollama.md` is printed from
this table; a test holds it against Ollama's own specification. Fields marked *ours* are not in
that specification, though most of them are Ollama's all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reshore.wire.ollama.options import OPTIONS
from reshore.wire.openai.fields import Field, Group, Rule


def _honoured(note: str = "", *, ours: bool = False) -> Field:
    return Field(rule=Rule.HONOURED, note=note, ours=ours)


def _harmless(note: str, *, ours: bool = False) -> Field:
    return Field(rule=Rule.HARMLESS, note=note, ours=ours)


def _refused(reason: str, *neutral: Any) -> Field:
    return Field(rule=Rule.REFUSED, note=reason, neutral=neutral, ours=True)


_MODEL = {"model": _honoured("an installed model or an alias")}
_KEEP_ALIVE = {
    "keep_alive": _honoured('seconds, or `"5m"`; negative: for ever; 0: unloaded after the reply')
}
_TOP = 20  # rivals per token, as at OpenAI

_GENERATION = {
    **_MODEL,
    "stream": _honoured("default true: a JSON object per line"),
    "format": _honoured('`"json"` or a JSON Schema; `""` and null: free text'),
    **_KEEP_ALIVE,
    "options": _honoured("see below"),
    "think": _honoured('true, false, `"low"`, `"medium"`, `"high"` or `"max"`'),
    "logprobs": _honoured(),
    "top_logprobs": _honoured(f"0 to {_TOP}"),
    "truncate": _honoured(
        "default true: the oldest messages are dropped until the rest fits, and a text that is too "
        "long by itself is cut, which the header `x-reshore-truncated` tells; false: too long is "
        "a 400",
        ours=True,
    ),
    "shift": _honoured(
        "false: a text that is too long by itself is a 400, as at Ollama; true changes nothing: "
        "an answer that meets the end of the context stops with `length`",
        ours=True,
    ),
    "_debug_render_only": _refused("prompts are not shown; remove it", False),
}

TABLE: Mapping[str, Group] = {
    "GenerateRequest": Group(
        where="POST /api/generate",
        fields={
            **_GENERATION,
            "prompt": _honoured("empty: the model is loaded, or unloaded with `keep_alive` 0"),
            "suffix": _honoured("needs a model with infill tokens"),
            "images": _honoured("base64, with or without `data:…;base64,` in front"),
            "system": _honoured("instead of the model's own"),
            "raw": _honoured("the prompt goes to the model as it is"),
            "context": _honoured("what an earlier reply gave goes before the prompt", ours=True),
            "template": _refused(
                "a Go template cannot be run by llama.cpp, the model's own chat template is used; "
                "send raw: true with a prompt that is already formatted",
                "",
            ),
        },
    ),
    "ChatRequest": Group(
        where="POST /api/chat",
        fields={
            **_GENERATION,
            "messages": _honoured("empty: the model is loaded, or unloaded with `keep_alive` 0"),
            "tools": _honoured("also on models whose template knows no tools"),
        },
    ),
    "ChatMessage": Group(
        where="messages[]",
        fields={
            "role": _honoured("`system`, `user`, `assistant` or `tool`, in any case"),
            "content": _honoured("text"),
            "images": _honoured("base64, with or without `data:…;base64,` in front"),
            "tool_calls": _honoured(),
            "thinking": _honoured("handed to the chat template", ours=True),
            "tool_name": _honoured("of a result", ours=True),
            "tool_call_id": _honoured(
                "of a result; without it the result belongs to the first call without one, of "
                "that `tool_name` if it is given",
                ours=True,
            ),
        },
    ),
    "ToolCall": Group(
        where="messages[].tool_calls[]",
        fields={
            "function": _honoured(),
            "id": _honoured(ours=True),
            "type": _harmless("only functions are called", ours=True),
        },
    ),
    "ToolCall.function": Group(
        where="messages[].tool_calls[].function",
        fields={
            "name": _honoured(),
            "arguments": _honoured("an object, whose order is kept"),
            "description": _harmless("belongs to the tool, not to a call of it"),
            "index": _harmless("calls are numbered by their place", ours=True),
        },
    ),
    "ToolDefinition": Group(
        where="tools[]",
        fields={"type": _honoured("`function`"), "function": _honoured()},
    ),
    "ToolDefinition.function": Group(
        where="tools[].function",
        fields={
            "name": _honoured(),
            "description": _honoured(),
            "parameters": _honoured("a JSON Schema, which is enforced as a whole"),
            "strict": _honoured("a keyword that cannot be enforced is refused", ours=True),
        },
    ),
    "EmbedRequest": Group(
        where="POST /api/embed",
        fields={
            **_MODEL,
            "input": _honoured("text or several; none: the model is loaded"),
            "truncate": _honoured(
                "default true: too long an input is cut, which the header `x-reshore-truncated` "
                "tells; false: a 400"
            ),
            "dimensions": _honoured("the vector is cut and scaled to length 1"),
            "prompt_name": _honoured(
                "`query`, `document` …: puts the model's own task prefix before each text",
                ours=True,
            ),
            **_KEEP_ALIVE,
            "options": _honoured("see below; only `num_ctx` changes an embedding"),
        },
    ),
    "EmbeddingsRequest": Group(
        where="POST /api/embeddings",
        fields={
            "model": _honoured("an installed model or an alias", ours=True),
            "prompt": _honoured("one text; the vector is not normalised", ours=True),
            "keep_alive": _honoured(ours=True),
            "options": _honoured("as of `/api/embed`", ours=True),
        },
    ),
    "ShowRequest": Group(
        where="POST /api/show",
        fields={
            **_MODEL,
            "name": _honoured("the older word for `model`", ours=True),
            "verbose": _honoured("whole vocabularies and the list of tensors"),
            "system": _harmless("the model is shown as it is", ours=True),
            "template": _harmless("the model is shown as it is", ours=True),
            "options": _harmless("the model is shown as it is", ours=True),
        },
    ),
    "ModelOptions": Group(
        where="options",
        fields={
            name: Field(
                rule=Rule.HONOURED if option.honoured else Rule.HARMLESS,
                note=option.note,
                ours=not option.specified,
            )
            for name, option in OPTIONS.items()
        },
    ),
}
