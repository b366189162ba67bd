import json

import pytest

from reshore.cli.commands import HELP, Commands, read_format, read_think
from reshore.cli.conversation import Conversation
from reshore.cli.failure import Failure
from reshore.cli.native import NativeApi
from reshore.cli.prompt import Prompt
from reshore.errors import BadName, RequestError, UnknownModel
from tests.cli.fakes import SHOWN, FakeServer


@pytest.fixture
def server():
    return FakeServer("yes", models={"m": SHOWN, "other": SHOWN})


@pytest.fixture
def conversation(server):
    return Conversation(NativeApi(server), "m")


@pytest.fixture
def run(conversation, tmp_path):
    return Commands(conversation, Prompt(tmp_path / "history")).run


@pytest.mark.parametrize(
    "line", ["hello", "/home/ada/cat.png what is it?", "/nowhere/at all", "what does /set do?"]
)
def test_a_message_is_no_command(run, line):
    assert not run(line)


def test_a_file_at_the_root_is_no_command(run):
    assert not run("/etc what is in it?")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/sett x", "/?"),
        ("/set", "parameter"),
        ("/set temperature 1", "parameter"),
        ("/set parameter", "temperature"),
        ("/set parameter seed", "value"),
        ('/set parameter stop "a', "quotes"),
        ("/set format", "json"),
        ("/set format nowhere.json", "nowhere.json"),
        ("/set think hard", "medium"),
        ("/show", "template"),
        ("/show me", "template"),
        ("/save", "name"),
        ("/load", "name"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_right(run, line, hint):
    with pytest.raises(Failure, match=hint.replace("?", r"\?")):
        run(line)


@pytest.mark.parametrize(
    ("typed", "options"),
    [
        ("temperature 0.2", {"temperature": 0.2}),
        ("num_ctx 4096", {"num_ctx": 4096}),
        ("use_mmap true", {"use_mmap": True}),
        ('stop "User:" END', {"stop": ["User:", "END"]}),
    ],
)
def test_options_have_the_type_that_models_know(run, conversation, typed, options):
    assert run(f"/set parameter {typed}")
    assert conversation.settings.options == options


@pytest.mark.parametrize("typed", ["temperature hot", "temprature 1", "num_ctx 1.5"])
def test_an_option_that_models_do_not_know_is_told_at_once(run, conversation, typed):
    with pytest.raises(RequestError, match=typed.split()[0]):
        run(f"/set parameter {typed}")
    assert conversation.settings.options == {}


def test_options_are_kept_until_they_are_set_anew(run, conversation):
    run("/set parameter seed 1")
    run("/set parameter top_k 5")
    run("/set parameter seed 2")
    assert conversation.settings.options == {"seed": 2, "top_k": 5}


@pytest.mark.parametrize("typed", ["Be kind.\nBe short.", '"Be kind.\nBe short."'])
def test_the_system_prompt_is_set_and_unset(run, conversation, typed):
    run(f"/set system {typed}")
    assert conversation.settings.system == "Be kind.\nBe short."
    run("/set system")
    assert conversation.settings.system is None


def test_formats_are_json_a_schema_or_none(run, conversation, tmp_path):
    schema = {"type": "object"}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    seen = []
    for typed in ("format json", f"format {tmp_path / 'schema.json'}", "noformat"):
        run(f"/set {typed}")
        seen.append(conversation.settings.format)
    assert seen == ["json", schema, None]


@pytest.mark.parametrize("text", ["[]", "{", "\xff"])
def test_a_file_without_a_schema_is_told(tmp_path, text):
    path = tmp_path / "schema.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(Failure, match=r"schema\.json"):
        read_format(str(path))


def test_thinking_is_switched_and_graded(run, conversation):
    seen = []
    for typed in ("think", "think high", "think false", "nothink"):
        run(f"/set {typed}")
        seen.append(conversation.settings.think)
    assert seen == [True, "high", False, False]
    assert read_think("max") == "max"


def test_what_answers_take_is_shown_or_not(run, conversation):
    run("/set verbose")
    assert conversation.verbose
    run("/set quiet")
    assert not conversation.verbose


def test_the_model_is_shown(run, capsys):
    run("/show info")
    shown = capsys.readouterr().out
    for fact in ("m", "llama", "134.5M", "Q4_1", "8192 tokens", "completion"):
        assert fact in shown


def test_options_are_shown_with_where_they_are_from(run, capsys):
    run("/set parameter seed 7")
    run("/show parameters")
    model, _, own = capsys.readouterr().out.partition("of this conversation:")
    assert "temperature" in model
    assert own.split() == ["seed", "7"]


def test_stops_are_shown_as_they_are_typed(run, capsys):
    run('/set parameter stop "User:" Bot:')
    run("/show parameters")
    shown = capsys.readouterr()
    assert 'stop is "User:" "Bot:"' in shown.err
    assert '"User:" "Bot:"' in shown.out


def test_the_system_prompt_in_force_is_shown(run, capsys):
    run("/show system")
    run("/set system Be kind.")
    run("/show system")
    assert capsys.readouterr().out == "there is no system prompt\nBe kind.\n"


@pytest.mark.parametrize("what", ["template", "license", "modelfile"])
def test_texts_are_shown(run, capsys, what):
    run(f"/show {what}")
    assert capsys.readouterr().out.strip() == SHOWN[what]


def test_what_was_set_and_said_is_saved(run, conversation, server, capsys):
    list(conversation.ask("hello"))
    run("/set parameter seed 7")
    run("/save mine")
    [created] = server.created
    assert (created["model"], created["from"]) == ("mine", "m")
    assert created["parameters"] == {"seed": 7}
    assert [turn["content"] for turn in created["messages"]] == ["hello", "yes"]
    assert "reshore run mine" in capsys.readouterr().err


def test_a_name_that_cannot_be_saved_is_told(run, server):
    with pytest.raises(BadName, match=r"'../evil' is no model name"):
        run("/save ../evil")
    assert server.created == []


def test_another_model_is_loaded(run, conversation):
    run("/load other")
    assert conversation.model == "other"
    with pytest.raises(UnknownModel):
        run("/load nobody")
    assert conversation.model == "other"


def test_what_was_said_is_cleared(run, conversation, server):
    list(conversation.ask("hello"))
    run("/clear")
    list(conversation.ask("again"))
    assert len(server.said) == 1


@pytest.mark.parametrize("line", ["/?", "/help"])
def test_help_names_every_command(run, capsys, line):
    run(line)
    assert capsys.readouterr().out == HELP + "\n"
    for word in ("/set", "/show", "/clear", "/save", "/load", "/bye", "/?", "/help", '"""'):
        assert word in HELP
