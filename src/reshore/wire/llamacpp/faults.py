"""What an engine says when it cannot."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class EngineFault(Struct, gc=False):
    """The error object of an engine's reply or event."""

    message: str = ""
    type: str = ""
    code: int = 500
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class _FaultBody(Struct):
    error: EngineFault | str


_fault_body = msgspec.json.Decoder(_FaultBody)


class FaultEvent(Exception):
    """The engine reported an error inside a stream; `fault` is what it said."""

    def __init__(self, fault: EngineFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decode_fault(body: bytes) -> EngineFault:
    """The error object of a non-2xx reply; a body of another shape becomes its message."""
    try:
        fault = _fault_body.decode(body).error
    except msgspec.MsgspecError:
        return EngineFault(message=body[:300].decode(errors="replace"))
    return EngineFault(message=fault) if isinstance(fault, str) else fault
