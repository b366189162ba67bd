"""An Ollama store is judged, shown and served, and never written."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path

import pytest

from reshore.models.manifest import PARAMS_TYPE, PROJECTOR_TYPE, TEMPLATE_TYPE, TENSOR_TYPE
from tests.cli.conftest import install, served
from tests.models.ollama_store import LLAMA3_GO, OllamaStore
from tests.models.tiny import write_tiny_gguf
from tests.models.tiny_vision import old_projector


@pytest.fixture
def theirs(tmp_path: Path) -> OllamaStore:
    """A store with a good model, one whose Go template is known, and three that are not fit."""
    store = OllamaStore(tmp_path / "ollama" / "models")

    def file(stem: str, **options: object) -> bytes:
        return write_tiny_gguf(tmp_path / f"{stem}.gguf", **options).read_bytes()  # type: ignore[arg-type]

    store.add("good", model=file("good"))
    store.add(
        "llama3",
        (TEMPLATE_TYPE, LLAMA3_GO.encode()),
        (PARAMS_TYPE, b'{"stop":["<|eot_id|>"]}'),
        model=file("llama3", chat_template=None, name="llama3"),
    )
    store.add("gpt-oss:20b", model=file("gptoss", architecture="gptoss"))
    store.add("mlx", (TENSOR_TYPE, b"x"), (TENSOR_TYPE, b"y"))
    store.add("base", model=file("base", chat_template=None, name="base"))
    return store


def test_each_model_is_judged(cli, theirs):
    ended = cli("import-ollama", str(theirs.root), "--json")
    assert ended.code == 0
    report = json.loads(ended.out)
    assert set(report) == {"store", "configured", "models"}
    assert report["store"] == str(theirs.root)
    assert report["configured"] is False
    states = {model["name"]: model["state"] for model in report["models"]}
    assert states == {
        "base:latest": "servable",
        "good:latest": "servable",
        "gpt-oss:20b": "needs a fix",
        "llama3:latest": "servable",
        "mlx:latest": "unsupported",
    }


def test_the_table_says_why_and_what_to_do(cli, theirs):
    ended = cli("import-ollama", str(theirs.root))
    rows = {line.split()[0]: line for line in ended.out.splitlines()}
    assert "reshore pull hf.co/ggml-org/gpt-oss-20b-GGUF" in rows["gpt-oss:20b"]
    assert "format llama3" in rows["llama3:latest"]
    assert "chat is refused" in rows["base:latest"]
    assert "separate tensors" in rows["mlx:latest"]
    assert "3 of 5 models" in ended.err
    assert "--write-config" in ended.err


def test_the_store_is_found_where_ollama_keeps_it(cli, theirs, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    (tmp_path / "person" / ".ollama").mkdir(parents=True)
    theirs.root.rename(tmp_path / "person" / ".ollama" / "models")
    found = json.loads(cli("import-ollama", "--json").out)
    assert found["store"] == str(tmp_path / "person" / ".ollama" / "models")
    assert len(found["models"]) == 5


def test_ollama_models_says_where_it_is(cli, theirs, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(theirs.root))
    found = json.loads(cli("import-ollama", "--json").out)
    assert found["store"] == str(theirs.root)
    assert found["configured"] is True


def test_the_folder_above_is_understood(cli, theirs):
    assert json.loads(cli("import-ollama", str(theirs.root.parent), "--json").out)["models"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_store_that_may_not_be_read_says_so(cli, theirs):
    theirs.root.parent.chmod(0)
    ended = cli("import-ollama", str(theirs.root))
    theirs.root.parent.chmod(0o700)
    assert ended.code == 1
    assert f"this user may not read {theirs.root}" in ended.err
    assert ended.err.count("\n") == 1


def test_no_store_is_one_line_with_the_places(cli, tmp_path):
    ended = cli("import-ollama", str(tmp_path / "nowhere"))
    assert ended.code == 1
    assert str(tmp_path / "nowhere" / "models") in ended.err
    assert ended.err.count("\n") == 1


def test_write_config_makes_a_private_file(cli, home, theirs):
    assert cli("import-ollama", str(theirs.root), "--write-config").code == 0
    file = home / "reshore.toml"
    assert tomllib.loads(file.read_text()) == {"read_models": [str(theirs.root)]}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    names = [model["name"] for model in json.loads(cli("list", "--json").out)]
    assert "good:latest" in names


def test_an_existing_file_is_changed_with_a_yes_alone(cli, home, theirs):
    file = home / "reshore.toml"
    text = '# mine\nhost = "127.0.0.1:9"\n\n[engine]\nkind = "echo"\n'
    file.write_text(text)
    file.chmod(0o640)
    refused = cli("import-ollama", str(theirs.root), "--write-config")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert file.read_text() == text
    done = cli("import-ollama", str(theirs.root), "--write-config", "--yes", "--json")
    assert json.loads(done.out)["configured"] is True
    changed = file.read_text()
    assert changed.replace(f'read_models = ["{theirs.root}"]\n', "") == text
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_file_that_cannot_be_written_is_named(cli, home, theirs):
    (home / "reshore.toml").symlink_to("/proc/nowhere/reshore.toml")  # nobody can make that folder
    ended = cli("import-ollama", str(theirs.root), "--write-config")
    assert ended.code == 1
    assert "/proc/nowhere/reshore.toml cannot be written: " in ended.err
    assert ended.err.count("error: ") == 1


def test_a_linked_file_stays_a_link(cli, home, theirs, tmp_path):
    real = tmp_path / "dotfiles.toml"
    real.write_text("drain_s = 5\n")
    (home / "reshore.toml").symlink_to(real)
    assert cli("import-ollama", str(theirs.root), "--write-config", "--yes").code == 0
    assert (home / "reshore.toml").is_symlink()
    assert "read_models" in real.read_text()


def test_an_unfit_model_is_shown_with_the_reason(cli, theirs, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(theirs.root))
    shown = json.loads(cli("show", "mlx", "--json").out)
    assert shown["state"] == "unsupported"
    assert shown["architecture"] is None
    lines = cli("show", "gpt-oss:20b").out
    assert "needs a fix" in lines
    assert "hf.co/ggml-org/gpt-oss-20b-GGUF" in lines


def test_fix_tells_of_the_copy_and_of_nothing_else(cli, theirs, tmp_path):
    text = write_tiny_gguf(tmp_path / "text.gguf").read_bytes()
    theirs.add("llava", (PROJECTOR_TYPE, old_projector(tmp_path)), model=text)
    ended = cli("import-ollama", str(theirs.root), "--fix", "llava")
    assert ended.code == 0
    assert ended.out == ""
    assert "a corrected llava:latest is in our store" in ended.err


def test_fix_of_an_unknown_model_is_exit_code_3(cli, theirs):
    assert cli("import-ollama", str(theirs.root), "--fix", "absent").code == 3


def test_fix_of_what_cannot_be_fixed_says_so(cli, theirs):
    ended = cli("import-ollama", str(theirs.root), "--fix", "gpt-oss:20b")
    assert ended.code == 1
    assert "nothing that a corrected copy would cure" in ended.err


def test_the_store_is_the_same_to_the_last_byte_after_everything(cli, home, theirs):
    install(home)
    before = theirs.tree()
    cli("import-ollama", str(theirs.root), "--write-config")
    cli("import-ollama")
    cli("list")
    for name in ("good", "llama3", "mlx", "gpt-oss:20b"):
        cli("show", name)
    cli("rm", "good")
    with served(home, "--preload", "good", "--preload", "gpt-oss:20b", "--log-level", "info") as on:
        assert "cannot preload gpt-oss:20b" in on.read_until("cannot preload")
        answer = cli("run", "good", "say", "a b")
        assert answer.code == 0, answer.err
        on.stop()
    assert theirs.tree() == before
