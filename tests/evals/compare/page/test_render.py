"""One page that needs nothing but itself, and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from reshore.evals.compare.page.render import page
from reshore.evals.compare.report import Report
from reshore.evals.compare.summary import About
from reshore.evals.scoring import Compared
from reshore.types import ToolCall
from tests.evals.compare.asked import answer, prompt
from tests.evals.compare.test_summary import asked, made

HOSTILE = (
    "</pre><script>document.title='owned'</script>"
    "<img src=x onerror=alert(1)><style>*{display:none}</style><svg onload=alert(1)>"
    "\"'><a href='javascript:alert(1)'>x</a><!-- <base href=//evil.example> ]]>"
)


class Document(HTMLParser):
    """The elements of a page, and which were left open."""

    VOID = frozenset({"meta", "input"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.inside.setdefault(tag, []).append(data)


def hostile() -> Report:
    """Every text in it that comes from anywhere is an attack."""
    asking = prompt(
        HOSTILE,
        id=HOSTILE,
        system=HOSTILE,
        reference=HOSTILE,
        conversation=HOSTILE,
        **{"class": HOSTILE},
        response_format={"type": "json_object", "x": HOSTILE},
    )
    calls = (ToolCall(id="1", name=HOSTILE, arguments=HOSTILE),)
    said = answer(HOSTILE, tool_calls=calls, by=HOSTILE)
    return made(
        [asking],
        {HOSTILE: said},
        rulings={(HOSTILE, "local:new"): Compared(result="win", by=HOSTILE, detail=HOSTILE)},
        about=About(source=HOSTILE, parameters={HOSTILE: HOSTILE}, judge=HOSTILE, check=HOSTILE),
    )


def test_what_models_say_becomes_no_element() -> None:
    harmless, attacked = Document(page(made(asked(1)))), Document(page(hostile()))
    assert attacked.open == []
    kinds = {tag for tag, _ in attacked.elements}
    assert kinds - {tag for tag, _ in harmless.elements} <= {"ins", "del", "option"}
    for tag, attributes in attacked.elements:
        assert not any(name.startswith("on") or name in ("href", "src") for name in attributes), tag
    assert any(HOSTILE in text for text in attacked.inside["pre"])


def test_nothing_is_loaded_and_no_other_script_may_run() -> None:
    text = page(made(asked(2)))
    [(_, policy)] = [each for each in Document(text).elements if "http-equiv" in each[1]]
    said = policy["content"] or ""
    assert said.startswith("default-src 'none'")
    assert "unsafe" not in said
    for tag in ("script", "style"):
        [inside] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in said
    assert not re.search(r"""(src|href)=|url\(|@import|https?://""", text)
    assert "style=" not in text  # the policy would take no notice of it


def test_the_page_says_what_the_report_does() -> None:
    report = made(asked(40), {"3": answer("5 apples", nano_usd=0)})
    document = Document(page(report))
    cells = " ".join(document.inside["td"])
    assert "local:new" in cells
    assert report.groups[0].contests[0].verdict.text in cells
    assert "97.5 % (" in cells
    assert "0 / 39 / 1 / 0" in cells
    assert len([1 for tag, _ in document.elements if tag == "details"]) == 40
    assert len([1 for tag, _ in document.elements if tag == "svg"]) == 2 + 2 * 7


def test_what_needs_a_look_comes_first() -> None:
    report = made(asked(10), {"7": answer("wrong 5")})
    results = [
        attributes["data-results"]
        for tag, attributes in Document(page(report)).elements
        if tag == "details"
    ]
    assert results[0] == "loss"
    assert set(results[1:]) == {"tie"}


def test_of_those_that_need_a_look_the_most_unlike_in_length_come_first() -> None:
    report = made(asked(10), {"7": answer("wrong 5 " * 30), "8": answer("wrong 5 " * 200)})
    said = Document(page(report)).inside["summary"]
    told = [text for text in said if "times as long" in text]
    assert told == ["the second is 8.0 times as long"]
    assert said.index("What is 8?") < said.index("What is 7?")


def test_an_error_is_shown_in_place_of_an_answer() -> None:
    text = page(made(asked(2), {"1": answer(error="status 500: <b>")}))
    assert "error: status 500: &lt;b&gt;" in text
