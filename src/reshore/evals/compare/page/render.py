"""The whole page. Pure but for its style sheet and its script, which lie beside it."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from importlib import resources

import msgspec

from reshore.evals.compare.judged import judge_notes, told
from reshore.evals.compare.page.items import items
from reshore.evals.compare.page.markup import Markup, tag
from reshore.evals.compare.page.tables import sides, verdicts
from reshore.evals.compare.report import Report

_NOTES = (
    "Intervals have a level of 95 %. Net win is wins minus losses over decided pairs, each "
    "conversation counting once; its interval holds at every look, so that more prompts may be "
    "added until there is a verdict. Quantiles are by ranks, means by conversations; a dashed line "
    "has no bound, for lack of answers. Undecided pairs count for nothing in the net win, and a "
    "verdict must hold whatever they are."
)


def page(report: Report) -> str:
    """One document that needs no network. Its policy lets no script run but its own."""
    style, script = _file("page.css"), _file("page.js")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    first, *others = report.targets
    title = f"{', '.join(others)} against {first}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        tag("h1", title),
        tag("p", _about(report), class_="soft"),
        tag("h2", "Verdicts"),
        verdicts(report),
        *(tag("p", line, class_="soft") for notes in judge_notes(report) for line in told(notes)),
        tag("h2", "Targets"),
        sides(report),
        tag("p", _NOTES, class_="soft"),
        tag("h2", "Answers"),
        _filters(report),
        items(report),
        tag("script", Markup(script)),
    )
    return "<!doctype html>\n" + tag("html", head, body, lang="en")


def _about(report: Report) -> str:
    made = datetime.fromtimestamp(report.made_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    missing = f" ({report.missing} more not answered yet)" if report.missing else ""
    given = msgspec.json.encode(report.parameters).decode() if report.parameters else ""
    asked = f"{len(report.items)} prompts from {report.source}{missing}"
    judge = report.judge and f"judge {report.judge}"
    check = report.check and f"check {report.check}"
    facts = (asked, made, f"margin {report.margin:.3g}", given, check, judge)
    return " · ".join(filter(None, facts))


def _filters(report: Report) -> Markup:
    names = [group.name for group in report.groups[1:]]
    results = ("loss", "undecided", "win", "tie")
    return tag(
        "div",
        _select("group", "every class", names),
        _select("result", "every result", results),
        tag("input", id="words", type="search", placeholder="words", aria_label="words"),
        tag("span", id="count", class_="soft"),
        id="filters",
        class_="filters",
        hidden=True,
    )


def _select(name: str, every: str, values: list[str] | tuple[str, ...]) -> Markup:
    options = (tag("option", value, value=value) for value in values)
    return tag("select", tag("option", every, value=""), *options, id=name, aria_label=name)


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names the one inline text that it allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
