"""A GGUF file of a few kilobytes whose header is complete and whose weights mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

Extra = bool | int | float | str | list[int] | list[str]


def write_tiny_gguf(
    path: Path,
    *,
    architecture: str = "llama",
    name: str = "tiny",
    chat_template: str | None = CHATML,
    context_length: int = 256,
    embedding_length: int = 32,
    block_count: int = 2,
    extra: Mapping[str, Extra] | None = None,
) -> Path:
    """Write the file and return its path.

    `extra` adds header keys as they are given (`{"bert.pooling_type": 1}`). The header says
    `block_count` layers; each has one tensor, so that layer sizes are not zero.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(context_length)
    writer.add_embedding_length(embedding_length)
    writer.add_block_count(block_count)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    tokens = ["<unk>", "<s>", "</s>", *(chr(ord("a") + n) for n in range(26))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([3, 3, 3] + [1] * 26)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for key, value in (extra or {}).items():
        _add(writer, key, value)
    ones = np.ones((len(tokens), embedding_length), dtype=np.float32)
    writer.add_tensor("token_embd.weight", ones)
    for layer in range(block_count):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", ones[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: Extra) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
