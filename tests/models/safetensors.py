"""Models in Hugging Face's format that are a few kilobytes large and mean nothing."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

_WIDTH, _INNER, _LAYERS = 64, 128, 1
_PIECES = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefgh"]


def write_llama(folder: Path) -> Path:
    """A Llama of one layer with random weights and a SentencePiece vocabulary; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _WIDTH,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-5,
        "vocab_size": len(_PIECES),
        "max_position_embeddings": 128,
        "torch_dtype": "float16",
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.model").write_bytes(_sentencepiece())
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    write_safetensors(folder / "model.safetensors", _weights())
    return folder


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """A length, a JSON header, and the data it points into."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        body = tensor.astype("<f2").tobytes()
        span = [len(data), len(data) + len(body)]
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": span}
        data += body
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def _weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    shapes = {
        "model.embed_tokens.weight": (len(_PIECES), _WIDTH),
        "model.norm.weight": (_WIDTH,),
        "lm_head.weight": (len(_PIECES), _WIDTH),
    }
    for layer in range(_LAYERS):
        block = f"model.layers.{layer}."
        shapes |= {
            block + "input_layernorm.weight": (_WIDTH,),
            block + "post_attention_layernorm.weight": (_WIDTH,),
            block + "self_attn.q_proj.weight": (_WIDTH, _WIDTH),
            block + "self_attn.k_proj.weight": (_WIDTH // 2, _WIDTH),
            block + "self_attn.v_proj.weight": (_WIDTH // 2, _WIDTH),
            block + "self_attn.o_proj.weight": (_WIDTH, _WIDTH),
            block + "mlp.gate_proj.weight": (_INNER, _WIDTH),
            block + "mlp.up_proj.weight": (_INNER, _WIDTH),
            block + "mlp.down_proj.weight": (_WIDTH, _INNER),
        }
    return {name: random.standard_normal(shape) * 0.1 for name, shape in shapes.items()}


def _sentencepiece() -> bytes:
    """The vocabulary as SentencePiece's protocol buffer: pieces, then the kind of model (BPE)."""
    unknown, control, byte, normal = 2, 3, 6, 1
    kinds = [unknown, control, control, *[byte] * 256, *[normal] * (len(_PIECES) - 259)]
    pieces = b""
    for index, (piece, kind) in enumerate(zip(_PIECES, kinds, strict=True)):
        text = piece.encode()
        inner = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", -index)
        inner += b"\x18" + bytes([kind])
        pieces += b"\x0a" + bytes([len(inner)]) + inner
    trainer = b"\x18\x02" + b"\x98\x02\x01"  # model_type BPE, byte_fallback
    return pieces + b"\x12" + bytes([len(trainer)]) + trainer
