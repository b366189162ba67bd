"""Each case of models that llama.cpp cannot serve as Ollama keeps them, and those that it can."""

from __future__ import annotations

from typing import Any

import pytest

from reshore.models.judge import Verdict, judge_family, judge_files, judge_manifest
from reshore.models.manifest import (
    DRAFT_TYPE,
    MODEL_TYPE,
    PROJECTOR_TYPE,
    TENSOR_TYPE,
    Layer,
    Manifest,
)
from reshore.models.names import parse_name
from reshore.models.templates import choose
from tests.models.ollama_store import LLAMA3_GO
from tests.models.test_capabilities import facts

CLEAN_GEMMA3: dict[str, Any] = {
    "gemma3.attention.layer_norm_rms_epsilon": 1e-6,
    "gemma3.rope.freq_base": 1e6,
}
CLEAN_QWEN3VL: dict[str, Any] = {"qwen3vl.rope.dimension_sections": [24, 20, 20, 0]}


def manifest(*kinds: str) -> Manifest:
    layers = tuple(Layer(kind, f"sha256:{n:064}", n) for n, kind in enumerate(kinds, 1))
    return Manifest(schema_version=2, config=Layer("config", f"sha256:{0:064}", 0), layers=layers)


def judged(
    *more: str,
    name: str = "m:7b",
    go: str | None = None,
    config: dict[str, Any] | None = None,
    projector: dict[str, Any] | None = None,
    **changes: Any,
) -> Verdict:
    header = facts(**changes)
    return judge_files(
        manifest(MODEL_TYPE, *more),
        header,
        name=parse_name(name),
        projector=facts(architecture="clip", **projector) if projector is not None else None,
        config=config or {},
        go_template=go,
        template=choose(header, go),
    )


def from_manifest(*kinds: str, config: dict[str, Any] | None = None) -> Verdict | None:
    return judge_manifest(manifest(*kinds), config or {}, parse_name("m:7b"))


# From the manifest and its config blob alone


@pytest.mark.parametrize(
    ("config", "state"),
    [
        ({"model_family": "mllama"}, "unsupported"),
        ({"model_families": ["clip", "mllama"]}, "unsupported"),
        ({"model_family": "gptoss", "model_families": ["gptoss"]}, "needs a fix"),
        ({"model_family": "llama", "model_families": None}, None),
        ({"model_family": ["mllama"], "model_families": "mllama"}, None),
        ({}, None),
    ],
)
def test_a_family_that_only_ollama_writes_gives_a_file_away(
    config: dict[str, Any], state: str | None
) -> None:
    verdict = judge_family(config, parse_name("gpt-oss:20b"))
    assert (verdict and verdict.state) == state
    if verdict is not None:
        assert "reshore pull hf.co/" in verdict.fix


@pytest.mark.parametrize("family", ["mllama", "gptoss", "olmo3"])
def test_a_family_is_judged_as_its_file_will_be(family: str) -> None:
    verdict = judge_family({"model_family": family}, parse_name("m:7b"))
    assert verdict == judged(architecture=family)


def test_one_gguf_file_has_to_be_looked_at() -> None:
    assert from_manifest(MODEL_TYPE) is None


def test_separate_tensors_are_unsupported() -> None:
    for verdict in (
        from_manifest(TENSOR_TYPE, TENSOR_TYPE),
        from_manifest(MODEL_TYPE, config={"model_format": "safetensors"}),
    ):
        assert verdict is not None
        assert verdict.state == "unsupported"
        assert "separate tensors" in verdict.reason
        assert "reshore pull hf.co/" in verdict.fix


def test_a_model_in_the_cloud_is_not_here() -> None:
    verdict = from_manifest(config={"remote_host": "https://ollama.com", "remote_model": "m"})
    assert verdict is not None
    assert verdict.state == "unsupported"
    assert "cloud" in verdict.reason


def test_a_split_model_has_to_be_joined() -> None:
    verdict = from_manifest(MODEL_TYPE, MODEL_TYPE)
    assert verdict is not None
    assert verdict.state == "needs a fix"
    assert "llama-gguf-split --merge" in verdict.fix


def test_a_manifest_without_a_model_is_unsupported() -> None:
    verdict = from_manifest()
    assert verdict is not None
    assert verdict.state == "unsupported"


