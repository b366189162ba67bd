"""The checks of an answer by name, as cascades call them."""

from __future__ import annotations

from collections.abc import Callable

from reshore.checks.arithmetic import check_arithmetic
from reshore.checks.check import Check, Said
from reshore.checks.confidence import check_logprob
from reshore.checks.language import check_language
from reshore.checks.refusal import check_refusal
from reshore.checks.repetition import check_repetition
from reshore.checks.shape import check_empty, check_finish, check_json, check_tools

_CHECKS: dict[str, Callable[[Said], Check]] = {
    "finish": check_finish,
    "empty": check_empty,
    "refusal": check_refusal,
    "repetition": check_repetition,
    "json": check_json,
    "tools": check_tools,
    "arithmetic": check_arithmetic,
    "language": check_language,
}
# All that look at one answer; `agreement` looks at two.
CHECKS = frozenset({*_CHECKS, "logprob"})
# A failure on a part of an answer is one whatever follows.
EARLY = frozenset({"refusal", "repetition", "arithmetic"})
# The mean so far may still change; when the time is over it is what there is.
LATE = EARLY | {"logprob"}


def judge(name: str, said: Said, *, min_logprob: float) -> Check:
    """What the check of that name, one of `CHECKS`, says.

    Args:
        min_logprob: least mean log-probability per token.
    """
    if name == "logprob":
        return check_logprob(said, min_logprob)
    return _CHECKS[name](said)
