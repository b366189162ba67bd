"""Go templates are recognised by what they write, and never guessed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.models import templates
from reshore.models.facts import GgufFacts
from tests.models.ollama_store import LLAMA3_GO
from tests.models.test_capabilities import facts

# Written here in the manner of the templates that Ollama's library has for these families.
GO = {
    "chatml": "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n",
    "llama3": LLAMA3_GO,
    "llama4": "<|header_start|>user<|header_end|>\n\n{{ .Prompt }}<|eot|>"
    "<|header_start|>assistant<|header_end|>\n\n",
    "llama2-sys": "[INST] <<SYS>>{{ .System }}<</SYS>>\n\n{{ .Prompt }} [/INST]",
    "mistral-v1": "[INST] {{ .System }} {{ .Prompt }} [/INST]",
    "mistral-v3": "[AVAILABLE_TOOLS] {{ .Tools }}[/AVAILABLE_TOOLS][INST] {{ .Prompt }}[/INST]",
    "mistral-v7": "[SYSTEM_PROMPT] {{ .System }}[/SYSTEM_PROMPT][INST] {{ .Prompt }}[/INST]",
    "gemma": "<start_of_turn>user\n{{ .Prompt }}<end_of_turn>\n<start_of_turn>model\n",
    "phi3": "<|user|>\n{{ .Prompt }}<|end|>\n<|assistant|>\n",
    "phi4": "<|im_start|>user<|im_sep|>{{ .Prompt }}<|im_end|><|im_start|>assistant<|im_sep|>",
    "zephyr-beta": "<|user|>\n{{ .Prompt }}</s>\n<|assistant|>\n",
    "zephyr": "<|user|>\n{{ .Prompt }}<|endoftext|>\n<|assistant|>\n",
    "alpaca": "{{ .System }}\n\n### Instruction:\n{{ .Prompt }}\n\n### Response:\n",
    "deepseek": "### Instruction:\n{{ .Prompt }}\n### Response:\n{{ .Response }}\n<|EOT|>\n",
    "deepseek2": "User: {{ .Prompt }}\n\nAssistant: {{ .Response }}<｜end▁of▁sentence｜>",
    "deepseek3": "<｜User｜>{{ .Prompt }}<｜Assistant｜>{{ .Response }}<｜end▁of▁sentence｜>",
    "vicuna": "{{ .System }} USER: {{ .Prompt }} ASSISTANT:",
    "vicuna-orca": "SYSTEM: {{ .System }}\nUSER: {{ .Prompt }}\nASSISTANT:",
    "command-r": "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{{ .Prompt }}<|END_OF_TURN_TOKEN|>"
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    "openchat": "GPT4 Correct User: {{ .Prompt }}<|end_of_turn|>GPT4 Correct Assistant:",
    "granite": "<|start_of_role|>user<|end_of_role|>{{ .Prompt }}<|end_of_text|>\n",
    "exaone3": "[|user|]{{ .Prompt }}\n[|assistant|]{{ .Response }}[|endofturn|]\n",
    "chatglm4": "[gMASK]<sop><|user|>\n{{ .Prompt }}<|assistant|>\n",
    "chatglm3": "[gMASK]sop<|user|>\n{{ .Prompt }}<|assistant|>\n",
    "minicpm": "<用户>{{ .Prompt }}<AI>",
    "kimi-k2": "<|im_user|>user<|im_middle|>{{ .Prompt }}<|im_end|>",
    "gpt-oss": "<|start|>user<|message|>{{ .Prompt }}<|end|><|start|>assistant<|channel|>",
}


@pytest.mark.parametrize("name", GO)
def test_a_known_format_is_recognised(name: str) -> None:
    assert templates.recognise(GO[name]) == name


def test_every_format_has_a_template_that_is_recognised_as_it() -> None:
    # What the versions of Mistral's format are told apart by stands in the tokenizer.
    assert templates.NAMES - GO.keys() == {"mistral-v3-tekken", "mistral-v7-tekken"}


@pytest.mark.parametrize(
    "go",
    [
        "{{ .Prompt }}",
        "",
        "{{ .System }}\n\n### User:\n{{ .Prompt }}\n\n### Assistant:\n",
        "Question: {{ .Prompt }}\nAnswer:",
        "{{/* <|im_start|> <|im_end|> */}}{{ .Prompt }}",
        "<|im_start|>{{ .Prompt }}",
    ],
)
def test_what_is_not_known_is_not_guessed(go: str) -> None:
    assert templates.recognise(go) is None


def test_marks_inside_string_literals_of_go_count() -> None:
    go = '{{ range .Messages }}{{ printf "<|im_start|>%s\\n%s<|im_end|>" .Role .Content }}{{ end }}'
    assert templates.recognise(go) == "chatml"


@pytest.mark.parametrize(
    ("go", "tokenizer", "name"),
    [
        ("[INST]{{ .Prompt }}[/INST]", "gpt2", "mistral-v3-tekken"),
        (GO["mistral-v3"], "gpt2", "mistral-v3-tekken"),
        (GO["mistral-v7"], "gpt2", "mistral-v7-tekken"),
        (GO["mistral-v7"], "llama", "mistral-v7"),
        (GO["mistral-v1"], "llama", "mistral-v1"),
    ],
)
def test_the_tokenizer_tells_mistrals_versions_apart(go: str, tokenizer: str, name: str) -> None:
    header = facts(metadata={"tokenizer.ggml.model": tokenizer})
    assert templates.recognise(go, header) == name


def test_the_files_own_template_wins() -> None:
    assert templates.choose(facts(), GO["gemma"]) == templates.FILE
    assert templates.choose(facts(chat_template=None), GO["gemma"]) == "gemma"
    assert templates.choose(facts(chat_template=None), "{{ .Prompt }}") is None
    assert templates.choose(facts(chat_template=None), None) is None


def test_the_engine_is_told_a_name_or_a_jinja_text() -> None:
    assert templates.argument(templates.FILE) is None
    assert templates.argument(None) is None
    assert templates.argument("llama3") == "llama3"
    assert not templates.is_jinja("llama3")
    for name, text in templates.JINJA.items():
        assert templates.argument(name) == text
        assert templates.is_jinja(text)


def test_another_template_changes_what_the_model_can_do() -> None:
    with_tools = templates.with_template(facts(), "{% if tools %}{% endif %}")
    assert with_tools.chat_template == "{% if tools %}{% endif %}"
    assert templates.with_template(facts(), "llama3").chat_template is None


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    assert templates.recognise(text) in templates.NAMES | {None}


def test_a_hostile_template_is_read_in_linear_time() -> None:
    for piece in ("{{", "{{/*", '{{"', "{{ \\", "}}"):
        templates.recognise(piece * (200_000 // len(piece)))


def test_facts_stay_as_they_are() -> None:
    before: GgufFacts = facts()
    templates.with_template(before, "chatml")
    assert msgspec.structs.asdict(before) == msgspec.structs.asdict(facts())
