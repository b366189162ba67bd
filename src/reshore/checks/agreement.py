"""Whether two answers to one question come down to the same.

The strongest sign there is without labels: of the answers to GSM8K that Llama-3.1-8B and Gemma-2-9B
agree on, 24 in 1,000 are wrong, of all answers of the better one 110 (docs/performance.md).
"""

from __future__ import annotations

from reshore.checks.check import Check, Said
from reshore.checks.final_answer import final_answer, same
from reshore.checks.tool_calls import same_calls


def agree(one: Said, other: Said) -> Check:
    """Compare tool calls, types coerced, or else final answers; None where an answer does not have
    any."""
    if one.tool_calls or other.tool_calls:
        return _agreement(same_calls(one.tool_calls, other.tool_calls, coerce=True))
    first, second = final_answer(one.text), final_answer(other.text)
    if first is None or second is None:
        return Check(name="agreement", detail="no final answers to compare")
    return _agreement(same(first, second))


def _agreement(agreed: bool) -> Check:
    return Check(name="agreement", ok=agreed, detail="" if agreed else "two answers differ")
