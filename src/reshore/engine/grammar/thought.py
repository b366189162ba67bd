"""A grammar of an answer, put behind a thought that is free. Pure."""

from __future__ import annotations

from typing import Literal

from reshore.engine.grammar.gbnf import EMPTY, Chars, Expr, Lit, Ref, Rules, alt, seq
from reshore.engine.grammar.until import text_until

Lead = Literal["opened", "asked", "offered", "closed"]

_ANSWER = "answer"
_LIMIT_BYTES = 1 << 14  # far above what the longest known tag takes
_BLANKS = ((0x0A, 0x0A), (0x20, 0x20))
_MAX_BLANKS = 2  # around a closing tag: no model writes more than an empty line


def after_thought(answer: str, *, opening: str, closing: str, direct: str = "", lead: Lead) -> str:
    """A grammar of thoughts that end with `closing` and go on as `answer` demands.

    Args:
        answer: a grammar as `Rules.text` writes it, with `root` in front.
        opening, closing: what stands around a thought.
        direct: what stands before an answer without a thought.
        lead: how the text begins. `opened`: inside of a thought, as the prompt has opened it;
            `asked`: with the opening tag; `offered`: with that or at once with the answer, as the
            model likes; `closed`: with the end of a thought that the prompt has opened and that
            shall be empty.
    """
    rules = Rules(limit_bytes=_LIMIT_BYTES, param="thinking", prefix="thought")
    blanks = rules.repeat(Chars(_BLANKS), 0, _MAX_BLANKS)
    then = rules.fill(Ref(_ANSWER), EMPTY)
    if lead == "closed":
        root: Expr = seq(blanks, Lit(closing), blanks, then)
    else:
        thought = text_until(rules, closing, rules.define(seq(blanks, then)))
        whole = thought if lead == "opened" else seq(Lit(opening), thought)
        root = (
            alt(whole, seq(Lit(direct), then) if direct else then) if lead == "offered" else whole
        )
    # The rule that was a placeholder is the whole other grammar, whose names begin otherwise.
    return rules.text(root).replace(f'{_ANSWER} ::= ""\n', answer.replace("root", _ANSWER, 1))
