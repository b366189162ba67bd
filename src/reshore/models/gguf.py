"""What a GGUF file's header says about the model in it."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from reshore.errors import BadModelFile
from reshore.models.facts import GgufFacts
from reshore.models.ggml import FILE_TYPES, TENSOR_TYPES
from reshore.models.header import (
    KEPT_ELEMENTS,
    STRINGS_LIMIT,
    Header,
    HeaderError,
    Vocabulary,
    parse_header,
)

LAYERS_LIMIT = 4096  # published models have fewer than 200
_COUNT_LIMIT = 1 << 40

# Attention sees both sides in these, also in files that do not say so.
_ENCODERS = frozenset(
    {"bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3",
     "neo-bert", "eurobert"}
)  # fmt: skip

_LAYER = re.compile(r"(?:[a-z]\.)?blk\.([0-9]{1,4})\.")
_NUMBER = re.compile(r"(?<=\.)[0-9]+(?=\.)")

# Role -> key of the token's id, as llama.cpp names them ("seperator" is its spelling).
_TOKEN_KEYS = {
    "bos": ("bos_token_id",),
    "eos": ("eos_token_id",),
    "eot": ("eot_token_id",),
    "eom": ("eom_token_id",),
    "unk": ("unknown_token_id",),
    "pad": ("padding_token_id",),
    "sep": ("seperator_token_id",),
    "cls": ("cls_token_id",),
    "mask": ("mask_token_id",),
    "fim_pre": ("fim_pre_token_id", "prefix_token_id"),
    "fim_suf": ("fim_suf_token_id", "suffix_token_id"),
    "fim_mid": ("fim_mid_token_id", "middle_token_id"),
}

# Texts by which llama.cpp finds the infill tokens of files that do not give their ids.
_INFILL_TEXTS = {
    "fim_pre": ("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<PRE>", "▁<PRE>",
                "<｜fim▁begin｜>", "<|code_prefix|>"),
    "fim_suf": ("<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<SUF>", "▁<SUF>",
                "<｜fim▁hole｜>", "<|code_suffix|>"),
    "fim_mid": ("<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<MID>", "▁<MID>",
                "<｜fim▁end｜>", "<|code_middle|>"),
}  # fmt: skip


def read_facts(path: Path) -> GgufFacts:
    """Check the header of a GGUF file and say what it tells.

    Blocking, at most about half a second (vocabularies of 250,000 tokens: 0.2 s). Symbolic links
    are not followed.

    Raises:
        BadModelFile: it is no GGUF file, damaged, hostile, or one part of several.
    """
    with _header_errors(path):
        header, file_bytes = _read_header(path, keep=KEPT_ELEMENTS)
        return _facts(header, file_bytes)


class TensorEntry(Struct, frozen=True, kw_only=True):
    """One tensor of a file, as people are shown it; `type` as llama.cpp calls it (Q4_K)."""

    name: str
    type: str
    shape: tuple[int, ...]


class Contents(Struct, frozen=True, kw_only=True):
    """The header of a file for people to read: all keys, and what the tensors are."""

    metadata: dict[str, Any]
    tensors: tuple[TensorEntry, ...]


def read_contents(path: Path, *, whole: bool) -> Contents:
    """Everything that a file's header says; blocks as `read_facts`, longer if `whole`.

    Args:
        whole: arrays of any length; otherwise those of more than 512 elements are empty.

    Raises:
        BadModelFile: as `read_facts`.
    """
    with _header_errors(path):
        header, _ = _read_header(path, keep=STRINGS_LIMIT if whole else KEPT_ELEMENTS)
    omitted: dict[str, Any] = {key: [] for key in header.lengths if key not in header.metadata}
    tensors = (
        TensorEntry(name=tensor.name, type=TENSOR_TYPES[tensor.kind][0], shape=tensor.shape)
        for tensor in header.tensors
    )
    return Contents(metadata=header.metadata | omitted, tensors=tuple(tensors))


@contextmanager
def _header_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except HeaderError as error:
        raise BadModelFile(
            f"{path.name} cannot be used as a model: {error}. Get the file again, or another one."
        ) from error
    except OSError as error:
        raise BadModelFile(f"{path.name} cannot be read: {error.strerror}") from error


def _read_header(path: Path, *, keep: int) -> tuple[Header, int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadModelFile(f"{path.name} is not a regular file")
        return parse_header(file, status.st_size, keep=keep), status.st_size


def _facts(header: Header, file_bytes: int) -> GgufFacts:
    meta = _Metadata(header.metadata)
    if (parts := meta.count("split.count")) > 1:
        raise HeaderError(f"it is one of {parts} parts; join them with llama-gguf-split --merge")
    layers, other = _weight_bytes(header, meta.own("block_count", LAYERS_LIMIT))
    heads = meta.largest("attention.head_count")
    embedding = meta.own("embedding_length")
    per_head = embedding // heads if heads else 0
    return GgufFacts(
        architecture=meta.architecture,
        name=meta.text("general.name"),
        quantization=_quantization(header, meta),
        parameter_count=sum(tensor.elements for tensor in header.tensors),
        context_length=meta.own("context_length"),
        embedding_length=embedding,
        block_count=len(layers),
        head_count=heads,
        head_count_kv=meta.per_layer("attention.head_count_kv", len(layers), heads),
        key_length=meta.own("attention.key_length") or per_head,
        value_length=meta.own("attention.value_length") or per_head,
        vocab_size=len(header.vocabulary) or meta.own("vocab_size"),
        sliding_window=meta.own("attention.sliding_window"),
        pooling=meta.pooling(),
        causal=meta.causal(),
        chat_template=meta.text("tokenizer.chat_template"),
        special_tokens=_special_tokens(meta, header.vocabulary),
        layer_bytes=layers,
        other_bytes=other,
        file_bytes=file_bytes,
        metadata=header.metadata,
        text_arrays=header.text_arrays,
        tensors=_kinds(header),
    )


class _Metadata:
    """Typed access to keys that may be missing or of the wrong type."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self.architecture = self.text("general.architecture") or ""
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", self.architecture):
            raise HeaderError("it does not say its architecture (general.architecture)")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str) -> str | None:
        value = self._values.get(key)
        if value is not None and not isinstance(value, str):
            raise HeaderError(f"{key!r} is not text")
        return value

    def count(self, key: str, limit: int = _COUNT_LIMIT) -> int:
        """A whole number that is not negative; 0 when it is missing."""
        value = self._values.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
            raise HeaderError(f"{key!r} is {str(value)[:40]}; a number from 0 to {limit} is needed")
        return value

    def own(self, key: str, limit: int = _COUNT_LIMIT) -> int:
        """`count` of a key of this architecture."""
        return self.count(f"{self.architecture}.{key}", limit)

    def counts(self, key: str) -> list[int] | None:
        """The value of a key that holds one number per layer, None when it does not."""
        value = self._values.get(f"{self.architecture}.{key}")
        if not isinstance(value, list):
            return None
        if not all(type(item) is int and 0 <= item <= _COUNT_LIMIT for item in value):
            raise HeaderError(f"{self.architecture}.{key} holds what is no count")
        return value

    def largest(self, key: str) -> int:
        counts = self.counts(key)
        return self.own(key) if counts is None else max(counts, default=0)

    def per_layer(self, key: str, layers: int, default: int) -> tuple[int, ...]:
        counts = self.counts(key)
        if counts is None:
            given = f"{self.architecture}.{key}" in self._values
            return (self.own(key) if given else default,) * layers
        if len(counts) < layers:
            raise HeaderError(f"{self.architecture}.{key} has {len(counts)} of {layers} layers")
        return tuple(counts[:layers])

    def pooling(self) -> int | None:
        key = f"{self.architecture}.pooling_type"
        return self.count(key, 255) if key in self._values else None

    def causal(self) -> bool:
        default = self.architecture not in _ENCODERS
        return bool(self._values.get(f"{self.architecture}.attention.causal", default))


