"""Every text is escaped unless it was made here."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from reshore.evals.compare.page.markup import Markup, escaped, joined, tag


class Seen(HTMLParser):
    """What a reader of HTML finds."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.data = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= dict(attrs)

    def handle_data(self, data: str) -> None:
        self.data += data


@given(st.text())
def test_no_text_becomes_an_element_or_an_attribute(text: str) -> None:
    seen = Seen(tag("pre", text, title=text))
    assert seen.tags == ["pre"]
    assert set(seen.attributes) == {"title"}


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_a_text_is_shown_as_it_is(text: str) -> None:
    seen = Seen(tag("pre", text, title=text))
    assert (seen.data, seen.attributes["title"]) == (text, text)


def test_what_no_page_may_hold_is_shown_as_missing() -> None:
    assert escaped("a\0b\x1b[31mc\u202ed\ud800e") == "a\ufffdb\ufffd[31mc\ufffdd\ufffde"
    assert escaped("a\n\tb") == "a\n\tb"


def test_what_was_made_here_is_not_escaped_again() -> None:
    assert joined(tag("b", "<"), "<") == "<b>&lt;</b>&lt;"
    assert tag("p", Markup("<i></i>"), class_="x", hidden=True, title=None, data_a=1.5) == (
        '<p class="x" hidden data-a="1.5"><i></i></p>'
    )
    assert tag("line", stroke_width=2) == '<line stroke-width="2"/>'
