"""What is asked, and what is known of the right answer: read from files of several kinds. Pure.

JSONL has one object a line, either in our words (`prompt` or `messages`, with `reference`, `class`
and so on) or as a request of OpenAI's batch API (`custom_id`, `body`), which may have ours beside
them. CSV has the same words as titles of its columns. A text has one prompt a line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from reshore.checks.reference import MATCHES
from reshore.checks.references import Document
from reshore.checks.schema_shape import check_schema
from reshore.config import LimitsConfig
from reshore.config.keys import did_you_mean
from reshore.errors import CompareError, ReshoreError
from reshore.evals.expected import Expected
from reshore.routing.content import read_content
from reshore.types import ChatRequest, ToolCall
from reshore.wire.openai.chat import decode_chat

Kind = Literal["jsonl", "csv", "text"]

_CHAT = "/v1/chat/completions"
_ASKED = ("messages", "tools", "tool_choice", "response_format", "parallel_tool_calls")
_KNOWN = ("reference", "match", "schema", "pattern", "tool_calls", "class", "conversation")
_WORDS = ("id", "prompt", "system", *_ASKED, *_KNOWN)
_BATCH = ("custom_id", "method", "url", "body", *_KNOWN)
# Said for all targets alike, or differently for each.
_NOT_ASKED = ("model", "stream", "stream_options", "n")
_TOO_DEEP = "JSON that is nested too deeply"


class Prompt(Struct, frozen=True, kw_only=True):
    """One question.

    Attributes:
        id: unlike that of every other prompt.
        body: the chat request, without the model's name.
        request: the same, decoded.
        group: its class of traffic, "" for none.
        conversation: prompts with the same one are no independent evidence; "" for one of its own.
    """

    id: str
    body: dict[str, Any]
    request: ChatRequest
    expected: Expected = Expected()
    group: str = ""
    conversation: str = ""

    @property
    def text(self) -> str:
        """The last thing that the user says, as routing reads it."""
        return read_content(self.body).asked() or self.request.messages[-1].text


def kind_of(name: str, text: str) -> Kind:
    """How a file is to be read: by its ending, else by how it begins."""
    ending = name.rpartition(".")[2].lower()
    if ending in ("jsonl", "ndjson"):
        return "jsonl"
    if ending == "csv":
        return "csv"
    return "jsonl" if ending != "txt" and text.lstrip()[:1] == "{" else "text"


def read_prompts(text: str, *, name: str = "stdin", kind: Kind | None = None) -> tuple[Prompt, ...]:
    """All prompts of a file.

    Args:
        name: of the file, for `kind_of` and for messages.

    Raises:
        CompareError: says which line, what is wrong there, and what was expected.
    """
    text = text.removeprefix("\ufeff")
    rows = _READERS[kind or kind_of(name, text)](text, name)
    prompts: dict[str, Prompt] = {}
    for line, row in rows:
        try:
            prompt = _prompt(row, line)
        except (ValueError, TypeError, KeyError, ReshoreError) as error:
            raise CompareError(f"{name}, line {line}: {error}") from error
        except RecursionError as error:
            raise CompareError(f"{name}, line {line}: {_TOO_DEEP}") from error
        if prompt.id in prompts:
            raise CompareError(f"{name}, line {line}: another prompt has the id {prompt.id!r}")
        prompts[prompt.id] = prompt
    if not prompts:
        raise CompareError(f"{name}: there is no prompt in it")
    return tuple(prompts.values())


def with_parameters(prompts: Sequence[Prompt], given: Mapping[str, Any]) -> tuple[Prompt, ...]:
    """The prompts with the same fields in each request, whatever stood there.

    Raises:
        RequestError: a field is none, or its value is not possible.
    """
    changed = [(prompt, {**prompt.body, **given}) for prompt in prompts]
    return tuple(
        structs.replace(prompt, body=body, request=decoded(body)) for prompt, body in changed
    )


def decoded(body: dict[str, Any]) -> ChatRequest:
    """The request that a body without a model's name is.

    Raises:
        RequestError: it is none.
    """
    request = decode_chat({**body, "model": "any"}, lenient=True, limits=LimitsConfig()).request
    wanted = request.response_format.schema
    if wanted is not None:
        _checked(wanted, "response_format")
    return request


def asked_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request without what is not the same for all targets."""
    return {key: value for key, value in body.items() if key not in _NOT_ASKED}


Row = tuple[int, dict[str, Any]]


