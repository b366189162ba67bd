"""The shapes of llama.cpp's replies, as bytes: chat, OpenAI's and its own completions.

Taken from the replies of a running xllamacpp 2026.10 (llama.cpp b11549), key by key.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from reshore.engine.echo.http import chunk
from reshore.engine.echo.script import Answer, Finish, Step

_encode = msgspec.json.encode
_CHOSEN_LOGPROB = -0.25
DONE = chunk(b"data: [DONE]\n\n")


class Call(Struct, frozen=True, kw_only=True):
    """What the shapes need to know of a request."""

    model: str
    created_s: int
    prompt: str
    prompt_tokens: int
    include_usage: bool
    logprobs: int | None
    settings: dict[str, Any]


class Shape(Protocol):
    """How the events and the body of one endpoint look. Events are framed for HTTP."""

    def opening(self, index: int) -> bytes: ...

    def step(self, index: int, step: Step, number: int) -> bytes: ...

    def closing(self, index: int, answer: Answer) -> bytes: ...

    def last(self) -> bytes: ...

    def body(self, texts: Sequence[tuple[list[Step], Answer]]) -> bytes: ...


class ChatShape:
    """`/v1/chat/completions`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._id = f"chatcmpl-{secrets.token_hex(16)}"
        self._tail = _tail(call, self._id, "chat.completion.chunk")
        self._known: dict[tuple[int, str], bytes] = {}

    def opening(self, index: int) -> bytes:
        return self._event(index, {"role": "assistant", "content": None})

    def step(self, index: int, step: Step, number: int) -> bytes:
        if step.kind != "content" or self._call.logprobs is not None:
            return self._event(index, *self._delta(step))
        # Words come again and again: an event is built once.
        known = self._known.get((index, step.text))
        if known is None:
            known = self._known[index, step.text] = self._event(index, {"content": step.text})
        return known

    def closing(self, index: int, answer: Answer) -> bytes:
        usage = self._call.include_usage
        tail = self._tail if usage else self._tail | {"timings": _timings(self._call, answer)}
        finish = _event(
            {"choices": [{"finish_reason": answer.finish, "index": index, "delta": {}}]} | tail
        )
        if not usage:
            return finish
        counts = {"usage": _usage(self._call, answer), "timings": _timings(self._call, answer)}
        return finish + _event({"choices": []} | self._tail | counts)

    def last(self) -> bytes:
        return DONE

    def body(self, texts: Sequence[tuple[list[Step], Answer]]) -> bytes:
        choices = [self._choice(index, *text) for index, text in enumerate(texts)]
        first = texts[0][1]
        return _encode(
            {"choices": choices}
            | _tail(self._call, self._id, "chat.completion")
            | {"usage": _usage(self._call, first), "timings": _timings(self._call, first)}
        )

    def _choice(self, index: int, steps: list[Step], answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": _joined(steps, "content")}
        if reasoning := _joined(steps, "reasoning"):
            message["reasoning_content"] = reasoning
        calls = [step for step in steps if step.kind == "call"]
        if calls:
            message["tool_calls"] = [
                _tool_call(start.name, "".join(s.text for s in calls if s.call == start.call))
                for start in calls
                if start.name is not None
            ]
            message["content"] = message["content"] or None
        choice = {"finish_reason": answer.finish, "index": index, "message": message}
        return choice | _logprobs(self._call, [s for s in steps if s.kind == "content"])

    def _delta(self, step: Step) -> tuple[dict[str, Any], dict[str, Any]]:
        if step.kind == "reasoning":
            return {"reasoning_content": step.text}, {}
        if step.kind == "content":
            return {"content": step.text}, _logprobs(self._call, [step])
        piece: dict[str, Any] = {"function": {"arguments": step.text}}
        if step.name is not None:
            piece = _tool_call(step.name, "")
        return {"tool_calls": [{"index": step.call} | piece]}, {}

    def _event(
        self, index: int, delta: dict[str, Any], extra: dict[str, Any] | None = None
    ) -> bytes:
        choice = {"finish_reason": None, "index": index, "delta": delta} | (extra or {})
        return _event({"choices": [choice]} | self._tail)


class CompletionShape:
    """`/v1/completions`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._tail = _tail(call, f"chatcmpl-{secrets.token_hex(16)}", "text_completion")

    def opening(self, index: int) -> bytes:
        return b""

    def step(self, index: int, step: Step, number: int) -> bytes:
        return _event({"choices": [self._choice(index, [step], None)]} | self._tail)

    def closing(self, index: int, answer: Answer) -> bytes:
        choice = {"text": "", "index": index, "logprobs": None, "finish_reason": answer.finish}
        tail = self._tail | {"timings": _timings(self._call, answer)}
        if self._call.include_usage:
            tail |= {"usage": _usage(self._call, answer)}
        return _event({"choices": [choice]} | tail)

    def last(self) -> bytes:
        return DONE

    def body(self, texts: Sequence[tuple[list[Step], Answer]]) -> bytes:
        choices = [
            self._choice(index, steps, answer.finish) for index, (steps, answer) in enumerate(texts)
        ]
        first = texts[0][1]
        counts = {"usage": _usage(self._call, first), "timings": _timings(self._call, first)}
        return _encode({"choices": choices} | self._tail | counts)

    def _choice(self, index: int, steps: list[Step], finish: Finish | None) -> dict[str, Any]:
        logprobs = _logprobs(self._call, steps).get("logprobs")
        text = "".join(step.text for step in steps)
        return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish}


class NativeShape:
    """`/completion` and `/infill`: llama.cpp's own."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def opening(self, index: int) -> bytes:
        return b""

    def step(self, index: int, step: Step, number: int) -> bytes:
        event = {
            "index": index,
            "content": step.text,
            "tokens": [_token_id(step.text)],
            "stop": False,
            "id_slot": -1,
            "tokens_predicted": number,
            "tokens_evaluated": self._call.prompt_tokens,
        }
        return _event(event | self._probabilities([step]))

    def closing(self, index: int, answer: Answer) -> bytes:
        return _event(self._final(index, "", answer))

    def last(self) -> bytes:
        return b""

    def body(self, texts: Sequence[tuple[list[Step], Answer]]) -> bytes:
        bodies = [
            self._final(index, "".join(step.text for step in steps), answer)
            | self._probabilities(steps)
            for index, (steps, answer) in enumerate(texts)
        ]
        return _encode(bodies[0] if len(bodies) == 1 else bodies)

    def _probabilities(self, steps: list[Step]) -> dict[str, Any]:
        found = _logprobs(self._call, steps)
        return {"completion_probabilities": found["logprobs"]["content"]} if found else {}

    def _final(self, index: int, content: str, answer: Answer) -> dict[str, Any]:
        call = self._call
        return {
            "index": index,
            "content": content,
            "tokens": [],
            "id_slot": 0,
            "stop": True,
            "model": call.model,
            "tokens_predicted": answer.tokens,
            "tokens_evaluated": call.prompt_tokens,
            "generation_settings": call.settings,
            "prompt": call.prompt,
            "has_new_line": "\n" in content,
            "truncated": False,
            "stop_type": "limit" if answer.finish == "length" else "eos",
            "stopping_word": "",
            "tokens_cached": call.prompt_tokens + answer.tokens,
            "timings": _timings(call, answer),
        }


def _event(value: dict[str, Any]) -> bytes:
    return chunk(b"data: " + _encode(value) + b"\n\n")


def _tail(call: Call, identity: str, kind: str) -> dict[str, Any]:
    return {
        "created": call.created_s,
        "id": identity,
        "model": call.model,
        "system_fingerprint": "b0-echo",
        "object": kind,
    }


def _usage(call: Call, answer: Answer) -> dict[str, Any]:
    return {
        "completion_tokens": answer.tokens,
        "prompt_tokens": call.prompt_tokens,
        "total_tokens": call.prompt_tokens + answer.tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _timings(call: Call, answer: Answer) -> dict[str, Any]:
    """A millisecond per prompt token and ten per token of the answer: a script has no speed."""
    times: dict[str, Any] = {"cache_n": 0}
    for name, count, each_ms in (
        ("prompt", call.prompt_tokens, 1.0),
        ("predicted", answer.tokens, 10.0),
    ):
        times |= {
            f"{name}_n": count,
            f"{name}_ms": count * each_ms,
            f"{name}_per_token_ms": each_ms,
            f"{name}_per_second": 1000.0 / each_ms,
        }
    return times


def _logprobs(call: Call, steps: list[Step]) -> dict[str, Any]:
    """The `logprobs` key with an entry per token, if the request asked for them."""
    if call.logprobs is None:
        return {}
    entries = []
    for step in steps:
        rivals = [step.text, *(f"{step.text}{number}" for number in range(1, call.logprobs))]
        top = [
            _token(text, _CHOSEN_LOGPROB - place)
            for place, text in enumerate(rivals[: call.logprobs])
        ]
        entries.append(_token(step.text, _CHOSEN_LOGPROB) | {"top_logprobs": top})
    return {"logprobs": {"content": entries}}


def _token(text: str, logprob: float) -> dict[str, Any]:
    identity = _token_id(text)
    return {"id": identity, "token": text, "bytes": list(text.encode()), "logprob": logprob}


def _token_id(text: str) -> int:
    """A number for a word: its first byte, with which the prompt's tokens would name it."""
    return text.encode()[0] if text else 0


def _tool_call(name: str | None, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"type": "function", "id": secrets.token_hex(16), "function": function}


def _joined(steps: list[Step], kind: str) -> str:
    return "".join(step.text for step in steps if step.kind == kind)
