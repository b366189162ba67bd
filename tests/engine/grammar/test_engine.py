"""The real engine under our grammars: whatever it finishes is valid."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from reshore.backends.tools import ToolStream, grammar, render
from reshore.checks.json_schema import violations
from reshore.checks.tool_arguments import argument_violations
from reshore.config import LimitsConfig
from reshore.engine.grammar import compile_schema, json_object
from reshore.errors import RequestError
from reshore.models.store import Store
from reshore.types import ChatRequest, Message, Tool, ToolCall, ToolCallDelta, ToolChoice
from tests.engine.grammar.test_compiler import CASES, HARD

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LIMITS = LimitsConfig()
ENGINE = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx = 4096
params.n_parallel = 1
# One thread: several spin while they wait, and a busy machine stops them for minutes.
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.port = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""
TOOLS = (
    Tool(
        name="get_weather",
        description="Get the current weather of a city",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 40},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
        },
    ),
    Tool(
        name="add",
        description="Add two numbers",
        parameters={
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
        strict=True,
    ),
    Tool(
        name="search",
        description="Search the web",
        parameters={
            "type": "object",
            "properties": {
                "query": {"type": "string", "maxLength": 40},
                "limit": {"type": "integer", "minimum": 1, "maximum": 20},
            },
            "required": ["query"],
        },
    ),
    Tool(
        name="book",
        description="Book a table",
        parameters={
            "type": "object",
            "properties": {
                "when": {"type": "string", "format": "date-time"},
                "guests": {"type": "array", "items": {"enum": ["Ann", "Bob"]}, "maxItems": 3},
            },
            "required": ["when", "guests"],
        },
    ),
    Tool(name="now", description="Tell the time"),
)


class Engine:
    """Answers of a running engine."""

    def __init__(self, url: str) -> None:
        self.url = url

    def answer(
        self, messages: list[dict[str, Any]], text: str | None, seed: int, max_tokens: int = 100
    ) -> tuple[str, str]:
        body = {"messages": messages, "grammar": text, "seed": seed, "max_tokens": max_tokens}
        request = urllib.request.Request(
            f"{self.url}/v1/chat/completions",
            json.dumps({**body, "temperature": 1.0}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=300) as reply:
            choice = json.load(reply)["choices"][0]
        return choice["message"]["content"], choice["finish_reason"]


@pytest.fixture(scope="module")
def engine(starter_home: Any) -> Iterator[Engine]:
    path = Store(starter_home / "models").resolve("smollm2:135m").model_path
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield Engine(process.stdout.readline().strip())
        process.kill()


def asked(schema: Any) -> list[dict[str, Any]]:
    question = f"Write an example of JSON for this schema: {json.dumps(schema)[:300]}"
    return [{"role": "user", "content": question}]


@pytest.mark.parametrize("case", CASES)
def test_finished_answers_satisfy_their_schema(engine: Engine, case: str) -> None:
    schema = CASES[case][0]
    compiled = compile_schema(schema, limits=LIMITS)
    for seed in range(2):
        text, reason = engine.answer(asked(schema), compiled.text, seed)
        assert reason == "length" or violations(schema, text) == (), text


def test_finished_objects_are_objects(engine: Engine) -> None:
    for seed in range(3):
        text, reason = engine.answer(asked({}), json_object(limits=LIMITS).text, seed)
        assert reason == "length" or isinstance(json.loads(text), dict)


@pytest.mark.parametrize("case", HARD)
def test_the_engine_survives_whatever_we_compile(engine: Engine, case: str) -> None:
    try:
        compiled = compile_schema(HARD[case], limits=LIMITS)
    except RequestError:
        pytest.skip("refused")
    assert engine.answer(asked({}), compiled.text, 1, max_tokens=8)


def called(engine: Engine, tools: tuple[Tool, ...], choice: ToolChoice, seed: int) -> Any:
    """The calls of one answer, the text beside them, and why it ended."""
    question = ("What is the weather in Paris?", "What is 17 plus 25?")[seed % 2]
    request = ChatRequest(
        model="m",
        messages=(Message(role="user", content=question),),
        tools=tools,
        tool_choice=choice,
    )
    messages = [{"role": m.role, "content": m.content} for m in render(request).messages]
    made = grammar(tools, choice, False, limits=LIMITS)
    assert made is not None
    text, reason = engine.answer(messages, made.text, seed)
    stream = ToolStream()
    pieces = [*stream.feed(text), *stream.finish()]
    deltas = [piece for piece in pieces if isinstance(piece, ToolCallDelta)]
    arguments = "".join(delta.arguments for delta in deltas)
    calls = [
        ToolCall(id=delta.id, name=str(delta.name), arguments=arguments)
        for delta in deltas
        if delta.id is not None
    ]
    return calls, "".join(piece for piece in pieces if isinstance(piece, str)), reason


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("mode", ["required", "named", "auto"])
def test_calls_fit_their_tools(engine: Engine, mode: Any, count: int) -> None:
    tools = TOOLS[:count]
    for seed in range(20 if mode != "auto" else 4):
        name = tools[seed % count].name if mode == "named" else None
        calls, text, reason = called(engine, tools, ToolChoice(mode=mode, name=name), seed)
        if reason == "length":
            continue
        if mode != "auto":
            assert text == ""
            assert len(calls) == 1
        assert all(argument_violations(tools, call) == () for call in calls)
        assert name is None or calls[0].name == name
