"""`x-reshore-decision`: which side answers, and why, for people and for tests. Pure.

    side=cloud; backend=openai; model="gpt-4o"; route="gpt-4*"; policy="…"; why="…"; version=12

What came from a client or an upstream is quoted, cut, and ASCII.
"""

from __future__ import annotations

from reshore.types import Decision, Target

NAME = b"x-reshore-decision"

_LONGEST = 256  # characters of one value; proxies take 4 to 8 kB of headers


def decision_header(decision: Decision, answers: Target | None = None) -> tuple[bytes, bytes]:
    """The header of one reply.

    Args:
        answers: who does, which after a fallback is somebody else than was decided; None: nobody.
    """
    side = decision.side if answers is None else answers.side
    fields = [f"side={side}"]
    if answers is not None:
        fields += [f"backend={answers.backend}", f"model={_quoted(answers.model)}"]
    fields += [
        f"route={_quoted(decision.route)}",
        f"policy={_quoted(decision.policy)}",
        f"why={_quoted(decision.why)}",
        f"version={decision.version}",
    ]
    return NAME, "; ".join(fields).encode("ascii")


def _quoted(text: str) -> str:
    """As a quoted string of RFC 9110 (5.6.4), in which a character beyond ASCII is a `?`."""
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    if cut.isascii() and cut.isprintable():
        safe = cut
    else:
        safe = "".join(c if c.isascii() and c.isprintable() else "?" for c in cut)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'
