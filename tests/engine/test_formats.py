"""Prompts by another template than the file's own, on the real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reshore.config import ModelConfig, load
from reshore.engine.launch import server_arguments
from reshore.engine.worker import parameters
from reshore.models import templates
from reshore.models.store import Store
from tests.engine.samples import GB, launcher, running, servable
from tests.engine.test_worker import ask, launch, library
from tests.server.harness import running as running_server

TALK = [
    {"role": "system", "content": "Sys"},
    {"role": "user", "content": "One"},
    {"role": "assistant", "content": "Two"},
    {"role": "user", "content": "Three"},
]

# What has to stand around the turns; the whole prompt would be llama.cpp's affair.
WANTED = {
    "alpaca": "### Instruction:\nThree\n\n### Response:\n",
    "chatml": "<|im_start|>user\nThree<|im_end|>\n<|im_start|>assistant\n",
    "gemma": "<start_of_turn>user\nThree<end_of_turn>\n<start_of_turn>model\n",
    "llama2-sys": "[INST] Three [/INST]",
    "llama3": "<|start_header_id|>user<|end_header_id|>\n\nThree<|eot_id|>",
    "mistral-v1": "[INST] Three [/INST]",
    "mistral-v3": "[INST] Three[/INST]",
    "mistral-v3-tekken": "[INST]Three[/INST]",
    "phi3": "<|user|>\nThree<|end|>\n<|assistant|>\n",
    "vicuna": "USER: Three\nASSISTANT:",
    "zephyr-beta": "<|user|>\nThree</s>\n<|assistant|>\n",
}


def test_a_built_in_is_asked_for_by_name_without_jinja(tmp_path: Path) -> None:
    plan = launcher(tmp_path).plan(servable(), GB)
    made = parameters(library(), launch(plan, chat_template="llama3"))
    assert (made.chat_template, made.use_jinja) == ("llama3", False)
    made = parameters(library(), launch(plan, chat_template="{{ messages }}"))
    assert (made.chat_template, made.use_jinja) == ("{{ messages }}", True)
    assert not hasattr(parameters(library(), launch(plan)), "use_jinja")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("file", ["--slots", "--jinja", "--no-webui"]),
        ("llama3", ["--slots", "--no-jinja", "--chat-template", "llama3", "--no-webui"]),
        (
            "alpaca",
            ["--slots", "--jinja", "--chat-template", templates.JINJA["alpaca"], "--no-webui"],
        ),
    ],
)
def test_llama_server_is_told_how_to_read_the_template_first(
    tmp_path: Path, template: str, words: list[str]
) -> None:
    model = msgspec.structs.replace(servable(), template=template)
    arguments = server_arguments(model, launcher(tmp_path).plan(model, GB))
    start = arguments.index("--slots")
    assert arguments[start : start + len(words)] == words


async def prompt(starter_home: Path, home: Path, name: str) -> str:
    settings = {"smollm2:135m": ModelConfig(chat_template=name)}
    model = Store(starter_home / "models", settings=settings).resolve("smollm2:135m")
    maker = launcher(home, "wheel", context_length=256, parallel=1)
    async with running(maker.launch(model, maker.plan(model, GB))) as engine:
        reply: dict[str, Any] = await ask(engine, "/apply-template", messages=TALK)
        return str(reply["prompt"])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(templates.NAMES))
async def test_every_known_format_is_known_to_the_engine(
    starter_home: Path, tmp_path: Path, name: str
) -> None:
    text = await prompt(starter_home, tmp_path, name)
    assert text.index("Sys") < text.index("One") < text.index("Two") < text.index("Three")
    assert WANTED.get(name, "Three") in text
    form = next((form for form in templates.FORMATS if form.name == name), None)
    if form is not None and name != "gpt-oss":  # its channels belong to the answer
        assert any(mark in text for mark in form.marks)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chatml", "llama3", "alpaca"])
async def test_a_model_chats_in_a_format_it_was_given(own_starter_home: Path, name: str) -> None:
    settings = f'[models."smollm2:135m"]\nchat_template = "{name}"\ncontext_length = 512\n'
    (own_starter_home / "reshore.toml").write_text(settings)
    async with running_server(load(env={"RESHORE_HOME": str(own_starter_home)})) as server:
        body = {
            "model": "smollm2:135m",
            "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 12,
            "temperature": 0,
        }
        response, reply = await server.post("/v1/chat/completions", body)
        assert response.status == 200, reply
        assert reply["choices"][0]["message"]["content"].strip()
        response, reply = await server.post(
            "/v1/chat/completions", body | {"response_format": {"type": "json_object"}}
        )
        assert response.status == 200, reply
        assert reply["choices"][0]["message"]["content"].lstrip().startswith("{")
        tool = {"type": "function", "function": {"name": "wave", "parameters": {"type": "object"}}}
        response, reply = await server.post(
            "/v1/chat/completions",
            body | {"tools": [tool], "tool_choice": "required", "max_tokens": 99},
        )
        assert response.status == 200, reply
        assert reply["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "wave"
