"""Blobs: whole or not at all, and gone when nothing needs them."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from reshore.errors import DiskFull
from reshore.models.manifest import MODEL_TYPE, Layer
from reshore.models.store import Store
from tests.models.installing import install, tree


def full_after(count: int) -> object:
    def pieces() -> object:
        for _ in range(count):
            yield b"x" * 1000
        raise OSError(28, "No space left on device")

    return pieces()


def test_a_full_disk_leaves_the_store_as_it_was(store: Store, tiny: bytes) -> None:
    install(store, "m", tiny)
    before = tree(store.root)
    with pytest.raises(DiskFull, match="no space left"):
        store.blobs.add(full_after(3), MODEL_TYPE)  # type: ignore[arg-type]
    assert tree(store.root) == before


def test_what_cannot_fit_is_refused_before_it_is_fetched(store: Store) -> None:
    with pytest.raises(DiskFull):
        store.blobs.check_space(1 << 60)
    store.blobs.check_space(1)


def test_what_has_arrived_needs_no_more_space(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = Layer(MODEL_TYPE, "sha256:" + "3" * 64, 2 << 20)
    with store.blobs.partial(layer.digest) as partial:
        partial.write(b"x" * (layer.size - 100))
    free = shutil.disk_usage(store.root)._replace(free=(16 << 20) + 200_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    store.blobs.check_space_for([layer])
    with pytest.raises(DiskFull, match="needs 2 MB"):
        store.blobs.check_space_for([Layer(MODEL_TYPE, "sha256:" + "4" * 64, layer.size)])


def test_a_download_may_be_resumed_within_a_week(store: Store) -> None:
    with store.blobs.partial("sha256:" + "2" * 64) as partial:
        partial.write(b"12345")
    note = partial.path.with_name(partial.path.name + "-spans")
    note.write_bytes(b"[[0,5]]")
    for days, kept in ((6, True), (8, False)):
        for path in (partial.path, note):
            os.utime(path, (0, time.time() - days * 86400))
        store.prune()
        assert partial.path.exists() is note.exists() is kept


def test_pruning_removes_what_was_abandoned_and_nothing_else(store: Store, tiny: bytes) -> None:
    install(store, "m", tiny)
    before = tree(store.root)
    folder = store.root / "blobs"
    old = [folder / ("sha256-" + "1" * 64), folder / ("sha256-" + "2" * 64 + "-partial")]
    old.append(folder / "tmp-abandoned")
    for path in old:
        path.write_bytes(b"12345")
    assert store.prune() == 0  # too young
    for path in old:
        os.utime(path, (0, 0))
    with store.blobs.partial("sha256:" + "2" * 64):
        os.utime(old[1], (0, 0))
        assert store.prune() == 10
        assert old[1].exists()  # being written
    assert store.prune() == 5
    assert tree(store.root) == before
