from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reshore.errors import BadName, BadRecipe, DiskFull, SourceError
from reshore.models.create import create
from reshore.models.layout import Installed
from reshore.models.manifest import (
    ADAPTER_TYPE,
    LICENSE_TYPE,
    MESSAGES_TYPE,
    MODEL_TYPE,
    PARAMS_TYPE,
    PROJECTOR_TYPE,
    SYSTEM_TYPE,
    TEMPLATE_TYPE,
)
from reshore.models.recipe import Recipe
from reshore.models.store import Store
from reshore.types import Message
from tests.models.tiny import write_tiny_gguf

LORA = {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 16.0}


Upload = Callable[..., dict[str, str]]


@pytest.fixture
def upload(store: Store, tmp_path: Path) -> Upload:
    """Writes a tiny GGUF file and puts it into the store as a blob."""

    def call(file: str = "m.gguf", **options: object) -> dict[str, str]:
        body = write_tiny_gguf(tmp_path / "upload", **options).read_bytes()
        return {file: store.blobs.add([body], "").digest}

    return call


@pytest.fixture
async def base(store: Store, upload: Upload) -> Installed:
    """A model with everything that can be inherited."""
    return await create(
        store,
        "base",
        Recipe(
            files=upload(),
            template="{{ .Prompt }}",
            system="Be brief.",
            parameters={"temperature": 0.5, "top_k": 10, "stop": ["a"]},
            messages=(Message(role="user", content="hi"),),
            licenses=("MIT",),
        ),
    )


def digests(installed: Installed, media_type: str) -> list[str]:
    return [layer.digest for layer in installed.manifest.of(media_type)]


async def test_a_gguf_blob_becomes_a_model(store: Store, upload: Upload) -> None:
    files, told = upload(), []
    made = await create(
        store, "m", Recipe(files=files), on_progress=lambda event: told.append(event.status)
    )
    assert digests(made, MODEL_TYPE) == list(files.values())
    assert store.resolve("m").facts.architecture == "llama"
    assert told == [
        "validating GGUF model",
        f"using existing layer {files['m.gguf']}",
        "writing manifest",
        "success",
    ]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("field", ["paths", "adapter_paths"])
async def test_a_pipe_is_refused_and_not_waited_for(
    store: Store, base: Installed, tmp_path: Path, field: str
) -> None:
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    recipe = Recipe(base="base" if field == "adapter_paths" else None, **{field: (pipe,)})
    with pytest.raises(SourceError, match=r"pipe\.gguf is no regular file"):
        await create(store, "m", recipe)


async def test_a_projector_beside_the_model_is_recognised(store: Store, upload: Upload) -> None:
    clip = upload("p.gguf", architecture="clip", chat_template=None)
    made = await create(store, "m", Recipe(files=upload() | clip))
    assert digests(made, PROJECTOR_TYPE) == list(clip.values())


async def test_texts_and_parameters_are_kept(store: Store, base: Installed) -> None:
    found = store.describe("base")
    assert found.system == "Be brief."
    assert found.template == "{{ .Prompt }}"
    assert found.parameters == {"temperature": 0.5, "top_k": 10, "stop": ["a"]}
    assert found.messages == (Message(role="user", content="hi"),)
    assert found.licenses == ("MIT",)
    assert store.resolve("base").messages == found.messages


