"""Making a model out of another one, or out of files: layers inherited, replaced, converted."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from reshore.errors import BadModelFile, BadRecipe
from reshore.models.assemble import installed_from
from reshore.models.blocking import blocking
from reshore.models.convert import (
    WEIGHTS_SUFFIX,
    check_full,
    checked_level,
    convert,
    data_files,
    is_file_name,
    quantise,
)
from reshore.models.gguf import read_facts
from reshore.models.kinds import WORDS, check_adapter, check_regular, kind_of, kinds_of
from reshore.models.layout import Installed
from reshore.models.manifest import (
    ADAPTER_TYPE,
    LICENSE_TYPE,
    MODEL_TYPE,
    PROJECTOR_TYPE,
    Layer,
    is_digest,
)
from reshore.models.names import Name, parse_name
from reshore.models.progress import OnProgress, Progress, ignore
from reshore.models.pull import Wishes, pull
from reshore.models.recipe import Recipe, changes, replaced, with_licence
from reshore.models.sources.file import pieces
from reshore.models.sources.manner import Manner
from reshore.models.store import Store


class _Foundation(Struct, frozen=True, kw_only=True):
    """What the new model stands on, all of it in our store."""

    layers: tuple[Layer, ...]
    config: Layer | None = None
    parameters: Mapping[str, object] = {}
    source: str


async def create(
    store: Store,
    name: str,
    recipe: Recipe,
    *,
    on_progress: OnProgress = ignore,
    insecure: bool = False,
) -> Installed:
    """Make a model and install it; a base that is not installed is pulled first.

    Cancellation ends conversions and downloads; a blob that was made stays for the next try until
    the store is tidied.

    Args:
        on_progress: called from the event loop, in the words of Ollama's `/api/create`.

    Raises:
        BadName: the name, or that of the base, is malformed.
        BadRecipe: the recipe cannot be carried out; says why.
        BadModelFile, DigestMismatch: a file cannot be used.
        SourceError: the base is neither installed nor to be had.
        DiskFull: no space is left; nothing is installed.
    """
    wanted = parse_name(name)
    level = checked_level(recipe.quantize) if recipe.quantize else None
    making = _Making(store, wanted, on_progress)
    if recipe.base is not None:
        found = await making.from_model(recipe.base, insecure)
    elif recipe.paths:
        found = await making.from_paths(recipe.paths)
    else:
        found = await making.from_files(recipe.files)
    layers, config = found.layers, found.config
    if level is not None:
        layers = await making.quantised(layers, level)
        config = None
    layers += await making.adapters(recipe.adapters)
    layers += await making.copied_adapters(recipe.adapter_paths)
    layers = await blocking(making.changed, layers, recipe, found)
    on_progress(Progress(status="writing manifest"))
    installed = await blocking(
        installed_from, store, wanted, layers, config=config, source=found.source
    )
    on_progress(Progress(status="success"))
    return installed


def create_from(store: Store, name: str, path: Path) -> Installed:
    """`create` of one file or folder of this machine, where no event loop runs. Blocking."""
    return asyncio.run(create(store, name, Recipe(paths=(path,))))


class _Making:
    """The steps of one creation."""

    def __init__(self, store: Store, name: Name, on_progress: OnProgress) -> None:
        self._store = store
        self._name = name
        self._on_progress = on_progress
        self._loop = asyncio.get_running_loop()

    async def from_model(self, base: str, insecure: bool) -> _Foundation:
        """An installed model's layers; one that is not installed is pulled."""
        if await blocking(self._store.find, parse_name(base)) is None:
            manner = Manner(on_progress=self._not_the_end)
            await pull(self._store, base, Wishes(insecure=insecure), manner)
        described = await blocking(self._store.describe, base)
        installed = described.installed
        await blocking(self._store.adopt, installed)
        for layer in installed.manifest.layers:
            self._tell(f"using existing layer {layer.digest}")
        return _Foundation(
            layers=installed.manifest.layers,
            config=installed.manifest.config,
            parameters=described.parameters,
            source=f"from:{installed.name}",
        )

    async def from_paths(self, paths: Sequence[Path]) -> _Foundation:
        """The layers of files and folders of this machine, which are copied or converted."""
        found = [path.expanduser().resolve() for path in paths]
        source = f"file:{','.join(map(str, found))}"
        (first, *more) = found
        files = await blocking(data_files, first) if first.is_dir() and not more else {}
        if any(name.endswith(WEIGHTS_SUFFIX) for name in files) and not list(first.glob("*.gguf")):
            return _Foundation(layers=(await self._converted(files),), source=source)
        kinds = await blocking(kinds_of, found)
        await blocking(self._store.blobs.check_space, sum(p.stat().st_size for p in kinds.values()))
        layers = [await self._copied(path, kind) for kind, path in kinds.items()]
        return _Foundation(layers=tuple(layers), source=source)

    async def copied_adapters(self, paths: Sequence[Path]) -> tuple[Layer, ...]:
        """The layers of LoRA adapters of this machine."""
        copied = []
        for path in (each.expanduser().resolve() for each in paths):
            await blocking(check_regular, path)
            await blocking(check_adapter, path, str(path))
            copied.append(await self._copied(path, ADAPTER_TYPE))
        return tuple(copied)

    async def _copied(self, path: Path, kind: str) -> Layer:
        """Copy a file into the store; cancellation ends the copying."""
        stop = threading.Event()
        copying = asyncio.ensure_future(
            asyncio.to_thread(self._store.blobs.add, _until(stop, pieces(path)), kind)
        )
        try:
            layer = await asyncio.shield(copying)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([copying])
            copying.exception()  # looked at, so that asyncio does not report it as forgotten
            raise
        self._tell(f"creating new layer {layer.digest}")
        return layer

    async def from_files(self, files: Mapping[str, str]) -> _Foundation:
        """The layers that uploaded files make; safetensors are converted."""
        if not files:
            raise BadRecipe("neither 'from' or 'files' was specified")
        paths = await blocking(self._uploaded, files, "files")
        layers: tuple[Layer, ...]
        if any(name.endswith(WEIGHTS_SUFFIX) for name in paths):
            layers = (await self._converted(paths),)
        else:
            layers = await blocking(self._gguf_layers, files, paths)
        return _Foundation(layers=layers, source="files")

    async def adapters(self, adapters: Mapping[str, str]) -> tuple[Layer, ...]:
        """The layers of LoRA adapters."""
        paths = await blocking(self._uploaded, adapters, "adapters")
        for name, path in paths.items():
            await blocking(check_adapter, path, f"adapters: {name}")
        return tuple(
            Layer(ADAPTER_TYPE, adapters[name], path.stat().st_size) for name, path in paths.items()
        )

    async def quantised(self, layers: tuple[Layer, ...], level: str) -> tuple[Layer, ...]:
        """The layers with smaller numbers in the model's file."""
        model = next(layer for layer in layers if layer.media_type == MODEL_TYPE)
        path = self._store.blob(model.digest)
        present = (await blocking(read_facts, path)).quantization
        check_full(present)
        self._tell(f"quantizing {present} model to {level}")
        async with self._workspace() as folder:
            target = await quantise(path, folder, level, str(self._name))
            made = await blocking(self._take, target)
        return tuple(made if layer is model else layer for layer in layers)

    def changed(
        self, layers: tuple[Layer, ...], recipe: Recipe, found: _Foundation
    ) -> tuple[Layer, ...]:
        """The layers after the recipe's texts and parameters have taken their places. Blocking."""
        for kind, body in changes(recipe, found.parameters):
            layers = replaced(layers, kind, None if body is None else self._text(kind, body))
        for licence in recipe.licenses:
            layers = with_licence(layers, self._text(LICENSE_TYPE, licence.encode()))
        return layers

    async def _converted(self, paths: Mapping[str, Path]) -> Layer:
        self._tell("converting model")
        async with self._workspace() as folder:
            target = await convert(paths, folder, str(self._name))
            return await blocking(self._take, target)

    def _take(self, file: Path) -> Layer:
        """Move a file that was made here into the store, if its header is sound."""
        read_facts(file)
        layer = self._store.blobs.take_file(file, MODEL_TYPE)
        self._tell(f"creating new layer {layer.digest}")
        return layer

    def _uploaded(self, files: Mapping[str, str], field: str) -> dict[str, Path]:
        """The blobs of a request's files. A client names digests, never a path of this machine."""
        paths = {}
        for name, digest in files.items():
            if not is_file_name(name):
                raise BadRecipe(f"{field}: {name[:80]!a} is no file name; send plain names")
            if not is_digest(digest):
                raise BadRecipe(f"{field}: invalid digest format of {name}")
            if not self._store.blobs.keeps(digest):
                raise BadRecipe(
                    f'{field}: blob "{digest}" not found; upload {name} to '
                    f"/api/blobs/{digest} first"
                )
            paths[name] = self._store.blob(digest)
        return paths

    def _gguf_layers(
        self, files: Mapping[str, str], paths: Mapping[str, Path]
    ) -> tuple[Layer, ...]:
        self._tell("validating GGUF model")
        found: dict[str, Layer] = {}
        for name, path in paths.items():
            try:
                kind = kind_of(path, f"files: {name}")
            except BadModelFile as error:  # what a client sent, under the name it knows
                raise BadRecipe(f"files: {name}: {error}") from error
            if kind in found:
                raise BadRecipe(f"files: {name} is one {WORDS[kind]} too many")
            found[kind] = Layer(kind, files[name], path.stat().st_size)
            self._tell(f"using existing layer {files[name]}")
        if MODEL_TYPE not in found:
            raise BadRecipe("files: none of them holds a model")
        return tuple(found[kind] for kind in (MODEL_TYPE, PROJECTOR_TYPE) if kind in found)

    def _text(self, kind: str, body: bytes) -> Layer:
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        known = self._store.blob(digest).exists()
        self._tell(f"{'using existing' if known else 'creating new'} layer {digest}")
        return self._store.blobs.add([body], kind)

    @contextlib.asynccontextmanager
    async def _workspace(self) -> AsyncIterator[Path]:
        with self._store.blobs.workspace() as folder:
            yield folder

    def _tell(self, status: str) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._on_progress, Progress(status=status))

    def _not_the_end(self, progress: Progress) -> None:
        """A pull on the way: its `success` is not ours."""
        if progress.status != "success":
            self._on_progress(progress)


class _Stopped(Exception):
    """The copying was cancelled."""


def _until(stop: threading.Event, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if stop.is_set():
            raise _Stopped
        yield piece