# From the headers: files of Ollama's converter


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("gptoss", {}),
        ("qwen25vl", {}),
        ("olmo3", {}),
        ("glmocr", {}),
        ("glm4moelite", {}),
        ("deepseekocr", {}),
        ("nemotron_h_omni", {}),
        ("gemma3", {}),
        ("gemma3", {"metadata": CLEAN_GEMMA3 | {"gemma3.rope.local.freq_base": 1e4}}),
        ("gemma3", {"metadata": CLEAN_GEMMA3, "tensors": {"v.patch_embedding.weight": (1,)}}),
        ("gemma3", {"metadata": CLEAN_GEMMA3, "tensors": {"dense.*.weight": (768, 3072)}}),
        ("gemma3", {"metadata": CLEAN_GEMMA3, "tensors": {"token_embd.weight": (8, 255)}}),
        (
            "gemma3n",
            {"tensors": {"token_embd.weight": (8, 256), "per_layer_token_embd.weight": (8, 255)}},
        ),
        ("gemma4", {"metadata": {"tokenizer.ggml.model": "llama"}}),
        ("gemma4", {"tensors": {"a.blk.*.attn_q.weight": (1,)}}),
        ("gemma4", {"tensors": {"model.vision_tower.x": (1,)}}),
        ("qwen3vl", {}),
        ("qwen3vlmoe", {}),
        ("qwen35", {"metadata": {"qwen35.ssm.v_head_reordered": True}}),
        ("qwen35moe", {"tensors": {"mtp.fc.weight": (1,)}}),
        ("qwen35moe", {"tensors": {"blk.*.ssm_dt": (1,)}}),
        ("qwen3next", {"tensors": {"blk.*.ssm_dt": (1,)}}),
        ("mistral3", {"metadata": {"mistral3.rope.scaling_beta": 0.1}}),
        ("mistral3", {"tensors": {"mm.*.weight": (1,)}}),
        ("llama4", {"tensors": {"v.class_embd": (1,)}}),
        ("lfm2", {"tensors": {"output_norm.weight": (1,)}}),
        ("laguna", {"tensors": {"blk.*.attn_g.weight": (1,)}}),
        ("nemotron_h_moe", {"tensors": {"blk.*.ffn_latent_in.weight": (1,)}}),
        ("bert", {"text_arrays": frozenset({"tokenizer.ggml.precompiled_charsmap"})}),
    ],
)
def test_a_file_that_only_ollamas_llama_cpp_reads_needs_another_one(
    architecture: str, changes: dict[str, Any]
) -> None:
    verdict = judged(architecture=architecture, **changes)
    assert verdict.state == "needs a fix"
    assert verdict.reason
    assert verdict.fix.startswith("Pull ")
    assert verdict.repair is None
    assert verdict.unfit


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("llama", {}),
        ("gpt-oss", {}),
        ("gemma2", {}),
        ("gemma3", {"metadata": CLEAN_GEMMA3, "tensors": {"token_embd.weight": (8, 256)}}),
        ("gemma4", {"metadata": {"tokenizer.ggml.model": "gemma4"}}),
        ("qwen2vl", {}),
        ("qwen3vl", {"metadata": CLEAN_QWEN3VL}),
        ("qwen35", {"tensors": {"blk.*.ssm_dt.bias": (1,)}}),
        ("qwen3next", {"tensors": {"blk.*.ssm_dt.bias": (1,)}}),
        ("mistral3", {"metadata": {"mistral3.rope.scaling.yarn_beta_fast": 32.0}}),
        ("lfm2", {"tensors": {"token_embd_norm.weight": (1,)}}),
        ("bert", {"causal": False, "pooling": 1}),
        ("an-architecture-of-next-year", {}),
    ],
)
def test_the_same_family_as_llama_cpp_writes_it_is_servable(
    architecture: str, changes: dict[str, Any]
) -> None:
    verdict = judged(architecture=architecture, **changes)
    assert verdict == Verdict()
    assert verdict.servable


def test_llama_3_2_vision_has_no_counterpart_in_llama_cpp() -> None:
    verdict = judged(architecture="mllama")
    assert verdict.state == "unsupported"
    assert "mllama" in verdict.reason


