"""From the shape that an answer must have to a grammar, and to a check of what it cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reshore.checks.json_schema import violations
from reshore.checks.validator import Work
from reshore.config import LimitsConfig
from reshore.engine.grammar import Grammar, compile_schema, json_object
from reshore.errors import RequestError
from reshore.types import ResponseFormat

Verify = Callable[[str], Sequence[str]]


def format_grammar(
    wanted: ResponseFormat, limits: LimitsConfig
) -> tuple[str | None, Verify | None]:
    """The grammar that an answer must follow, None for free text; and what finds in a finished
    answer what breaks the schema, None where the grammar enforces all of it.

    Raises:
        RequestError: the schema is invalid, too large, or strict beyond what can be enforced.
    """
    if wanted.kind == "text":
        return None, None
    if wanted.kind == "json_object":
        return json_object(limits=limits).text, None
    schema = True if wanted.schema is None else wanted.schema
    grammar = compile_schema(schema, limits=limits, param=wanted.param)
    if not grammar.unenforced:
        return grammar.text, None
    if wanted.strict:
        raise _unenforceable(grammar, wanted.param)
    work = Work()  # all choices of the answer share it
    return grammar.text, lambda text: violations(schema, text, work=work)


def _unenforceable(grammar: Grammar, param: str) -> RequestError:
    keyword = grammar.unenforced[0]
    path = ".".join(step for step in (param, keyword.path, keyword.name) if step)
    return RequestError(
        f"'{keyword.name}' ({path}) cannot be enforced while generating, and the schema is "
        "strict. Leave the keyword out, or send strict: false to have the answer checked "
        "afterwards.",
        param=path,
        code="unsupported_schema_keyword",
    )
