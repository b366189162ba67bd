"""Models put into a store by hand, and what a store then holds."""

from __future__ import annotations

from pathlib import Path

from reshore.models.manifest import CONFIG_TYPE, MODEL_TYPE, Manifest, encode_manifest
from reshore.models.store import Store

# The locks and the caches.
_OWN = (".lock", ".verified.lock", "verified.json", "summaries.json")


def install(store: Store, name: str, model: bytes, *more: tuple[str, bytes]) -> bytes:
    """Install a model by hand and return its manifest."""
    config = store.blobs.add([b'{"model_format":"gguf"}'], CONFIG_TYPE)
    layers = [store.blobs.add([body], kind) for kind, body in ((MODEL_TYPE, model), *more)]
    body = encode_manifest(Manifest(schema_version=2, config=config, layers=tuple(layers)))
    store.save(name, body)
    return body


def tree(root: Path) -> dict[str, int]:
    """Every file below, without the locks and the caches."""
    return {
        str(path.relative_to(root)): path.stat().st_size
        for path in root.rglob("*")
        if path.is_file() and path.name not in _OWN
    }


def blobs(store: Store) -> list[Path]:
    return list((store.root / "blobs").iterdir())
