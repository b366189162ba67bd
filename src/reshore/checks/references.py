"""`$ref` inside one JSON Schema document; nothing is ever fetched."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from reshore.checks.schema_shape import Path, subschemas, under
from reshore.errors import RequestError


class Document:
    """A well-formed schema whose parts can be looked up by path and by `$ref`.

    Args:
        root: the schema, already checked.
        param: where the request holds it, for messages.
    """

    def __init__(self, root: Any, *, param: str) -> None:
        self.root = root
        self.param = param
        self._base = root.get("$id", "").rstrip("#") if isinstance(root, dict) else ""
        self._targets: dict[str, Path] = {}
        self._anchors: dict[str, Path] | None = None

    def at(self, path: Path) -> Any:
        """The value at a path that is known to exist."""
        node = self.root
        for step in path:
            node = node[step]
        return node

    def resolve(self, path: Path) -> Path:
        """Where the `$ref` of the schema at `path` leads.

        Raises:
            RequestError: it leads out of the document, nowhere, or to something that is no schema.
        """
        reference: str = self.at(path)["$ref"]
        if reference not in self._targets:
            self._targets[reference] = self._find(reference, path)
        return self._targets[reference]

    def check(self) -> None:
        """Resolve every `$ref`, so that a bad one is refused even where it is not used."""
        todo: list[tuple[Path, Any]] = [((), self.root)]
        while todo:
            path, node = todo.pop()
            if isinstance(node, dict):
                if "$ref" in node:
                    self.resolve(path)
                todo.extend((path + step, child) for step, child in subschemas(node))

    def _find(self, reference: str, path: Path) -> Path:
        base, _, fragment = reference.partition("#")
        if base and base != self._base:
            raise self._bad(path, f"{reference!r} is not in this schema, and nothing is fetched")
        fragment = unquote(fragment)
        found: Path | None
        if fragment.startswith("/"):
            found = self._follow(fragment[1:].split("/"))
        else:
            found = self._anchor(fragment) if fragment else ()
        if found is None or not isinstance(self.at(found), dict | bool):
            raise self._bad(path, f"{reference!r} leads to no schema")
        return found

    def _follow(self, steps: list[str]) -> Path | None:
        node = self.root
        path: list[str | int] = []
        for raw in steps:
            step: str | int = raw.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list):
                if not (raw.isascii() and raw.isdigit()) or len(raw) > 6 or int(raw) >= len(node):
                    return None
                step = int(raw)
            elif not isinstance(node, dict) or step not in node:
                return None
            node = node[step]
            path.append(step)
        return tuple(path)

    def _anchor(self, name: str) -> Path | None:
        if self._anchors is None:
            self._anchors = {}
            todo: list[tuple[Path, Any]] = [((), self.root)]
            while todo:
                path, node = todo.pop()
                if isinstance(node, dict):
                    for keyword in ("$anchor", "$dynamicAnchor"):
                        self._anchors.setdefault(node.get(keyword, ""), path)
                    todo.extend((path + step, child) for step, child in subschemas(node))
            self._anchors.pop("", None)
        return self._anchors.get(name)

    def _bad(self, path: Path, problem: str) -> RequestError:
        where = under(self.param, path, "$ref")
        return RequestError(f"Invalid JSON Schema: {where}: {problem}.", param=where)
