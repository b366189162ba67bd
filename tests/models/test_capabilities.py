from __future__ import annotations

import time

import msgspec
import pytest

from reshore.models.capabilities import capabilities, template_names
from reshore.models.facts import GgufFacts
from reshore.testing import fake_model
from tests.models.tiny import CHATML

FACTS = msgspec.structs.replace(fake_model().facts, chat_template=CHATML)


def facts(**changes: object) -> GgufFacts:
    return msgspec.structs.replace(FACTS, **changes)


@pytest.mark.parametrize(
    "template",
    [
        "{% if tools %}x{% endif %}",
        "{%- for tool in tools -%}{{ tool | tojson }}{%- endfor -%}",
        "{{ '%}' }}{{ tools }}",
        "{# }} #}{{ (tools | tojson) }}",
        '{% set x = "it\\"s" %}{% if not tools is none %}{% endif %}',
        "{% raw %}{{ a }}{% endraw %}{% if tools %}{% endif %}",
    ],
)
def test_a_template_that_refers_to_tools_has_tools(template: str) -> None:
    assert capabilities(facts(chat_template=template)) == ("completion", "tools")


@pytest.mark.parametrize(
    "template",
    [
        CHATML,
        "Use your tools wisely. {{ messages }}",
        "{{ 'tools' }}",
        '{{ "the tools \\" tools" }}',
        "{# tools #}{{ x }}",
        "{{ message.tools }}",
        "{{ my_tools }}",
        "{{ toolset }}",
        "{% raw %}{{ tools }}{% endraw %}",
        "{{ never closed",
        "{# never closed {{ tools }}",
        None,
    ],
)
def test_the_mere_word_is_no_tool_support(template: str | None) -> None:
    assert capabilities(facts(chat_template=template)) == ("completion",)


def test_a_separate_tool_template_counts() -> None:
    metadata = {"tokenizer.chat_template.tool_use": "{{ tools }}"}
    assert "tools" in capabilities(facts(metadata=metadata))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pooling": 1, "causal": False}, ("embedding",)),
        ({"causal": False}, ("embedding",)),
        ({"pooling": 3}, ("embedding",)),
        ({"pooling": 4}, ()),
        ({"pooling": 0}, ("completion",)),
        (
            {"special_tokens": {"fim_pre": "a", "fim_suf": "b", "fim_mid": "c"}},
            ("completion", "insert"),
        ),
        ({"special_tokens": {"fim_pre": "a", "fim_suf": "b"}}, ("completion",)),
        ({"chat_template": "{% if enable_thinking %}{% endif %}"}, ("completion", "thinking")),
        ({"chat_template": "{{ x }}<think>\n"}, ("completion", "thinking")),
        ({"chat_template": "{{ '[THINK]' + x }}"}, ("completion", "thinking")),
        ({"chat_template": "{{ x }}<seed:think>"}, ("completion", "thinking")),
        ({"chat_template": "think about {{ x }}"}, ("completion",)),
    ],
)
def test_other_capabilities(changes: dict[str, object], expected: tuple[str, ...]) -> None:
    assert capabilities(facts(**changes)) == expected


def test_a_projector_gives_vision() -> None:
    assert capabilities(FACTS, projector=True) == ("completion", "vision")


@pytest.mark.parametrize(
    "piece", ["{{", "{% raw %}", "{{ '", "{# ", "'", "{% raw", "{{ a }}", '{{"\\', "{%  "]
)
def test_a_hostile_template_is_read_in_linear_time(piece: str) -> None:
    started = time.process_time()
    for _ in template_names(piece * (1_000_000 // len(piece))):
        pass
    assert time.process_time() - started < 2
