"""One version of the routes, immutable, and the changes that make the next one of it. Pure.

A change gives a snapshot without a number; `numbered` says when, by whom and why, and where it
stands in the history. Panic switch and rollback are versions like any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from reshore.config.routes import RouteConfig
from reshore.errors import RouteNotFound
from reshore.routing.policy import Route
from reshore.routing.routes import read_routes
from reshore.types import Side


class Snapshot(Struct, frozen=True, kw_only=True):
    """The routing state between two changes. Number 0 is what is there before the first one.

    Attributes:
        time_s: when it was made, seconds since the epoch.
        routes: in the order of their patterns.
        override: the panic switch: everything goes to this side.
        parent: the version that was in force before.
        restores: the version whose content it has, if it is a rollback.
        imported: digest of the `[routes]` table that was read last; a table of the same content
            is not read again.
        evidence: what the change rests on, as JSON has it: of a rollout's step, its pairs and
            guards; None for what somebody just wished.
    """

    number: int = 0
    time_s: float = 0.0
    author: str = ""
    reason: str = ""
    routes: tuple[Route, ...] = ()
    override: Side | None = None
    parent: int = 0
    restores: int | None = None
    imported: str | None = None
    evidence: dict[str, Any] | None = None

    @property
    def content_of(self) -> int:
        """The version that first had this content, as far as rollbacks tell."""
        return self.number if self.restores is None else self.restores

    def route(self, pattern: str) -> Route | None:
        """The route that was set for a pattern, None without one."""
        return next((route for route in self.routes if route.pattern == pattern), None)

    def same_as(self, other: Snapshot) -> bool:
        """Whether both do the same, whoever made them."""
        return self.routes == other.routes and self.override == other.override


class Note(Struct, frozen=True, kw_only=True):
    """What is remembered of a change besides the change itself."""

    author: str = ""
    reason: str = ""
    evidence: dict[str, Any] | None = None


def numbered(changed: Snapshot, note: Note, *, number: int, parent: int, time_s: float) -> Snapshot:
    """A changed snapshot with its place in the history."""
    return replace(
        changed,
        number=number,
        parent=parent,
        time_s=time_s,
        author=note.author,
        reason=note.reason,
        evidence=note.evidence,
    )


def with_route(snapshot: Snapshot, route: Route) -> Snapshot:
    """With a route for its pattern, instead of the one that there may be."""
    others = [other for other in snapshot.routes if other.pattern != route.pattern]
    return _with_routes(snapshot, (*others, route))


def without_route(snapshot: Snapshot, pattern: str) -> Snapshot:
    """Without the route of a pattern.

    Raises:
        RouteNotFound: there is none.
    """
    if snapshot.route(pattern) is None:
        raise no_route(snapshot, pattern)
    return _with_routes(snapshot, tuple(r for r in snapshot.routes if r.pattern != pattern))


def with_override(snapshot: Snapshot, side: Side | None) -> Snapshot:
    """With the panic switch at a side, or off."""
    return replace(snapshot, override=side, restores=None)


def with_table(snapshot: Snapshot, routes: tuple[Route, ...], digest: str) -> Snapshot:
    """With the routes of a `[routes]` table and no others; the panic switch stays as it is."""
    return replace(_with_routes(snapshot, routes), imported=digest)


def restored(snapshot: Snapshot, earlier: Snapshot) -> Snapshot:
    """With the content of an earlier version.

    What was imported last stays known: a restart must not bring back what was rolled back.
    """
    return replace(
        snapshot,
        routes=earlier.routes,
        override=earlier.override,
        restores=earlier.content_of,
    )


def no_route(snapshot: Snapshot, pattern: str) -> RouteNotFound:
    """The error that names the routes that there are."""
    known = ", ".join(route.pattern for route in snapshot.routes)
    return RouteNotFound(
        f"there is no route '{pattern}'; {f'set are {known}' if known else 'none is set'}. "
        f"`reshore route set {pattern} POLICY` sets one."
    )


def table_digest(table: Mapping[str, str | RouteConfig]) -> str:
    """SHA-256 of a `[routes]` table's content: order, comments and spelt-out defaults are none."""
    content = {pattern: _given(entry) for pattern, entry in sorted(table.items())}
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def differences(old: Snapshot, new: Snapshot) -> Iterator[str]:
    """What leads from one version to another, a line each; nothing if they do the same."""
    if old.override != new.override:
        yield f"~ panic switch: {override_text(old.override)} -> {override_text(new.override)}"
    before = {route.pattern: route for route in old.routes}
    after = {route.pattern: route for route in new.routes}
    for pattern in sorted(before.keys() | after.keys()):
        was, now = before.get(pattern), after.get(pattern)
        if was is None and now is not None:
            yield f"+ {pattern}: {route_text(now)}"
        elif now is None and was is not None:
            yield f"- {pattern}: {route_text(was)}"
        elif was is not None and now is not None and was != now:
            yield f"~ {pattern}: {route_text(was)} -> {route_text(now)}"