def _kinds(header: Header) -> dict[str, tuple[int, ...]]:
    """One entry for all the tensors whose names differ in numbers alone."""
    found: dict[str, tuple[int, ...]] = {}
    for tensor in header.tensors:
        found.setdefault(_NUMBER.sub("*", tensor.name), tensor.shape)
    return found


def _weight_bytes(header: Header, block_count: int) -> tuple[tuple[int, ...], int]:
    """Bytes of each layer, and of everything that belongs to no layer."""
    layers, other = [0] * block_count, 0
    for tensor in header.tensors:
        match = _LAYER.match(tensor.name)
        if match and int(match[1]) < block_count:
            layers[int(match[1])] += tensor.size
        else:
            other += tensor.size
    return tuple(layers), other


def _quantization(header: Header, meta: _Metadata) -> str:
    """The name of the file type, or of the tensor type that most of the weight bytes have."""
    if "general.file_type" in meta:
        known = FILE_TYPES.get(meta.count("general.file_type"))
        if known is not None:
            return known
    sizes: Counter[int] = Counter()
    for tensor in header.tensors:
        sizes[tensor.kind] += tensor.size
    return TENSOR_TYPES[sizes.most_common(1)[0][0]][0] if sizes else "unknown"


def _special_tokens(meta: _Metadata, vocabulary: Vocabulary) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, keys in _TOKEN_KEYS.items():
        for key in keys:
            full = f"tokenizer.ggml.{key}"
            text = vocabulary.text(meta.count(full)) if full in meta else None
            if text is not None:
                found.setdefault(role, text)
    for role, texts in _INFILL_TEXTS.items():
        text = next(filter(vocabulary.contains, texts), None)
        if text is not None:
            found.setdefault(role, text)
    return found
