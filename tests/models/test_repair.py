"""Corrected copies: another header before the same weights."""

from __future__ import annotations

import base64
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reshore.config import load
from reshore.errors import BadModelFile
from reshore.models.create import create
from reshore.models.gguf import read_facts
from reshore.models.manifest import PROJECTOR_TYPE, TEMPLATE_TYPE
from reshore.models.recipe import Recipe
from reshore.models.repair import corrected, repair
from reshore.models.store import Store
from tests.backends.image_samples import png
from tests.models.ollama_store import OllamaStore
from tests.models.tiny import write_tiny_gguf
from tests.models.tiny_vision import IMAGE_TOKENS, old_projector, write_tiny_vision
from tests.server.harness import running


def write(path: Path, pieces: object) -> Path:
    path.write_bytes(b"".join(pieces))  # type: ignore[arg-type]
    return path


def tensors(path: Path) -> dict[str, bytes]:
    return {
        tensor.name: np.array(tensor.data).tobytes() for tensor in gguf.GGUFReader(path).tensors
    }


def test_a_key_is_added_and_the_weights_stay_as_they_are(tmp_path: Path) -> None:
    before = write_tiny_gguf(tmp_path / "a.gguf")
    after = write(tmp_path / "b.gguf", corrected(before, {"tokenizer.ggml.pre": "llama-bpe"}))
    assert read_facts(after).metadata == read_facts(before).metadata | {
        "tokenizer.ggml.pre": "llama-bpe"
    }
    assert tensors(after) == tensors(before)


def test_a_key_that_is_there_is_replaced(tmp_path: Path) -> None:
    before = write_tiny_gguf(tmp_path / "a.gguf", extra={"tokenizer.ggml.pre": "default"})
    after = write(tmp_path / "b.gguf", corrected(before, {"tokenizer.ggml.pre": "llama-bpe"}))
    assert read_facts(after).metadata["tokenizer.ggml.pre"] == "llama-bpe"
    assert len(read_facts(after).metadata) == len(read_facts(before).metadata)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.from_regex(r"[a-z]{1,40}\.[a-z]{1,9}", fullmatch=True),
    text=st.text(st.characters(codec="utf-8"), max_size=90),
)
def test_any_length_of_header_leaves_the_data_aligned(tmp_path: Path, key: str, text: str) -> None:
    before = write_tiny_gguf(tmp_path / "a.gguf")
    after = write(tmp_path / "b.gguf", corrected(before, {key: text}))
    assert read_facts(after).metadata[key] == text
    assert tensors(after) == tensors(before)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"GGUF" + bytes(3))
    with pytest.raises(BadModelFile, match="cannot be corrected"):
        list(corrected(tmp_path / "a", {"a": "b"}))


@pytest.fixture
def theirs(tmp_path: Path) -> OllamaStore:
    return OllamaStore(tmp_path / "ollama")


def test_a_repaired_model_is_ours_and_wins(tmp_path: Path, theirs: OllamaStore) -> None:
    text = write_tiny_gguf(tmp_path / "text.gguf").read_bytes()
    theirs.add("llava", (PROJECTOR_TYPE, old_projector(tmp_path)), model=text)
    before = theirs.tree()
    store = Store(tmp_path / "models", [theirs.root])
    assert store.summary(store.get("llava")).verdict.state == "needs a fix"
    installed = repair(store, store.get("llava"))
    assert not installed.read_only
    assert "corrected copy" in installed.source
    found = store.resolve("llava")
    assert found.model_path.read_bytes() == text
    assert found.projector_path is not None
    assert read_facts(found.projector_path).metadata["clip.projector_type"] == "mlp"
    assert "vision" in found.capabilities
    assert theirs.tree() == before


def test_a_model_that_metadata_cannot_cure_is_not_copied(
    tmp_path: Path, theirs: OllamaStore
) -> None:
    text = write_tiny_gguf(tmp_path / "text.gguf", architecture="gptoss").read_bytes()
    theirs.add("gpt-oss", (TEMPLATE_TYPE, b"{{ .Prompt }}"), model=text)
    store = Store(tmp_path / "models", [theirs.root])
    with pytest.raises(BadModelFile, match="nothing that a corrected copy would cure"):
        repair(store, store.get("gpt-oss"))
    assert [model.read_only for model in store.list()] == [True]


@pytest.mark.slow
async def test_a_corrected_copy_answers_as_the_original_does(
    own_starter_home: Path, tmp_path: Path
) -> None:
    store = Store(own_starter_home / "models")
    original = store.resolve("smollm2:135m")
    pre = original.facts.metadata["tokenizer.ggml.pre"]
    changes = {"tokenizer.ggml.pre": pre, "general.comment": "x" * 77}
    copy = write(tmp_path / "copy.gguf", corrected(original.model_path, changes))
    await create(store, "copy", Recipe(paths=(copy,)))
    prompt = {"prompt": "Once upon a time", "max_tokens": 16, "temperature": 0}
    config = load(env={"RESHORE_HOME": str(own_starter_home)}, flags={"engine.context_length": 256})
    async with running(config) as server:
        _, one = await server.post("/v1/completions", {"model": "smollm2:135m", **prompt})
        _, other = await server.post("/v1/completions", {"model": "copy", **prompt})
    assert other["choices"][0]["text"] == one["choices"][0]["text"] != ""


@pytest.mark.slow
async def test_an_old_llava_of_ollamas_sees_after_its_repair(
    tmp_path: Path, theirs: OllamaStore
) -> None:
    """No template in the file, a known one in Go, a projector that does not say its type."""
    model, projector = write_tiny_vision(tmp_path)
    untyped = projector.read_bytes().replace(b"clip.projector_type", b"clip.projector_tipo")
    theirs.add(
        "llava",
        (PROJECTOR_TYPE, untyped),
        (TEMPLATE_TYPE, b"{{ .System }} USER: {{ .Prompt }} ASSISTANT: "),
        model=model.read_bytes().replace(b"tokenizer.chat_template", b"tokenizer.chat_tamplete"),
    )
    home = tmp_path / "home"
    store = Store(home / "models", [theirs.root])
    repair(store, store.get("llava"))
    config = load(
        env={"RESHORE_HOME": str(home), "OLLAMA_MODELS": str(theirs.root)},
        flags={"engine.context_length": 512},
    )
    image = base64.b64encode(png(40, 30, (b"\0" + b"\xff\0\0" * 40) * 30)).decode()
    seen = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
    said = {"type": "text", "text": "What?"}
    counts = []
    async with running(config) as server:
        for parts in ([said], [seen, said]):
            body = {"model": "llava", "messages": [{"role": "user", "content": parts}]}
            response, reply = await server.post("/v1/chat/completions", body | {"max_tokens": 4})
            assert response.status == 200, reply
            counts.append(reply["usage"]["prompt_tokens"])
    assert counts[1] - counts[0] >= IMAGE_TOKENS
