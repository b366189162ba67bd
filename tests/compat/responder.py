"""An engine that answers what LangChain's standard tests ask, with llama-server's command line.

A scripted engine repeats; these tests want sense: a joke with its punchline, a call of the function
with the number from the question. The rules are below, in one table. Whatever a rule says is
checked against the grammar that came with the request, so that a grammar which does not let the
right answer through fails the test.

Run it as `engine.kind = "llama-server"` (see `install`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import msgspec

from reshore.config import EchoConfig
from reshore.engine.base import LaunchPlan
from reshore.engine.child import Launch
from reshore.engine.echo.endpoints import EchoEngine
from reshore.engine.echo.http import Connection, Request
from tests.engine.grammar.matcher import Gbnf

ROOT = Path(__file__).parents[2]
CHAT = "/v1/chat/completions"

JOKE = {"setup": "Why do cats never play poker?", "punchline": "Too many cheetahs."}
TEXT = "Here you are: a small answer of some words, and no more than that."

# What the last question says -> the answer where JSON is asked for.
STRUCTURED = ((re.compile("joke", re.IGNORECASE), JOKE),)

# Argument name -> what in the conversation is its value.
ARGUMENTS = {
    "input": re.compile(r"\((\d+)\)"),
    "answer_style": re.compile(r"style of (\w+)"),
    "location": re.compile(r"weather in ([^?]+)"),
    "customer_name": re.compile(r"named '([^']+)'"),
    "description": re.compile(r"- (.+)$"),
}

# How tools stand in a prompt whose template knows none; `backends/tools.py` writes it.
_WRITTEN_TOOLS = re.compile(r"<tools>\n(.*)\n</tools>", re.DOTALL)


def respond(body: dict[str, Any]) -> dict[str, Any]:
    """The directive for a scripted engine (`engine/echo/script.py`) that answers a chat request.

    Raises:
        ValueError: the grammar of the request does not accept the answer.
    """
    last = body["messages"][-1]
    question = _text(last)
    offered = body.get("tools") or _written_tools(body["messages"])
    answered = last["role"] == "tool" or "<tool_response>" in question
    if offered and not answered:
        directive = _called(body, question, offered)
    elif "grammar" in body and not offered:
        directive = {"text": json.dumps(_structured(question), ensure_ascii=False)}
    else:
        directive = {"text": TEXT}
    _check(body, directive)
    return directive


def _called(body: dict[str, Any], question: str, offered: list[dict[str, Any]]) -> dict[str, Any]:
    functions = [tool["function"] for tool in offered]
    named = [function for function in functions if function["name"] in question]
    wanted = (named or functions)[0]
    call = {"name": wanted["name"], "arguments": _arguments(wanted, question)}
    if "grammar" not in body:
        return {"tool_calls": [call]}
    return {"text": f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>"}


def _arguments(function: dict[str, Any], question: str) -> dict[str, Any]:
    properties = (function.get("parameters") or {}).get("properties") or {}
    return {name: _value(name, schema, question) for name, schema in properties.items()}


def _value(name: str, schema: dict[str, Any], question: str) -> Any:
    if name in JOKE:
        return JOKE[name]
    found = ARGUMENTS[name].search(question) if name in ARGUMENTS else None
    text = found[1] if found else "1"
    return int(text) if schema.get("type") == "integer" else text


def _structured(question: str) -> dict[str, Any]:
    return next(answer for asked, answer in STRUCTURED if asked.search(question))


def _check(body: dict[str, Any], directive: dict[str, Any]) -> None:
    if "grammar" in body and not Gbnf(body["grammar"]).accepts(directive["text"]):
        raise ValueError(f"the grammar does not accept {directive['text']}")


def _written_tools(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = _WRITTEN_TOOLS.search(_text(messages[0]))
    lines = found[1].splitlines() if found else []
    return [{"function": json.loads(line)} for line in lines]


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content)


class Responder:
    """A scripted engine that is told by `respond` what to answer."""

    def __init__(self, engine: EchoEngine) -> None:
        self._engine = engine

    def handle(self, connection: Connection, request: Request) -> None:
        if request.method == "POST" and request.path == CHAT:
            request = msgspec.structs.replace(request, body=_directed(request.body))
        self._engine.handle(connection, request)


def _directed(data: bytes) -> bytes:
    """The same request, with the directive for its answer as its last message."""
    body = json.loads(data)
    try:
        directive = respond(body)
    except ValueError as error:
        directive = {"text": str(error)}
    said = {"role": "user", "content": f"/echo {json.dumps(directive)}"}
    return json.dumps(body | {"messages": [*body["messages"], said]}).encode()


def install(folder: Path) -> Path:
    """An executable in `folder` that runs this file with this interpreter."""
    path = folder / "responder"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from {__name__} import main; main()"
    command = shlex.join([sys.executable, "-c", code])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)
    return path


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("alias", "api-key-file", "model"):
        parser.add_argument(f"--{name}", default="")
    for name in ("port", "ctx-size", "parallel", "ubatch-size"):
        parser.add_argument(f"--{name}", type=int, default=1)
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--list-devices", action="store_true")
    arguments, _ = parser.parse_known_args()
    if not arguments.list_devices:
        asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    responder = Responder(EchoEngine(_launch(arguments)))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(responder.handle), "127.0.0.1", arguments.port
    )
    await server.serve_forever()


def _launch(arguments: argparse.Namespace) -> Launch:
    plan = LaunchPlan(
        context_length=arguments.ctx_size // arguments.parallel,
        slots=arguments.parallel,
        batch=arguments.ubatch_size,
        micro_batch=arguments.ubatch_size,
        threads=1,
        gpu_layers=0,
        flash_attention=None,
        kv_cache_type="f16",
        embedding=arguments.embeddings,
        pooling=None,
        weights_bytes=0,
        kv_bytes=0,
        compute_bytes=0,
    )
    return Launch(
        parent_pid=os.getppid(),
        key=Path(arguments.api_key_file).read_text().strip(),
        name=arguments.alias,
        model_path=arguments.model,
        projector_path=None,
        plan=plan,
        echo=EchoConfig(),
        embedding_length=32,
    )
