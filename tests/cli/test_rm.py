import json

from tests.cli.conftest import install


def test_models_are_removed(cli, home):
    install(home, "one")
    install(home, "two")
    ended = cli("rm", "ONE", "two", "--json")
    assert ended.code == 0
    assert json.loads(ended.out) == {"removed": ["one:latest", "two:latest"]}
    assert json.loads(cli("list", "--json").out) == []


def test_a_missing_model_does_not_save_the_others(cli, home):
    install(home, "one")
    ended = cli("rm", "missing", "absent", "one")
    assert ended.code == 3
    assert "removed one:latest" in ended.err
    assert ended.err.count("error: ") == 2
    assert json.loads(cli("list", "--json").out) == []


def test_a_damaged_model_can_be_removed(cli, home):
    install(home)
    (manifest,) = (path for path in (home / "models" / "manifests").rglob("*") if path.is_file())
    manifest.write_text("junk")
    assert cli("rm", "tiny").code == 0
    assert not manifest.exists()


def test_a_model_of_a_store_that_is_only_read_stays(cli, home, monkeypatch):
    install(home.parent / "theirs")
    monkeypatch.setenv("OLLAMA_MODELS", str(home.parent / "theirs" / "models"))
    ended = cli("rm", "tiny")
    assert ended.code == 1
    assert ended.err.startswith("error: tiny:latest cannot be removed here: ")
    assert "ollama rm" in ended.err
    assert [model["name"] for model in json.loads(cli("list", "--json").out)] == ["tiny:latest"]


def test_a_running_server_unloads_it(serve, cli):
    serve("--preload", "tiny")
    _wait_until_loaded(cli)
    assert cli("rm", "tiny").code == 0
    assert json.loads(cli("ps", "--json").out) == []


def test_models_that_share_its_engine_stay_loaded(serve, cli):
    serve()
    assert cli("cp", "tiny", "copied").code == 0
    for name in ("tiny", "copied"):
        assert cli("run", name, "hello").code == 0
    (before, _) = json.loads(cli("ps", "--json").out)
    assert "with tiny:latest" in cli("ps").out
    assert cli("rm", "tiny").code == 0
    (after,) = json.loads(cli("ps", "--json").out)
    assert (after["name"], after["pid"]) == ("copied:latest", before["pid"])


def _wait_until_loaded(cli):
    """An answer is only given once the model is there."""
    assert cli("run", "tiny", "hello").code == 0
