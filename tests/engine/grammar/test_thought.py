import pytest

from reshore.config import LimitsConfig
from reshore.engine.grammar import compile_schema
from reshore.engine.grammar.thought import Lead, after_thought
from tests.engine.grammar.matcher import Gbnf

SCHEMA = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}
ANSWER = '{"a":1}'


def grammar(lead: Lead) -> Gbnf:
    answer = compile_schema(SCHEMA, limits=LimitsConfig()).text
    return Gbnf(after_thought(answer, opening="<think>", closing="</think>", lead=lead))


def test_an_answer_without_a_thought_may_need_a_mark_of_its_own() -> None:
    answer = compile_schema(SCHEMA, limits=LimitsConfig()).text
    marks = {"opening": "[a]", "closing": "[b]", "direct": "[c]"}
    found = Gbnf(after_thought(answer, **marks, lead="offered"))
    assert found.accepts(f"[c]{ANSWER}")
    assert found.accepts(f"[a]so[b]{ANSWER}")
    assert not found.accepts(ANSWER)


@pytest.mark.parametrize(
    ("lead", "accepted", "rejected"),
    [
        (
            "opened",
            [f"so {{ < </thin </think>\n\n{ANSWER}", f"</think>{ANSWER}"],
            [ANSWER, "so", "so</think>", f"so</think>x{ANSWER}", f"so</think>{ANSWER}</think>"],
        ),
        (
            "offered",
            [ANSWER, f"<think>so</think>\n\n{ANSWER}", f"<think>\n\n</think>{ANSWER}"],
            [f"so</think>{ANSWER}", f"<think>so{ANSWER}", "<think>so</think>{}"],
        ),
        (
            "asked",
            [f"<think>so</think>\n\n{ANSWER}"],
            [ANSWER, f"so</think>{ANSWER}", "<think>so</think>"],
        ),
        (
            "closed",
            [f"\n</think>\n\n{ANSWER}", f"</think>{ANSWER}"],
            [ANSWER, f"so</think>{ANSWER}"],
        ),
    ],
)
def test_a_thought_is_free_and_the_answer_obeys(
    lead: Lead, accepted: list[str], rejected: list[str]
) -> None:
    found = grammar(lead)
    assert [text for text in accepted if not found.accepts(text)] == []
    assert [text for text in rejected if found.accepts(text)] == []
