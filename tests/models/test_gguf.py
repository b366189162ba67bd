from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reshore.errors import BadModelFile
from reshore.models import ggml
from reshore.models.gguf import read_facts
from reshore.models.header import PAIR_LIMIT, STRINGS_LIMIT, TENSOR_LIMIT
from tests.models.tiny import CHATML, write_tiny_gguf

U8, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 6, 7, 8, 9, 10
HUGE = 1 << 60


def text(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value


def pair(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def array_of(kind: int, count: int, body: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + body


def tensor(
    name: bytes = b"w", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0
) -> bytes:
    dims = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dims + struct.pack("<IQ", kind, offset)


ARCH = pair(b"general.architecture", STRING, text(b"llama"))


def file(
    *pairs: bytes,
    tensors: tuple[bytes, ...] = (),
    magic: bytes = b"GGUF",
    version: int = 3,
    pair_count: int | None = None,
    tensor_count: int | None = None,
    data: int = 4096,
) -> bytes:
    counts = (
        len(tensors) if tensor_count is None else tensor_count,
        len(pairs) if pair_count is None else pair_count,
    )
    start = magic + struct.pack("<IQQ", version, *counts)
    return start + b"".join(pairs) + b"".join(tensors) + bytes(data)


HOSTILE = {
    "empty": (b"", "ends in the middle"),
    "three bytes": (b"GGU", "ends in the middle"),
    "bad magic": (file(ARCH, magic=b"GGML"), "no GGUF file"),
    "version 1": (file(ARCH, version=1), "version is 1"),
    "version from the future": (file(ARCH, version=4), "version is 4"),
    "big endian": (file(ARCH, version=3 << 24), "big-endian"),
    "truncated counts": (b"GGUF" + u32(3) + b"\1", "ends in the middle"),
    "2^60 pairs": (file(ARCH, pair_count=HUGE), "metadata keys"),
    "more pairs than bytes": (file(ARCH, pair_count=PAIR_LIMIT, data=0), "ends in the middle"),
    "2^60 tensors": (file(ARCH, tensor_count=HUGE), "tensors"),
    "more tensors than bytes": (file(ARCH, tensor_count=TENSOR_LIMIT, data=0), "ends in"),
    "giant key": (file(text(b"k", HUGE)), "metadata key is"),
    "empty key": (file(ARCH, pair(b"", U32, u32(1))), "empty metadata key"),
    "key twice": (file(ARCH, ARCH), "twice"),
    "array key twice": (
        file(ARCH, pair(b"a", ARRAY, array_of(U8, 600, bytes(600))), pair(b"a", U8, b"1")),
        "twice",
    ),
    "giant string value": (file(ARCH, pair(b"k", STRING, text(b"", HUGE))), "at most"),
    "string beyond the file": (file(ARCH, pair(b"k", STRING, text(b"", 9999))), "ends in"),
    "unknown value type": (file(ARCH, pair(b"k", 13, b"")), "value type 13"),
    "truth that is 2": (file(ARCH, pair(b"k", BOOL, b"\2")), "neither 0 nor 1"),
    "array of 2^60 bytes": (file(ARCH, pair(b"k", ARRAY, array_of(U8, HUGE))), "ends in"),
    "array whose size overflows": (
        file(ARCH, pair(b"k", ARRAY, array_of(U64, (1 << 61) + 1))),
        "ends in",
    ),
    "array of 2^60 strings": (file(ARCH, pair(b"k", ARRAY, array_of(STRING, HUGE))), "strings"),
    "array with a giant string": (
        file(ARCH, pair(b"k", ARRAY, array_of(STRING, 2, text(b"a") + text(b"", (1 << 64) - 1)))),
        "ends in",
    ),
    "array of arrays": (
        file(ARCH, pair(b"k", ARRAY, array_of(ARRAY, 1, array_of(U8, 0)))),
        "unsupported type 9",
    ),
    "no architecture": (file(), "architecture"),
    "architecture is a number": (
        file(pair(b"general.architecture", U32, u32(1))),
        "not text",
    ),
    "architecture is a path": (
        file(pair(b"general.architecture", STRING, text(b"../x"))),
        "architecture",
    ),
    "alignment 0": (file(ARCH, pair(b"general.alignment", U32, u32(0))), "alignment 0"),
    "alignment 3": (file(ARCH, pair(b"general.alignment", U32, u32(3))), "alignment 3"),
    "alignment 2^31": (file(ARCH, pair(b"general.alignment", U32, u32(1 << 31))), "alignment"),
    "alignment is text": (file(ARCH, pair(b"general.alignment", STRING, text(b"32"))), "alignm"),
    "five dimensions": (file(ARCH, tensors=(tensor(shape=(1,) * 5),)), "5 dimensions"),
    "no dimension": (file(ARCH, tensors=(tensor(shape=()),)), "0 dimensions"),
    "zero elements": (file(ARCH, tensors=(tensor(shape=(32, 0)),)), "impossible shape"),
    "shape overflows": (
        file(ARCH, tensors=(tensor(shape=(1 << 32, 1 << 32, 1 << 32)),)),
        "impossible shape",
    ),
    "shape overflows to 0": (
        file(ARCH, tensors=(tensor(shape=(1 << 63, 2)),)),
        "impossible shape",
    ),
    "unknown tensor type": (file(ARCH, tensors=(tensor(kind=200),)), "unknown type 200"),
    "removed tensor type": (file(ARCH, tensors=(tensor(kind=4),)), "unknown type 4"),
    "half a block": (file(ARCH, tensors=(tensor(shape=(33,), kind=2),)), "multiple of 32"),
    "unaligned offset": (file(ARCH, tensors=(tensor(offset=7),)), "not aligned"),
    "offset beyond the file": (file(ARCH, tensors=(tensor(offset=1 << 40),)), "cut short"),
    "offset overflows": (file(ARCH, tensors=(tensor(offset=(1 << 64) - 32),)), "cut short"),
    "last byte missing": (file(ARCH, tensors=(tensor(shape=(1024,)),), data=4000), "cut short"),
    "no data at all": (file(ARCH, tensors=(tensor(),), data=0), "cut short"),
    "tensor twice": (file(ARCH, tensors=(tensor(), tensor(offset=128))), "twice"),
    "long tensor name": (file(ARCH, tensors=(tensor(name=b"n" * 64),)), "tensor's name"),
    "2^32 layers": (file(ARCH, pair(b"llama.block_count", U32, u32(0xFFFFFFFF))), "block_count"),
    "context length is text": (
        file(ARCH, pair(b"llama.context_length", STRING, text(b"8192"))),
        "context_length",
    ),
    "context length is a fraction": (
        file(ARCH, pair(b"llama.context_length", F32, struct.pack("<f", 1.5))),
        "context_length",
    ),
    "too few layers in a list": (
        file(
            ARCH,
            pair(b"llama.block_count", U32, u32(2)),
            pair(b"llama.attention.head_count_kv", ARRAY, array_of(U32, 1, u32(1))),
        ),
        "1 of 2 layers",
    ),
    "one of several parts": (file(ARCH, pair(b"split.count", U32, u32(3))), "one of 3 parts"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    body, reason = HOSTILE[case]
    path = tmp_path / "model.gguf"
    path.write_bytes(body)
    with pytest.raises(BadModelFile, match=reason) as caught:
        read_facts(path)
    assert "model.gguf" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_the_largest_hostile_headers_cost_little_time_and_memory(tmp_path: Path) -> None:
    """As many empty strings as allowed, and an array as long as the header may be."""
    strings = pair(b"tokenizer.ggml.tokens", ARRAY, array_of(STRING, STRINGS_LIMIT))
    many = file(ARCH, strings, data=8 * STRINGS_LIMIT) + bytes(1 << 20)
    long = file(ARCH, pair(b"a", ARRAY, array_of(U8, 63 << 20)), tensor_count=1, data=64 << 20)
    for number, body in enumerate((many, long)):
        (tmp_path / f"{number}.gguf").write_bytes(body)
    program = (
        "import re, resource, sys, time\nfrom pathlib import Path\n"
        "from reshore.errors import BadModelFile\nfrom reshore.models.gguf import read_facts\n"
        "for name in sys.argv[1:]:\n"
        "    start = time.process_time()\n"
        "    try:\n        read_facts(Path(name))\n"
        "    except BadModelFile as error:\n        print(error, file=sys.stderr)\n"
        "    print(time.process_time() - start)\n"
        # ru_maxrss survives exec on Linux: it would be that of the whole test run.
        "status = Path('/proc/self/status')\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', status.read_text()) if status.exists() else None\n"
        "print(peak[1] if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "0.gguf", tmp_path / "1.gguf"],
        capture_output=True,
        text=True,
        check=True,
    )
    *seconds, peak = map(float, done.stdout.split())
    assert max(seconds) < 1.0
    assert peak < 200 * 1024 * (1 if sys.platform != "darwin" else 1024)


def test_facts_of_a_good_file(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "m", extra={"llama.attention.sliding_window": 64})
    facts = read_facts(path)
    assert facts.architecture == "llama"
    assert facts.context_length == 256
    assert (facts.head_count, facts.head_count_kv) == (4, (2, 2))
    assert (facts.key_length, facts.value_length) == (8, 8)
    assert facts.chat_template == CHATML
    assert facts.special_tokens == {"bos": "<s>", "eos": "</s>"}
    assert facts.vocab_size == 29
    assert facts.sliding_window == 64
    assert facts.causal
    assert facts.quantization == "F32"
    assert facts.layer_bytes == (128, 128)
    assert facts.weight_bytes == 128 * 2 + 29 * 32 * 4
    assert facts.parameter_count == 31 * 32
    assert facts.file_bytes == path.stat().st_size


def test_an_encoder_is_not_causal_even_when_it_does_not_say_so(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "m", architecture="bert", extra={"bert.pooling_type": 1})
    facts = read_facts(path)
    assert (facts.causal, facts.pooling) == (False, 1)


def test_per_layer_heads_are_kept_per_layer(tmp_path: Path) -> None:
    path = tmp_path / "m"
    body = file(
        ARCH,
        pair(b"llama.block_count", U32, u32(3)),
        pair(b"llama.attention.head_count_kv", ARRAY, array_of(U32, 3, u32(0) + u32(4) + u32(0))),
    )
    path.write_bytes(body)
    assert read_facts(path).head_count_kv == (0, 4, 0)


def test_infill_tokens_are_found_by_their_texts(tmp_path: Path) -> None:
    tokens = b"".join(map(text, (b"a", b"<|fim_prefix|>", b"<|fim_suffix|>", b"<|fim_middle|>")))
    path = tmp_path / "m"
    path.write_bytes(file(ARCH, pair(b"tokenizer.ggml.tokens", ARRAY, array_of(STRING, 4, tokens))))
    found = read_facts(path).special_tokens
    assert found == {
        "fim_pre": "<|fim_prefix|>",
        "fim_suf": "<|fim_suffix|>",
        "fim_mid": "<|fim_middle|>",
    }


def test_long_arrays_are_left_out_and_short_ones_kept(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(
        file(
            ARCH,
            pair(b"long", ARRAY, array_of(U8, 513, bytes(513))),
            pair(b"short", ARRAY, array_of(BOOL, 2, b"\0\1")),
        )
    )
    metadata = read_facts(path).metadata
    assert metadata == {"general.architecture": "llama", "short": [False, True]}


def test_links_pipes_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    good = write_tiny_gguf(tmp_path / "good")
    (tmp_path / "link").symlink_to(good)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "missing"):
        with pytest.raises(BadModelFile):
            read_facts(tmp_path / name)


def test_the_tables_agree_with_the_gguf_package() -> None:
    sizes = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: entry[1:] for kind, entry in ggml.TENSOR_TYPES.items()} == sizes
    for kind, (name, _, _) in ggml.TENSOR_TYPES.items():
        assert gguf.GGMLQuantizationType(kind).name == name
    names = {int(kind): kind.name for kind in gguf.LlamaFileType if kind.name != "GUESSED"}
    assert {
        kind: name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind, name in names.items()
    } == dict(ggml.FILE_TYPES)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = write_tiny_gguf(tmp_path_factory.mktemp("fuzz") / "m.gguf")
    return path, path.read_bytes()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 1800), st.binary(min_size=1, max_size=9)), max_size=6),
    st.integers(0, 6000),
)
def test_a_damaged_file_is_refused_or_its_facts_hold(
    good: tuple[Path, bytes], changes: list[tuple[int, bytes]], length: int
) -> None:
    path, original = good
    body = bytearray(original)
    for position, piece in changes:
        body[position : position + len(piece)] = piece
    path.write_bytes(body[:length])
    started = time.process_time()
    try:
        facts = read_facts(path)
    except BadModelFile:
        pass
    else:
        assert len(facts.head_count_kv) == facts.block_count == len(facts.layer_bytes)
    assert time.process_time() - started < 1.0


@given(st.binary(max_size=400))
def test_any_bytes_after_the_magic_are_refused(
    tmp_path_factory: pytest.TempPathFactory, body: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.gguf"
    path.write_bytes(b"GGUF\3\0\0\0" + body)
    with pytest.raises(BadModelFile):
        read_facts(path)
