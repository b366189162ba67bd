"""A BERT-like embedding model, from the files of a sentence-transformers folder, as GGUF.

    python -m reshore.models.bert FOLDER OUT.gguf

Runs in a process of its own, so that the weights in memory and NumPy never weigh on the server.
The same input gives the same bytes (for one version of the `gguf` package).

Source of the numbers: llama.cpp's BERT loader. Its WordPiece tokenizer marks the beginning of a
word with U+2581, where `vocab.txt` marks the continuation with `##`.
"""

from __future__ import annotations

import json
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import gguf
import numpy as np
import numpy.typing as npt

from reshore.errors import BadModelFile
from reshore.models.process import exit_code

WEIGHTS, VOCABULARY, CONFIG = "model.safetensors", "vocab.txt", "config.json"
POOLING = "1_Pooling/config.json"

_HEADER_LIMIT = 16 << 20
_TEXT_LIMIT = 64 << 20
_TYPES: dict[str, npt.DTypeLike] = {"F32": "<f4", "F16": "<f2"}
# Buffers and the classification head: no part of an embedding.
_IGNORED = re.compile(r"embeddings\.position_ids|pooler\.dense\.(weight|bias)")
# llama.cpp adds these to float32 activations, for which they must be float32 themselves.
_FLOAT32 = frozenset({"position_embd.weight", "token_types.weight"})

Array = npt.NDArray[Any]


def write_bert_gguf(folder: Path, target: Path) -> None:
    """Convert; the memory needed is about that of the largest matrix.

    Raises:
        BadModelFile: a file is missing or malformed, or it is another kind of model.
    """
    try:
        config = json.loads(_read(folder / CONFIG))
        tokens = _read(folder / VOCABULARY).decode("utf-8").splitlines()
        with open(folder / WEIGHTS, "rb") as weights:
            _write(target, config, tokens, _pooling(folder), dict(_tensors(weights)))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        target.unlink(missing_ok=True)
        raise BadModelFile(f"{folder.name} cannot be converted: {error!r}") from error


def _write(
    target: Path,
    config: dict[str, Any],
    tokens: list[str],
    pooling: gguf.PoolingType,
    tensors: dict[str, Array],
) -> None:
    if config["model_type"] != "bert" or len(tokens) != config["vocab_size"]:
        raise ValueError("only BERT models whose vocab.txt is complete can be converted")
    writer = gguf.GGUFWriter(target, "bert", use_temp_file=False)
    _add_shape(writer, config, pooling)
    _add_vocabulary(writer, tokens)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for source in sorted(tensors):
        if _IGNORED.fullmatch(source):
            continue
        name = names.get_name(source.removeprefix("bert."), try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ValueError(f"the tensor {source} is not known in a BERT model")
        tensor = tensors[source]
        small = tensor.ndim < 2 or name in _FLOAT32
        writer.add_tensor(name, tensor.astype(np.float32 if small else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, config: dict[str, Any], pooling: gguf.PoolingType) -> None:
    writer.add_name(str(config.get("_name_or_path", "bert")).rsplit("/", 1)[-1])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)


def _add_vocabulary(writer: gguf.GGUFWriter, tokens: list[str]) -> None:
    control = [re.fullmatch(r"\[.+\]", token) is not None for token in tokens]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(2)
    writer.add_token_list(
        [
            token if special else _piece(token)
            for token, special in zip(tokens, control, strict=True)
        ]
    )
    writer.add_token_types(
        [gguf.TokenType.CONTROL if special else gguf.TokenType.NORMAL for special in control]
    )
    writer.add_unk_token_id(tokens.index("[UNK]"))
    writer.add_pad_token_id(tokens.index("[PAD]"))
    writer.add_sep_token_id(tokens.index("[SEP]"))
    writer.add_bos_token_id(tokens.index("[CLS]"))
    writer.add_mask_token_id(tokens.index("[MASK]"))


def _piece(token: str) -> str:
    return token[2:] if token.startswith("##") else "\u2581" + token


def _pooling(folder: Path) -> gguf.PoolingType:
    """As sentence-transformers' pooling module says; mean when there is none."""
    path = folder / POOLING
    if not path.exists():
        return gguf.PoolingType.MEAN
    wanted = json.loads(_read(path))
    if wanted.get("pooling_mode_mean_tokens"):
        return gguf.PoolingType.MEAN
    if wanted.get("pooling_mode_cls_token"):
        return gguf.PoolingType.CLS
    raise ValueError("its pooling is neither mean nor cls")


def _tensors(file: BinaryIO) -> Iterator[tuple[str, Array]]:
    """The tensors of a safetensors file: a length, a JSON header, the data it points into."""
    size = file.seek(0, 2)
    file.seek(0)
    (length,) = struct.unpack("<Q", file.read(8))
    if length > min(_HEADER_LIMIT, size - 8):
        raise ValueError("the safetensors header is longer than it may be")
    header = json.loads(file.read(length))
    data = np.memmap(file, dtype=np.uint8, mode="r", offset=8 + length)
    for name, entry in header.items():
        if name == "__metadata__" or _IGNORED.fullmatch(name):
            continue
        start, end = entry["data_offsets"]
        if not 0 <= start <= end <= len(data):
            raise ValueError(f"the tensor {name} lies outside the file")
        kind = _TYPES.get(entry["dtype"])
        if kind is None:
            raise ValueError(f"the tensor {name} is {entry['dtype']}; F32 and F16 can be read")
        yield name, data[start:end].view(kind).reshape(entry["shape"])


def _read(path: Path) -> bytes:
    with open(path, "rb") as file:
        body = file.read(_TEXT_LIMIT + 1)
    if len(body) > _TEXT_LIMIT:
        raise ValueError(f"{path.name} is too long")
    return body


def main() -> int:
    """Convert as the command line says."""
    folder, target = map(Path, sys.argv[1:])
    return exit_code(lambda: write_bert_gguf(folder, target))


if __name__ == "__main__":
    sys.exit(main())
