"""A table of fields as a page for people, whichever dialect it is of."""

from __future__ import annotations

import json
from collections.abc import Mapping

from reshore.wire.openai.fields import Field, Group, Rule


def field_page(introduction: str, table: Mapping[str, Group], requests: Mapping[str, str]) -> str:
    """The whole page, Markdown.

    Args:
        requests: schemas of whole requests, with their headings; the others are objects inside.
    """
    whole = [_section(f"## {title}", name, table[name]) for name, title in requests.items()]
    nested = [
        _section(f"### `{group.where}`", name, group)
        for name, group in table.items()
        if name not in requests
    ]
    return "\n".join([introduction, *whole, "## Objects inside requests\n", *nested])


def _section(heading: str, schema: str, group: Group) -> str:
    rows = "".join(_row(name, field) for name, field in group.fields.items())
    return f"{heading}\n\n`{schema}`\n\n| field | class | |\n|---|---|---|\n{rows}"


def _row(name: str, field: Field) -> str:
    rule = f"{field.rule}, ours" if field.ours else str(field.rule)
    note = field.note
    if field.rule is Rule.REFUSED and field.neutral:
        neutral = ", ".join(f"`{json.dumps(value)}`" for value in field.neutral)
        note = f"{note} (neutral: {neutral})"
    return f"| `{name}` | {rule} | {note} |\n"
