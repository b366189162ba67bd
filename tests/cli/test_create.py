import json

import pytest

from reshore.models.catalog import STARTER_CHAT
from reshore.models.store import Store
from tests.cli.conftest import execute
from tests.models.tiny import write_tiny_gguf


def test_a_file_becomes_a_model(cli, tmp_path):
    file = write_tiny_gguf(tmp_path / "some.gguf")
    ended = cli("create", "mine:v1", "--from", str(file), "--json")
    assert ended.code == 0
    created = json.loads(ended.out)
    assert created["name"] == "mine:v1"
    assert created["source"] == f"file:{file}"
    assert file.exists()
    assert json.loads(cli("list", "--json").out)[0]["digest"] == created["digest"]


def test_a_folder_with_one_file_becomes_a_model(cli, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    write_tiny_gguf(folder / "some.gguf")
    ended = cli("create", "mine", "--from", str(folder))
    assert ended.code == 0
    assert "reshore run mine:latest" in ended.err


def test_a_model_that_cannot_be_served_says_so_at_once(cli, tmp_path):
    file = write_tiny_gguf(tmp_path / "some.gguf", architecture="gptoss")
    ended = cli("create", "gpt-oss:20b", "--from", str(file))
    assert ended.code == 0
    assert "gpt-oss:20b is installed, but needs a fix: " in ended.err
    assert "reshore pull hf.co/" in ended.err


def test_an_embedding_model_is_not_told_to_be_chatted_with(cli, tmp_path):
    extra = {"bert.pooling_type": 1, "bert.attention.causal": False}
    file = write_tiny_gguf(
        tmp_path / "some.gguf", architecture="bert", chat_template=None, extra=extra
    )
    ended = cli("create", "minilm", "--from", str(file))
    assert ended.code == 0
    assert "reshore run" not in ended.err
    assert "minilm:latest is installed; ask it at /v1/embeddings or /api/embed" in ended.err


def test_a_model_that_cannot_chat_is_not_told_to_be_chatted_with(cli, tmp_path):
    file = write_tiny_gguf(tmp_path / "some.gguf", chat_template=None)
    ended = cli("create", "base", "--from", str(file))
    assert ended.code == 0
    assert "reshore run" not in ended.err
    assert "base:latest is installed; it has no chat template: ask it at /v1/compl" in ended.err


def test_a_missing_file_is_one_line(cli, tmp_path):
    ended = cli("create", "mine", "--from", str(tmp_path / "none.gguf"))
    assert ended.code == 1
    assert "none.gguf" in ended.err
    assert ended.err.count("\n") == 1


def test_a_file_that_is_no_model_leaves_nothing(cli, tmp_path):
    file = tmp_path / "junk.gguf"
    file.write_bytes(b"junk" * 100)
    assert cli("create", "mine", "--from", str(file)).code == 1
    assert json.loads(cli("list", "--json").out) == []


RECIPE = '''\
FROM ./some.gguf
SYSTEM """
You answer in one word.
"""
PARAMETER temperature 0.2
PARAMETER mirostat 2
MESSAGE user Is the sky blue?
MESSAGE assistant Yes.
'''


def test_a_modelfile_is_carried_out(cli, tmp_path):
    write_tiny_gguf(tmp_path / "some.gguf")
    (tmp_path / "Recipe").write_text(RECIPE)
    ended = cli("create", "mine", "-f", str(tmp_path / "Recipe"))
    assert ended.code == 0, ended.err
    assert "PARAMETER mirostat has no effect here" in ended.err
    shown = json.loads(cli("show", "mine", "--json").out)
    assert shown["system"] == "\nYou answer in one word.\n"
    assert shown["parameters"] == {"temperature": 0.2}


def test_the_modelfile_of_this_folder_is_the_usual_one(cli, tmp_path, monkeypatch):
    write_tiny_gguf(tmp_path / "some.gguf")
    (tmp_path / "Modelfile").write_text("FROM some.gguf")
    monkeypatch.chdir(tmp_path)
    assert cli("create", "mine").code == 0


def test_without_a_recipe_it_says_what_to_name(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = cli("create", "mine")
    assert ended.code == 1
    assert "--file" in ended.err
    assert "--from" in ended.err
    assert cli("create", "mine", "--from", "a", "--file", "b").code == 2


def test_a_model_may_be_made_of_another(cli, tmp_path):
    cli("create", "base", "--from", str(write_tiny_gguf(tmp_path / "some.gguf")))
    (tmp_path / "Modelfile").write_text("FROM base\nSYSTEM Be brief.")
    ended = cli("create", "child", "-f", str(tmp_path / "Modelfile"), "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["source"] == "from:base:latest"
    assert json.loads(cli("show", "child", "--json").out)["system"] == "Be brief."


def test_an_adapter_is_taken_from_beside_the_modelfile(cli, tmp_path):
    write_tiny_gguf(tmp_path / "some.gguf")
    lora = {"general.type": "adapter", "adapter.type": "lora"}
    write_tiny_gguf(tmp_path / "lora.gguf", chat_template=None, extra=lora)
    (tmp_path / "Modelfile").write_text("FROM ./some.gguf\nADAPTER ./lora.gguf")
    assert cli("create", "tuned", "-f", str(tmp_path / "Modelfile")).code == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("FROM a\nRENDERER qwen3", "line 2: RENDERER"),
        ("SYSTEM x", "no FROM line"),
        ("FROM a\nFROM b", "FROM names one installed model, or files"),
        ("FROM ./missing.gguf", "no such file"),
        ("FROM some.gguf\nADAPTER some.gguf", "is no LoRA adapter"),
    ],
)
def test_a_recipe_that_cannot_be_carried_out_is_one_line(cli, tmp_path, text, says):
    write_tiny_gguf(tmp_path / "some.gguf")
    (tmp_path / "Modelfile").write_text(text)
    ended = cli("create", "mine", "-f", str(tmp_path / "Modelfile"))
    assert ended.code == 1
    assert says in ended.err
    assert ended.err.count("error: ") == 1
    assert json.loads(cli("list", "--json").out) == []


def test_smaller_numbers_on_request(cli, tmp_path):
    file = write_tiny_gguf(tmp_path / "some.gguf")
    ended = cli("create", "small", "--from", str(file), "--quantize", "q8_0")
    assert ended.code == 0, ended.err
    assert "quantizing F32 model to Q8_0" in ended.err
    assert json.loads(cli("show", "small", "--json").out)["quantization"] == "Q8_0"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_model_made_of_a_file_is_shown_and_makes_sense(home, starter_home, tmp_path):
    weights = Store(starter_home / "models").resolve(STARTER_CHAT).model_path
    recipe = tmp_path / "Modelfile"
    recipe.write_text(f"FROM {weights}\nPARAMETER temperature 0\nPARAMETER num_ctx 512\n")
    real = {"RESHORE_ENGINE_KIND": "wheel"}
    made = execute(home, "create", "mine", "-f", str(recipe), **real)
    assert made.code == 0, made.err
    shown = json.loads(execute(home, "show", "mine", "--json", **real).out)
    assert shown["parameters"] == {"temperature": 0.0, "num_ctx": 512}
    assert "completion" in shown["capabilities"]
    asked = execute(home, "run", "mine", "What is the capital of Japan?", **real)
    assert asked.code == 0, asked.err
    assert asked.out.strip() == "The capital of Japan is Tokyo."
