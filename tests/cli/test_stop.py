import json

from tests.cli.conftest import execute


def test_without_a_server_it_says_so(cli):
    ended = cli("stop", "tiny")
    assert ended.code == 1
    assert "no server runs" in ended.err


def test_a_loaded_model_is_unloaded_whatever_its_spelling(server):
    assert execute(server.home, "run", "tiny", "hello").code == 0
    ended = execute(server.home, "stop", "Tiny", "--json")
    assert ended.code == 0
    assert json.loads(ended.out) == {"model": "tiny:latest", "stopped": True}
    assert json.loads(execute(server.home, "ps", "--json").out) == []


def test_a_model_that_is_not_loaded_is_no_error(server):
    execute(server.home, "stop", "tiny")
    ended = execute(server.home, "stop", "tiny")
    assert ended.code == 0
    assert "not in memory" in ended.err


def test_an_unknown_model_is_not_found(server):
    assert execute(server.home, "stop", "nonesuch").code == 3
