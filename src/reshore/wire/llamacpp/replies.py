"""Replies of an engine that are one JSON object."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class _Embedding(Struct, gc=False):
    index: int
    embedding: str


class _Tokens(Struct, gc=False):
    prompt_tokens: int = 0


class EmbeddingReply(Struct, gc=False):
    """The reply of `POST /v1/embeddings` with vectors as base64 of little-endian float32."""

    data: tuple[_Embedding, ...]
    usage: _Tokens


class _TokenIds(Struct):
    tokens: list[int]


class _Text(Struct):
    content: str


class _PromptText(Struct):
    prompt: str


class _InputTokens(Struct):
    input_tokens: int


_embedding_reply = msgspec.json.Decoder(EmbeddingReply)
_token_ids = msgspec.json.Decoder(_TokenIds)
_text = msgspec.json.Decoder(_Text)
_prompt_text = msgspec.json.Decoder(_PromptText)
_input_tokens = msgspec.json.Decoder(_InputTokens)


def decode_embeddings(body: bytes) -> EmbeddingReply:
    """The reply of `POST /v1/embeddings`, items in the order of the inputs."""
    reply = _embedding_reply.decode(body)
    return EmbeddingReply(
        data=tuple(sorted(reply.data, key=lambda item: item.index)), usage=reply.usage
    )


def decode_tokens(body: bytes) -> list[int]:
    """The reply of `POST /tokenize`."""
    return _token_ids.decode(body).tokens


def decode_text(body: bytes) -> str:
    """The reply of `POST /detokenize`."""
    return _text.decode(body).content


def decode_prompt(body: bytes) -> str:
    """The reply of `POST /apply-template`."""
    return _prompt_text.decode(body).prompt


def decode_input_tokens(body: bytes) -> int:
    """The reply of `POST /v1/chat/completions/input_tokens`."""
    return _input_tokens.decode(body).input_tokens
