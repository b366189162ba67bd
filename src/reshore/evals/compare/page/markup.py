"""HTML and SVG in which every text is escaped unless it was made here. Pure.

Prompts and answers come from anywhere and are hostile at times: nothing of them may become an
element, an attribute or a script.
"""

from __future__ import annotations

import html
import re

_VOID = frozenset({"meta", "input", "line", "circle"})
# What HTML forbids, and what turns text around in places where it does not belong to it.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """Any text as HTML that shows it."""
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(_CONTROLS.sub("\ufffd", text), quote=True))


def joined(*parts: str) -> Markup:
    """One after the other; what is no Markup is escaped."""
    return Markup("".join(map(escaped, parts)))


def tag(name: str, /, *inside: str, **attributes: str | float | bool | None) -> Markup:
    """An element.

    Args:
        inside: its contents; what is no Markup is escaped.
        attributes: `class_` is `class`, `stroke_width` is `stroke-width`; None and False leave one
            out, True is one without a value.
    """
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_value(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{joined(*inside)}</{name}>")


def _value(value: str | float) -> str:
    return escaped(value) if isinstance(value, str) else f"{value:.5g}"
