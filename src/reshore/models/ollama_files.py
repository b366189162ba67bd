"""How files that Ollama's own converter wrote differ from what llama.cpp reads.

Ollama links a layer into its llama.cpp that rewrites such files in memory; llama.cpp as published
lacks it. Newer uploads of the same models may be clean, so a file is judged by what is in it: by
names of architectures that llama.cpp does not have, by metadata that only Ollama's converter
writes, by metadata that it forgets, and by tensors that do not belong into a text model's file.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from msgspec import Struct

from reshore.models.facts import GgufFacts

# Architecture as Ollama writes it -> what llama.cpp calls it. Keys and tensors differ, too, so a
# new name alone cures nothing. None: llama.cpp has nothing like it.
RENAMED = {
    "gptoss": "gpt-oss",
    "qwen25vl": "qwen2vl",
    "olmo3": "olmo2",
    "glmocr": "glm4",
    "glm4moelite": "deepseek2",
    "deepseekocr": "deepseek2-ocr",
    "nemotron_h_omni": "nemotron_h_moe",
    "mllama": None,
}


class Marks(Struct, frozen=True, kw_only=True):
    """What gives a file of one architecture away. Keys are without the architecture in front.

    Attributes:
        keys: metadata that only Ollama's converter writes.
        missing: metadata without which llama.cpp does not load the file.
        tensors: name patterns that llama.cpp's loader does not know there.
    """

    keys: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()


_QWEN35 = Marks(
    keys=("image_token_id", "ssm.v_head_reordered", "rope.mrope_interleaved"),
    tensors=("mtp.*", "blk.*.ssm_dt"),
)
_QWEN3VL = Marks(missing=("rope.dimension_sections",))

MARKS = {
    "gemma3": Marks(
        keys=("rope.global.freq_base", "rope.local.freq_base"),
        missing=("attention.layer_norm_rms_epsilon",),
        tensors=("dense.*",),
    ),
    "laguna": Marks(
        keys=("rope.swa.dimension_count", "rope.swa.freq_base"), tensors=("blk.*.attn_g.weight",)
    ),
    "mistral3": Marks(
        keys=("rope.scaling.beta_fast", "rope.scaling.mscale_all_dim", "rope.scaling_beta")
    ),
    "nemotron_h_moe": Marks(tensors=("blk.*.ffn_latent_in*", "mtp.*")),
    "qwen35": _QWEN35,
    "qwen35moe": _QWEN35,
    "qwen3next": Marks(tensors=("blk.*.ssm_dt",)),
    "qwen3vl": _QWEN3VL,
    "qwen3vlmoe": _QWEN3VL,
}

# Encoders and projectors of images and sound; llama.cpp wants them in a file of their own.
_SENSES = ("v.*", "mm.*", "a.*", "s.*", "model.vision_tower.*")
_CHARSMAP = "tokenizer.ggml.precompiled_charsmap"


def difference(facts: GgufFacts) -> str | None:
    """What llama.cpp cannot read in a text or embedding model's file; None if nothing is known."""
    if facts.architecture in RENAMED:
        return renamed(facts.architecture)
    if any(_has(facts, pattern) for pattern in _SENSES):
        return "text, vision and projector lie in one file; llama.cpp wants the projector apart"
    return _marked(facts) or _tokenizer(facts) or _vocabulary(facts)


def renamed(architecture: str) -> str:
    """What is wrong with a file of one of the `RENAMED` architectures."""
    theirs = RENAMED[architecture]
    if theirs is None:
        return f"llama.cpp has no architecture {architecture}"
    return (
        f"its architecture is {architecture}, which llama.cpp knows as {theirs}, written otherwise"
    )


def _marked(facts: GgufFacts) -> str | None:
    marks = MARKS.get(facts.architecture)
    if marks is None:
        return None
    own = f"{facts.architecture}."
    for key in marks.missing:
        if own + key not in facts.metadata:
            return f"its metadata lacks {own}{key}, which llama.cpp needs"
    for key in marks.keys:
        if own + key in facts.metadata:
            return f"its metadata has {own}{key}, which llama.cpp calls otherwise"
    for pattern in marks.tensors:
        if _has(facts, pattern):
            return f"it has tensors {pattern}, which llama.cpp does not read"
    return None


def _tokenizer(facts: GgufFacts) -> str | None:
    if _CHARSMAP in facts.text_arrays:
        return f"its {_CHARSMAP} is text, where llama.cpp reads bytes"
    if (facts.architecture, facts.metadata.get("tokenizer.ggml.model")) == ("gemma4", "llama"):
        return "it names the tokenizer llama, where llama.cpp needs gemma4"
    if facts.architecture == "lfm2" and _lacks_norm(facts):
        return "its output_norm.weight is what llama.cpp calls token_embd_norm.weight"
    return None


def _lacks_norm(facts: GgufFacts) -> bool:
    return "output_norm.weight" in facts.tensors and "token_embd_norm.weight" not in facts.tensors


def _vocabulary(facts: GgufFacts) -> str | None:
    """llama.cpp refuses tables of embeddings that have more or fewer rows than there are tokens."""
    for name in ("token_embd.weight", "per_layer_token_embd.weight"):
        shape = facts.tensors.get(name, ())
        if facts.vocab_size and len(shape) == 2 and shape[1] != facts.vocab_size:
            return f"{name} has {shape[1]} rows for {facts.vocab_size} tokens"
    return None


def _has(facts: GgufFacts, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in facts.tensors)