class TestDerived:
    async def test_it_inherits_everything(self, store: Store, base: Installed) -> None:
        made = await create(store, "child", Recipe(base="base"))
        assert set(made.manifest.layers) == set(base.manifest.layers)
        assert made.manifest.config == base.manifest.config
        assert made.source == "from:base:latest"

    async def test_edits_replace_what_was_there(self, store: Store, base: Installed) -> None:
        recipe = Recipe(
            base="base",
            system="Be long.",
            template="{{ .System }}",
            messages=(Message(role="user", content="a"), Message(role="assistant", content="b")),
        )
        made = await create(store, "child", recipe)
        found = store.describe("child")
        assert (found.system, found.template) == ("Be long.", "{{ .System }}")
        assert [turn.content for turn in found.messages] == ["a", "b"]
        for kind in (SYSTEM_TYPE, TEMPLATE_TYPE, MESSAGES_TYPE):
            assert len(digests(made, kind)) == 1
        assert digests(made, MODEL_TYPE) == digests(base, MODEL_TYPE)

    async def test_parameters_merge(self, store: Store, base: Installed) -> None:
        await create(store, "child", Recipe(base="base", parameters={"top_k": 1, "seed": 7}))
        found = store.describe("child").parameters
        assert found == {"temperature": 0.5, "top_k": 1, "stop": ["a"], "seed": 7}

    async def test_empty_texts_and_no_messages_remove(self, store: Store, base: Installed) -> None:
        recipe = Recipe(base="base", system="", template="", messages=())
        made = await create(store, "child", recipe)
        found = store.describe("child")
        assert (found.system, found.template, found.messages) == (None, None, ())
        assert digests(made, PARAMS_TYPE) == digests(base, PARAMS_TYPE)

    async def test_licences_add_up_once_each(self, store: Store, base: Installed) -> None:
        made = await create(store, "child", Recipe(base="base", licenses=("MIT", "Apache")))
        assert store.describe("child").licenses == ("MIT", "Apache")
        assert len(digests(made, LICENSE_TYPE)) == 2

    async def test_a_model_may_be_derived_from_itself(self, store: Store, base: Installed) -> None:
        await create(store, "base", Recipe(base="base", system="New."))
        assert store.describe("base").system == "New."
        assert len(store.list()) == 1

    async def test_the_same_recipe_gives_the_same_model(
        self, store: Store, base: Installed
    ) -> None:
        recipe = Recipe(base="base", system="Hm.")
        assert (await create(store, "one", recipe)).digest == (
            await create(store, "two", recipe)
        ).digest

    async def test_a_base_in_a_store_that_is_only_read_is_copied(
        self, store: Store, base: Installed, tmp_path: Path
    ) -> None:
        own = Store(tmp_path / "own", [store.root])

        def changed() -> dict[Path, int]:
            return {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}

        before = changed()
        await create(own, "child", Recipe(base="base", system="Mine."))
        assert changed() == before
        assert Store(tmp_path / "own").resolve("child").system == "Mine."

    async def test_a_base_that_is_not_to_be_had_is_said(self, store: Store) -> None:
        with pytest.raises(SourceError, match="cannot be reached"):
            await create(store, "m", Recipe(base="http://127.0.0.1:1/a/b"), insecure=True)
        assert store.list() == ()


class TestAdapters:
    async def test_a_lora_adapter_is_a_layer_that_engines_load(
        self, store: Store, base: Installed, upload: Upload
    ) -> None:
        lora = upload("lora.gguf", chat_template=None, extra=LORA)
        made = await create(store, "tuned", Recipe(base="base", adapters=lora))
        assert digests(made, ADAPTER_TYPE) == list(lora.values())
        (path,) = store.resolve("tuned").adapter_paths
        assert path == store.blob(lora["lora.gguf"])

    async def test_a_model_is_no_adapter(
        self, store: Store, base: Installed, upload: Upload
    ) -> None:
        with pytest.raises(BadRecipe, match="no LoRA adapter"):
            await create(store, "m", Recipe(base="base", adapters=upload()))

    async def test_an_adapter_is_no_model(self, store: Store, upload: Upload) -> None:
        with pytest.raises(BadRecipe, match="belongs among the adapters"):
            await create(store, "m", Recipe(files=upload(extra=LORA)))

    async def test_safetensors_adapters_are_refused_with_what_to_do(
        self, store: Store, base: Installed
    ) -> None:
        digest = store.blobs.add([b"no gguf"], "").digest
        with pytest.raises(BadRecipe, match="convert_lora_to_gguf"):
            await create(store, "m", Recipe(base="base", adapters={"a.safetensors": digest}))


