"""The prompts with their answers side by side, what needs a look first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from reshore.checks.length_ratio import check_length_ratio, length_ratio
from reshore.evals.compare import words
from reshore.evals.compare.answers import Answer
from reshore.evals.compare.page.differences import marked
from reshore.evals.compare.page.markup import Markup, escaped, joined, tag
from reshore.evals.compare.report import Item, Report
from reshore.evals.scoring import Compared, Judged

_ORDER = ("loss", "undecided", "win", "tie")
_TITLE = 140
_LINE = 100


def items(report: Report) -> Markup:
    """All of them; each opens by itself, so that a thousand are no slower to read than ten.

    Of those that need a look alike, answers of very different lengths come first.
    """
    ordered = sorted(
        report.items, key=lambda item: (min(map(_rank, item.compared)), -_length_ratio(item))
    )
    return tag("div", *(_item(item, report.targets) for item in ordered), id="items")


def _rank(compared: Compared) -> int:
    return _ORDER.index(compared.result)


def _length_ratio(item: Item) -> float:
    first, *others = item.answers
    return max(length_ratio(first.text, other.text) for other in others)


def _item(item: Item, targets: Sequence[str]) -> Markup:
    results = [each.result for each in item.compared]
    prompt = " ".join(item.prompt.split())
    title = prompt if len(prompt) <= _TITLE else prompt[: _TITLE - 1] + "…"
    badges = (
        tag(
            "span",
            each.result + (f" by {each.by}" if each.by else ""),
            class_=f"badge {each.result}",
            title=": ".join(filter(None, (target, each.detail))),
        )
        for target, each in zip(targets[1:], item.compared, strict=True)
    )
    return tag(
        "details",
        tag(
            "summary",
            *badges,
            tag("span", " · ".join(_remarks(item)), class_="group"),
            tag("bdi", title),
        ),
        *_asked(item),
        tag("div", *_answers(item, targets), class_="answers"),
        data_group=item.group,
        data_results=" ".join(results),
    )


def _remarks(item: Item) -> Iterator[str]:
    if item.group:
        yield item.group
    first, *others = item.answers
    for other in others:
        length = check_length_ratio(first.text, other.text).detail
        if length and not (first.error or other.error):
            yield length


def _asked(item: Item) -> Iterator[Markup]:
    """The request: its messages as text, the rest of it as JSON."""
    for message in item.body.get("messages", ()):
        content = message.get("content")
        said = content if isinstance(content, str) else _json(content)
        yield tag("div", str(message.get("role")), class_="role")
        yield tag("pre", said, class_="asked", dir="auto")
    rest = {key: value for key, value in item.body.items() if key != "messages"}
    if rest:
        yield tag("div", "with", class_="role")
        yield tag("pre", _json(rest), class_="asked")
    expected = msgspec.to_builtins(item.expected)
    if expected:
        yield tag("div", "expected", class_="role")
        yield tag("pre", _json(expected), class_="asked", dir="auto")


def _answers(item: Item, targets: Sequence[str]) -> Iterator[Markup]:
    texts = [_text(answer) for answer in item.answers]
    shown = [escaped(text) for text in texts]
    for place in range(1, len(texts)):
        first, shown[place] = marked(texts[0], texts[place])
        if len(texts) == 2:
            shown[0] = first
    for target, answer, judged, text in zip(targets, item.answers, item.judged, shown, strict=True):
        yield tag(
            "section",
            tag("h3", target),
            tag("p", _about(answer), class_="about"),
            tag("p", *_found(judged), class_="about"),
            tag("pre", text, dir="auto"),
        )


def _text(answer: Answer) -> str:
    if answer.error:
        return f"error: {answer.error}"
    calls = (f"{call.name}({call.arguments})" for call in answer.tool_calls)
    return "\n".join(filter(None, (answer.text, *calls)))


def _about(answer: Answer) -> str:
    facts = []
    if answer.by and answer.by != answer.target:
        facts.append(f"answered by {answer.by}")
    if answer.ttft_ms is not None:
        facts.append(f"first token {words.span(answer.ttft_ms)}")
    facts.append(f"all {words.span(answer.total_ms)}")
    if answer.usage is not None:
        facts.append(f"{answer.usage.completion_tokens} tokens")
    if answer.nano_usd is not None:
        facts.append(words.dollars(answer.nano_usd / 1e9))
    return " · ".join(facts)


def _found(judged: Judged) -> Iterator[Markup]:
    word = {True: "right", False: "wrong", None: "not known"}[judged.good]
    yield tag("span", word, class_=f"badge {word.replace(' ', '-')}")
    detail = ": ".join(filter(None, (judged.by, judged.detail)))
    if detail and judged.by != "error":
        yield joined(f" {detail}")


def _json(value: object) -> str:
    """On one line, where it fits."""
    short = msgspec.json.encode(value)
    return (short if len(short) <= _LINE else msgspec.json.format(short, indent=2)).decode()
