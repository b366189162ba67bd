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


def test_a_running_server_unloads_it(serve, cli):
    serve("--preload", "tiny")
    _wait_until_loaded(cli)
    assert cli("rm", "tiny").code == 0
    assert json.loads(cli("ps", "--json").out) == []


def _wait_until_loaded(cli):
    """An answer is only given once the model is there."""
    assert cli("run", "tiny", "hello").code == 0
