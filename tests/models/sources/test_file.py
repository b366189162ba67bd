from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from reshore.errors import BadModelFile, BadName, BadRecipe, SourceError
from reshore.models.create import create_from
from reshore.models.gguf import read_facts
from reshore.models.store import Store
from tests.models.tiny import write_tiny_gguf

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fox", "##es", "[", "]"]
CONFIG = {
    "model_type": "bert",
    "_name_or_path": "someone/tiny-bert",
    "vocab_size": len(TOKENS),
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    "layer_norm_eps": 1e-12,
}


def bert_folder(folder: Path, **changes: object) -> Path:
    """The three files of a BERT model with two matrices."""
    folder.mkdir()
    tensors = {
        "embeddings.word_embeddings.weight": np.ones((len(TOKENS), 8), "<f4"),
        "embeddings.position_ids": np.zeros(32, "<f4"),
        "encoder.layer.0.attention.self.query.bias": np.ones(8, "<f4"),
    }
    header, data = {}, b""
    for name, tensor in tensors.items():
        span = [len(data), len(data) + tensor.nbytes]
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": span}
        data += tensor.tobytes()
    header |= changes.pop("header", {})  # type: ignore[arg-type]
    body = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(body)) + body + data)
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    return folder


def test_a_file_becomes_a_model_that_remembers_where_it_came_from(
    store: Store, tmp_path: Path
) -> None:
    path = write_tiny_gguf(tmp_path / "some.gguf")
    create_from(store, "mine:v1", path)
    found = store.resolve("mine:v1")
    assert found.model_path.read_bytes() == path.read_bytes()
    assert store.get("mine:v1").source == f"file:{path}"
    config = json.loads(store.blob(store.get("mine:v1").manifest.config.digest).read_bytes())
    assert config["model_family"] == "llama"
    assert config["file_type"] == "F32"


def test_the_file_may_go_or_change_afterwards(store: Store, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "some.gguf")
    create_from(store, "mine", path)
    path.write_bytes(b"changed")
    assert Store(store.root).resolve("mine").facts.architecture == "llama"


def test_a_folder_with_a_projector_makes_a_vision_model(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_tiny_gguf(folder / "a.gguf")
    says = {"clip.projector_type": "mlp"}
    write_tiny_gguf(folder / "mmproj-a.gguf", architecture="clip", chat_template=None, extra=says)
    create_from(store, "see", folder)
    assert "vision" in store.resolve("see").capabilities


def test_links_to_the_file_are_followed(store: Store, tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(write_tiny_gguf(tmp_path / "some.gguf"))
    create_from(store, "mine", link)
    assert store.resolve("mine")


def test_paths_without_exactly_one_model_are_refused(store: Store, tmp_path: Path) -> None:
    two = tmp_path / "two"
    two.mkdir()
    for name in ("a.gguf", "b.gguf"):
        write_tiny_gguf(two / name)
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, reason in (
        (two, "one model too many"),
        (empty, "without a model"),
        (tmp_path / "nowhere", "no such file"),
    ):
        with pytest.raises((SourceError, BadRecipe), match=reason):
            create_from(store, "mine", path)
    assert store.list() == ()


def test_a_file_that_is_no_model_and_a_bad_name_are_refused(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(BadRecipe, match="neither a GGUF file"):
        create_from(store, "mine", path)
    with pytest.raises(BadName):
        create_from(store, "../mine", path)
    assert not store.root.exists()


class TestBert:
    def test_a_folder_is_converted(self, store: Store, tmp_path: Path) -> None:
        create_from(store, "embed", bert_folder(tmp_path / "bert"))
        found = store.resolve("embed")
        facts = found.facts
        assert found.capabilities == ("embedding",)
        assert (facts.architecture, facts.causal, facts.pooling) == ("bert", False, 1)
        assert (facts.context_length, facts.embedding_length, facts.head_count) == (32, 8, 2)
        assert facts.name == "tiny-bert"
        assert facts.metadata["tokenizer.ggml.tokens"] == [
            *TOKENS[:5],
            "\u2581fox",
            "es",
            "\u2581[",
            "\u2581]",
        ]
        assert facts.metadata["tokenizer.ggml.token_type"] == [3] * 5 + [1] * 4
        assert facts.special_tokens["bos"] == "[CLS]"
        assert facts.parameter_count == len(TOKENS) * 8 + 8

    def test_the_same_folder_gives_the_same_bytes(self, store: Store, tmp_path: Path) -> None:
        folder = bert_folder(tmp_path / "bert")
        assert create_from(store, "a", folder).digest == create_from(store, "b", folder).digest

    def test_cls_pooling_is_read_from_the_folder(self, store: Store, tmp_path: Path) -> None:
        folder = bert_folder(tmp_path / "bert")
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text('{"pooling_mode_cls_token": true}')
        create_from(store, "embed", folder)
        assert store.resolve("embed").facts.pooling == 2

    @pytest.mark.parametrize(
        "changes",
        [
            {"model_type": "roberta"},
            {"vocab_size": 3},
            {"hidden_size": "8"},
            {"header": {"x": {"dtype": "F32", "shape": [8], "data_offsets": [0, 1 << 40]}}},
            {"header": {"x": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}}},
            {"header": {"x": {"dtype": "I8", "shape": [8], "data_offsets": [0, 8]}}},
            {"header": {"x": []}},
        ],
    )
    def test_what_cannot_be_converted_is_refused_in_one_line(
        self, store: Store, tmp_path: Path, changes: dict[str, object]
    ) -> None:
        folder = bert_folder(tmp_path / "bert", **changes)
        with pytest.raises((BadModelFile, BadRecipe), match="converting") as caught:
            create_from(store, "embed", folder)
        assert "\n" not in str(caught.value)
        assert store.list() == ()

    def test_a_truncated_weights_file_is_refused(self, store: Store, tmp_path: Path) -> None:
        folder = bert_folder(tmp_path / "bert")
        weights = folder / "model.safetensors"
        for count in (0, 4, 8, 50):
            weights.write_bytes(weights.read_bytes()[:count])
            with pytest.raises(BadModelFile):
                create_from(store, "embed", folder)


def test_the_header_of_the_copy_is_that_of_the_file(store: Store, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "some.gguf", extra={"general.license": "mit"})
    create_from(store, "mine", path)
    assert store.describe("mine").facts == read_facts(path)
