import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.engine.grammar.gbnf import Lit, Rules
from reshore.engine.grammar.until import text_until
from tests.engine.grammar.matcher import Gbnf

# Tags whose beginnings come again inside of them: what was matched is never simply undone.
TAGS = ["</think>", "aab", "abab", "<tool_call>", "x"]


def gbnf(tag: str, *, may_end: bool = False) -> Gbnf:
    rules = Rules(limit_bytes=1 << 14, param="p")
    return Gbnf(rules.text(text_until(rules, tag, rules.define(Lit("!")), may_end=may_end)))


@pytest.mark.parametrize("tag", TAGS)
@given(data=st.data())
def test_the_first_tag_ends_the_text(tag: str, data: st.DataObject) -> None:
    pieces = st.sampled_from([tag[:cut] for cut in range(1, len(tag) + 1)] + ["z", "\n", "é", "!"])
    text = "".join(data.draw(st.lists(pieces, max_size=5)))
    before, _, after = (text + tag + "!").partition(tag)
    ends = after == "!"
    assert gbnf(tag).accepts(text + tag + "!") is ends
    assert gbnf(tag).accepts(before + tag + "!")
    assert not gbnf(tag).accepts(before)
    assert gbnf(tag, may_end=True).accepts(before)


def test_controls_are_no_text() -> None:
    assert gbnf("x").accepts("a\t\r\n" + "x!")
    assert not gbnf("x").accepts("\0x!")
