"""Installing and removing models."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from reshore.config import load
from reshore.errors import BadModelFile, BadName, ReadOnlyModel, UnknownModel
from reshore.models.manifest import (
    CONFIG_TYPE,
    MODEL_TYPE,
    SYSTEM_TYPE,
    Layer,
    Manifest,
    encode_manifest,
)
from reshore.models.store import Store
from tests.models.installing import blobs, install, tree


def test_a_model_is_installed_in_ollamas_layout(store: Store, tiny: bytes) -> None:
    body = install(store, "smollm2:135m", tiny)
    manifest = store.root / "manifests/registry.ollama.ai/library/smollm2/135m"
    assert manifest.read_bytes() == body
    blob = store.root / f"blobs/sha256-{hashlib.sha256(tiny).hexdigest()}"
    assert blob.read_bytes() == tiny
    assert json.loads(body)["layers"][0]["mediaType"] == "application/vnd.ollama.image.model"


@pytest.mark.parametrize("name", ["../x", "a/../../b", "x:../../../etc/passwd", "x\0"])
def test_names_never_lead_out_of_the_store(store: Store, name: str) -> None:
    for act in (store.resolve, store.remove, store.get, store.known):
        with pytest.raises(BadName):
            act(name)


def test_removing_keeps_shared_blobs(store: Store, tiny: bytes) -> None:
    install(store, "a", tiny, (SYSTEM_TYPE, b"only a"))
    install(store, "b", tiny)
    store.remove("a")
    assert store.resolve("b").model_path.exists()
    assert "only a" not in {path.read_bytes().decode("latin1") for path in blobs(store)}
    store.remove("b")
    assert tree(store.root) == {}
    assert list((store.root / "manifests").iterdir()) == []


def test_replacing_a_model_removes_what_only_the_old_one_used(store: Store, tiny: bytes) -> None:
    install(store, "m", tiny, (SYSTEM_TYPE, b"old"))
    install(store, "m", tiny, (SYSTEM_TYPE, b"new"))
    texts = {path.read_bytes() for path in blobs(store)}
    assert b"old" not in texts
    assert b"new" in texts


def test_removing_an_open_model_leaves_its_reader_alone(store: Store, tiny: bytes) -> None:
    install(store, "m", tiny)
    with open(store.resolve("m").model_path, "rb") as file:
        store.remove("m")
        assert file.read() == tiny


def test_a_manifest_without_its_blobs_is_not_installed(store: Store) -> None:
    missing = Layer(MODEL_TYPE, "sha256:" + "0" * 64, 1)
    config = store.blobs.add([b"{}"], CONFIG_TYPE)
    body = encode_manifest(Manifest(schema_version=2, config=config, layers=(missing,)))
    with pytest.raises(BadModelFile, match="missing"):
        store.save("m", body)
    assert store.list() == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (b"not json", "damaged"),
        (b"[]", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b'{"schemaVersion":1,"config":{"mediaType":"","digest":"","size":0},"layers":[]}', "v"),
        (
            b'{"schemaVersion":2,"config":{"mediaType":"","digest":"sha256:../../x","size":0},'
            b'"layers":[]}',
            "no sha256 digest",
        ),
        (b"x" * ((1 << 20) + 1), "larger"),
    ],
)
def test_a_damaged_manifest_is_refused_listed_around_and_removable(
    store: Store, tiny: bytes, change: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    install(store, "good", tiny)
    install(store, "bad", tiny)
    store.root.joinpath("manifests/registry.ollama.ai/library/bad/latest").write_bytes(change)
    with pytest.raises(BadModelFile, match=reason):
        store.resolve("bad")
    assert [str(model.name) for model in store.list()] == ["good:latest"]
    assert "bad" in caplog.text
    store.remove("bad")
    assert store.resolve("good")


def long_ago(root: Path) -> None:
    """The folders of a store, and the one it is in, were changed long ago."""
    for folder in (root.parent, *(path for path in (root, *root.rglob("*")) if path.is_dir())):
        os.utime(folder, (1e9, 1e9))


class TestReadOnlyStores:
    @pytest.fixture
    def theirs(self, tmp_path: Path) -> Store:
        return Store(tmp_path / "ollama")

    def test_their_models_are_served_and_never_changed(
        self, store: Store, theirs: Store, tiny: bytes
    ) -> None:
        install(theirs, "m", tiny)
        before = tree(theirs.root)
        both = Store(store.root, [theirs.root])
        assert both.resolve("m").model_path.is_relative_to(theirs.root)
        (listed,) = both.list()
        assert listed.read_only
        with pytest.raises(ReadOnlyModel, match=str(theirs.root)):
            both.remove("m")
        assert tree(theirs.root) == before

    def test_ours_wins_and_both_are_listed(self, store: Store, theirs: Store, tiny: bytes) -> None:
        install(theirs, "m", tiny, (SYSTEM_TYPE, b"theirs"))
        both = Store(store.root, [theirs.root])
        assert both.resolve("m").system == "theirs"
        install(store, "m", tiny, (SYSTEM_TYPE, b"ours"))
        assert both.known("m") is None
        assert both.resolve("m").system == "ours"
        assert {model.root for model in both.list()} == {store.root, theirs.root}
        both.remove("m")
        assert both.resolve("m").system == "theirs"

    @pytest.mark.parametrize("settled", [True, False])
    def test_ours_is_noticed_wherever_it_appears(
        self, store: Store, theirs: Store, tiny: bytes, settled: bool
    ) -> None:
        """Where nothing was, in a folder that was there, in other case; and at once, even within
        one tick of the clock of an earlier change."""
        for name, ours in (("m", "M"), ("m:two", "m:two"), ("new/m", "NEW/m")):
            install(theirs, name, tiny, (SYSTEM_TYPE, b"theirs"))
            both = Store(store.root, [theirs.root])
            assert both.resolve(name).system == "theirs"
            if settled:
                long_ago(store.root)
            assert both.known(name) is both.known(name) is not None
            install(store, ours, tiny, (SYSTEM_TYPE, b"ours"))
            assert both.known(name) is None
            assert both.resolve(name).system == "ours"

    def test_the_first_of_two_wins_also_later(
        self, store: Store, theirs: Store, tiny: bytes, tmp_path: Path
    ) -> None:
        first = Store(tmp_path / "first")
        install(theirs, "m", tiny, (SYSTEM_TYPE, b"second"))
        both = Store(store.root, [first.root, theirs.root])
        assert both.resolve("m").system == "second"
        long_ago(store.root)
        assert both.known("m") is not None
        install(first, "m", tiny, (SYSTEM_TYPE, b"first"))
        assert both.known("m") is None
        assert both.resolve("m").system == "first"

    def test_copying_from_them_brings_the_blobs(
        self, store: Store, theirs: Store, tiny: bytes
    ) -> None:
        install(theirs, "m", tiny)
        Store(store.root, [theirs.root]).copy("m", "mine")
        assert Store(store.root).resolve("mine").facts.architecture == "llama"

    def test_a_missing_one_is_empty(self, store: Store, tmp_path: Path) -> None:
        assert Store(store.root, [tmp_path / "nowhere"]).list() == ()


def test_copy_gives_a_second_name(store: Store, tiny: bytes) -> None:
    install(store, "m", tiny)
    store.copy("m", "other/name:1")
    store.remove("m")
    assert store.resolve("other/name:1").name == "other/name:1"


def test_the_store_of_a_configuration(tmp_path: Path) -> None:
    config = load(env={"RESHORE_HOME": str(tmp_path), "OLLAMA_MODELS": str(tmp_path / "o")})
    assert Store.from_config(config).root == tmp_path / "models"


def test_many_threads_install_remove_and_resolve_without_harm(store: Store, tiny: bytes) -> None:
    """Whatever the order: no error but UnknownModel, and the kept model is always whole."""
    install(store, "kept", tiny)
    problems: list[BaseException] = []

    def churn(number: int) -> None:
        try:
            mine = Store(store.root)
            for _ in range(5):
                install(mine, f"m{number % 2}", tiny, (SYSTEM_TYPE, b"%d" % number))
                assert mine.resolve("kept").model_path.exists()
                try:
                    mine.remove(f"m{number % 2}")
                except UnknownModel:
                    pass
                except BadModelFile as error:
                    problems.append(error)
        except BadModelFile as error:
            if "missing; pull it again" not in str(error):  # the race that save() must notice
                problems.append(error)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert store.resolve("kept").model_path.read_bytes() == tiny
