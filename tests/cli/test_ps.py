import json

import pytest

from reshore.cli.ps import Entry, _row, _until
from tests.cli.conftest import execute


def _entry(**changes):
    fields = {
        "name": "m",
        "memory_bytes": 1,
        "context_length": 1,
        "slots": 1,
        "in_flight": 0,
        "queued": 0,
        "state": "ready",
        "unloading": False,
        "expires_at": 160.0,
    }
    return Entry(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "1 minute from now"),
        ({"expires_at": None}, "forever"),
        ({"state": "starting"}, "starting"),
        ({"unloading": True}, "its last request ends"),
    ],
)
def test_until(changes, text):
    assert _until(_entry(**changes), now_s=100.0) == text


def test_memory_is_told_once_of_models_that_share_an_engine():
    rows = [_row(_entry(shared_with=other), now_s=100.0) for other in (None, "base")]
    assert [row[2] for row in rows] == ["1 B", "with base"]


def test_the_engine_that_embeds_is_told_from_the_one_that_answers():
    rows = [_row(_entry(embedding=embeds), now_s=100.0) for embeds in (False, True)]
    assert [row[1] for row in rows] == ["answers", "embeddings"]


def test_without_a_server_it_says_how_to_start_one(cli, home):
    ended = cli("ps")
    assert ended.code == 1
    assert ended.err == (f"error: no server runs for {home}; start one with `reshore serve`\n")


def test_a_loaded_model_is_shown(server):
    assert execute(server.home, "run", "tiny", "hello").code == 0
    _, row = execute(server.home, "ps").out.splitlines()
    assert row.split()[0] == "tiny:latest"
    assert row.endswith("minutes from now")
    (model,) = json.loads(execute(server.home, "ps", "--json").out)
    assert model["name"] == "tiny:latest"
    assert model["memory_bytes"] > 0
    assert model["in_flight"] == 0
