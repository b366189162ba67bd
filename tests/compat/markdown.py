"""Code blocks of the documentation that are meant to be run.

A comment before the fence says how:

    <!-- run: real -->          python or javascript: a program, against the starter models
    <!-- run: environment -->   sh: `export NAME=value` lines for the programs after it
    <!-- run: config -->        toml: a reshore.toml
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

_BLOCK = re.compile(
    r"^<!-- run: (?P<how>\w+) -->\n```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_MARK = re.compile(r"<!--\s*run:")
_EXPORT = re.compile(r"^export (\w+)=(.*)$", re.MULTILINE)


class Block(Struct, frozen=True, kw_only=True):
    """A code block.

    Attributes:
        line: where its code begins, for people who look for it.
        environment: variables that blocks above it have set.
    """

    file: str
    line: int
    how: str
    language: str
    code: str
    environment: dict[str, str] = {}

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}:{self.language}"


def blocks(path: Path) -> Iterator[Block]:
    """Every marked block of a Markdown file, in order.

    Raises:
        ValueError: a mark without a block right after it.
    """
    text = path.read_text(encoding="utf-8")
    environment: dict[str, str] = {}
    found = list(_BLOCK.finditer(text))
    if len(found) != len(_MARK.findall(text)):
        raise ValueError(f"{path}: a `<!-- run: … -->` is not followed by a code block")
    for match in found:
        if match["how"] == "environment":
            environment = environment | dict(_EXPORT.findall(match["code"]))
            continue
        yield Block(
            file=path.name,
            line=text.count("\n", 0, match.start("code")) + 1,
            how=match["how"],
            language=match["language"],
            code=match["code"],
            environment=environment,
        )
