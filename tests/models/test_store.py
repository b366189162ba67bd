from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from reshore.config import ModelConfig, load
from reshore.errors import (
    BadModelFile,
    BadName,
    ConfigError,
    DigestMismatch,
    DiskFull,
    ReshoreError,
    StoreError,
    UnfitModel,
    UnknownModel,
)
from reshore.models.manifest import (
    CONFIG_TYPE,
    MODEL_TYPE,
    PARAMS_TYPE,
    PROJECTOR_TYPE,
    SYSTEM_TYPE,
    TEMPLATE_TYPE,
    TENSOR_TYPE,
    Layer,
    Manifest,
    encode_manifest,
)
from reshore.models.store import Store
from tests.models.tiny import write_tiny_gguf


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def tiny(tmp_path: Path) -> bytes:
    return write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()


def install(store: Store, name: str, model: bytes, *more: tuple[str, bytes]) -> bytes:
    """Install a model by hand and return its manifest."""
    config = store.blobs.add([b'{"model_format":"gguf"}'], CONFIG_TYPE)
    layers = [store.blobs.add([body], kind) for kind, body in ((MODEL_TYPE, model), *more)]
    body = encode_manifest(Manifest(schema_version=2, config=config, layers=tuple(layers)))
    store.save(name, body)
    return body


_OWN = (".lock", ".verified.lock", "verified.json", "summaries.json")


def tree(root: Path) -> dict[str, int]:
    """Every file below, without the locks and the caches."""
    return {
        str(path.relative_to(root)): path.stat().st_size
        for path in root.rglob("*")
        if path.is_file() and path.name not in _OWN
    }


def test_a_model_is_installed_in_ollamas_layout(store: Store, tiny: bytes) -> None:
    body = install(store, "smollm2:135m", tiny)
    manifest = store.root / "manifests/registry.ollama.ai/library/smollm2/135m"
    assert manifest.read_bytes() == body
    blob = store.root / f"blobs/sha256-{hashlib.sha256(tiny).hexdigest()}"
    assert blob.read_bytes() == tiny
    assert json.loads(body)["layers"][0]["mediaType"] == "application/vnd.ollama.image.model"


def test_resolve_gives_what_an_engine_needs(store: Store, tiny: bytes) -> None:
    body = install(
        store, "m", tiny, (PARAMS_TYPE, b'{"temperature":0.5}'), (SYSTEM_TYPE, b"Be brief.")
    )
    found = store.resolve("m")
    assert found.name == "m:latest"
    assert found.digest == hashlib.sha256(body).hexdigest()
    assert found.model_path.read_bytes() == tiny
    assert found.projector_path is None
    assert found.facts.architecture == "llama"
    assert found.capabilities == ("completion",)
    assert found.parameters == {"temperature": 0.5}
    assert found.system == "Be brief."
    assert found.size == store.get("m").size


def test_a_projector_layer_gives_vision(store: Store, tiny: bytes, tmp_path: Path) -> None:
    says = {"clip.projector_type": "mlp"}
    clip = write_tiny_gguf(tmp_path / "clip", architecture="clip", chat_template=None, extra=says)
    install(store, "see", tiny, (PROJECTOR_TYPE, clip.read_bytes()))
    found = store.resolve("see")
    assert found.projector_path is not None
    assert found.projector_path.read_bytes() == clip.read_bytes()
    assert "vision" in found.capabilities


def test_names_match_without_regard_to_case_and_keep_their_spelling(
    store: Store, tiny: bytes
) -> None:
    install(store, "Me/Model:Q4", tiny)
    assert store.resolve("me/mODEL:q4").name == "Me/Model:Q4"
    install(store, "ME/model:q4", tiny)
    assert [str(model.name) for model in store.list()] == ["Me/Model:Q4"]


def test_an_unknown_model_names_the_nearest(store: Store, tiny: bytes) -> None:
    for name in ("smollm2:135m", "all-minilm", "other"):
        install(store, name, tiny)
    with pytest.raises(UnknownModel) as caught:
        store.resolve("smollm2")
    assert caught.value.nearest == ("smollm2:135m",)
    with pytest.raises(UnknownModel) as caught:
        store.resolve("all-minilmm")
    assert caught.value.nearest == ("all-minilm:latest",)
    with pytest.raises(UnknownModel) as caught:
        store.resolve("zzz")
    assert caught.value.nearest == ()


@pytest.mark.parametrize("name", ["../x", "a/../../b", "x:../../../etc/passwd", "x\0"])
def test_names_never_lead_out_of_the_store(store: Store, name: str) -> None:
    for act in (store.resolve, store.remove, store.get, store.known):
        with pytest.raises(BadName):
            act(name)


def test_a_changed_blob_is_never_served(store: Store, tiny: bytes) -> None:
    install(store, "m", tiny)
    path = store.resolve("m").model_path
    path.write_bytes(tiny[:-1] + b"\xff")
    assert store.known("m") is None
    with pytest.raises(DigestMismatch, match=path.name):
        store.resolve("m")
    path.write_bytes(tiny[:100])
    with pytest.raises(DigestMismatch):
        store.resolve("m")
    path.unlink()
    with pytest.raises(BadModelFile, match="Pull the model again"):
        store.resolve("m")


def test_links_and_other_odd_blobs_are_refused(store: Store, tiny: bytes, tmp_path: Path) -> None:
    install(store, "m", tiny)
    path = store.resolve("m").model_path
    copy = tmp_path / "copy"
    path.rename(copy)
    path.symlink_to(copy)
    with pytest.raises(BadModelFile, match="is a link"):
        store.resolve("m")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadModelFile, match="not a regular file"):
        store.resolve("m")


