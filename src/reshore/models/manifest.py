"""Manifests: which blobs make a model, in the form that Ollama's registry and store use."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from reshore.errors import BadModelFile

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_IMAGE = "application/vnd.ollama.image."
MODEL_TYPE = _IMAGE + "model"
PROJECTOR_TYPE = _IMAGE + "projector"
ADAPTER_TYPE = _IMAGE + "adapter"
TENSOR_TYPE = _IMAGE + "tensor"
TEMPLATE_TYPE = _IMAGE + "template"
SYSTEM_TYPE = _IMAGE + "system"
PARAMS_TYPE = _IMAGE + "params"
LICENSE_TYPE = _IMAGE + "license"
MESSAGES_TYPE = _IMAGE + "messages"
DRAFT_TYPE = _IMAGE + "draft"

# Annotation that says where the model came from. Manifests from a registry are kept byte for byte,
# so that their digest stays the registry's, and carry none: for them the host says it.
SOURCE_KEY = "reshore.source"

MANIFEST_LIMIT = 1 << 20  # bytes; published manifests have about 1 kB
LAYERS_LIMIT = 256
TEXT_LIMIT = 1 << 20  # bytes of a layer that is read into memory (parameters, system, licence)
BLOB_LIMIT = 1 << 44  # 16 TiB

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Layer(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One blob and what it is for."""

    media_type: str
    digest: str
    size: int


class Manifest(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The content of a manifest file; fields we do not know are left alone."""

    schema_version: int
    media_type: str = ""
    config: Layer
    layers: tuple[Layer, ...]
    annotations: dict[str, str] = {}

    def of(self, media_type: str) -> tuple[Layer, ...]:
        """The layers of one media type."""
        return tuple(layer for layer in self.layers if layer.media_type == media_type)

    @property
    def blobs(self) -> dict[str, Layer]:
        """Every blob that is needed, once each, by digest."""
        return {layer.digest: layer for layer in (self.config, *self.layers)}

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(layer.size for layer in self.blobs.values())


def is_digest(text: str) -> bool:
    """Whether `text` is `sha256:` and 64 lower-case hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def parse_manifest(body: bytes, what: str) -> Manifest:
    """Read and check a manifest that a registry or a disk gave.

    Args:
        body: its bytes.
        what: what to call it in an error.

    Raises:
        BadModelFile: it is no manifest, or has digests or sizes that cannot be.
    """
    if len(body) > MANIFEST_LIMIT:
        raise BadModelFile(f"the manifest of {what} is larger than {MANIFEST_LIMIT} bytes")
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadModelFile(f"the manifest of {what} is damaged: {error}") from error
    if manifest.schema_version != 2:
        raise BadModelFile(f"the manifest of {what} has version {manifest.schema_version}, not 2")
    if len(manifest.layers) > LAYERS_LIMIT:
        raise BadModelFile(f"the manifest of {what} has more than {LAYERS_LIMIT} layers")
    sizes: dict[str, int] = {}
    for layer in (manifest.config, *manifest.layers):
        if not is_digest(layer.digest):
            shown = ascii(layer.digest[:80])
            raise BadModelFile(f"the manifest of {what} holds {shown}, which is no sha256 digest")
        if not 0 <= layer.size <= BLOB_LIMIT or sizes.setdefault(layer.digest, layer.size) != (
            layer.size
        ):
            raise BadModelFile(f"the manifest of {what} gives an impossible size: {layer.size}")
    return manifest


def model_layer(manifest: Manifest, what: str) -> Layer:
    """The one GGUF file of a model that llama.cpp can run as it is.

    Raises:
        BadModelFile: there is none, or more than one.
    """
    if manifest.of(TENSOR_TYPE):
        raise BadModelFile(f"{what} is stored as separate tensors, which llama.cpp cannot load")
    models = manifest.of(MODEL_TYPE)
    if len(models) != 1:
        raise BadModelFile(
            f"{what} has {len(models)} model files; exactly one GGUF file can be served"
        )
    return models[0]


def projector_layer(manifest: Manifest) -> Layer | None:
    """The vision projector, None without one."""
    return next(iter(manifest.of(PROJECTOR_TYPE)), None)


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest of our own; the same manifest always gives the same bytes."""
    return msgspec.json.encode(manifest)


def encode_config(fields: dict[str, Any]) -> bytes:
    """The bytes of a config blob of our own."""
    fixed = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    return msgspec.json.encode({"model_format": "gguf", **fields, **fixed}, order="sorted")
