"""What docs/resilience.md says of the scripted upstream works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs" / "resilience.md").read_text(encoding="utf-8")


async def test_the_example_of_the_page_passes() -> None:
    [code] = re.findall(r"<!-- rehearsed -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    await names["test_an_answer_that_breaks_off"]()
