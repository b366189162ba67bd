"""Grammars for constrained generation, built from JSON Schema: pure, no engine needed."""

from reshore.engine.grammar.compiler import Grammar, add_schema, compile_schema, json_object
from reshore.engine.grammar.context import Keyword

__all__ = ["Grammar", "Keyword", "add_schema", "compile_schema", "json_object"]
