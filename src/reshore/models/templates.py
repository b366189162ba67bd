"""How a model puts a conversation into a prompt: by its own template, or by one of llama.cpp.

Ollama's models carry Go templates, which llama.cpp cannot run. Most of the GGUF files carry a Jinja
template too, and that one is used. For those that do not, the well-known formats are recognised by
the marks that a Go template writes around a turn, and llama.cpp's built-in template of the same
format takes its place. What is not recognised is not guessed: a wrong format gives fluent nonsense.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from reshore.errors import ConfigError
from reshore.models.facts import GgufFacts

FILE = "file"
"""The template is the one in the GGUF file."""

NAMED = "named"
"""The template is the one that the settings name."""

# A string literal of Go's. It ends with the action at the latest, so that reading stays linear.
_LITERAL = re.compile(r'"((?:[^"\\]|\\.?)*+)(?:"|\Z)', re.DOTALL)
_COMMENT_OPENING = re.compile(r"\{\{-?\s{0,8}/\*")


class Format(Struct, frozen=True, kw_only=True):
    """A prompt format: all of `marks` stand in what it writes.

    `name` is llama.cpp's name for it (`--chat-template`), unless it stands in `JINJA`.
    """

    name: str
    marks: tuple[str, ...]


# The first that fits. Formats that share marks stand in the order from the special to the plain.
FORMATS = (
    Format(name="phi4", marks=("<|im_start|>", "<|im_sep|>")),
    Format(name="chatml", marks=("<|im_start|>", "<|im_end|>")),
    Format(name="kimi-k2", marks=("<|im_middle|>", "<|im_end|>")),
    Format(name="llama4", marks=("<|header_start|>", "<|eot|>")),
    Format(name="llama3", marks=("<|start_header_id|>", "<|eot_id|>")),
    Format(name="gpt-oss", marks=("<|start|>", "<|message|>", "<|channel|>")),
    Format(name="gemma", marks=("<start_of_turn>", "<end_of_turn>")),
    Format(name="command-r", marks=("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>")),
    Format(name="granite", marks=("<|start_of_role|>", "<|end_of_role|>")),
    Format(name="exaone3", marks=("[|user|]", "[|endofturn|]")),
    Format(name="openchat", marks=("GPT4 Correct User:", "<|end_of_turn|>")),
    Format(name="deepseek3", marks=("<｜User｜>", "<｜Assistant｜>")),
    Format(name="deepseek2", marks=("User:", "Assistant:", "<｜end▁of▁sentence｜>")),
    Format(name="deepseek", marks=("### Instruction:", "### Response:", "<|EOT|>")),
    Format(name="chatglm4", marks=("[gMASK]<sop>", "<|user|>", "<|assistant|>")),
    Format(name="chatglm3", marks=("[gMASK]sop", "<|user|>", "<|assistant|>")),
    Format(name="phi3", marks=("<|user|>", "<|end|>", "<|assistant|>")),
    Format(name="zephyr-beta", marks=("<|user|>", "</s>", "<|assistant|>")),
    Format(name="zephyr", marks=("<|user|>", "<|endoftext|>", "<|assistant|>")),
    Format(name="alpaca", marks=("### Instruction:", "### Response:")),
    Format(name="minicpm", marks=("<用户>", "<AI>")),
    Format(name="mistral-v7", marks=("[INST]", "[/INST]", "[SYSTEM_PROMPT]")),
    Format(name="llama2-sys", marks=("[INST]", "[/INST]", "<<SYS>>")),
    Format(name="mistral-v3-tekken", marks=("[INST]", "[/INST]", "[AVAILABLE_TOOLS]")),
    Format(name="mistral-v1", marks=("[INST]", "[/INST]")),
    Format(name="vicuna-orca", marks=("SYSTEM:", "USER:", "ASSISTANT:")),
    Format(name="vicuna", marks=("USER:", "ASSISTANT:")),
)

# Formats that llama.cpp has no built-in for. (Its zephyr ends turns with <|endoftext|>.)
JINJA = {
    "zephyr-beta": (
        "{% for message in messages %}"
        "{{ '<|' + message['role'] + '|>\n' + message['content'] + '</s>\n' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
    ),
    "alpaca": (
        "{% set titles = {'user': '### Instruction:\n', 'assistant': '### Response:\n'} %}"
        "{% for message in messages %}"
        "{{ titles.get(message['role'], '') + message['content'] + '\n\n' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}"
    ),
}

NAMES = frozenset(form.name for form in FORMATS) | {"mistral-v3", "mistral-v7-tekken"}
"""The formats that may be asked for by name."""


def choose(facts: GgufFacts, go_template: str | None) -> str | None:
    """Which template makes the prompts of a model.

    Returns:
        `FILE` for the GGUF file's own, a built-in's name, or None when nothing is known.
    """
    if facts.chat_template is not None:
        return FILE
    return recognise(go_template, facts) if go_template else None


def configured(wanted: str, model: str) -> str:
    """The template that the settings of a model name: a format's name, or a Jinja text from a file.

    Raises:
        ConfigError: it is neither.
    """
    if wanted in NAMES:
        return wanted
    try:
        text = Path(wanted).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"[models.'{model}'] chat_template = '{wanted}' is no known format "
            f"({', '.join(sorted(NAMES))}) and no file that can be read: {error}"
        ) from error
    if not is_jinja(text):
        raise ConfigError(f"{wanted}, the chat_template of {model}, holds no Jinja template")
    return text


def with_template(facts: GgufFacts, wanted: str) -> GgufFacts:
    """The header as if it had another template, which tells what the model can do.

    The formats known by name are those of models without tools: they leave no template there.
    """
    return msgspec.structs.replace(facts, chat_template=None if wanted in NAMES else wanted)


def argument(template: str | None) -> str | None:
    """What the engine is told: a built-in's name or a Jinja text; None for the file's own."""
    return None if template in (None, FILE) else JINJA.get(template, template)


def is_jinja(text: str) -> bool:
    """Whether an `argument` is a template itself and not the name of a built-in."""
    return "{" in text


def recognise(go_template: str, facts: GgufFacts | None = None) -> str | None:
    """The built-in template that writes what a Go template writes, None if none is known to.

    Args:
        facts: of the model, whose tokenizer tells the versions of Mistral's format apart.
    """
    text = written(go_template)
    found = next((form for form in FORMATS if all(mark in text for mark in form.marks)), None)
    if found is None:
        return None
    refine = _REFINED.get(found.name)
    return refine(text, facts) if refine else found.name


def written(go_template: str) -> str:
    """What a Go template writes besides what it is given: its text, and its string literals.

    What follows an action that is never closed is left out, comments are, too.
    """
    pieces, position = [], 0
    while (start := go_template.find("{{", position)) >= 0:
        pieces.append(go_template[position:start])
        comment = _COMMENT_OPENING.match(go_template, start)
        inside = go_template.find("*/", comment.end()) if comment else start
        end = go_template.find("}}", inside) if inside >= 0 else -1
        if end < 0:
            return "".join(pieces)
        if comment is None:
            pieces += (literal[1] for literal in _LITERAL.finditer(go_template, start, end))
        position = end + 2
    return "".join(pieces) + go_template[position:]


def _mistral(text: str, facts: GgufFacts | None) -> str:
    """Mistral's formats differ in the blanks around `[INST]`, which follow the tokenizer.

    v1 and v3 are SentencePiece (v3 knows tools), Tekken is a BPE and writes no blanks at all.
    """
    tekken = facts is not None and facts.metadata.get("tokenizer.ggml.model") == "gpt2"
    if "[SYSTEM_PROMPT]" in text:
        return "mistral-v7-tekken" if tekken else "mistral-v7"
    if tekken:
        return "mistral-v3-tekken"
    return "mistral-v3" if "[AVAILABLE_TOOLS]" in text else "mistral-v1"


_Refine = Callable[[str, GgufFacts | None], str]
_REFINED: dict[str, _Refine] = {
    "mistral-v7": _mistral,
    "mistral-v3-tekken": _mistral,
    "mistral-v1": _mistral,
}
