"""Prints `docs/compatibility.md` from the table of fields.

    python -m reshore.wire.openai.compatibility > docs/compatibility.md

A test fails when the page and the table differ.
"""

from __future__ import annotations

import sys

from reshore.wire.openai.fields import TABLE
from reshore.wire.openai.page import field_page

_REQUESTS = {
    "CreateChatCompletionRequest": "POST /v1/chat/completions",
    "CreateCompletionRequest": "POST /v1/completions",
    "CreateEmbeddingRequest": "POST /v1/embeddings",
}

_INTRODUCTION = """\
# Compatibility with OpenAI's API

Printed from `src/reshore/wire/openai/fields.py` by `python -m reshore.wire.openai.compatibility`.

Nothing is dropped silently. Every request field of OpenAI's specification has one class:

- **honoured**: it changes the engine's request or the reply, as OpenAI documents it;
- **harmless**: it changes no answer. It is accepted, and named in the response header
  `x-reshore-ignored`;
- **refused**: it would change the answer and a local model cannot honour it. The answer is a 400
  with the field in `param`. `null`, and the neutral values given, are accepted.

A field that OpenAI does not know is a 400 that names it, as at OpenAI; with `lenient = true` it is
accepted and named in `x-reshore-ignored`. Fields marked *ours* are not OpenAI's: some are
extensions, some are what OpenAI's own SDKs and older clients send besides.

## Replies

- `finish_reason` is `stop`, `length` or `tool_calls`; one `usage` counts all choices, with
  `prompt_tokens_details.cached_tokens`. `completion_tokens_details.reasoning_tokens` is left out
  when the model reasoned, because the engine does not count those tokens apart.
- A chat message has `refusal: null`, and `content: null` beside tool calls. What a model thinks
  aloud is in `reasoning_content` and, for clients that look there, in `reasoning`. It thinks before
  an answer in a `response_format` and before a forced call, too, unless `reasoning_effort` is
  `none`; the format holds for the answer alone.
- What the grammar of an answer or of a call's arguments cannot hold (`multipleOf`, say) is checked
  afterwards: `x-reshore-schema-violation` says what is broken, in the header of the reply. In a
  stream, whose headers are gone by then, the last event, with `usage`, has it as
  `x_reshore_schema_violation`; without `stream_options.include_usage` there is only a comment line
  (`: x-reshore-schema-violation: …`), which SDKs pass over. Where the
  schema is `strict`, such a keyword is a 400. Calls that a model's own tool template leads to, with
  `auto`, are the engine's, and not checked.
- No `stop` text cuts a call that is forced (`tool_choice` `required`, or a named function): it is
  then named in `x-reshore-ignored`. With `auto` the whole answer ends at it, a call included.
- A stream gives the role in an event of its own, reasoning and answer in different events, one
  tool call per event (id, type and name once), `finish_reason` with an empty delta, and with
  `stream_options.include_usage` a last event with `usage` and without choices; the other events
  have `usage: null`. It ends with `[DONE]`. When a generation breaks off, an event with `error`
  takes the place of `[DONE]`.
- Embeddings come from models that generate, too: by the last token, with `x-reshore-pooling: last`
  in the header of the reply. Embedding models find better.
- Log-probabilities carry the tokens' UTF-8 `bytes`. Completions have the legacy shape; offsets
  count characters of `text`, from its begin.
- Errors are `{"error": {"message", "type", "param", "code"}}`. Bodies are taken as plain JSON: one
  with a `Content-Encoding` is a 415.

## Endpoints

| endpoint | |
|---|---|
| `POST /v1/chat/completions` | the conversation goes through the model's chat template |
| `POST /v1/completions` | the prompt goes to the model as it is, without a chat template |
| `POST /v1/embeddings` | any number of inputs; order is kept; too long an input is a 400 |
| `GET /v1/models` | installed models, aliases, names with a route, what upstreams list; each once |
| `GET /v1/models/{id}` | ids may hold slashes, plain or as `%2F` |
| everything else under `/v1` | goes to an upstream as it is; without one it is a 404 |
| WebSockets (`/v1/realtime`) | are not forwarded: 501, `websocket_not_supported` |

## Answers from an upstream

The tables below are about local answers. What is [routed](routing.md) to an upstream goes there
with every field as it came, known or not; only `model` is renamed, and a stream is asked for its
token counts (an event that the client did not ask for is kept from it). The reply comes back as
the bytes that the upstream sent: fields that nobody knows yet survive, and so do its errors, with
`retry-after` and `x-should-retry`. Two things are changed: a 401 or 403 of the upstream is about
*our* key, so the client gets a 502 that says so and nothing of its text; and an error that is no
JSON gets our shape. Which request headers go there, and which of the reply's come back, is in
[upstreams](upstreams.md).

Endpoints that reshore has no codec for (`/v1/responses`, `/v1/images/…`, `/v1/audio/…`,
`/v1/files`, `/v1/batches`, `/v1/moderations`, those of next year; any method) pass in both
directions as they are. They go to the upstream that the route of their `model` names. JSON is
read for it as a whole, and over `limits.body_bytes` it is a 413, as everywhere. A form is read
until its `model` is there, before its file or behind it; one that names none in its first
`limits.form_bytes` (32 MiB) is a 413, too. Forms under `/v1/files`, `/v1/uploads`,
`/v1/containers` and `/v1/skills` have no model in OpenAI's API and may have any size: only their
first 64 KiB are looked into. What names no model goes to the first upstream. Rules of `[privacy]`
hold there, too: what may not leave is a 403, and so is a body that cannot be looked into where a
rule might forbid it. A path cannot lead out of `/v1`.

`x-reshore-decision` tells of every such request which side answers and why:

    side=cloud; backend=openai; model="gpt-4o"; route="gpt-*"; policy="cloud"; why="…"; version=3

A client chooses the side with the request header `x-reshore-route: local` or `cloud`, where the
route allows it. Headers that begin with `x-reshore-` are never sent on. A request that comes back
to the server that had sent it on, or that has gone through more than five reshores, is a 508
(`loop_detected`).
"""


def render() -> str:
    """The whole page, Markdown."""
    return field_page(_INTRODUCTION, TABLE, _REQUESTS)


if __name__ == "__main__":
    sys.stdout.write(render())
