"""`[limits]`: what a request may cost."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from reshore.config.durations import Seconds
from reshore.config.numbers import Positive


class LimitsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request may cost before it is refused."""

    body_bytes: Annotated[Positive, Meta(description="bytes of a request body")] = 8 * 1024 * 1024
    # OpenAI takes audio files of 25 MB; what else is in a form is small.
    form_bytes: Annotated[
        Positive, Meta(description="bytes of a form that are held until its `model` is found")
    ] = 32 * 1024 * 1024
    depth: Annotated[Positive, Meta(description="nesting of a JSON body")] = 64
    messages: Annotated[Positive, Meta(description="messages in a conversation")] = 4096
    tools: Annotated[Positive, Meta(description="tools in a request")] = 128
    schema_bytes: Annotated[Positive, Meta(description="bytes of one JSON Schema")] = 64 * 1024
    grammar_bytes: Annotated[Positive, Meta(description="bytes of a compiled grammar")] = 256 * 1024
    images: Annotated[Positive, Meta(description="images in a request")] = 16
    header_timeout_s: Annotated[
        Seconds, Meta(description="until a request's headers and body must have arrived")
    ] = Seconds(30)
