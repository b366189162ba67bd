"""A GGUF file with smaller numbers: Q8_0 and Q4_0, by the `gguf` package.

    python -m reshore.models.quantise IN.gguf OUT.gguf Q8_0

Runs in a process of its own, for NumPy and the weights must not weigh on the server. Memory: about
three times the largest tensor.

Which tensors are made smaller follows llama.cpp's `llama-quantize`: matrices of weights whose rows
fit the block size; never norms, biases, positions, or the small matrices that route experts and
mix states. With Q4_0 the output matrix (or the embedding, where the output is tied to it) becomes
Q8_0: it is where four bits cost the most.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.quants import dequantize, quantize

from reshore.errors import BadModelFile
from reshore.models.process import exit_code

LEVELS = {
    "Q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "Q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
_FULL = frozenset(
    {
        gguf.GGMLQuantizationType.F32,
        gguf.GGMLQuantizationType.F16,
        gguf.GGMLQuantizationType.BF16,
    }
)
_KEPT = re.compile(
    r"_norm\.weight|position_embd|token_types|pos_embd|rel_b|ffn_gate_inp|ssm_conv1d|altup|laurel"
)
_FILE_TYPE = "general.file_type"
_VERSION = "general.quantization_version"
# Written anew; the alignment is the usual one again.
_OWN_KEYS = frozenset({"general.architecture", "general.alignment", _FILE_TYPE, _VERSION})


def write_quantised(source: Path, target: Path, level: str) -> None:
    """Write `target` with the tensors of `source` in `level` (`Q8_0` or `Q4_0`).

    Raises:
        BadModelFile: the file cannot be read or written.
    """
    try:
        _write(gguf.GGUFReader(source), target, level)
    except (OSError, ValueError, KeyError, IndexError) as error:
        target.unlink(missing_ok=True)
        raise BadModelFile(f"{source.name} cannot be quantised: {error}") from error


def _write(reader: Any, target: Path, level: str) -> None:
    kind, file_type = LEVELS[level]
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    _copy_metadata(reader, writer)
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    names = {tensor.name for tensor in reader.tensors}
    last = "output.weight" if "output.weight" in names else "token_embd.weight"
    kinds = {tensor.name: _kind(tensor, kind, last) for tensor in reader.tensors}
    for tensor in reader.tensors:
        shape = tuple(int(length) for length in reversed(tensor.shape))
        _add_info(writer, tensor.name, shape, kinds[tensor.name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in reader.tensors:
        writer.write_tensor_data(_converted(tensor, kinds[tensor.name]))
    writer.close()


def _add_info(
    writer: Any, name: str, shape: tuple[int, ...], kind: gguf.GGMLQuantizationType
) -> None:
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    size = math.prod(shape) // block * block_bytes
    # With a raw type given, the NumPy type only says that the shape counts elements, not bytes.
    writer.add_tensor_info(name, shape, np.dtype(np.float32), size, kind)


def _copy_metadata(reader: Any, writer: Any) -> None:
    for field in reader.fields.values():
        if field.name in _OWN_KEYS or field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        items = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=items)


def _kind(tensor: Any, wanted: gguf.GGMLQuantizationType, last: str) -> Any:
    """What a tensor is to be; its own type where it must stay as it is."""
    small = len(tensor.shape) < 2 or not tensor.name.endswith("weight")
    if small or tensor.tensor_type not in _FULL or _KEPT.search(tensor.name):
        return tensor.tensor_type
    if int(tensor.shape[0]) % gguf.GGML_QUANT_SIZES[wanted][0]:
        return tensor.tensor_type
    return gguf.GGMLQuantizationType.Q8_0 if tensor.name == last else wanted


def _converted(tensor: Any, kind: gguf.GGMLQuantizationType) -> Any:
    if kind == tensor.tensor_type:
        return tensor.data
    return quantize(dequantize(tensor.data, tensor.tensor_type).astype(np.float32), kind)


def main() -> int:
    """Quantise as the command line says."""
    source, target, level = sys.argv[1:]
    return exit_code(lambda: write_quantised(Path(source), Path(target), level))


if __name__ == "__main__":
    sys.exit(main())
