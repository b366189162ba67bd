"""A language model that sees, of half a megabyte and with random weights.

It shows that an image's way through the whole stack works. What it says means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import gguf
import numpy as np

from tests.models.tiny import CHATML

# What one image takes of the context: one token per patch, without the class token.
IMAGE_SIZE, PATCH_SIZE = 56, 14
IMAGE_TOKENS = (IMAGE_SIZE // PATCH_SIZE) ** 2

_WIDTH, _FFN, _HEADS, _LAYERS = 64, 128, 4, 2
_VISION_WIDTH, _VISION_FFN = 32, 64
_EPSILON = 1e-5

_CONTROL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
_LETTERS = ["▁", *(chr(code) for code in range(33, 127))]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]  # whatever is no letter falls back to these
_TOKENS = ["<unk>", *_CONTROL, *_LETTERS, *_BYTES]
_KINDS = [
    gguf.TokenType.UNKNOWN,
    *[gguf.TokenType.CONTROL] * len(_CONTROL),
    *[gguf.TokenType.NORMAL] * len(_LETTERS),
    *[gguf.TokenType.BYTE] * len(_BYTES),
]

Random = Callable[..., np.ndarray]


def write_tiny_vision(folder: Path) -> tuple[Path, Path]:
    """Write `model.gguf` and `mmproj.gguf` into `folder`, which must be there, and name them.

    The text model has llama's architecture, a vocabulary of letters and bytes and a ChatML
    template. The projector is LLaVA's: a CLIP encoder and two linear layers (`mlp`), as
    llama.cpp's `tools/mtmd/clip.cpp` reads it. Every image becomes `IMAGE_TOKENS` tokens.
    """
    model, projector = folder / "model.gguf", folder / "mmproj.gguf"
    _write_text_model(model)
    _write_projector(projector)
    return model, projector


def old_projector(folder: Path) -> bytes:
    """A projector as the first LLaVA models have it, which does not say its type."""
    writer = gguf.GGUFWriter(folder / "clip.gguf", "clip")
    for layer in (0, 2):
        writer.add_tensor(f"mm.{layer}.weight", np.ones((4, 4), dtype=np.float32))
        writer.add_tensor(f"mm.{layer}.bias", np.ones(4, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return (folder / "clip.gguf").read_bytes()


def _write_text_model(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny vision")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(2048)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_FFN)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(_EPSILON)
    writer.add_vocab_size(len(_TOKENS))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(_TOKENS)
    writer.add_token_scores([0.0] * len(_TOKENS))
    writer.add_token_types(_KINDS)
    writer.add_bos_token_id(_TOKENS.index("<s>"))
    writer.add_eos_token_id(_TOKENS.index("<|im_end|>"))
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHATML)
    _finish(writer, _text_tensors(_random(seed=1)))


def _text_tensors(random: Random) -> dict[str, np.ndarray]:
    tensors = {
        "token_embd.weight": random(len(_TOKENS), _WIDTH),
        "output_norm.weight": _ones(_WIDTH),
        "output.weight": random(len(_TOKENS), _WIDTH),
    }
    for layer in range(_LAYERS):
        block = f"blk.{layer}"
        for norm in ("attn_norm", "ffn_norm"):
            tensors[f"{block}.{norm}.weight"] = _ones(_WIDTH)
        for square in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors[f"{block}.{square}.weight"] = random(_WIDTH, _WIDTH)
        tensors[f"{block}.ffn_gate.weight"] = random(_FFN, _WIDTH)
        tensors[f"{block}.ffn_up.weight"] = random(_FFN, _WIDTH)
        tensors[f"{block}.ffn_down.weight"] = random(_WIDTH, _FFN)
    return tensors


def _write_projector(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_name("tiny vision")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("mlp")
    writer.add_vision_image_size(IMAGE_SIZE)
    writer.add_vision_patch_size(PATCH_SIZE)
    writer.add_vision_embedding_length(_VISION_WIDTH)
    writer.add_vision_feed_forward_length(_VISION_FFN)
    writer.add_vision_projection_dim(_WIDTH)
    writer.add_vision_block_count(_LAYERS)
    writer.add_vision_head_count(_HEADS)
    writer.add_vision_attention_layernorm_eps(_EPSILON)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    _finish(writer, _vision_tensors(_random(seed=2)))


def _vision_tensors(random: Random) -> dict[str, np.ndarray]:
    width = _VISION_WIDTH
    tensors = {
        "v.class_embd": random(width),
        "v.patch_embd.weight": random(width, 3, PATCH_SIZE, PATCH_SIZE),
        "v.position_embd.weight": random(IMAGE_TOKENS + 1, width),  # one is the class token's
        **_norm("v.pre_ln", width),
        **_linear("mm.0", random, _WIDTH, width),
        **_linear("mm.2", random, _WIDTH, _WIDTH),
    }
    for layer in range(_LAYERS):
        block = f"v.blk.{layer}"
        tensors |= _norm(f"{block}.ln1", width) | _norm(f"{block}.ln2", width)
        for square in ("attn_q", "attn_k", "attn_v", "attn_out"):
            tensors |= _linear(f"{block}.{square}", random, width, width)
        tensors |= _linear(f"{block}.ffn_up", random, _VISION_FFN, width)
        tensors |= _linear(f"{block}.ffn_down", random, width, _VISION_FFN)
    return tensors


def _linear(name: str, random: Random, rows: int, columns: int) -> dict[str, np.ndarray]:
    return {f"{name}.weight": random(rows, columns), f"{name}.bias": random(rows)}


def _norm(name: str, width: int) -> dict[str, np.ndarray]:
    return {f"{name}.weight": _ones(width), f"{name}.bias": np.zeros(width, np.float32)}


def _ones(width: int) -> np.ndarray:
    return np.ones(width, np.float32)


def _random(seed: int) -> Random:
    """Draws that keep the size of what passes through them, the same ones every time."""
    generator = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        scale = np.sqrt(np.prod(shape[1:], dtype=np.float32))
        return (generator.standard_normal(shape, np.float32) / scale).astype(np.float32)

    return draw


def _finish(writer: gguf.GGUFWriter, tensors: Mapping[str, np.ndarray]) -> None:
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
