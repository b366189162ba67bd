"""The header of a GGUF file, read without trusting it.

A model file comes from strangers and llama.cpp reads it in C++, where sizes that overflow and
offsets that lead outside the file have been code execution before (CVE-2026-27940,
CVE-2025-53630, CVE-2026-7482). So every count, length, product and offset is checked here before
an engine sees the file. The weights are never read, and the limits below bound time and memory;
they leave room for several times the largest header published (a vocabulary of 262,144 tokens with
514,906 merges is about 17 MB).

Layout, all little endian: magic, version, tensor count, pair count; the pairs of key and value; a
record per tensor; padding to `general.alignment`; the data of the tensors.
"""

from __future__ import annotations

import struct
from array import array
from typing import Any, BinaryIO

from msgspec import Struct

from reshore.models.ggml import TENSOR_TYPES

HEADER_LIMIT = 64 << 20  # bytes before the tensors' data
PAIR_LIMIT = 2048  # published files have fewer than 100
TENSOR_LIMIT = 32768  # published files have fewer than 2,000
KEY_LIMIT = 1024
TENSOR_NAME_LIMIT = 63  # GGML_MAX_NAME is 64 with the final NUL
TEXT_LIMIT = 1 << 20  # one string value; the longest chat templates are below 100 kB
STRINGS_LIMIT = 2_000_000  # elements of all string arrays together
KEPT_ELEMENTS = 512  # longer arrays are checked and left out
DIMENSIONS_LIMIT = 4
DEFAULT_ALIGNMENT = 32
ALIGNMENT_LIMIT = 1 << 16

_MAX_I64 = (1 << 63) - 1
_READ_AHEAD = 1 << 20
_STRING, _ARRAY, _BOOL = 8, 9, 7
# Value type -> struct code of one little-endian scalar.
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "B",
    10: "Q",
    11: "q",
    12: "d",
}
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class HeaderError(ValueError):
    """What is wrong with a header; whoever knows the file's name makes the message of it."""


class Tensor(Struct, frozen=True):
    """One tensor record, whose data is known to lie inside the file."""

    name: str
    shape: tuple[int, ...]
    kind: int
    elements: int
    size: int
    offset: int


class Vocabulary(Struct, frozen=True):
    """The tokens' texts, left in the bytes of the header they came in."""

    raw: bytearray
    offsets: array[int]

    def __len__(self) -> int:
        return len(self.offsets)

    def text(self, token: int) -> str | None:
        """Text of a token id, None when there is no such token."""
        if not 0 <= token < len(self.offsets):
            return None
        start = self.offsets[token]
        (length,) = _U64.unpack_from(self.raw, start)
        return self.raw[start + 8 : start + 8 + length].decode("utf-8", "replace")

    def contains(self, text: str) -> bool:
        """Whether some token has this text: its length and bytes stand among the tokens."""
        if not self.offsets:
            return False
        token = text.encode()
        last = self.offsets[-1]
        end = last + 8 + int.from_bytes(self.raw[last : last + 8], "little")
        return self.raw.find(_U64.pack(len(token)) + token, self.offsets[0], end) >= 0


class Header(Struct, frozen=True, kw_only=True):
    """A header that holds together. `metadata` lacks arrays of more than `KEPT_ELEMENTS`.

    Attributes:
        text_arrays: the keys whose value is an array of strings, of any length.
        pairs: where in the file each key's pair is: its first byte, and the one after its last.
        pairs_end, records_end: where the pairs and the tensor records end.
    """

    version: int
    metadata: dict[str, Any]
    lengths: dict[str, int]
    text_arrays: frozenset[str]
    pairs: dict[str, tuple[int, int]]
    pairs_end: int
    records_end: int
    tensors: tuple[Tensor, ...]
    vocabulary: Vocabulary
    data_start: int


def parse_header(file: BinaryIO, file_bytes: int, *, keep: int = KEPT_ELEMENTS) -> Header:
    """Read and check everything before the data.

    Args:
        file: positioned at its start.
        file_bytes: how long the file is.
        keep: elements of the longest array that is put into `metadata`.

    Raises:
        HeaderError: the header is damaged, hostile or of an unknown version.
    """
    return _Parser(_Cursor(file, file_bytes), file_bytes, keep).parse()


