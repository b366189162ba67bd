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
        "state",
        "reason",
        "fix",
        "notes",
        "chat_template",
        "pooling",
        "prompts",
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


def test_an_embedding_model_shows_its_pooling_and_prefixes(cli, home):
    extra = {"nomic-bert.pooling_type": 1, "nomic-bert.attention.causal": False}
    install(
        home,
        "nomic-embed-text",
        architecture="nomic-bert",
        chat_template=None,
        extra=extra,
    )
    shown = json.loads(cli("show", "nomic-embed-text", "--json").out)
    assert shown["pooling"] == "mean"
    assert shown["prompts"]["query"] == "search_query: "
    assert "prompt document        'search_document: '" in cli("show", "nomic-embed-text").out


def test_a_model_without_a_template_says_that_it_cannot_chat(cli, home):
    install(home, "base", chat_template=None)
    shown = json.loads(cli("show", "base", "--json").out)
    assert shown["template"] is False
    assert "chat is refused" in shown["notes"][0]
    assert "chat template  no\n" in cli("show", "base").out


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


def test_options_and_the_system_prompt_are_shown_as_a_modelfile_has_them(cli, home, tmp_path):
    install(home)
    (tmp_path / "Modelfile").write_text(
        'FROM tiny\nPARAMETER stop "User:"\nPARAMETER stop "<|end|>"\nPARAMETER use_mmap true\n'
        'SYSTEM """\nBe brief.\n"""\n'
    )
    assert cli("create", "mine", "-f", str(tmp_path / "Modelfile")).code == 0
    lines = [" ".join(line.split()) for line in cli("show", "mine").out.splitlines()]
    assert 'option stop "User:" "<|end|>"' in lines
    assert "option use_mmap true" in lines
    assert "system prompt Be brief." in lines