def test_verification_is_remembered_by_other_processes(store: Store, tiny: bytes) -> None:
    """The proof: bytes changed behind an unchanged identity are not looked at again."""
    install(store, "m", tiny)
    path = store.resolve("m").model_path
    before = path.stat()
    path.write_bytes(tiny[:-1] + b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Store(store.root).resolve("m").model_path == path
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(DigestMismatch):
        Store(store.root).resolve("m")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"1:2": [1]}', "\0"])
def test_a_damaged_memory_of_verifications_costs_nothing_but_time(
    store: Store, tiny: bytes, content: str
) -> None:
    install(store, "m", tiny)
    (store.root / "verified.json").write_text(content)
    assert Store(store.root).resolve("m").name == "m:latest"


def test_known_answers_only_while_nothing_has_changed(store: Store, tiny: bytes) -> None:
    install(store, "m", tiny)
    assert store.known("m") is None
    found = store.resolve("m")
    assert store.known("M:latest") is found
    install(store, "m", tiny, (SYSTEM_TYPE, b"new"))
    assert store.known("m") is None
    assert store.resolve("m").system == "new"
    store.remove("m")
    assert store.known("m") is None


def test_removing_keeps_shared_blobs(store: Store, tiny: bytes) -> None:
    install(store, "a", tiny, (SYSTEM_TYPE, b"only a"))
    install(store, "b", tiny)
    store.remove("a")
    assert store.resolve("b").model_path.exists()
    assert "only a" not in {path.read_bytes().decode("latin1") for path in blobs(store)}
    store.remove("b")
    assert tree(store.root) == {}
    assert list((store.root / "manifests").iterdir()) == []


def blobs(store: Store) -> list[Path]:
    return list((store.root / "blobs").iterdir())


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


@pytest.mark.parametrize(
    ("layers", "error", "reason"),
    [
        ((), UnfitModel, "no model file"),
        (((MODEL_TYPE, b"a"), (MODEL_TYPE, b"b")), UnfitModel, "2 files"),
        (((TENSOR_TYPE, b"t"),), UnfitModel, "separate tensors"),
        (((MODEL_TYPE, b"something else"),), BadModelFile, "no GGUF"),
    ],
)
def test_what_llama_cpp_cannot_load_is_refused_with_the_reason(
    store: Store,
    layers: tuple[tuple[str, bytes], ...],
    error: type[ReshoreError],
    reason: str,
) -> None:
    config = store.blobs.add([b"{}"], CONFIG_TYPE)
    stored = tuple(store.blobs.add([body], kind) for kind, body in layers)
    store.save("m", encode_manifest(Manifest(schema_version=2, config=config, layers=stored)))
    with pytest.raises(error, match=reason):
        store.resolve("m")


def test_an_unfit_model_is_given_to_who_insists(store: Store, tmp_path: Path) -> None:
    file = write_tiny_gguf(tmp_path / "x", architecture="gptoss").read_bytes()
    install(store, "gpt-oss:20b", file)
    with pytest.raises(UnfitModel, match=r"needs a fix.*gpt-oss-20b-GGUF") as caught:
        store.resolve("gpt-oss:20b")
    assert (caught.value.model, caught.value.state) == ("gpt-oss:20b", "needs a fix")
    assert store.known("gpt-oss:20b") is None
    forced = Store(store.root, settings={"gpt-oss:20b": ModelConfig(force=True)})
    assert forced.resolve("gpt-oss:20b").model_path.read_bytes() == file


def test_a_known_go_template_makes_the_prompts_of_a_file_without_one(
    store: Store, tmp_path: Path
) -> None:
    file = write_tiny_gguf(tmp_path / "x", chat_template=None).read_bytes()
    install(store, "known", file, (TEMPLATE_TYPE, b"<start_of_turn>user\n<end_of_turn>"))
    install(store, "plain", file, (TEMPLATE_TYPE, b"{{ .Prompt }}"))
    assert store.resolve("known").template == "gemma"
    assert store.resolve("plain").template is None
    assert store.describe("known").chat_template == "gemma"


class TestConfiguredTemplates:
    def test_a_format_by_name(self, store: Store, tiny: bytes) -> None:
        install(store, "m", tiny)
        known = Store(store.root, settings={"m": ModelConfig(chat_template="llama3")})
        assert known.resolve("m").template == "llama3"
        assert known.summary(known.get("m")).capabilities == ("completion",)

    def test_a_jinja_file_tells_what_the_model_can_do(
        self, store: Store, tiny: bytes, tmp_path: Path
    ) -> None:
        install(store, "m", tiny)
        file = tmp_path / "mine.jinja"
        file.write_text("{% if tools %}{{ tools }}{% endif %}{{ messages }}")
        known = Store(store.root, settings={"m": ModelConfig(chat_template=str(file))})
        model = known.resolve("m")
        assert model.template == model.facts.chat_template == file.read_text()
        assert model.capabilities == ("completion", "tools")
        assert known.summary(known.get("m")).capabilities == model.capabilities
        assert known.describe("m").capabilities == model.capabilities
        assert store.resolve("m").capabilities == ("completion",)

    @pytest.mark.parametrize("wanted", ["llama33", "/absent.jinja"])
    def test_what_is_neither_names_the_formats(
        self, store: Store, tiny: bytes, wanted: str
    ) -> None:
        install(store, "m", tiny)
        known = Store(store.root, settings={"m": ModelConfig(chat_template=wanted)})
        with pytest.raises(ConfigError, match=r"no known format \(alpaca, .*no file"):
            known.resolve("m")
        assert "no known format" in known.summary(known.get("m")).verdict.reason


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
        with pytest.raises(StoreError, match="only read"):
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
