"""Which files are hashed, and where that is remembered."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from reshore.errors import BadModelFile, DigestMismatch
from reshore.models.store import Store
from reshore.models.verified import Verifier, open_blob
from tests.models.ollama_store import OllamaStore


def unseen_change(path: Path) -> None:
    """Other bytes behind the same identity: only who hashes the file again can tell."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """Where no folder can be made, as on a full disk."""
    (tmp_path / "full").write_text("")
    return tmp_path / "full" / "models"


def test_a_model_is_served_also_when_nothing_can_be_remembered_on_disk(
    tmp_path: Path, unwritable: Path, tiny: bytes
) -> None:
    theirs = OllamaStore(tmp_path / "ollama")
    theirs.add("m", model=tiny)
    assert Store(unwritable, [theirs.root]).resolve("m").model_path.read_bytes() == tiny


def test_what_cannot_be_remembered_on_disk_is_remembered_by_the_process(
    tmp_path: Path, unwritable: Path
) -> None:
    verifier = Verifier(unwritable / "verified.json", unwritable / ".verified.lock")
    digests = {}
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode())
        digests[name] = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
        verifier.check(tmp_path / name, digests[name])
    for name, digest in digests.items():
        unseen_change(tmp_path / name)
        verifier.check(tmp_path / name, digest)
    os.utime(tmp_path / "one", ns=(0, 0))
    with pytest.raises(DigestMismatch, match="one"):
        verifier.check(tmp_path / "one", digests["one"])


def test_a_blob_that_cannot_be_looked_at_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match=r"cannot be used: File name too long"):
        open_blob(tmp_path / ("x" * 300))
