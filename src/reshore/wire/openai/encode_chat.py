"""A chat's chunks as OpenAI writes them: a stream of events, or one object.

Shapes that clients depend on: the role comes in an event of its own (some skip the event that has
it), reasoning and content never share one, a tool call per event (LlamaIndex reads only the first
of a delta), `finish_reason` in an event with an empty delta, `usage` in a last event without
choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reshore.types import Chunk, FinishReason, TokenLogprob, ToolCallDelta, TopLogprob, Usage
from reshore.wire.openai.collector import Collector
from reshore.wire.openai.encode import (
    DONE,
    Head,
    add_usage,
    encode_json,
    event,
    finite,
    unfinished,
    usage_body,
)


class ChatStream:
    """The events of one streamed chat. Belongs to the task that writes the reply.

    Args:
        begun: the stream goes on from one that broke off, so the role has been said.
    """

    __slots__ = (
        "_begun",
        "_choices",
        "_end",
        "_head",
        "_include_usage",
        "_model",
        "_open",
        "_reasoned",
        "_start",
        "_usage",
    )

    def __init__(self, head: Head, *, include_usage: bool = False, begun: bool = False) -> None:
        self._begun = begun
        self._head = head.fields("chat.completion.chunk")
        self._model = head.model
        self._include_usage = include_usage
        # Everything around a delta is the same for a whole choice, so it is written once.
        self._start = b'data: %b,"choices":[{"index":' % encode_json(self._head)[:-1]
        self._end = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
        self._choices: dict[int, tuple[bytes, bytes]] = {}
        self._open = 0
        self._usage: Usage | None = None
        self._reasoned = False

    def encode(self, batch: Sequence[Chunk]) -> bytes:
        """The events of what arrived together, as one write; maybe empty."""
        out: list[bytes] = []
        for chunk in batch:
            around = self._choices.get(chunk.index)
            if around is None:
                if chunk.index < 0:
                    self._note_usage(chunk)
                    continue
                around = self._begin(chunk, out)
            before, after = around
            if chunk.reasoning or chunk.tool_calls or chunk.logprobs:
                self._encode_rich(chunk, before, out)
            elif chunk.content:
                out += before, b'{"content":', encode_json(chunk.content), after
            if chunk.finish_reason is not None:
                self._open -= 1
                out.append(self._finish(before, chunk.finish_reason))
            if chunk.usage is not None:
                self._note_usage(chunk)
        return b"".join(out)

    def done(self, **more: str) -> bytes:
        """The end of the stream: usage if it was asked for and is known, then `[DONE]`.

        Args:
            more: fields of the event with usage. It is the one without choices that a client asks
                for; others would stumble over such an event.

        Raises:
            BadReply: a choice has not finished; SDKs would take a silent end for a full answer.
        """
        if self._open or not self._choices:
            raise unfinished(self._model)
        if not self._include_usage or self._usage is None:
            return DONE
        usage = usage_body(self._usage, reasoned=self._reasoned)
        return event({**self._head, "choices": [], "usage": usage, **more}) + DONE

    def _begin(self, chunk: Chunk, out: list[bytes]) -> tuple[bytes, bytes]:
        before = self._start + b'%d,"delta":' % chunk.index
        around = (before, b'},"logprobs":null,"finish_reason":null}' + self._end)
        self._choices[chunk.index] = around
        self._open += 1
        if self._begun:
            return around
        content = b"null" if chunk.tool_calls and not chunk.content else b'""'
        role = b'{"role":"assistant","content":%b,"refusal":null' % content
        out += before, role, around[1]
        return around

    def _finish(self, before: bytes, reason: str) -> bytes:
        return before + b'{},"logprobs":null,"finish_reason":"%b"}' % reason.encode() + self._end

    def _encode_rich(self, chunk: Chunk, before: bytes, out: list[bytes]) -> None:
        """One event for each kind of news: clients read one kind of a delta and skip the rest."""
        deltas: list[dict[str, Any]] = []
        if chunk.reasoning:
            self._reasoned = True
            # Clients read the one name or the other.
            deltas.append({"reasoning_content": chunk.reasoning, "reasoning": chunk.reasoning})
        if chunk.content:
            deltas.append({"content": chunk.content})
        deltas += ({"tool_calls": [_call_delta(call)]} for call in chunk.tool_calls)
        logprobs = chunk.logprobs
        for delta in deltas or [{"content": ""}]:
            out.append(self._delta(before, delta, logprobs))
            logprobs = ()  # each token once

    def _delta(
        self, before: bytes, delta: dict[str, Any], logprobs: Sequence[TokenLogprob]
    ) -> bytes:
        tokens = encode_json(logprobs_body(logprobs) if logprobs else None)
        tail = b',"logprobs":%b,"finish_reason":null}' % tokens
        return before + encode_json(delta) + tail + self._end

    def _note_usage(self, chunk: Chunk) -> None:
        if chunk.usage is not None:
            self._usage = add_usage(self._usage, chunk.usage)


class ChatCollector(Collector["_Choice"]):
    """Gathers the chunks of one chat into one object. Belongs to the task that writes the reply."""

    def __init__(self, head: Head) -> None:
        super().__init__(head, "chat.completion", _Choice)

    def reasoned(self) -> bool:
        return any(choice.reasoning for choice in self.choices.values())


class _Choice:
    """One choice, growing."""

    __slots__ = ("calls", "content", "finish_reason", "logprobs", "reasoning")

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.logprobs: list[TokenLogprob] = []
        self.calls: dict[int, _Call] = {}
        self.finish_reason: FinishReason | None = None

    def add(self, chunk: Chunk) -> None:
        if chunk.content:
            self.content.append(chunk.content)
        if chunk.reasoning:
            self.reasoning.append(chunk.reasoning)
        if chunk.logprobs:
            self.logprobs += chunk.logprobs
        for piece in chunk.tool_calls:
            self.calls.setdefault(piece.index, _Call()).add(piece)
        if chunk.finish_reason is not None:
            self.finish_reason = chunk.finish_reason

    def body(self, index: int) -> dict[str, Any]:
        content = "".join(self.content)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if self.calls and not content else content,
            "refusal": None,
        }
        if self.reasoning:
            reasoning = "".join(self.reasoning)
            message |= {"reasoning_content": reasoning, "reasoning": reasoning}
        if self.calls:
            message["tool_calls"] = [call.body() for _, call in sorted(self.calls.items())]
        return {
            "index": index,
            "message": message,
            "logprobs": logprobs_body(self.logprobs) if self.logprobs else None,
            "finish_reason": self.finish_reason,
        }


class _Call:
    """One tool call, growing."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def add(self, piece: ToolCallDelta) -> None:
        self.id = self.id or piece.id or ""
        self.name = self.name or piece.name or ""
        self.arguments.append(piece.arguments)

    def body(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function", "function": function}


def logprobs_body(tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
    """OpenAI's `logprobs` of a chat choice."""
    content = [
        _logprob(token) | {"top_logprobs": [_logprob(rival) for rival in token.top]}
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def _logprob(token: TokenLogprob | TopLogprob) -> dict[str, Any]:
    return {"token": token.token, "logprob": finite(token.logprob), "bytes": token.bytes}


def _call_delta(call: ToolCallDelta) -> dict[str, Any]:
    delta: dict[str, Any] = {"index": call.index}
    if call.id is not None:
        delta |= {"id": call.id, "type": "function"}
    function = {} if call.name is None else {"name": call.name}
    delta["function"] = function | {"arguments": call.arguments}
    return delta