class _Cursor:
    """The bytes read so far and a position in them; reads on when more are asked for."""

    def __init__(self, file: BinaryIO, file_bytes: int) -> None:
        self._file = file
        self._limit = min(file_bytes, HEADER_LIMIT)
        self._file_bytes = file_bytes
        self.data = bytearray()
        self.position = 0

    def need(self, count: int) -> None:
        """Make sure that `count` bytes follow the position."""
        end = self.position + count
        if end <= len(self.data):
            return
        if end > self._limit:
            if self._limit < self._file_bytes:
                raise HeaderError(f"its header is longer than {HEADER_LIMIT >> 20} MiB")
            raise HeaderError("it ends in the middle of its header")
        while end > len(self.data):
            piece = self._file.read(min(_READ_AHEAD, self._limit - len(self.data)))
            if not piece:
                raise HeaderError("it became shorter while it was read")
            self.data += piece

    def skip(self, count: int) -> None:
        self.need(count)
        self.position += count

    def u32(self) -> int:
        self.need(4)
        (value,) = _U32.unpack_from(self.data, self.position)
        self.position += 4
        return int(value)

    def u64(self) -> int:
        self.need(8)
        (value,) = _U64.unpack_from(self.data, self.position)
        self.position += 8
        return int(value)

    def text(self, what: str, limit: int) -> str:
        """A string with its length in front. Bytes that are no UTF-8 are replaced."""
        length = self.u64()
        if length > limit:
            raise HeaderError(f"{what} is {length} bytes long; at most {limit} are allowed")
        self.need(length)
        raw = self.data[self.position : self.position + length]
        self.position += length
        return raw.decode("utf-8", "replace")

    def scalars(self, code: str, count: int) -> tuple[Any, ...]:
        size = struct.calcsize("<" + code) * count
        self.need(size)
        values = struct.unpack_from(f"<{count}{code}", self.data, self.position)
        self.position += size
        return values


