import pytest

from reshore.cli.native import Counts, NativeApi, Settings, Turn
from reshore.errors import UnknownModel, UpstreamStatus
from tests.cli.fakes import FakeServer

HELLO = (Turn(role="user", content="hello"),)


def _asked(settings):
    server = FakeServer("hi")
    list(NativeApi(server).chat("m", HELLO, settings))
    return server.asked[0]


def test_what_is_not_set_is_not_sent():
    assert _asked(Settings()) == {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def test_what_is_set_is_sent():
    asked = _asked(
        Settings(
            system="Be kind.", format="json", think=False, keep_alive="5m", options={"seed": 1}
        )
    )
    assert asked["messages"][0] == {"role": "system", "content": "Be kind."}
    assert asked["format"] == "json"
    assert asked["think"] is False
    assert asked["keep_alive"] == "5m"
    assert asked["options"] == {"seed": 1}


def test_the_last_piece_has_the_reason_and_the_counts():
    *_, last = NativeApi(FakeServer("hi")).chat("m", HELLO, Settings())
    assert last.finish_reason == "stop"
    assert last.counts == Counts(
        total_s=3.0,
        load_s=1.0,
        prompt_tokens=9,
        prompt_s=0.5,
        completion_tokens=2,
        completion_s=1.5,
    )


def test_notices_come_once_with_the_first_piece():
    first, *rest = NativeApi(FakeServer("a", "b")).chat("m", HELLO, Settings())
    assert first.notices == {"num-ctx": "8192"}
    assert not any(piece.notices for piece in rest)


def test_loading_sends_no_message_although_there_is_a_system_prompt():
    server = FakeServer()
    NativeApi(server).load("m", Settings(system="Be kind."))
    assert server.asked == []


def test_a_model_that_is_not_there_is_told_with_the_command_that_gets_it():
    api = NativeApi(FakeServer("hi"))
    with pytest.raises(UnknownModel, match="reshore pull other"):
        list(api.chat("other", HELLO, Settings()))
    with pytest.raises(UnknownModel, match="reshore pull other"):
        api.describe("other")


def test_other_refusals_stay_what_they_are():
    refused = UpstreamStatus("too long", backend="reshore", status=400)
    with pytest.raises(UpstreamStatus, match="too long"):
        list(NativeApi(FakeServer(error=refused)).chat("m", HELLO, Settings()))


def test_a_description_has_what_the_server_knows():
    known = NativeApi(FakeServer()).describe("m")
    assert (known.architecture, known.context_length) == ("llama", 8192)
    assert (known.parameter_size, known.quantization) == ("134.5M", "Q4_1")
    assert known.capabilities == ("completion",)
    assert known.system == ""
    assert known.messages == ()


def test_a_derived_model_gets_what_was_set_and_said():
    server = FakeServer()
    said = (*HELLO, Turn(role="assistant", content="hi"))
    NativeApi(server).create("mine", "m", Settings(system="Be kind.", options={"seed": 1}), said)
    assert server.created == [
        {
            "model": "mine",
            "from": "m",
            "system": "Be kind.",
            "parameters": {"seed": 1},
            "messages": [
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": "hi"},
            ],
        }
    ]
