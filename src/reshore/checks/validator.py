"""Draft 2020-12 with a bound on its work: jsonschema's keywords, walked by a validator of ours.

jsonschema's own follows references however often they fan out, so that a schema of 1 KB could stop
the server; and for a part that names another `$schema` it takes another class, which checks
patterns with `re`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012

# Roughly microseconds of one core: 1,000 objects of five members need half of it.
MAX_WORK = 200_000
_KEYWORD = 8
_TEXT = 64  # characters for one unit: they may be written into a message

Keyword = Callable[["Validator", Any, Any, dict[str, Any]], Iterator[ValidationError] | None]


class TooCostly(Exception):
    """A check that would take too long, or without end."""


class Work:
    """What all validators made from one may still do together. Belongs to one check."""

    def __init__(self, limit: int = MAX_WORK) -> None:
        self._left = limit
        self._sizes: dict[int, int] = {}

    def for_another(self) -> Work:
        """The same account for another value, whose parts may have the identities of the last."""
        self._sizes.clear()
        return self

    def spend(self, amount: int) -> None:
        """Count work.

        Raises:
            TooCostly: it was the last.
        """
        self._left -= amount
        if self._left < 0:
            raise TooCostly("the schema is too costly")

    def spend_on(self, keyword: Any, instance: Any) -> None:
        """Count one keyword: what it goes through, and what a message would hold of both."""
        self.spend(_KEYWORD + self._size(keyword) + self._size(instance))

    def _size(self, value: Any) -> int:
        if isinstance(value, str):
            return len(value) // _TEXT
        if not isinstance(value, dict | list):
            return 0
        return len(value) + self._characters(value) // _TEXT

    def _characters(self, value: Any) -> int:
        if not isinstance(value, dict | list):
            return len(value) if isinstance(value, str) else 1
        # By identity: schema and answer outlive the check, and their parts are met often.
        known = self._sizes.get(id(value))
        if known is None:
            parts = value if isinstance(value, list) else [*value, *value.values()]
            known = self._sizes[id(value)] = 2 + sum(self._characters(part) for part in parts)
        return known


class Validator:
    """Checks values against one part of a schema; made anew for every check of an answer.

    Offers the keywords of jsonschema what its own validators do.
    """

    def __init__(
        self,
        schema: Any,
        keywords: Mapping[str, Keyword],
        formats: FormatChecker,
        resolver: Any = None,
        work: Work | None = None,
    ) -> None:
        self.schema = schema
        self.format_checker = formats
        self.work = work or Work()
        self._keywords = keywords
        # The registry is empty: nothing is ever fetched.
        self._resolver = resolver or Registry().resolver_with_root(
            DRAFT202012.create_resource(schema)
        )

    def is_type(self, instance: Any, kind: str) -> bool:
        """Whether `instance` is of the JSON type `kind`."""
        return bool(Draft202012Validator.TYPE_CHECKER.is_type(instance, kind))

    def evolve(self, *, schema: Any, _resolver: Any = None) -> Validator:
        """A validator for another part, on the same account."""
        resolver = _resolver or self._resolver
        return Validator(schema, self._keywords, self.format_checker, resolver, self.work)

    def follow(self, reference: str) -> Validator:
        """The validator of the schema that a `$ref` leads to."""
        found = self._resolver.lookup(reference)
        return self.evolve(schema=found.contents, _resolver=found.resolver)

    def iter_errors(self, instance: Any) -> Iterator[ValidationError]:
        """What is wrong with `instance`.

        Raises:
            TooCostly: finding out takes too long.
        """
        schema = self.schema
        self.work.spend(1)
        if schema is False:
            yield ValidationError(f"False schema does not allow {instance!r}")
        if not isinstance(schema, dict):
            return
        for name, wanted in schema.items():
            keyword = self._keywords.get(name)
            if keyword is not None:
                self.work.spend_on(wanted, instance)
                yield from keyword(self, wanted, instance, schema) or ()

    def is_valid(self, instance: Any) -> bool:
        """Whether nothing is wrong with `instance`; raises as `iter_errors`."""
        return next(self.iter_errors(instance), None) is None

    def descend(
        self, instance: Any, schema: Any, path: Any = None, schema_path: Any = None
    ) -> Iterator[ValidationError]:
        """What is wrong with a part, with its place in the whole."""
        for error in self.evolve(schema=schema).iter_errors(instance):
            if path is not None:
                error.path.appendleft(path)
            yield error

    def _validate_reference(self, ref: str, instance: Any) -> Iterator[ValidationError]:
        return self.follow(ref).iter_errors(instance)