class TestRefusals:
    @pytest.mark.parametrize(
        "name",
        ["../x.gguf", "/etc/passwd", "a/../b", "a/b/c", ".hidden", "", "a\0b", "a\nb", "x" * 200],
    )
    async def test_paths_are_no_file_names(self, store: Store, upload: Upload, name: str) -> None:
        (digest,) = upload().values()
        with pytest.raises(BadRecipe, match="is no file name"):
            await create(store, "m", Recipe(files={name: digest}))

    @pytest.mark.parametrize("digest", ["sha256:../../x", "sha256:" + "0" * 63, "/etc/passwd", ""])
    async def test_what_is_no_digest_is_refused(self, store: Store, digest: str) -> None:
        with pytest.raises(BadRecipe, match="invalid digest format"):
            await create(store, "m", Recipe(files={"a.gguf": digest}))

    async def test_a_blob_must_be_there(self, store: Store) -> None:
        with pytest.raises(BadRecipe, match=r"upload a\.gguf to /api/blobs"):
            await create(store, "m", Recipe(files={"a.gguf": "sha256:" + "0" * 64}))

    async def test_a_damaged_blob_is_not_used(self, store: Store, upload: Upload) -> None:
        files = upload()
        store.blob(files["m.gguf"]).write_bytes(b"GGUF rubbish")
        with pytest.raises(BadRecipe, match="not found"):
            await create(store, "m", Recipe(files=files))

    async def test_a_hostile_header_is_refused(self, store: Store) -> None:
        digest = store.blobs.add([b"GGUF\3\0\0\0" + b"\xff" * 16], "").digest
        with pytest.raises(BadRecipe, match=r"files: a\.gguf: .* at most 32768 are allowed"):
            await create(store, "m", Recipe(files={"a.gguf": digest}))
        assert store.list() == ()

    async def test_two_models_are_one_too_many(self, store: Store, upload: Upload) -> None:
        with pytest.raises(BadRecipe, match=r"b\.gguf is one model too many"):
            await create(store, "m", Recipe(files=upload("a.gguf") | upload("b.gguf", name="x")))

    async def test_a_projector_alone_is_no_model(self, store: Store, upload: Upload) -> None:
        with pytest.raises(BadRecipe, match="none of them holds a model"):
            await create(store, "m", Recipe(files=upload(architecture="clip", chat_template=None)))

    async def test_other_files_are_refused(self, store: Store) -> None:
        digest = store.blobs.add([b"hello"], "").digest
        with pytest.raises(BadRecipe, match="neither a GGUF file nor"):
            await create(store, "m", Recipe(files={"a.txt": digest}))

    async def test_nothing_to_make_it_of(self, store: Store) -> None:
        with pytest.raises(BadRecipe, match="neither 'from' or 'files' was specified"):
            await create(store, "m", Recipe())

    @pytest.mark.parametrize("name", ["../m", "a b", "a/b/c/d", ""])
    async def test_malformed_names(self, store: Store, upload: Upload, name: str) -> None:
        with pytest.raises(BadName):
            await create(store, name, Recipe(files=upload()))
        with pytest.raises(BadName):
            await create(store, "m", Recipe(base=name))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MB, where the machine lets us mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small file system, and not everywhere")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def test_a_full_disk_is_one_error_and_leaves_the_store_as_it_was(
    small_disk: Path, tmp_path: Path
) -> None:
    store = Store(small_disk / "models")
    model = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    files = {"m.gguf": store.blobs.add([model], "").digest}
    await create(store, "m", Recipe(files=files))

    def tree() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for folder in ("blobs", "manifests")
            for path in (store.root / folder).rglob("*")
            if path.is_file()
        }

    before = tree()
    with pytest.raises(DiskFull, match="no space left on device"):
        await create(store, "n", Recipe(base="m", licenses=("x" * (9 << 20),)))
    assert tree() == before
    assert [str(model.name) for model in store.list()] == ["m:latest"]
