"""What a check looks at, and what it says."""

from __future__ import annotations

from msgspec import Struct

from reshore.types import ChatRequest, CompletionRequest, FinishReason, TokenLogprob, ToolCall


class Said(Struct, frozen=True, kw_only=True):
    """An answer, or what there is of it, beside what was asked.

    Attributes:
        ended: nothing will come any more.
        logprobs: of its tokens, empty where they are not known.
    """

    request: ChatRequest | CompletionRequest
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    ended: bool = True


class Check(Struct, frozen=True, kw_only=True):
    """What one check says of an answer.

    Attributes:
        ok: None where it cannot say: not yet, or not of such an answer.
        detail: why, in a few words. It ends up in headers, logs and the ledger, so it repeats
            nothing of an answer but phrases that the check itself looks for.
    """

    name: str
    ok: bool | None = None
    detail: str = ""
