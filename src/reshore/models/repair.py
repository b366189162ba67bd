"""Corrected copies of models whose metadata alone keeps llama.cpp from serving them.

A GGUF file's tensors are found by offsets from where its data begins, so keys can be added to its
header and the data moved behind it, byte for byte. The original stays as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from reshore.errors import BadModelFile
from reshore.models.header import DEFAULT_ALIGNMENT, Header, HeaderError, parse_header
from reshore.models.layout import Installed
from reshore.models.manifest import (
    SOURCE_KEY,
    Layer,
    encode_manifest,
    model_layer,
    projector_layer,
)
from reshore.models.store import Store
from reshore.models.verified import open_blob

_PIECE_BYTES = 1 << 20
_PREAMBLE = struct.Struct("<4sIQQ")  # magic, version, tensors, pairs
_STRING = 8


def repair(store: Store, installed: Installed) -> Installed:
    """Install a corrected copy of a model under the same name in our store, where it wins.

    Blocks while the files are copied.

    Raises:
        BadModelFile: there is nothing that changed metadata could cure, or a file is damaged.
        DigestMismatch, DiskFull: nothing is installed.
    """
    found = store.summary(installed).verdict.repair
    if found is None:
        raise BadModelFile(
            f"{installed.name} has nothing that a corrected copy would cure; "
            f"see `reshore show {installed.name}`"
        )
    old = _layer(installed, found.file)
    store.adopt(installed)
    new = store.blobs.add(corrected(store.blob(old.digest), found.changes), old.media_type)
    manifest = msgspec.structs.replace(
        installed.manifest,
        layers=tuple(new if layer == old else layer for layer in installed.manifest.layers),
        annotations=installed.manifest.annotations
        | {SOURCE_KEY: f"corrected copy of {installed.digest[:12]} ({installed.source})"},
    )
    return store.save(installed.name, encode_manifest(manifest))


def corrected(path: Path, changes: Mapping[str, str]) -> Iterator[bytes]:
    """The bytes of a GGUF file in which some keys have other texts, or are there at all.

    Raises:
        BadModelFile: it is missing, or its header is not sound.
    """
    with open(open_blob(path), "rb", buffering=0) as file:
        try:
            header = parse_header(file, path.stat().st_size)
        except HeaderError as error:
            raise BadModelFile(f"{path.name} cannot be corrected: {error}") from error
        file.seek(0)
        yield _head(_exactly(file.read(header.records_end), header.records_end), header, changes)
        file.seek(header.data_start)
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _layer(installed: Installed, file: str) -> Layer:
    if file == "model":
        return model_layer(installed.manifest, str(installed.name))
    layer = projector_layer(installed.manifest)
    assert layer is not None  # it was judged
    return layer


def _head(raw: bytes, header: Header, changes: Mapping[str, str]) -> bytes:
    """Everything before the data, padded to where the data begins."""
    magic, version, tensors, _ = _PREAMBLE.unpack_from(raw)
    pairs = [raw[start:end] for key, (start, end) in header.pairs.items() if key not in changes]
    pairs += [_pair(key, text) for key, text in changes.items()]
    head = b"".join(
        (
            _PREAMBLE.pack(magic, version, tensors, len(pairs)),
            *pairs,
            raw[header.pairs_end : header.records_end],
        )
    )
    alignment = int(header.metadata.get("general.alignment", DEFAULT_ALIGNMENT))
    return head + bytes(-len(head) % alignment)


def _pair(key: str, text: str) -> bytes:
    return _text(key) + struct.pack("<I", _STRING) + _text(text)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _exactly(raw: bytes | None, count: int) -> bytes:
    if raw is None or len(raw) != count:
        raise BadModelFile("the file became shorter while it was read")
    return raw
