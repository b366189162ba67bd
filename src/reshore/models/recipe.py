"""What a new model is made of, and how that changes the layers of the one it comes from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from reshore.models.manifest import (
    LICENSE_TYPE,
    MESSAGES_TYPE,
    PARAMS_TYPE,
    SYSTEM_TYPE,
    TEMPLATE_TYPE,
    Layer,
)
from reshore.types import Message


class Recipe(Struct, frozen=True, kw_only=True):
    """What to make a model of: an installed model or files, and what is to be different.

    Attributes:
        base: an installed model, None when `files` are given.
        files: digests of blobs of our store by file name: one GGUF file, perhaps with its
            projector, or the files of a safetensors model.
        adapters: digests of LoRA adapters (GGUF) by file name.
        paths, adapter_paths: the same as files and folders of this machine. Only for who sits at
            it: what a client sends never becomes a path.
        template, system: None keeps the base's, an empty text removes it.
        parameters: these win over the base's.
        messages: None keeps the base's, none at all removes them.
        licenses: stand after the base's.
        quantize: what the numbers are to become, None to leave them.
    """

    base: str | None = None
    files: Mapping[str, str] = {}
    adapters: Mapping[str, str] = {}
    paths: tuple[Path, ...] = ()
    adapter_paths: tuple[Path, ...] = ()
    template: str | None = None
    system: str | None = None
    parameters: Mapping[str, Any] = {}
    messages: tuple[Message, ...] | None = None
    licenses: tuple[str, ...] = ()
    quantize: str | None = None


Change = tuple[str, bytes | None]
"""A media type and the content its one layer is to have, None for no such layer."""


def changes(recipe: Recipe, inherited: Mapping[str, Any]) -> list[Change]:
    """What a recipe changes in the layers it inherits, `inherited` being their parameters."""
    found: list[Change] = []
    for kind, text in ((TEMPLATE_TYPE, recipe.template), (SYSTEM_TYPE, recipe.system)):
        if text is not None:
            found.append((kind, text.encode() or None))
    if recipe.parameters:
        merged = {**inherited, **recipe.parameters}
        found.append((PARAMS_TYPE, msgspec.json.encode(merged)))
    if recipe.messages is not None:
        turns = [{"role": turn.role, "content": turn.content} for turn in recipe.messages]
        found.append((MESSAGES_TYPE, msgspec.json.encode(turns) if turns else None))
    return found


def replaced(layers: Iterable[Layer], media_type: str, new: Layer | None) -> tuple[Layer, ...]:
    """`layers` with `new` as the only one of its media type."""
    kept = tuple(layer for layer in layers if layer.media_type != media_type)
    return kept if new is None else (*kept, new)


def with_licence(layers: tuple[Layer, ...], licence: Layer) -> tuple[Layer, ...]:
    """`layers` and a licence, unless they have it already."""
    known = {layer.digest for layer in layers if layer.media_type == LICENSE_TYPE}
    return layers if licence.digest in known else (*layers, licence)
