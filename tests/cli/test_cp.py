import json

from tests.cli.conftest import install


def test_a_model_gets_a_second_name(cli, home):
    install(home)
    ended = cli("cp", "tiny", "me/other:v2")
    assert ended.code == 0
    assert ended.err == "copied tiny to me/other:v2\n"
    names = {model["name"]: model["digest"] for model in json.loads(cli("list", "--json").out)}
    assert set(names) == {"tiny:latest", "me/other:v2"}
    assert len(set(names.values())) == 1


def test_what_is_not_there_cannot_be_copied(cli):
    assert cli("cp", "none", "other").code == 3


def test_a_malformed_name_is_usage(cli, home):
    install(home)
    assert cli("cp", "tiny", "../x").code == 2