class _Parser:
    """Reads one header; the fields are what is known so far."""

    def __init__(self, cursor: _Cursor, file_bytes: int, keep: int) -> None:
        self._cursor = cursor
        self._file_bytes = file_bytes
        self._keep = keep
        self._metadata: dict[str, Any] = {}
        self._lengths: dict[str, int] = {}
        self._text_arrays: set[str] = set()
        self._pairs: dict[str, tuple[int, int]] = {}
        self._token_offsets: array[int] = array("Q")
        self._strings_left = STRINGS_LIMIT

    def parse(self) -> Header:
        version, tensor_count, pair_count = self._preamble()
        for _ in range(pair_count):
            self._pair()
        pairs_end = self._cursor.position
        alignment = self._alignment()
        records = self._records(tensor_count, alignment)
        data_start = -(-self._cursor.position // alignment) * alignment
        self._check_inside(records, data_start)
        return Header(
            version=version,
            metadata=self._metadata,
            lengths=self._lengths,
            text_arrays=frozenset(self._text_arrays),
            pairs=self._pairs,
            pairs_end=pairs_end,
            records_end=self._cursor.position,
            tensors=records,
            vocabulary=Vocabulary(self._cursor.data, self._token_offsets),
            data_start=data_start,
        )

    def _preamble(self) -> tuple[int, int, int]:
        cursor = self._cursor
        cursor.need(8)
        if cursor.data[:4] != b"GGUF":
            raise HeaderError("it is no GGUF file (its first four bytes are not GGUF)")
        cursor.skip(4)
        version = cursor.u32()
        if version not in (2, 3):
            if version in (2 << 24, 3 << 24):
                raise HeaderError("it is a big-endian GGUF file; convert it on this machine")
            raise HeaderError(f"its GGUF version is {version}; versions 2 and 3 can be read")
        tensor_count, pair_count = cursor.u64(), cursor.u64()
        _at_most("tensors", tensor_count, TENSOR_LIMIT)
        _at_most("metadata keys", pair_count, PAIR_LIMIT)
        return version, tensor_count, pair_count

    def _pair(self) -> None:
        start = self._cursor.position
        key = self._cursor.text("a metadata key", KEY_LIMIT)
        if not key:
            raise HeaderError("it has an empty metadata key")
        if key in self._metadata or key in self._lengths:
            raise HeaderError(f"it has the metadata key {key!r} twice")
        kind = self._cursor.u32()
        if kind == _ARRAY:
            self._array(key)
        elif kind == _STRING:
            self._metadata[key] = self._cursor.text(f"the value of {key!r}", TEXT_LIMIT)
        else:
            (self._metadata[key],) = self._numbers(key, kind, 1)
        self._pairs[key] = start, self._cursor.position

    def _numbers(self, key: str, kind: int, count: int) -> tuple[Any, ...]:
        code = _SCALARS.get(kind)
        if code is None:
            raise HeaderError(f"{key!r} has the unknown value type {kind}")
        values = self._cursor.scalars(code, count)
        if kind != _BOOL:
            return values
        if not set(values) <= {0, 1}:
            raise HeaderError(f"{key!r} holds a truth value that is neither 0 nor 1")
        return tuple(map(bool, values))

    def _array(self, key: str) -> None:
        kind, count = self._cursor.u32(), self._cursor.u64()
        self._lengths[key] = count
        if kind == _STRING:
            self._string_array(key, count)
            return
        if kind not in _SCALARS:
            raise HeaderError(f"{key!r} is an array of the unsupported type {kind}")
        size = struct.calcsize("<" + _SCALARS[kind]) * count
        if count <= self._keep:
            self._metadata[key] = list(self._numbers(key, kind, count))
        else:
            self._cursor.skip(size)

    def _string_array(self, key: str, count: int) -> None:
        """Walk over the strings; this loop is most of the time that reading a header takes."""
        if count > self._strings_left:
            raise HeaderError(f"{key!r} has {count} strings; at most {STRINGS_LIMIT} are allowed")
        self._strings_left -= count
        self._text_arrays.add(key)
        cursor, offsets = self._cursor, array("Q")
        unpack, append = _U64.unpack_from, offsets.append
        data, position, available = cursor.data, cursor.position, len(cursor.data)
        for _ in range(count):
            if position + 8 > available:
                cursor.position = position
                cursor.need(8)
                available = len(data)
            append(position)
            position += 8 + unpack(data, position)[0]
            if position > available:
                cursor.need(position - cursor.position)
                available = len(data)
        cursor.position = position
        if key == "tokenizer.ggml.tokens":
            self._token_offsets = offsets
        if count <= self._keep:
            self._metadata[key] = [self._string_at(offset) for offset in offsets]

    def _string_at(self, offset: int) -> str:
        (length,) = _U64.unpack_from(self._cursor.data, offset)
        return self._cursor.data[offset + 8 : offset + 8 + length].decode("utf-8", "replace")

    def _alignment(self) -> int:
        value = self._metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(value, int) or not 0 < value <= ALIGNMENT_LIMIT or value & (value - 1):
            raise HeaderError(f"its alignment {value!r} is no power of two up to {ALIGNMENT_LIMIT}")
        return value

    def _records(self, count: int, alignment: int) -> tuple[Tensor, ...]:
        records: dict[str, Tensor] = {}
        for _ in range(count):
            tensor = self._record()
            if tensor.name in records:
                raise HeaderError(f"it has the tensor {tensor.name!r} twice")
            if tensor.offset % alignment:
                raise HeaderError(f"tensor {tensor.name!r} is not aligned to {alignment} bytes")
            records[tensor.name] = tensor
        return tuple(records.values())

    def _record(self) -> Tensor:
        cursor = self._cursor
        name = cursor.text("a tensor's name", TENSOR_NAME_LIMIT)
        dimensions = cursor.u32()
        if not 0 < dimensions <= DIMENSIONS_LIMIT:
            raise HeaderError(f"tensor {name!r} has {dimensions} dimensions")
        shape = cursor.scalars("Q", dimensions)
        kind, offset = cursor.u32(), cursor.u64()
        if kind not in TENSOR_TYPES:
            raise HeaderError(f"tensor {name!r} has the unknown type {kind}")
        elements = _product(name, shape)
        _, block, block_bytes = TENSOR_TYPES[kind]
        if shape[0] % block:
            raise HeaderError(f"the rows of tensor {name!r} are no multiple of {block} elements")
        return Tensor(name, shape, kind, elements, elements // block * block_bytes, offset)

    def _check_inside(self, tensors: tuple[Tensor, ...], data_start: int) -> None:
        room = self._file_bytes - data_start
        for tensor in tensors:
            if tensor.offset + tensor.size > room:
                raise HeaderError(
                    f"tensor {tensor.name!r} ends at byte {tensor.offset + tensor.size} of the "
                    f"data, but only {max(room, 0)} are there; the file is cut short or damaged"
                )


def _at_most(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise HeaderError(f"it says it has {count} {what}; at most {limit} are allowed")


def _product(name: str, shape: tuple[int, ...]) -> int:
    elements = 1
    for length in shape:
        elements *= length
        if not 0 < elements <= _MAX_I64:  # also when a later factor would hide it: no factor is 0
            raise HeaderError(f"tensor {name!r} has an impossible shape {shape}")
    return elements
