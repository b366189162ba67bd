"""Every field of OpenAI's requests, and what a local answer does with it.

This table is the one place that says it: decoding reads it, `docs/compatibility.md` is printed
from it, a test holds it against the field names of OpenAI's specification. A field is

- *honoured*: it changes the engine's request or the reply as OpenAI documents it;
- *harmless*: it changes no answer; accepted, and named in the header `x-reshore-ignored`;
- *refused*: it would change the answer and cannot be honoured here: 400, with the reason. Null, and
  the values listed as neutral, ask for what happens anyway and are accepted.

A field that is not in the table is unknown: 400, or named in the header when `lenient` is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct


class Rule(StrEnum):
    """What a local answer does with a field."""

    HONOURED = "honoured"
    HARMLESS = "harmless"
    REFUSED = "refused"


class Field(Struct, frozen=True, kw_only=True):
    """One row of the table.

    Attributes:
        note: the accepted range of an honoured field, the reason for the others.
        neutral: values of a refused field that change nothing, besides null.
        kind: Python type that a harmless field must have.
        ours: OpenAI's specification does not have it.
    """

    rule: Rule
    note: str = ""
    neutral: tuple[Any, ...] = ()
    kind: type | None = None
    ours: bool = False


class Group(Struct, frozen=True, kw_only=True):
    """The fields of one JSON object; `where` is how a person finds it in a request."""

    where: str
    fields: Mapping[str, Field]


def _honoured(note: str = "", *, ours: bool = False) -> Field:
    return Field(rule=Rule.HONOURED, note=note, ours=ours)


def _harmless(note: str, kind: type | None, *, ours: bool = False) -> Field:
    return Field(rule=Rule.HARMLESS, note=note, kind=kind, ours=ours)


def _refused(reason: str, *neutral: Any) -> Field:
    return Field(rule=Rule.REFUSED, note=reason, neutral=neutral)


MAX_CHOICES = 16
MAX_STOPS = 4
MAX_BIASES = 1024

_KEEP_ALIVE = _honoured(
    'how long the model stays loaded: seconds or `"5m"`; negative: forever', ours=True
)
_NAME = _honoured("handed to the chat template")
_NO_BREAKPOINTS = _refused(
    "the prefix cache finds shared prefixes by itself and takes no breakpoints; remove it"
)
_TEXT_ONLY = "a string, or parts of type `text`"

_USER = {"user": _harmless("identifies an end user to OpenAI", str)}

_GENERATION = {
    "model": _honoured("an installed model or an alias"),
    "stream": _honoured(),
    "stream_options": _honoured("only with `stream`"),
    "temperature": _honoured("0 to 2"),
    "top_p": _honoured("0 to 1"),
    "frequency_penalty": _honoured("-2 to 2"),
    "presence_penalty": _honoured("-2 to 2"),
    "seed": _honoured("a 64-bit integer"),
    "stop": _honoured(f"a string or up to {MAX_STOPS}, none of them empty"),
    "logit_bias": _honoured(
        f"up to {MAX_BIASES} token ids of the local model, -100 to 100; ids that it lacks are a 400"
    ),
    "n": _honoured(f"1 to {MAX_CHOICES}"),
    "keep_alive": _KEEP_ALIVE,
    "top_k": _honoured("0 (off) or more", ours=True),
    "min_p": _honoured("0 to 1", ours=True),
    "repeat_penalty": _honoured("0.01 to 10; 1 is off", ours=True),
    "num_ctx": _honoured("limits the context; never reloads a model", ours=True),
}

_CHAT = {
    "messages": _honoured("at least one"),
    **_GENERATION,
    "max_completion_tokens": _honoured("1 or more; wins over `max_tokens`"),
    "max_tokens": _honoured("1 or more"),
    "logprobs": _honoured(),
    "top_logprobs": _honoured("0 to 20, only with `logprobs`"),
    "response_format": _honoured("`text`, `json_object` or `json_schema`"),
    "tools": _honoured("function tools"),
    "tool_choice": _honoured("`none`, `auto`, `required`, a named function or `allowed_tools`"),
    "parallel_tool_calls": _honoured(),
    "reasoning_effort": _honoured(
        "`none`, `low`, `medium`, `high`, `max`; templates are told `low` for `minimal` and `max` "
        "for `xhigh`"
    ),
    **_USER,
    "safety_identifier": _harmless("identifies an end user to OpenAI", str),
    "metadata": _harmless("labels for OpenAI's dashboard", dict),
    "store": _harmless("asks OpenAI to keep the answer; nothing is kept here", bool),
    "service_tier": _harmless("a price class of OpenAI", str),
    "prompt_cache_key": _harmless("the prefix cache needs no key", str),
    "prompt_cache_retention": _refused(
        "the prefix cache lives in memory only; remove it or send `in_memory`", "in_memory"
    ),
    "prompt_cache_options": _refused(
        "the prefix cache finds shared prefixes by itself; remove it", {}, {"mode": "implicit"}
    ),
    "modalities": _refused('local models answer in text; send `["text"]` or nothing', ["text"]),
    "audio": _refused("local models answer in text; remove it"),
    "verbosity": _refused(
        "no local model takes it; say in the prompt how long the answer should be", "medium"
    ),
    "web_search_options": _refused("nothing here searches the web; remove it"),
    "moderation": _refused("no moderation model runs here; remove it"),
    "prediction": _refused("predicted output is not supported; remove it"),
    "functions": _refused("it is deprecated; send `tools`"),
    "function_call": _refused("it is deprecated; send `tool_choice`", "none"),
}

_COMPLETION = {
    "prompt": _honoured("required: a string, strings, token ids or lists of token ids"),
    **_GENERATION,
    "max_tokens": _honoured("1 or more; 16 when absent, as at OpenAI"),
    "best_of": _honoured(f"`n` to {MAX_CHOICES}, not with `stream`"),
    "echo": _honoured("not with `logprobs`: there are none for the prompt"),
    "logprobs": _honoured("0 to 5"),
    "suffix": _honoured("on models with infill tokens"),
    **_USER,
}

_EMBEDDING = {
    "model": _honoured("an installed model or an alias"),
    "input": _honoured("a string, strings, token ids or lists of token ids, none of them empty"),
    "encoding_format": _honoured("`float` or `base64`"),
    "dimensions": _honoured("1 or more; cuts each vector and renormalises it"),
    "keep_alive": _KEEP_ALIVE,
    "prompt_name": _honoured(
        "`query`, `document` …: puts the model's own task prefix before each text", ours=True
    ),
    **_USER,
}

_ASSISTANT = {
    "role": _honoured(),
    "content": _honoured("a string, or parts of type `text` or `refusal`; null beside tool calls"),
    "refusal": _honoured("stands as the text of the turn when there is no content"),
    "name": _NAME,
    "tool_calls": _honoured(),
    "reasoning_content": _honoured("the reasoning of an earlier reply", ours=True),
    "reasoning": _honoured("the same under its other name", ours=True),
    "audio": _refused("local models answer in text; send the transcript as content"),
    "function_call": _refused("it is deprecated; send `tool_calls`"),
    # OpenAI's SDKs send back what their parse() helper added to a message.
    "parsed": _harmless("`content` again, added by the SDK's parse helper", None, ours=True),
    "annotations": _harmless("citations of an earlier reply of OpenAI's", list, ours=True),
}

_SYSTEM = {"role": _honoured(), "content": _honoured(_TEXT_ONLY), "name": _NAME}

# Keyed by the names of the specification's schemas; what stands after a dot is an object inside.
TABLE: Mapping[str, Group] = {
    "CreateChatCompletionRequest": Group(where="chat/completions", fields=_CHAT),
    "CreateCompletionRequest": Group(where="completions", fields=_COMPLETION),
    "CreateEmbeddingRequest": Group(where="embeddings", fields=_EMBEDDING),
    "ChatCompletionStreamOptions": Group(
        where="stream_options",
        fields={
            "include_usage": _honoured(),
            "include_obfuscation": _refused("events are not padded here; remove it", False),
        },
    ),
    "ChatCompletionRequestSystemMessage": Group(where="messages[] · system", fields=_SYSTEM),
    "ChatCompletionRequestDeveloperMessage": Group(where="messages[] · developer", fields=_SYSTEM),
    "ChatCompletionRequestUserMessage": Group(
        where="messages[] · user",
        fields={
            "role": _honoured(),
            "content": _honoured("a string, or parts of type `text` or `image_url`"),
            "name": _NAME,
        },
    ),
    "ChatCompletionRequestAssistantMessage": Group(
        where="messages[] · assistant", fields=_ASSISTANT
    ),
    "ChatCompletionRequestToolMessage": Group(
        where="messages[] · tool",
        fields={
            "role": _honoured(),
            "content": _honoured(_TEXT_ONLY),
            "tool_call_id": _honoured("required"),
            "name": _honoured("the function's name; taken from its call when absent", ours=True),
        },
    ),
    "ChatCompletionRequestFunctionMessage": Group(
        where="messages[] · function",
        fields={
            "role": _refused("it is deprecated; send role `tool` with `tool_call_id`"),
            "content": _refused("messages of role `function` are deprecated"),
            "name": _refused("messages of role `function` are deprecated"),
        },
    ),
    "ChatCompletionRequestMessageContentPartText": Group(
        where="content[] · text",
        fields={
            "type": _honoured(),
            "text": _honoured(),
            "prompt_cache_breakpoint": _NO_BREAKPOINTS,
        },
    ),
    "ChatCompletionRequestMessageContentPartRefusal": Group(
        where="content[] · refusal",
        fields={"type": _honoured(), "refusal": _honoured("read as text")},
    ),
    "ChatCompletionRequestMessageContentPartImage": Group(
        where="content[] · image_url",
        fields={
            "type": _honoured("on models with a projector"),
            "image_url": _honoured(),
            "prompt_cache_breakpoint": _NO_BREAKPOINTS,
        },
    ),
    "ChatCompletionRequestMessageContentPartImage.image_url": Group(
        where="content[].image_url",
        fields={
            "url": _honoured(
                "a base64 `data:` URL of a JPEG, PNG, GIF or BMP, not of a WebP; http(s) if "
                "`image_urls`; at most 64 megapixels in a request"
            ),
            "detail": _refused(
                "the projector's own resolution is always used; send `auto` or `high`",
                "auto",
                "high",
            ),
        },
    ),
    "ChatCompletionRequestMessageContentPartAudio": Group(
        where="content[] · input_audio",
        fields={
            "type": _refused("local models take text and images; transcribe the audio first"),
            "input_audio": _refused("local models take text and images"),
            "prompt_cache_breakpoint": _NO_BREAKPOINTS,
        },
    ),
    "ChatCompletionRequestMessageContentPartFile": Group(
        where="content[] · file",
        fields={
            "type": _refused("files are not read here; send their text as a `text` part"),
            "file": _refused("files are not read here"),
            "prompt_cache_breakpoint": _NO_BREAKPOINTS,
        },
    ),
    "ChatCompletionMessageToolCall": Group(
        where="tool_calls[] · function",
        fields={"id": _honoured("required"), "type": _honoured(), "function": _honoured()},
    ),
    "ChatCompletionMessageToolCall.function": Group(
        where="tool_calls[].function",
        fields={
            "name": _honoured(),
            "arguments": _honoured("JSON as a string"),
            "parsed_arguments": _harmless(
                "`arguments` again, added by the SDK's parse helper", None, ours=True
            ),
        },
    ),
    "ChatCompletionMessageCustomToolCall": Group(
        where="tool_calls[] · custom",
        fields={
            "id": _refused("custom tools are not supported"),
            "type": _refused("custom tools are not supported; use function tools"),
            "custom": _refused("custom tools are not supported"),
        },
    ),
    "ChatCompletionTool": Group(
        where="tools[] · function", fields={"type": _honoured(), "function": _honoured()}
    ),
    "FunctionObject": Group(
        where="tools[].function",
        fields={
            "name": _honoured("1 to 64 of a-z, A-Z, 0-9, `_` and `-`; unique"),
            "description": _honoured(),
            "parameters": _honoured("a JSON Schema; absent: no arguments"),
            "strict": _honoured(),
        },
    ),
    "CustomToolChatCompletions": Group(
        where="tools[] · custom",
        fields={
            "type": _refused("custom tools are not supported; use function tools"),
            "custom": _refused("custom tools are not supported"),
        },
    ),
    "ChatCompletionNamedToolChoice": Group(
        where="tool_choice · function",
        fields={"type": _honoured(), "function": _honoured("one of `tools`")},
    ),
    "ChatCompletionNamedToolChoice.function": Group(
        where="tool_choice.function", fields={"name": _honoured("one of `tools`")}
    ),
    "ChatCompletionNamedToolChoiceCustom": Group(
        where="tool_choice · custom",
        fields={
            "type": _refused("custom tools are not supported; name a function"),
            "custom": _refused("custom tools are not supported"),
        },
    ),
    "ChatCompletionAllowedToolsChoice": Group(
        where="tool_choice · allowed_tools",
        fields={"type": _honoured(), "allowed_tools": _honoured()},
    ),
    "ChatCompletionAllowedTools": Group(
        where="tool_choice.allowed_tools",
        fields={
            "mode": _honoured("`auto` or `required`"),
            "tools": _honoured("functions of `tools`; the others are left out"),
        },
    ),
    "ResponseFormatText": Group(where="response_format · text", fields={"type": _honoured()}),
    "ResponseFormatJsonObject": Group(
        where="response_format · json_object", fields={"type": _honoured()}
    ),
    "ResponseFormatJsonSchema": Group(
        where="response_format · json_schema",
        fields={"type": _honoured(), "json_schema": _honoured()},
    ),
    "ResponseFormatJsonSchema.json_schema": Group(
        where="response_format.json_schema",
        fields={
            "name": _honoured("1 to 64 of a-z, A-Z, 0-9, `_` and `-`"),
            "description": _honoured("becomes the schema's `description` if that has none"),
            "schema": _honoured("required"),
            "strict": _honoured("a keyword that cannot be enforced is refused"),
        },
    ),
}
