"""From stored blobs to an installed model: the manifests that reshore writes itself."""

from __future__ import annotations

from reshore.errors import BadModelFile, DiskFull
from reshore.models.facts import GgufFacts
from reshore.models.gguf import read_facts
from reshore.models.layout import Installed
from reshore.models.manifest import (
    CONFIG_TYPE,
    LICENSE_TYPE,
    MANIFEST_TYPE,
    MODEL_TYPE,
    PROJECTOR_TYPE,
    SOURCE_KEY,
    Layer,
    Manifest,
    encode_config,
    encode_manifest,
)
from reshore.models.names import Name
from reshore.models.store import Store

_UNITS = (("T", 10**12, 1), ("B", 10**9, 1), ("M", 10**6, 2), ("K", 10**3, 0))


def assemble(
    store: Store, name: Name, model: Layer, *more: Layer, source: str, licence: str | None = None
) -> Installed:
    """Install a model from blobs that were fetched for it; if that fails, they are removed again.

    Args:
        model: the GGUF file.
        more: further layers, a projector say.
        source: what `show` tells about where it came from.
        licence: its terms, kept with it.

    Raises:
        BadModelFile: a GGUF file's header is not sound.
        DiskFull: no space is left.
    """
    layers = [model, *more]
    try:
        if licence is not None:
            layers.append(store.blobs.add([licence.encode()], LICENSE_TYPE))
        return installed_from(store, name, tuple(layers), config=None, source=source)
    except (BadModelFile, DiskFull):
        store.drop_blobs({layer.digest for layer in layers})
        raise


def installed_from(
    store: Store, name: Name, layers: tuple[Layer, ...], *, config: Layer | None, source: str
) -> Installed:
    """Install a model of these layers.

    Args:
        config: of the model it comes from; None writes one from the model file's header.

    Raises:
        BadModelFile: a GGUF file's header is not sound, or a blob is missing.
        DiskFull: no space is left.
    """
    facts = {
        layer.media_type: read_facts(store.blob(layer.digest))
        for layer in layers
        if layer.media_type in (MODEL_TYPE, PROJECTOR_TYPE)
    }
    manifest = Manifest(
        schema_version=2,
        media_type=MANIFEST_TYPE,
        config=config or store.blobs.add([_config(facts[MODEL_TYPE])], CONFIG_TYPE),
        layers=layers,
        annotations={SOURCE_KEY: source},
    )
    try:
        return store.save(name, encode_manifest(manifest))
    except DiskFull:
        if config is None:
            store.drop_blobs([manifest.config.digest])
        raise


def parameter_size(count: int) -> str:
    """A parameter count as Ollama writes it: `134.52M`, `8B`, `8.0B`; "" when it is not known."""
    for unit, size, digits in _UNITS:
        if count >= size:
            return f"{count / size:.{0 if count % size == 0 else digits}f}{unit}"
    return str(count) if count else ""


def _config(facts: GgufFacts) -> bytes:
    return encode_config(
        {
            "model_family": facts.architecture,
            "model_families": [facts.architecture],
            "model_type": parameter_size(facts.parameter_count),
            "file_type": facts.quantization,
        }
    )
