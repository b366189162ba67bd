import json

from tests.cli.conftest import install


def test_an_empty_store_hints_at_pull(cli):
    ended = cli("list")
    assert ended.code == 0
    assert ended.out == "NAME  ID  SIZE  MODIFIED  STATE  SOURCE\n"
    assert "reshore pull" in ended.err


def test_models_are_listed_with_size_and_source(cli, home):
    install(home)
    title, row = cli("list").out.splitlines()
    assert row.startswith("tiny:latest  ")
    assert f"file:{home.parent / 'tiny.gguf'}" in row
    assert title.index("SOURCE") == row.index("file:")


def test_json_holds_the_documented_keys(cli, home):
    install(home)
    (model,) = json.loads(cli("list", "--json").out)
    assert set(model) == {
        "name",
        "digest",
        "size",
        "modified_s",
        "state",
        "capabilities",
        "source",
        "read_only",
    }
    assert model["state"] == "servable"
    assert model["capabilities"] == ["completion"]
    assert model["name"] == "tiny:latest"
    assert model["size"] > 1000
    assert len(model["digest"]) == 64


def test_a_model_of_a_read_only_store_says_where_it_is(cli, home, monkeypatch, tmp_path):
    install(home)
    elsewhere = tmp_path / "elsewhere"
    (home / "models").rename(elsewhere)
    monkeypatch.setenv("OLLAMA_MODELS", str(elsewhere))
    (model,) = json.loads(cli("list", "--json").out)
    assert model["read_only"]
    assert model["source"].endswith(f" in {elsewhere}")