def _lines(text: str, name: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, {"prompt": line}


def _objects(text: str, name: str) -> Iterator[Row]:
    # Not `splitlines`: JSON may hold a U+2028 as it is.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise CompareError(f"{name}, line {number}: no JSON object: {error}") from error
        except RecursionError as error:
            raise CompareError(f"{name}, line {number}: {_TOO_DEEP}") from error


def _cells(text: str, name: str) -> Iterator[Row]:
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    # Prompts may be longer than what `csv` takes for a cell; the limit is the whole process's.
    usual = csv.field_size_limit(max(len(text), csv.field_size_limit()))
    try:
        for row in table:
            if None in row:
                raise CompareError(f"{name}, line {table.line_num}: more cells than titles")
            given = {title: cell for title, cell in row.items() if cell}
            yield table.line_num, {key: _cell(key, value) for key, value in given.items()}
    except msgspec.DecodeError as error:
        raise CompareError(f"{name}, line {table.line_num}: no JSON: {error}") from error
    except RecursionError as error:
        raise CompareError(f"{name}, line {table.line_num}: {_TOO_DEEP}") from error
    except csv.Error as error:
        raise CompareError(f"{name}, line {table.line_num}: no CSV: {error}") from error
    finally:
        csv.field_size_limit(usual)


def _cell(title: str, value: str) -> Any:
    """What is no text is written as JSON."""
    structured = title in (*_ASKED, "schema", "tool_calls")
    return msgspec.json.decode(value) if structured else value


_READERS = {"text": _lines, "jsonl": _objects, "csv": _cells}


def _prompt(row: dict[str, Any], line: int) -> Prompt:
    batch = "body" in row
    for word in row:
        if word not in (_BATCH if batch else _WORDS):
            hint = did_you_mean(word, _BATCH if batch else _WORDS)
            raise ValueError(f"'{word}' is not known here.{hint}")
    body = _batch_body(row) if batch else _own_body(row)
    return Prompt(
        id=str(row.get("custom_id" if batch else "id", line)),
        body=body,
        request=decoded(body),
        expected=_expected(row),
        group=str(row.get("class", "")),
        conversation=str(row.get("conversation", "")),
    )


def _batch_body(row: dict[str, Any]) -> dict[str, Any]:
    if row.get("url", _CHAT) != _CHAT:
        raise ValueError(f"url is {row['url']!r}; only {_CHAT} can be compared")
    if not isinstance(row["body"], dict):
        raise ValueError("body is no object")
    return asked_of(row["body"])


def _own_body(row: dict[str, Any]) -> dict[str, Any]:
    body = {key: row[key] for key in _ASKED if key in row}
    if ("messages" in row) == ("prompt" in row):
        raise ValueError("it needs either `prompt` or `messages`")
    if "prompt" in row:
        system = [{"role": "system", "content": row["system"]}] if "system" in row else []
        body["messages"] = [*system, {"role": "user", "content": row["prompt"]}]
    elif "system" in row:
        raise ValueError("`system` goes with `prompt`; put it into `messages`")
    return body


def _expected(row: dict[str, Any]) -> Expected:
    reference, match = row.get("reference"), row.get("match", "final")
    if match not in MATCHES:
        raise ValueError(f"match is {match!r}; it is one of {', '.join(MATCHES)}")
    pattern = row.get("pattern")
    if not isinstance(pattern, str | None):
        raise ValueError("pattern is a regular expression as a text")
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"pattern: {error}") from error
    schema = row.get("schema")
    if schema is not None:
        _checked(schema, "schema")
    references = reference if isinstance(reference, list) else [reference]
    return Expected(
        references=() if reference is None else tuple(map(_text, references)),
        match=match,
        schema=schema,
        pattern=pattern,
        calls=_calls(row["tool_calls"]) if "tool_calls" in row else None,
    )


def _checked(schema: Any, param: str) -> None:
    check_schema(schema, LimitsConfig(), param=param)
    Document(schema, param=param).check()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _calls(value: Any) -> tuple[ToolCall, ...]:
    """`{"name": …, "arguments": {…}}`, or as OpenAI has it inside `function`."""
    calls = value if isinstance(value, list) else [value]
    functions = [call.get("function", call) if isinstance(call, dict) else call for call in calls]
    if not all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in functions):
        raise ValueError('tool_calls is a list of {"name": …, "arguments": {…}}')
    return tuple(
        ToolCall(id="", name=each["name"], arguments=_text(each.get("arguments", {})))
        for each in functions
    )
