"""Prints `docs/compatibility-ollama.md` from the table of fields.

    python -m reshore.wire.ollama.compatibility > docs/compatibility-ollama.md

A test fails when the page and the table differ.
"""

from __future__ import annotations

import sys

from reshore.wire.ollama.fields import TABLE
from reshore.wire.openai.page import field_page

_REQUESTS = (
    "GenerateRequest",
    "ChatRequest",
    "EmbedRequest",
    "EmbeddingsRequest",
    "ShowRequest",
)

_INTRODUCTION = """\
# Compatibility with Ollama's API

Printed from `src/reshore/wire/ollama/fields.py` by `python -m reshore.wire.ollama.compatibility`.

The native API is served under `/api` on the same port as OpenAI's. Every request field has one
class:

- **honoured**: it changes the engine's request or the reply;
- **harmless**: it changes no answer. It is accepted, and named in the response header
  `x-reshore-ignored`;
- **refused**: it would change the answer and cannot be honoured. The answer is a 400 that says why.
  `null`, and the neutral values given, are accepted.

A field that is not in the tables is tolerated, as at Ollama, and named in `x-reshore-ignored`.
Fields marked *ours* are not in Ollama's published specification; most of them are Ollama's all the
same.

## What is better than at Ollama, and what is different

- Models of one file (`from`, copies) share an engine, as at Ollama; `/api/ps` lists each name that
  was asked for, and unloading one unloads all of them: see [models](models.md).
- A request never reloads a model. A `num_ctx` larger than the engine has is clamped, which the
  header `x-reshore-num-ctx` tells; a smaller one limits the prompt and the answer.
- A conversation that is too long loses its oldest messages, as at Ollama, and the header
  `x-reshore-truncated` says how many. System messages and the last turn stay.
- A text that is too long by itself is cut, as at Ollama, and the header says `prompt`. The end of a
  message stays, in half of the room beside the system prompt and the template, which are never cut;
  a raw prompt keeps its first `num_keep` tokens and its end, in half of the context. With images,
  and with `shift: false`, it is a 400.
- The context is never shifted: an answer that meets its end stops with `done_reason: "length"`.
- What a request does not say is decided by the model's own parameters, and then by llama.cpp, as
  on `/v1`: the same prompt, seed and options give the same text through both.
- The whole JSON Schema of `format` and of tools reaches the grammar. What a grammar cannot hold is
  checked afterwards; `x_reshore_schema_violation` in the last object says what is broken. Calls
  that a model's own tool template leads to are the engine's, and their arguments not checked.
- With `format` a thinking model thinks first, freely, and its answer is constrained, in one pass;
  with `think: false` it answers at once. Where the marks of its thoughts are not among the known
  ones, it does not think, and a `think` that asks for it is named in `x-reshore-ignored`.
- Tools work on models whose template knows none: they are written into the prompt, and the answer
  is held to the call format. `/api/show` lists the capability `tools` only where the template has
  it.
- A `context` is given for every answer but those to images or to a raw prompt. With it the engine
  goes on from the tokens themselves.
- A Modelfile's Go `TEMPLATE` is not run: see `reshore show`.
- A model that generates embeds, too, as at Ollama: by its last token, in an engine of its own, and
  with `x-reshore-pooling: last` in the header of the reply.

## Replies

- A stream is one JSON object a line (`application/x-ndjson`); with `stream: false` it is one
  object. Text, thinking and log-probabilities come as they are made; tool calls come whole, before
  the last line, with `arguments` as an object whose keys keep their order.
- The last line has `done: true`, `done_reason` (`stop`, `length`, `load`, `unload`) and the counts:
  durations in nanoseconds, `prompt_eval_count` with the cached part in `prompt_eval_cached_count`.
- `model` is the name as the client wrote it.
- When a generation breaks off, a line with `error` takes the place of the last line.
- Errors are `{"error": "text"}` with Ollama's statuses and texts. A full queue is a 503 with
  `Retry-After`.
- `/api/version` answers the version of Ollama whose API this is; our own is in the header
  `x-reshore-version`.

## Endpoints

| endpoint | |
|---|---|
| `POST /api/generate` | a prompt, through the chat template unless `raw` |
| `POST /api/chat` | a conversation |
| `POST /api/embed` | vectors of length 1 |
| `POST /api/embeddings` | the older form: one prompt, the vector as the model makes it |
| `GET /api/tags` | installed models, and aliases that lead to one |
| `GET /api/ps` | models in memory; `size` of their engine, `size_vram` its part on GPUs |
| `POST /api/show` | a model's details, metadata and Modelfile; `reshore` holds the verdict on it |
| `GET /api/version` | |
| `POST /api/create` | a model of another one (`from`) or of uploaded files (`files`) |
| `POST /api/pull` | fetch a model: from a registry, `hf.co`, or the address of a GGUF file |
| `POST /api/push` | give a model to the registry in its name |
| `POST /api/copy` | a second name for a model |
| `DELETE /api/delete` | remove a model; files that others share stay |
| `HEAD`, `POST /api/blobs/sha256:…` | whether a file is here; take one in |

## Answers from an upstream

A name that is [routed](routing.md) to an upstream is answered from there, in this dialect: the
request is translated to OpenAI's, the reply translated back. What the upstream has no place for
(`top_k` at OpenAI, `keep_alive`, `num_ctx`) is left out and named in `x-reshore-ignored`;
`context` is not given, and one of an earlier reply is refused. To load or unload such a name does
nothing. Its errors come as `{"error": "NAME: what it said"}` with its status; a 401 or 403 of the
upstream is about *our* key and a 502.

## Managing models

Fields without effect are named in `x-reshore-ignored`. A stream begins with its first event: what
fails before that has a status, what fails later is a line with `error`.

- `/api/create` honours `model` (`name`), `from`, `files`, `adapters`, `template`, `system`,
  `license`, `parameters`, `messages`, `quantize` (`quantization`) and `stream`. Over a base,
  parameters merge, licences add up, the rest replaces; an empty `system` or `template` and an
  empty list of `messages` remove. `requires` and `info` have no effect. `renderer`, `parser`,
  `draft_files`, `draft_quantize`, `remote_host`, and the older `path` and `modelfile` are refused
  with 400. Paths of the server are never read. A base that is not installed is pulled.
- An unknown parameter, or one of the wrong type, is a 400 here (Ollama: a warning, or 500).
- `/api/pull` and `/api/push` honour `model` (`name`), `insecure` and `stream`; `username` and
  `password` have no effect. The events are Ollama's.
- A blob whose digest is wrong is a 400, and nothing of it is kept; a damaged file in `files` is a
  400 that names it.
- A model that is deleted while it is loaded is unloaded when its requests have ended, unless others
  share its engine. One of a store that is only read cannot be deleted here: 403.
"""


def render() -> str:
    """The whole page, Markdown."""
    return field_page(_INTRODUCTION, TABLE, {name: TABLE[name].where for name in _REQUESTS})


if __name__ == "__main__":
    sys.stdout.write(render())
