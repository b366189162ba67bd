import base64

import pytest

from reshore.cli.conversation import Conversation
from reshore.cli.failure import Failure
from reshore.cli.native import NativeApi
from reshore.errors import UnknownModel, Unreachable, UpstreamStatus
from tests.cli.fakes import SHOWN, FakeServer


def _said(text, role="user"):
    return {"role": role, "content": text}


def _conversation(server):
    return Conversation(NativeApi(server), "m")


def test_an_answer_is_part_of_the_next_question():
    server = FakeServer("yes", " sir")
    conversation = _conversation(server)
    pieces = list(conversation.ask("first"))
    list(conversation.ask("second"))
    assert "".join(piece.text for piece in pieces) == "yes sir"
    assert server.said == [_said("first"), _said("yes sir", "assistant"), _said("second")]


def test_a_question_without_an_answer_is_forgotten():
    server = FakeServer(error=Unreachable("gone", backend="b"))
    conversation = _conversation(server)
    for _ in range(2):
        with pytest.raises(Unreachable):
            list(conversation.ask("again"))
    assert server.said == [_said("again")]


def test_half_an_answer_stays_in_the_history():
    server = FakeServer("half", " an answer")
    conversation = _conversation(server)
    pieces = conversation.ask("first")
    next(pieces)
    pieces.close()
    list(conversation.ask("second"))
    assert server.said[1] == _said("half", "assistant")


def test_what_is_cleared_is_not_sent_again_but_what_is_set_is():
    server = FakeServer("yes")
    conversation = _conversation(server)
    list(conversation.ask("first"))
    conversation.change(system="Be kind.")
    conversation.clear()
    list(conversation.ask("second"))
    assert server.said == [_said("Be kind.", "system"), _said("second")]


def test_an_image_goes_to_a_model_that_sees_and_stays_in_the_history(tmp_path):
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"cat")
    server = FakeServer("a cat", models={"m": {"capabilities": ["completion", "vision"]}})
    conversation = _conversation(server)
    list(conversation.ask(f"what is {picture}"))
    list(conversation.ask("sure?"))
    assert server.said[0] == _said("what is") | {"images": (base64.b64encode(b"cat").decode(),)}


def test_an_image_that_is_refused_is_called_by_its_path(tmp_path):
    good, bad = tmp_path / "cat.png", tmp_path / "notes.png"
    good.write_bytes(b"cat")
    bad.write_bytes(b"none")
    refusal = UpstreamStatus("Invalid 'messages[0].images[1]': no.", backend="b", status=400)
    server = FakeServer(error=refusal, models={"m": {"capabilities": ["vision"]}})
    with pytest.raises(Failure) as caught:
        list(_conversation(server).ask(f"compare {good} {bad}"))
    assert (caught.value.code, caught.value.line) == (1, f"Invalid '{bad}': no.")


def test_a_model_brings_its_conversation():
    said = [_said("hello"), _said("hi", "assistant")]
    conversation = _conversation(FakeServer(models={"m": SHOWN | {"messages": said}}))
    assert [turn.content for turn in conversation.start()] == ["hello", "hi"]


def test_another_model_begins_anew_with_what_was_set():
    server = FakeServer("yes", models={"m": SHOWN, "other": {"capabilities": ["vision"]}})
    conversation = _conversation(server)
    list(conversation.ask("first"))
    conversation.change(options={"seed": 1})
    conversation.switch("other")
    list(conversation.ask("second"))
    assert server.asked[-1] == {
        "model": "other",
        "messages": [_said("second")],
        "options": {"seed": 1},
    }
    assert conversation.describe().capabilities == ("vision",)


def test_a_model_that_is_not_there_changes_nothing():
    server = FakeServer("yes")
    conversation = _conversation(server)
    list(conversation.ask("first"))
    with pytest.raises(UnknownModel):
        conversation.switch("nobody")
    list(conversation.ask("second"))
    assert server.asked[-1]["model"] == "m"
    assert len(server.said) == 3


def test_what_is_saved_goes_on_from_the_models_own_conversation():
    example = [_said("Q"), _said("A", "assistant")]
    server = FakeServer("yes", models={"m": SHOWN | {"messages": example}})
    conversation = _conversation(server)
    conversation.save("untouched")
    list(conversation.ask("first"))
    conversation.save("gone-on")
    untouched, gone_on = server.created
    assert "messages" not in untouched  # the new model has those of its base
    assert gone_on["messages"] == [*example, _said("first"), _said("yes", "assistant")]
