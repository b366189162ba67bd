"""Stores as Ollama leaves them on the disk, with models of a few kilobytes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reshore.models.manifest import CONFIG_TYPE, MANIFEST_TYPE, MODEL_TYPE
from reshore.models.names import parse_name

LLAMA3_GO = (
    "{{ if .System }}<|start_header_id|>system<|end_header_id|>\n\n{{ .System }}<|eot_id|>{{ end }}"
    "{{ if .Prompt }}<|start_header_id|>user<|end_header_id|>\n\n{{ .Prompt }}<|eot_id|>{{ end }}"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{{ .Response }}<|eot_id|>"
)


class OllamaStore:
    """Writes blobs and manifests below `root`, byte for byte as it is told to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs").mkdir(parents=True)
        (root / "manifests").mkdir()

    def add(
        self,
        name: str,
        *layers: tuple[str, bytes],
        model: bytes | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Install a model; its name."""
        body = json.dumps({"model_format": "gguf", **(config or {})}).encode()
        if model is not None:
            layers = ((MODEL_TYPE, model), *layers)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": self._layer(CONFIG_TYPE, body),
            "layers": [self._layer(kind, content) for kind, content in layers],
        }
        path = self.root.joinpath("manifests", *parse_name(name).parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(manifest))
        return name

    def tree(self) -> dict[str, tuple[int, int, bytes]]:
        """Everything below: mode, modification time in nanoseconds, content (`/` for a folder)."""
        return {str(path.relative_to(self.root)): _state(path) for path in self.root.rglob("*")}

    def _layer(self, kind: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self.root / "blobs" / f"sha256-{digest}").write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}


def _state(path: Path) -> tuple[int, int, bytes]:
    status = os.lstat(path)
    return status.st_mode, status.st_mtime_ns, b"/" if path.is_dir() else path.read_bytes()
