from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize

from reshore.errors import BadModelFile, BadRecipe
from reshore.models.convert import check_full, checked_level, quantise
from reshore.models.create import create
from reshore.models.gguf import read_facts
from reshore.models.quantise import write_quantised
from reshore.models.recipe import Recipe
from reshore.models.store import Store

Kind = gguf.GGMLQuantizationType


def write_model(path: Path, *, tied: bool = False, kind: type = np.float16) -> Path:
    """A model with one matrix of each sort that matters, of random numbers."""
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random")
    writer.add_block_count(1)
    writer.add_token_list(["<unk>", "a"])
    writer.add_array("some.numbers", [1, 2, 3])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)

    def add(name: str, *shape: int, as_type: type = kind) -> None:
        writer.add_tensor(name, random.standard_normal(shape).astype(as_type))

    add("token_embd.weight", 4, 64)
    add("blk.0.attn_norm.weight", 64, as_type=np.float32)
    add("blk.0.attn_q.weight", 8, 64)
    add("blk.0.attn_q.bias", 64, as_type=np.float32)
    add("blk.0.ffn_gate_inp.weight", 8, 64)
    add("blk.0.odd.weight", 8, 33)
    if not tied:
        add("output.weight", 4, 64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def kinds(path: Path) -> dict[str, Kind]:
    return {tensor.name: tensor.tensor_type for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize(("level", "kind"), [("Q8_0", Kind.Q8_0), ("Q4_0", Kind.Q4_0)])
def test_weights_become_smaller_and_the_rest_stays(tmp_path: Path, level: str, kind: Kind) -> None:
    source, target = write_model(tmp_path / "a.gguf"), tmp_path / "b.gguf"
    write_quantised(source, target, level)
    assert kinds(target) == {
        "token_embd.weight": kind,
        "blk.0.attn_norm.weight": Kind.F32,
        "blk.0.attn_q.weight": kind,
        "blk.0.attn_q.bias": Kind.F32,
        "blk.0.ffn_gate_inp.weight": Kind.F16,
        "blk.0.odd.weight": Kind.F16,
        "output.weight": Kind.Q8_0,
    }
    facts = read_facts(target)
    assert facts.quantization == level
    assert facts.name == "random"
    assert facts.metadata["some.numbers"] == [1, 2, 3]
    assert target.stat().st_size < source.stat().st_size


def test_with_a_tied_output_the_embedding_keeps_eight_bits(tmp_path: Path) -> None:
    write_quantised(write_model(tmp_path / "a", tied=True), tmp_path / "b", "Q4_0")
    assert kinds(tmp_path / "b")["token_embd.weight"] == Kind.Q8_0


@pytest.mark.parametrize(("level", "error"), [("Q8_0", 0.01), ("Q4_0", 0.15)])
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_the_numbers_stay_nearly_the_same(
    tmp_path: Path, level: str, error: float, kind: type
) -> None:
    source = write_model(tmp_path / "a", kind=kind)
    write_quantised(source, tmp_path / "b", level)
    before = {tensor.name: tensor for tensor in gguf.GGUFReader(source).tensors}
    for tensor in gguf.GGUFReader(tmp_path / "b").tensors:
        was = before[tensor.name].data.astype(np.float32)
        now = dequantize(tensor.data, tensor.tensor_type)
        assert np.linalg.norm(now - was) / np.linalg.norm(was) <= error


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    source = write_model(tmp_path / "a")
    for name in ("b", "c"):
        write_quantised(source, tmp_path / name, "Q4_0")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_what_is_no_gguf_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    with pytest.raises(BadModelFile, match="cannot be quantised"):
        write_quantised(tmp_path / "a", tmp_path / "b", "Q8_0")
    assert not (tmp_path / "b").exists()


async def test_it_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    target = await quantise(write_model(tmp_path / "a.gguf"), tmp_path, "Q8_0", "a")
    assert read_facts(target).quantization == "Q8_0"


async def test_k_quants_take_llama_quantize(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(BadRecipe, match=r"takes llama\.cpp's llama-quantize, which is not on PATH"):
        await quantise(tmp_path / "a.gguf", tmp_path, "Q4_K_M", "a")


async def test_llama_quantize_on_path_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in its place says what it was told."""
    program = tmp_path / "bin" / "llama-quantize"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s" "$1 $3" > "$2"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    target = await quantise(tmp_path / "a.gguf", tmp_path, "Q4_K_M", "a")
    assert target.read_text() == f"{tmp_path / 'a.gguf'} Q4_K_M"


def test_a_level_is_written_in_any_case() -> None:
    assert checked_level("q8_0") == "Q8_0"


@pytest.mark.parametrize("level", ["q4_wide", "Q4_K_M"])
async def test_a_level_that_cannot_be_made_is_told_before_anything_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    store = Store(tmp_path / "store")
    recipe = Recipe(paths=(write_model(tmp_path / "a.gguf"),), quantize=level)
    with pytest.raises(BadRecipe):
        await create(store, "m", recipe)
    assert not store.root.exists()


def test_what_is_quantised_already_is_refused() -> None:
    check_full("BF16")
    with pytest.raises(BadRecipe, match="only supported for F16, BF16 and F32 models; this one"):
        check_full("Q4_0")
