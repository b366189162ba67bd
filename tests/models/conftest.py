"""A store to write to, and a model file to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from reshore.models.store import Store
from tests.models.tiny import write_tiny_gguf


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def tiny(tmp_path: Path) -> bytes:
    return write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
