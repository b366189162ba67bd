"""`reshore rollback`."""

from __future__ import annotations

import json

import pytest

from reshore.cli.operated import login_name
from tests.cli.conftest import execute


@pytest.fixture
def changed(cli, home):
    """A home whose routes were changed three times."""
    for policy in ("local:a", "local:b", "local:c"):
        assert cli("route", "set", "gpt-4o", policy).code == 0
    return home


def test_it_goes_back_one_version_at_a_time(changed, cli):
    ended = cli("rollback")
    assert ended.out == "~ gpt-4o: local:c -> local:b\n"
    assert ended.err == "version 4 is in force; `reshore rollback 3` takes it back\n"
    assert cli("rollback").out == "~ gpt-4o: local:b -> local:a\n"
    assert cli("rollback").out == "- gpt-4o: local:a\n"
    ended = cli("rollback")
    assert (ended.code, ended.out) == (1, "")
    assert "no version before" in ended.err


def test_it_goes_back_to_any_version(changed, cli):
    assert cli("rollback", "1").out == "~ gpt-4o: local:c -> local:a\n"
    assert cli("rollback", "1").err == "nothing to change: version 4 does that already\n"
    assert cli("rollback", "9").code == 3


def test_it_is_remembered_who_went_back_and_why(changed, cli):
    cli("rollback", "--why", "worse answers")
    cli("rollback")
    history = json.loads(cli("route", "history", "--limit", "2", "--json").out)
    assert [each["reason"] for each in history] == ["rollback to version 1", "worse answers"]
    assert [each["restores"] for each in history] == [1, 2]
    assert {each["author"] for each in history} == {login_name()}


def test_its_json_says_what_changed(changed, cli):
    assert json.loads(cli("rollback", "2", "--json").out) == {
        "version": 4,
        "before": 3,
        "changes": ["~ gpt-4o: local:c -> local:b"],
        "warnings": [],
    }


def test_a_server_that_starts_later_finds_it(changed, cli, serve):
    cli("rollback")
    serve("--log-level", "error")
    assert "local:b" in execute(changed, "route", "show").out
    assert execute(changed, "rollback").out == "~ gpt-4o: local:b -> local:a\n"
