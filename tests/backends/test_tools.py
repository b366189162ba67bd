import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reshore.backends.tools import MAX_CALLS, ToolStream, grammar, render
from reshore.config import LimitsConfig
from reshore.errors import RequestError
from reshore.types import (
    ChatRequest,
    ImagePart,
    Message,
    TextPart,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
)
from tests.engine.grammar.matcher import Gbnf

WEATHER = Tool(
    name="get_weather",
    description="Weather of a city",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
ADD = Tool(
    name="add",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)
NOW = Tool(name="now")
AUTO, REQUIRED, NONE = (ToolChoice(mode=mode) for mode in ("auto", "required", "none"))


def call(name: str, **arguments: Any) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'


def chat(*messages: Message, tools: tuple[Tool, ...] = (WEATHER,), **rest: Any) -> ChatRequest:
    return render(ChatRequest(model="m", messages=messages, tools=tools, **rest))


def gbnf(*tools: Tool, choice: ToolChoice = REQUIRED, parallel: bool = False) -> Gbnf:
    made = grammar(tools, choice, parallel, limits=LimitsConfig())
    assert made is not None
    return Gbnf(made.text)


USER = Message(role="user", content="Is it warm in Paris?")


def test_tools_go_into_a_system_message_and_out_of_the_request() -> None:
    rendered = chat(USER, tool_choice=REQUIRED, parallel_tool_calls=False)
    system, user = rendered.messages
    assert rendered.tools == ()
    assert rendered.tool_choice == ToolChoice()
    assert system.role == "system"
    line = str(system.content).split("<tools>\n")[1].split("\n</tools>")[0]
    assert json.loads(line) == {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": WEATHER.parameters,
    }
    assert user == USER


@pytest.mark.parametrize("role", ["system", "developer"])
def test_an_existing_system_message_is_kept_in_front(role: Any) -> None:
    messages = chat(Message(role=role, content="Be brief."), USER).messages
    assert [message.role for message in messages] == [role, "user"]
    assert str(messages[0].content).startswith("Be brief.\n\n")
    assert "<tools>" in str(messages[0].content)


def test_a_system_message_of_parts_stays_one() -> None:
    messages = chat(Message(role="system", content=(TextPart(text="Be brief."),)), USER).messages
    assert (
        messages[0].text == chat(Message(role="system", content="Be brief."), USER).messages[0].text
    )


def test_choice_none_leaves_the_tools_out_but_not_the_history() -> None:
    earlier = Message(role="assistant", tool_calls=(ToolCall(id="1", name="now", arguments="{}"),))
    result = Message(role="tool", content="12:00", tool_call_id="1")
    messages = chat(USER, earlier, result, tool_choice=NONE).messages
    assert [message.role for message in messages] == ["user", "assistant", "user"]
    assert messages[1].content == call("now")
    assert messages[1].tool_calls == ()
    assert grammar((WEATHER,), NONE, True, limits=LimitsConfig()) is None


def test_consecutive_results_become_one_user_turn() -> None:
    calls = (
        ToolCall(id="1", name="add", arguments='{"a": 1, "b": 2}'),
        ToolCall(id="2", name="now", arguments=""),
    )
    messages = chat(
        USER,
        Message(role="assistant", content="Let me see.", tool_calls=calls),
        Message(role="tool", content="3", tool_call_id="1"),
        Message(
            role="tool", content=(TextPart(text="12:00"), TextPart(text="UTC")), tool_call_id="2"
        ),
        Message(role="user", content="And?"),
    ).messages
    assert [message.role for message in messages[1:]] == ["user", "assistant", "user", "user"]
    assert messages[2].content == f"Let me see.\n{call('add', a=1, b=2)}\n{call('now')}"
    assert messages[3].content == (
        "<tool_response>\n3\n</tool_response>\n<tool_response>\n12:00\nUTC\n</tool_response>"
    )


def test_an_image_in_a_result_stays_with_it() -> None:
    image = ImagePart(url="data:,", param="p")
    called = Message(role="assistant", tool_calls=(ToolCall(id="1", name="now", arguments="{}"),))
    result = Message(role="tool", content=(image, TextPart(text="see")), tool_call_id="1")
    *_, turn = chat(USER, called, result).messages
    text = "<tool_response>\nsee\n</tool_response>"
    assert (turn.role, turn.content) == ("user", (image, TextPart(text=text)))


def test_a_named_function_is_the_only_one_offered() -> None:
    named = ToolChoice(mode="named", name="add")
    system = str(chat(USER, tools=(WEATHER, ADD), tool_choice=named).messages[0].content)
    assert '"add"' in system
    assert "get_weather" not in system
    accepts = gbnf(WEATHER, ADD, choice=named, parallel=True).accepts
    assert accepts(call("add", a=1, b=2))
    assert not accepts(call("get_weather", city="Paris"))
    assert not accepts(call("add", a=1, b=2) + "\n" + call("add", a=1, b=2))


def test_a_named_function_that_is_not_among_the_tools_is_refused() -> None:
    choice = ToolChoice(mode="named", name="nope")
    with pytest.raises(RequestError) as raised:
        chat(USER, tool_choice=choice)
    assert raised.value.param == "tool_choice"
    with pytest.raises(RequestError):
        grammar((WEATHER,), choice, False, limits=LimitsConfig())


def test_messages_without_tools_pass_unchanged() -> None:
    picture = Message(role="user", content=(ImagePart(url="data:,", param="p"),))
    assert chat(picture, tools=()).messages == (picture,)


def test_required_accepts_one_fitting_call() -> None:
    accepts = gbnf(WEATHER, ADD, NOW).accepts
    assert accepts(call("get_weather", city="Paris"))
    assert accepts(call("add", a=1, b=-2))
    assert accepts(call("now"))
    for wrong in (
        "",
        "Hello",
        call("get_weather"),
        call("add", a=1, b="2"),
        call("now", x=1),
        call("other"),
        call("now") + "\n" + call("now"),
        "Sure. " + call("now"),
    ):
        assert not accepts(wrong), wrong


def test_parallel_calls_are_bounded() -> None:
    accepts = gbnf(NOW, parallel=True).accepts
    assert accepts("\n".join([call("now")] * MAX_CALLS))
    assert not accepts("\n".join([call("now")] * (MAX_CALLS + 1)))


def test_auto_accepts_any_text_and_calls_that_fit() -> None:
    accepts = gbnf(WEATHER, NOW, choice=AUTO, parallel=True).accepts
    fitting = ["", "Hello <b>you</b>!", "<", "<tool", "<tool_", "<<tool_call", "a\nb\tc é"]
    fitting += [call("now"), "Let me look.\n" + call("now"), "<tool" + call("now")]
    fitting += [call("now") + "\n" + call("get_weather", city="Paris")]
    for text in fitting:
        assert accepts(text), text
    for text in ("<tool_call>", "<tool_call>\n{}", call("get_weather"), call("now") + " Done."):
        assert not accepts(text), text


def test_tools_of_any_parameter_schema_take_objects_only() -> None:
    loose = Tool(name="f", parameters={"description": "anything"})
    accepts = gbnf(loose).accepts
    assert accepts(call("f", x=[1]))
    assert not accepts('<tool_call>\n{"name": "f", "arguments": 1}\n</tool_call>')


def test_only_strict_tools_are_refused_for_what_cannot_be_enforced() -> None:
    parameters = {
        "type": "object",
        "properties": {"even": {"type": "integer", "multipleOf": 2}},
    }
    loose = Tool(name="f", parameters=parameters)
    assert gbnf(loose).accepts(call("f", even=3))
    lax = grammar((NOW, loose), AUTO, True, limits=LimitsConfig())
    assert lax is not None
    assert [keyword.name for keyword in lax.unenforced] == ["multipleOf"]
    strict = Tool(name="f", parameters=parameters, strict=True)
    with pytest.raises(RequestError, match="multipleOf") as raised:
        grammar((NOW, strict), AUTO, True, limits=LimitsConfig())
    assert raised.value.param == "tools[1].function.parameters.properties.even.multipleOf"


def test_a_bad_schema_is_refused_with_its_place() -> None:
    bad = Tool(name="f", parameters={"type": "object", "properties": {"a": {"type": "text"}}})
    with pytest.raises(RequestError) as raised:
        grammar((NOW, bad), REQUIRED, False, limits=LimitsConfig())
    assert raised.value.param == "tools[1].function.parameters.properties.a.type"


def test_arguments_that_can_never_fit_are_refused_with_their_place() -> None:
    parameters = {"type": "object", "properties": {"a": False}, "required": ["a"]}
    never = Tool(name="f", parameters=parameters)
    with pytest.raises(RequestError) as raised:
        grammar((NOW, never), AUTO, False, limits=LimitsConfig())
    assert raised.value.param == "tools[1].function.parameters"


Read = tuple[str, list[tuple[str, str, str]]]


def read(pieces: list[str]) -> Read:
    """What a client puts together: the text, and id, name and arguments of each call."""
    counter = iter(range(100))
    stream = ToolStream(new_id=lambda: f"call_{next(counter)}")
    out = [found for piece in pieces for found in stream.feed(piece)] + list(stream.finish())
    text = "".join(piece for piece in out if isinstance(piece, str))
    calls: list[tuple[str, str, str]] = []
    for delta in (piece for piece in out if isinstance(piece, ToolCallDelta)):
        if delta.id is not None:
            assert delta.index == len(calls)
            calls.append((delta.id, str(delta.name), delta.arguments))
        else:
            assert delta.index == len(calls) - 1
            assert delta.name is None
            calls[-1] = (*calls[-1][:2], calls[-1][2] + delta.arguments)
    assert stream.called == bool(calls)
    return text, calls


def test_calls_are_read_with_their_arguments_as_generated() -> None:
    odd = '<tool_call>\n{"name": "f", "arguments": {"a" :\n  ["}", {"\\"": "{"}]}}\n</tool_call>'
    text, calls = read([call("add", a=1, b=2) + "\n" + odd])
    assert text == ""
    assert calls == [
        ("call_0", "add", '{"a": 1, "b": 2}'),
        ("call_1", "f", '{"a" :\n  ["}", {"\\"": "{"}]}'),
    ]


def test_arguments_are_passed_on_as_they_arrive() -> None:
    stream = ToolStream()
    assert stream.feed('<tool_call>\n{"name": "f", "arguments": ') == ()
    first = stream.feed('{"city": "Pa')
    assert [piece.arguments for piece in first if isinstance(piece, ToolCallDelta)] == [
        "",
        '{"city": "Pa',
    ]
    second = stream.feed('ris"}}\n</tool_call>')
    assert second == (ToolCallDelta(index=0, arguments='ris"}'),)


def test_text_is_passed_on_as_soon_as_it_is_no_call() -> None:
    stream = ToolStream()
    assert stream.feed("Hello") == ("Hello",)
    assert stream.feed(" <to") == ()
    assert stream.feed("day>") == (" <today>",)
    assert stream.feed(" <tool") == ()
    assert stream.finish() == (" <tool",)
    assert not stream.called


def test_text_before_a_call_loses_only_the_blanks_between() -> None:
    assert read(["Let me look.\n\n" + call("now")]) == (
        "Let me look.",
        [("call_0", "now", "{}")],
    )


def test_a_call_cut_off_keeps_what_was_there() -> None:
    text = call("add", a=1, b=2)
    assert read([text[:44]])[1][0][1] == "add"
    assert read([text[:14]]) == ("", [])


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call> is a tag",
        '<tool_call>\n{"name": "f"}',
        '<tool_call>\n{"name": "f", "arguments": 5}',
        '<tool_call>\n{"name": "\\q", "arguments": {}}',
    ],
)
def test_a_tag_without_a_call_is_text(text: str) -> None:
    assert read(["See: " + text]) == ("See: " + text, [])


def test_ids_are_random_and_in_openai_s_form() -> None:
    ids = set()
    for _ in range(50):
        first = ToolStream().feed(call("now"))[0]
        assert isinstance(first, ToolCallDelta)
        assert str(first.id).startswith("call_")
        ids.add(first.id)
    assert len(ids) == 50


pieces_of_answers = st.one_of(
    st.builds(call, st.sampled_from(["f", "g-1"]), a=st.text('{}[]"\\<é \n', max_size=5)),
    st.sampled_from(
        ["Hi", " ", "\n", "<", "<tool", "<tool_call>", "</tool_call>", "{", '"', "x<y"]
    ),
)


@settings(max_examples=300)
@given(st.lists(pieces_of_answers, max_size=5).map("".join), st.data())
def test_any_partition_reads_the_same(answer: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=12).map(sorted))
    parts = [answer[start:stop] for start, stop in pairwise([0, *cuts, len(answer)])]
    assert read(parts) == read([answer]) == read(list(answer))
