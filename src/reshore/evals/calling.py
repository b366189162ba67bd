"""The process that calls a user's function: `python -m reshore.evals.calling file.py:function`.

The case comes in as JSON on standard input; the function is called with its `request`, `first`,
`second` and `expected` (dictionaries), and what it returns goes out on standard output. What it
prints goes to standard error, where it is in nobody's way. With `--find` behind its name it is
looked for, and not called.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from typing import Any

import msgspec


def main() -> None:
    """Call the function that the first argument names, once."""
    with contextlib.redirect_stdout(sys.stderr):
        function = _find(sys.argv[1])
        if sys.argv[2:] == ["--find"]:
            return
        case = msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, Any])
        said = _written(function(**case))
    sys.stdout.buffer.write(msgspec.json.encode(said))


def _find(name: str) -> Callable[..., Any]:
    place, _, function = name.rpartition(":")
    if place.endswith(".py"):
        path = Path(place).resolve()
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        sys.path.insert(0, str(path.parent))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        # As with `python -m`: modules beside whoever starts it are found.
        sys.path.insert(0, "")
        module = importlib.import_module(place)
    found: Callable[..., Any] = getattr(module, function)
    return found


def _written(value: Any) -> Any:
    """What a function may return, as `Program` reads it: a word, None, two scores, or an object."""
    if value is None or isinstance(value, str):
        return {"better": value or "unknown"}
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, Real) for v in value):
        return {"first": float(value[0]), "second": float(value[1])}
    return value


if __name__ == "__main__":
    main()
