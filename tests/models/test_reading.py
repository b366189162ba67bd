"""What engines are given, and what is refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from reshore.config import ModelConfig
from reshore.errors import (
    BadModelFile,
    ConfigError,
    DigestMismatch,
    ReshoreError,
    UnfitModel,
)
from reshore.models.manifest import (
    CONFIG_TYPE,
    MODEL_TYPE,
    PARAMS_TYPE,
    PROJECTOR_TYPE,
    SYSTEM_TYPE,
    TEMPLATE_TYPE,
    TENSOR_TYPE,
    Manifest,
    encode_manifest,
)
from reshore.models.store import Store
from tests.models.installing import install
from tests.models.tiny import write_tiny_gguf


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


def test_parameters_that_say_nothing_and_unknown_ones_harm_nobody(
    store: Store, tiny: bytes
) -> None:
    layer = b'{"stop":null,"top_k":5,"mirostat":2,"of_tomorrow":{"a":1}}'
    install(store, "m", tiny, (PARAMS_TYPE, layer))
    expected = {"top_k": 5, "mirostat": 2, "of_tomorrow": {"a": 1}}
    assert store.resolve("m").parameters == expected


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (b'{"num_predict":"128"}', "num_predict"),
        (b'{"stop":5}', "stop"),
        (b'{"num_ctx":"4096"}', "num_ctx"),
    ],
)
def test_parameters_of_a_wrong_type_are_damage(
    store: Store, tiny: bytes, layer: bytes, name: str
) -> None:
    install(store, "m", tiny, (PARAMS_TYPE, layer))
    assert name in store.summary(store.get("m")).verdict.summary
    with pytest.raises(BadModelFile, match=name):
        store.resolve("m")


def test_a_projector_layer_gives_vision(store: Store, tiny: bytes, tmp_path: Path) -> None:
    says = {"clip.projector_type": "mlp"}
    clip = write_tiny_gguf(tmp_path / "clip", architecture="clip", chat_template=None, extra=says)
    install(store, "see", tiny, (PROJECTOR_TYPE, clip.read_bytes()))
    found = store.resolve("see")
    assert found.projector_path is not None
    assert found.projector_path.read_bytes() == clip.read_bytes()
    assert "vision" in found.capabilities


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

    def test_it_is_told_instead_of_what_is_in_the_files(self, store: Store, tiny: bytes) -> None:
        install(store, "m", tiny, (TEMPLATE_TYPE, b"{{ .Prompt }}"))
        known = Store(store.root, settings={"m": ModelConfig(chat_template="llama3")})
        (note,) = known.summary(known.get("m")).verdict.notes
        assert note == "Prompts are made with the template that reshore.toml names."

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
