import json

from tests.cli.conftest import install


def test_facts_are_shown(cli, home):
    install(home)
    lines = cli("show", "TINY").out.splitlines()
    shown = dict(line.split("  ", 1) for line in lines if "  " in line)
    assert shown["architecture"].strip() == "llama"
    assert shown["context"].strip() == "256 tokens"
    assert shown["capabilities"].strip() == "completion"
    assert "chat template  yes" in lines


def test_json_holds_the_documented_keys(cli, home):
    install(home)
    shown = json.loads(cli("show", "tiny", "--json").out)
    assert set(shown) == {
        "name",
        "architecture",
        "parameter_count",
        "quantization",
        "context_length",
        "embedding_length",
        "capabilities",
        "template",
        "parameters",
        "system",
        "size",
        "source",
        "licence",
        "digest",
    }
    assert shown["template"] is True
    assert shown["licence"] is None


def test_an_alias_shows_its_model(cli, home):
    install(home)
    (home / "reshore.toml").write_text('[aliases]\n"gpt-*" = "tiny"\n')
    assert json.loads(cli("show", "gpt-4o-mini", "--json").out)["name"] == "tiny:latest"


def test_a_missing_model_is_exit_code_3_with_the_nearest_name(cli, home):
    install(home)
    ended = cli("show", "tinny")
    assert ended.code == 3
    assert "tinny" in ended.err
    assert ended.err.count("\n") == 1


def test_a_name_that_is_none_is_usage(cli):
    assert cli("show", "../../etc/passwd").code == 2