def override_text(side: Side | None) -> str:
    """The panic switch as people read it."""
    return f"all {side}" if side else "off"


def route_text(route: Route) -> str:
    """What a route does, in one line: its policy, and what is set besides."""
    options = [
        *([f"local {route.local}"] if route.local else ()),
        *([f"cloud {route.cloud}"] if route.cloud else ()),
        *(() if route.pins else ("no pins",)),
        *(["mixed embeddings"] if route.mix_embeddings else ()),
    ]
    return f"{route.text} [{', '.join(options)}]" if options else route.text


class Written(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A snapshot as JSON has it, in files and for programs: policies are texts.

    Attributes:
        evidence: is not there in versions that rest on none, nor in those of earlier releases.
    """

    number: int
    time_s: float
    author: str
    reason: str
    parent: int
    restores: int | None
    imported: str | None
    override: Side | None
    routes: dict[str, RouteConfig]
    evidence: dict[str, Any] | None = None


def written(snapshot: Snapshot) -> Written:
    """The form for JSON."""
    return Written(
        number=snapshot.number,
        time_s=snapshot.time_s,
        author=snapshot.author,
        reason=snapshot.reason,
        parent=snapshot.parent,
        restores=snapshot.restores,
        imported=snapshot.imported,
        override=snapshot.override,
        routes={route.pattern: route_entry(route) for route in snapshot.routes},
        evidence=snapshot.evidence,
    )


def unwritten(form: Written) -> Snapshot:
    """The snapshot of a form; `unwritten(written(snapshot)) == snapshot`.

    Raises:
        ConfigError: a policy cannot be read.
    """
    return Snapshot(
        number=form.number,
        time_s=form.time_s,
        author=form.author,
        reason=form.reason,
        parent=form.parent,
        restores=form.restores,
        imported=form.imported,
        override=form.override,
        routes=_ordered(read_routes(form.routes)),
        evidence=form.evidence,
    )


def route_entry(route: Route) -> RouteConfig:
    """A route as settings and files have it. Two routes are the same if these are."""
    return RouteConfig(
        policy=route.text,
        local=route.local,
        cloud=route.cloud,
        pins=route.pins,
        mix_embeddings=route.mix_embeddings,
    )


def _with_routes(snapshot: Snapshot, routes: tuple[Route, ...]) -> Snapshot:
    return replace(snapshot, routes=_ordered(routes), restores=None)


def _ordered(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    return tuple(sorted(routes, key=attrgetter("pattern")))


def _given(entry: str | RouteConfig) -> dict[str, Any]:
    """What an entry says beyond the defaults, in one order whatever fields come later."""
    given = RouteConfig(policy=entry) if isinstance(entry, str) else entry
    defaults = RouteConfig(policy="")
    fields = {name: getattr(given, name) for name in sorted(RouteConfig.__struct_fields__)}
    return {name: value for name, value in fields.items() if value != getattr(defaults, name)}
