import json

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
