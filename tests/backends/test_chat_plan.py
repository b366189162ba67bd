"""How a model is made to answer: decided before anything runs."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reshore.backends.chat_plan import plan_chat
from reshore.backends.choices import EngineCalls, WrittenCalls, without_rivals
from reshore.config import LimitsConfig
from reshore.errors import LacksCapability, RequestError, Unsupported
from reshore.models.facts import Servable
from reshore.testing import fake_model
from reshore.types import (
    ChatRequest,
    Chunk,
    ImagePart,
    Message,
    ResponseFormat,
    Sampling,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    TopLogprob,
)

LIMITS = LimitsConfig()
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
TOOL = Tool(name="f", parameters=SCHEMA)
HERMES = "{% if tools %}<tool_call>{% endif %}"


def model(*capabilities: str, template: str | None = None, **fields: Any) -> Servable:
    defaults: dict[str, Any] = {
        "name": "m:latest",
        "digest": "d",
        "model_path": Path("m"),
        "projector_path": None,
        "facts": msgspec.structs.replace(fake_model().facts, chat_template=template),
        "capabilities": ("completion", *capabilities),
        "parameters": {},
        "system": None,
        "size": 1,
        "modified_s": 0,
    }
    return Servable(**(defaults | fields))


def asking(**fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=(Message(role="user", content="hi"),), **fields)


def test_plain_chat_is_sent_as_it_is() -> None:
    plan = plan_chat(asking(), model(), LIMITS)
    assert (plan.grammar, plan.thinking, plan.verify) == (None, None, None)
    assert plan.new_transform() is None


def test_the_models_examples_go_before_the_conversation() -> None:
    examples = (Message(role="user", content="1"), Message(role="assistant", content="2"))
    plan = plan_chat(asking(), model(system="be kind", messages=examples), LIMITS)
    sent = plan.body(n=1, seed_offset=0)["messages"]
    assert [message["content"] for message in sent[:3]] == ["be kind", "1", "2"]


@pytest.mark.parametrize(
    ("thinking", "told"), [(None, None), (True, True), (False, False)], ids=str
)
def test_a_thinking_model_is_told_what_was_asked(thinking: bool | None, told: bool | None) -> None:
    request = msgspec.structs.replace(asking(), thinking=thinking)
    assert plan_chat(request, model("thinking"), LIMITS).thinking is told
    constrained = msgspec.structs.replace(
        request, response_format=ResponseFormat(kind="json_object")
    )
    assert plan_chat(constrained, model("thinking"), LIMITS).thinking is False


def test_a_model_that_does_not_think_refuses_to() -> None:
    with pytest.raises(LacksCapability) as refused:
        plan_chat(msgspec.structs.replace(asking(), thinking=True), model(), LIMITS)
    assert refused.value.capability == "thinking"
    quiet = msgspec.structs.replace(asking(), thinking=False)
    assert plan_chat(quiet, model(), LIMITS).thinking is None


def test_the_models_own_system_and_parameters_are_worked_in() -> None:
    plan = plan_chat(asking(), model(system="be kind", parameters={"top_k": 3}), LIMITS)
    assert plan.request.messages[0].content == "be kind"
    assert plan.request.sampling.top_k == 3


def test_tools_without_a_template_go_into_the_prompt_with_a_grammar() -> None:
    plan = plan_chat(asking(tools=(TOOL,)), model(), LIMITS)
    assert plan.grammar is not None
    assert plan.request.tools == ()
    assert isinstance(plan.new_transform(), WrittenCalls)


def test_a_tool_template_leaves_auto_to_the_engine() -> None:
    plan = plan_chat(asking(tools=(TOOL,)), model("tools", template=HERMES), LIMITS)
    assert plan.grammar is None
    assert plan.request.tools == (TOOL,)
    assert isinstance(plan.new_transform(), EngineCalls)


@pytest.mark.parametrize(
    "choice", [ToolChoice(mode="required"), ToolChoice(mode="named", name="f")]
)
def test_a_forced_call_has_our_grammar_whatever_the_template(choice: ToolChoice) -> None:
    request = asking(tools=(TOOL,), tool_choice=choice)
    plan = plan_chat(request, model("tools", template=HERMES), LIMITS)
    assert plan.grammar is not None
    assert plan.request.tools == (TOOL,)
    assert plan.body(n=1, seed_offset=0)["tool_choice"] == "none"
    assert isinstance(plan.new_transform(), WrittenCalls)


@pytest.mark.parametrize(
    "choice", [ToolChoice(mode="required"), ToolChoice(mode="named", name="f")]
)
@pytest.mark.parametrize("asked", [(), ("\n",)], ids=["none", "asked"])
def test_no_stop_text_cuts_a_forced_call(choice: ToolChoice, asked: tuple[str, ...]) -> None:
    request = asking(tools=(TOOL,), tool_choice=choice, sampling=Sampling(stop=asked))
    plan = plan_chat(request, model(parameters={"stop": ["}"]}), LIMITS)
    assert "stop" not in plan.body(n=1, seed_offset=0)
    assert plan.ignored == (("stop",) if asked else ())


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_what_the_grammar_of_calls_cannot_enforce_is_checked_afterwards(mode: Any) -> None:
    thirds = {"type": "object", "properties": {"x": {"type": "integer", "multipleOf": 3}}}
    request = asking(tools=(Tool(name="f", parameters=thirds),), tool_choice=ToolChoice(mode=mode))
    verify = plan_chat(request, model(), LIMITS).verify_calls
    assert verify is not None
    good, bad = (ToolCall(id="", name="f", arguments=text) for text in ('{"x":6}', '{"x":7}'))
    assert verify([good]) == ()
    (found,) = verify([good, bad])
    assert found.startswith("f: x: 7")


def test_calls_that_the_grammar_holds_to_all_of_their_schema_need_no_check() -> None:
    assert plan_chat(asking(tools=(TOOL,)), model(), LIMITS).verify_calls is None


@pytest.mark.parametrize("mode", ["auto", "none"])
def test_a_stop_text_holds_where_no_call_is_forced(mode: Any) -> None:
    sampling = Sampling(stop=("END",))
    request = asking(tools=(TOOL,), tool_choice=ToolChoice(mode=mode), sampling=sampling)
    plan = plan_chat(request, model(), LIMITS)
    assert plan.body(n=1, seed_offset=0)["stop"] == ("END",)
    assert plan.ignored == ()


def test_strict_tools_are_held_by_our_grammar_where_the_model_writes_as_we_do() -> None:
    strict = msgspec.structs.replace(TOOL, strict=True)
    plan = plan_chat(asking(tools=(strict,)), model("tools", template=HERMES), LIMITS)
    assert plan.grammar is not None


def test_no_tools_are_shown_when_none_may_be_called() -> None:
    request = asking(tools=(TOOL,), tool_choice=ToolChoice(mode="none"))
    plan = plan_chat(request, model("tools", template=HERMES), LIMITS)
    assert plan.request.tools == ()


def test_logprobs_beside_engine_tools_are_refused() -> None:
    request = asking(tools=(TOOL,), top_logprobs=1)
    with pytest.raises(Unsupported) as caught:
        plan_chat(request, model("tools", template="{{ tools }}"), LIMITS)
    assert caught.value.param == "logprobs"


def test_a_schema_becomes_a_grammar_and_needs_no_check_when_all_is_enforced() -> None:
    wanted = ResponseFormat(kind="json_schema", name="x", schema=SCHEMA, strict=True)
    plan = plan_chat(asking(response_format=wanted), model(), LIMITS)
    assert plan.grammar
    assert plan.verify is None


def test_what_the_grammar_cannot_enforce_is_refused_when_strict_and_checked_when_not() -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    strict = ResponseFormat(kind="json_schema", schema=schema, strict=True)
    with pytest.raises(RequestError, match="uniqueItems") as caught:
        plan_chat(asking(response_format=strict), model(), LIMITS)
    assert caught.value.param == "response_format.json_schema.schema.uniqueItems"
    lax = msgspec.structs.replace(strict, strict=False)
    plan = plan_chat(asking(response_format=lax), model(), LIMITS)
    assert plan.verify is not None
    assert plan.verify("[1, 1]")
    assert not plan.verify("[1, 2]")


@pytest.mark.parametrize(
    ("effort", "expected"), [(None, None), ("none", False), ("low", True), ("high", True)]
)
def test_effort_switches_thinking_on_models_that_think(
    effort: str | None, expected: bool | None
) -> None:
    plan = plan_chat(asking(reasoning_effort=effort), model("thinking"), LIMITS)
    assert plan.thinking is expected


@pytest.mark.parametrize(
    ("template", "effort", "thinking"),
    [
        (None, "high", False),
        ("{{ '<think>' }}", "high", True),
        ("{{ '<think>' }}", None, None),
        ("{{ '<think>' }}", "none", False),
    ],
)
def test_a_constrained_answer_thinks_first_where_the_end_of_a_thought_is_known(
    template: str | None, effort: str | None, thinking: bool | None
) -> None:
    thinker = model("thinking", template=template)
    wanted = ResponseFormat(kind="json_object")
    plan = plan_chat(asking(response_format=wanted, reasoning_effort=effort), thinker, LIMITS)
    assert plan.thinking is thinking
    forced = asking(tools=(TOOL,), tool_choice=ToolChoice(mode="required"), reasoning_effort=effort)
    assert plan_chat(forced, thinker, LIMITS).thinking is thinking


def test_an_answer_that_has_begun_is_not_thought_about() -> None:
    begun = (Message(role="user", content="hi"), Message(role="assistant", content="{"))
    request = msgspec.structs.replace(
        asking(response_format=ResponseFormat(kind="json_object")), messages=begun
    )
    plan = plan_chat(request, model("thinking", template="<think>"), LIMITS)
    assert plan.thinking is False


def test_what_the_model_cannot_do_is_refused_by_field() -> None:
    image = Message(role="user", content=(ImagePart(url="data:,", param="messages[0].content[0]"),))
    cases = [
        (asking(), model(capabilities=("embedding",)), "model"),
        (asking(reasoning_effort="high"), model(), "reasoning_effort"),
        (msgspec.structs.replace(asking(), messages=(image,)), model(), "messages[0].content[0]"),
    ]
    for request, served, param in cases:
        with pytest.raises(Unsupported) as caught:
            plan_chat(request, served, LIMITS)
        assert caught.value.param == param
    plan_chat(msgspec.structs.replace(asking(), messages=(image,)), model("vision"), LIMITS)


def test_engine_calls_get_one_id_each_and_the_name_once() -> None:
    calls = EngineCalls()
    first = calls(Chunk(tool_calls=(ToolCallDelta(index=0, name="f"),)))[0].tool_calls[0]
    again = calls(Chunk(tool_calls=(ToolCallDelta(index=0, name="f", arguments="{}"),)))[0]
    assert first.id
    assert first.name == "f"
    assert again.tool_calls[0] == ToolCallDelta(index=0, arguments="{}")
    assert calls(Chunk(finish_reason="stop"))[0].finish_reason == "tool_calls"
    assert calls(Chunk(finish_reason="length"))[0].finish_reason == "length"
    assert calls(Chunk(index=1, finish_reason="stop"))[0].finish_reason == "stop"


WRITTEN = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'


def written(finish: Any) -> list[Chunk]:
    calls = WrittenCalls()
    chunks = [chunk for piece in WRITTEN for chunk in calls(Chunk(content=piece))]
    return [*chunks, *calls(Chunk(finish_reason=finish))]


def test_written_calls_are_read_out_of_the_text() -> None:
    chunks = written("stop")
    assert "".join(chunk.content for chunk in chunks) == ""
    deltas = [delta for chunk in chunks for delta in chunk.tool_calls]
    assert deltas[0].name == "f"
    assert "".join(delta.arguments for delta in deltas) == '{"x": 1}'
    assert chunks[-1].finish_reason == "tool_calls"


def test_length_says_more_than_tool_calls() -> None:
    assert written("length")[-1].finish_reason == "length"


def test_logprobs_survive_text_that_is_held_back() -> None:
    token = TokenLogprob(token="<", logprob=-1)
    assert WrittenCalls()(Chunk(content="<", logprobs=(token,))) == [Chunk(logprobs=(token,))]


def test_rivals_that_nobody_asked_for_are_dropped() -> None:
    token = TokenLogprob(token="a", logprob=-1, top=(TopLogprob(token="b", logprob=-2),))
    (chunk,) = without_rivals(Chunk(content="a", logprobs=(token,)))
    assert chunk.logprobs == (TokenLogprob(token="a", logprob=-1),)
    plain = Chunk(content="a")
    assert without_rivals(plain) == (plain,)