@pytest.mark.parametrize(
    ("architecture", "name", "upload"),
    [
        ("gptoss", "gpt-oss:20b", "hf.co/ggml-org/gpt-oss-20b-GGUF"),
        ("gemma3", "gemma3:4b-it-qat", "hf.co/ggml-org/gemma-3-4b-it-GGUF"),
        ("qwen25vl", "qwen2.5vl:7b", "hf.co/ggml-org/Qwen2.5-VL-7B-Instruct-GGUF"),
        ("gptoss", "gpt-oss", "hf.co/OWNER/REPO:QUANT"),
    ],
)
def test_the_fix_names_an_upload_where_one_is_known(
    architecture: str, name: str, upload: str
) -> None:
    assert upload in judged(architecture=architecture, name=name).fix


# From the headers: what changed metadata cures


OLD_LLAMA3: dict[str, Any] = {
    "metadata": {"tokenizer.ggml.model": "gpt2"},
    "vocab_size": 128_256,
    "special_tokens": {"bos": "<|begin_of_text|>", "eos": "<|end_of_text|>"},
}


def test_an_old_llama_3_needs_its_pre_tokenizer_named() -> None:
    verdict = judged(name="llama3:8b", **OLD_LLAMA3)
    assert verdict.state == "needs a fix"
    assert verdict.repair is not None
    assert verdict.repair.file == "model"
    assert verdict.repair.changes == {"tokenizer.ggml.pre": "llama-bpe"}
    assert "`reshore import-ollama --fix llama3:8b`" in verdict.fix


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe"}},
        {"metadata": {"tokenizer.ggml.model": "llama"}},
        {"vocab_size": 32_000},
        {"special_tokens": {"bos": "<s>"}},
        {"architecture": "qwen2"},
    ],
)
def test_no_other_model_is_taken_for_an_old_llama_3(change: dict[str, Any]) -> None:
    assert judged(**(OLD_LLAMA3 | change)).servable


LLAVA = {"mm.*.weight": (1024, 4096), "mm.*.bias": (4096,), "v.blk.*.ln1.weight": (1024,)}


def test_an_old_llava_projector_needs_its_type_named() -> None:
    verdict = judged(PROJECTOR_TYPE, projector={"tensors": LLAVA})
    assert verdict.state == "needs a fix"
    assert verdict.repair is not None
    assert verdict.repair.file == "projector"
    assert verdict.repair.changes == {"clip.projector_type": "mlp"}


def test_a_projector_of_an_unknown_type_is_not_given_one() -> None:
    verdict = judged(PROJECTOR_TYPE, projector={"tensors": {"mm.model.*.weight": (1,)}})
    assert verdict.state == "needs a fix"
    assert verdict.repair is None


@pytest.mark.parametrize("key", ["clip.projector_type", "clip.vision.projector_type"])
def test_a_projector_that_says_its_type_is_servable(key: str) -> None:
    assert judged(PROJECTOR_TYPE, projector={"tensors": LLAVA, "metadata": {key: "mlp"}}).servable


# What is different although it is servable


def test_a_recognised_go_template_is_told() -> None:
    verdict = judged(chat_template=None, go=LLAMA3_GO)
    assert verdict.servable
    assert "llama3" in verdict.summary


def test_a_model_without_any_template_says_that_it_cannot_chat() -> None:
    for go in (None, "{{ .Prompt }}"):
        verdict = judged(chat_template=None, go=go)
        assert verdict.servable
        assert "chat is refused" in verdict.summary


def test_an_embedding_model_needs_no_template() -> None:
    assert judged(chat_template=None, go="{{ .Prompt }}", causal=False, pooling=1).notes == ()


@pytest.mark.parametrize("config", [{"renderer": "qwen3-coder"}, {"parser": "qwen3-coder"}])
def test_prompts_that_ollama_makes_in_code_are_told(config: dict[str, Any]) -> None:
    verdict = judged(config=config)
    assert verdict.servable
    assert "not as Ollama makes them" in verdict.summary


def test_a_draft_model_is_not_used_and_told() -> None:
    verdict = judged(DRAFT_TYPE)
    assert verdict.servable
    assert "draft model" in verdict.summary


def test_a_summary_is_reason_and_fix_in_sentences() -> None:
    verdict = Verdict(state="needs a fix", reason="it is red", fix="Paint it.")
    assert verdict.summary == "It is red. Paint it."


def test_names_that_are_written_small_stay_so_in_a_sentence() -> None:
    for reason in ("llama.cpp has no architecture x", "sha256-00ff cannot be read"):
        assert Verdict(state="unsupported", reason=reason).summary == f"{reason}."
