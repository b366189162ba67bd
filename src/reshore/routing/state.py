"""The routes in force, and the only way to change them: into the history first, then into force.

A change is in force for every request that is decided after it; one that has been decided keeps
its ruling, so that it ends on the version on which it began.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from msgspec import Struct, structs

from reshore.clock import Clock
from reshore.config import Config, RouteConfig
from reshore.errors import (
    ConfigError,
    HistoryError,
    LearnError,
    NoTarget,
    RouteConflict,
    RouteError,
)
from reshore.routing.aliases import Aliases
from reshore.routing.explain import missing, problems
from reshore.routing.history import Damaged, History
from reshore.routing.learned import LearnedRouter
from reshore.routing.policy import Route
from reshore.routing.privacy import Privacy
from reshore.routing.routes import read_routes
from reshore.routing.sides import routers
from reshore.routing.snapshot import (
    Note,
    Snapshot,
    differences,
    no_route,
    numbered,
    restored,
    table_digest,
    with_override,
    with_route,
    with_table,
    without_route,
)
from reshore.routing.table import Table, View
from reshore.routing.world import World
from reshore.types import Side

Step = Callable[[Snapshot], Snapshot]

log = logging.getLogger("reshore.routing")

FILE_AUTHOR = "reshore.toml"


@dataclass(frozen=True)
class InForce:
    """Everything that `decide` reads besides the request, all of one moment.

    A request takes it once and never looks again: what it sees is never a mixture.
    """

    snapshot: Snapshot
    view: View
    world: World
    aliases: Aliases


class Changed(Struct, frozen=True, kw_only=True):
    """A change, or none where the routes were like that already: then both are the same."""

    before: Snapshot
    after: Snapshot

    def lines(self) -> list[str]:
        """What is different, a line each."""
        return list(differences(self.before, self.after))


class RoutingState:
    """Owner of the routes of one RESHORE_HOME, whose lock the process holds.

    `in_force` may be read from any thread and is replaced by one assignment. Changes are written
    to the disk and take milliseconds: a server makes them in a worker thread. They come one after
    the other, and whoever asked for one may be cancelled without leaving it half done.

    Attributes:
        in_force: what decides, now.
        warnings: what is wrong with files of the history, for people.
        file_problem: why the last change of `reshore.toml` is not in force, "" if it is.

    Args:
        history: where versions are kept.
        config: `[aliases]`, `[privacy]` and `[routes]` of the settings.
        world: the facts of this configuration; its privacy rules are replaced by the settings'.
        clock: for the times of versions.

    Raises:
        HistoryError: the history cannot be read.
        ConfigError: `[privacy]` is wrong; or `[routes]` is, and there is no version to go on with.
    """

    def __init__(self, history: History, config: Config, world: World, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._lock = threading.Lock()
        self.file_problem = ""
        snapshot, warnings = history.current()
        self.warnings = tuple(warnings)
        self.in_force = _compiled(
            snapshot, config.aliases, replace(world, privacy=Privacy.from_config(config.privacy))
        )
        try:
            self.reload(config)
        except ConfigError as error:
            if not snapshot.number:
                raise
            self.file_problem = str(error)
        except HistoryError as error:
            # A full disk is no reason not to serve; the next change brings them into the history.
            self.file_problem = str(error)
            if not snapshot.number:
                routes, digest = read_routes(config.routes), table_digest(config.routes)
                now = self.in_force
                self.in_force = _compiled(
                    with_table(snapshot, routes, digest), now.aliases.table, now.world
                )

    # Changes

    def set(
        self, route: Route, note: Note, *, if_version: int | None = None, force: bool = False
    ) -> Changed:
        """Set the route of a pattern.

        Args:
            if_version: the version that is to be changed; None: whichever is in force.
            force: set it although it would mix embeddings of several models.

        Raises:
            RouteError: the route cannot work; says why, and what to do.
            RouteConflict: another version is in force.
            HistoryError: it could not be written; nothing has changed.
        """
        if force:
            route = structs.replace(route, mix_embeddings=True)
        found = self.problems(route)
        if found:
            raise RouteError(f"the route '{route.pattern}' is not set: {' '.join(found)}")
        return self._change(lambda now: with_route(now, route), note, if_version)

    def remove(self, pattern: str, note: Note, *, if_version: int | None = None) -> Changed:
        """Remove the route of a pattern.

        Raises:
            RouteNotFound: there is none.
            RouteConflict, HistoryError: as `set`.
        """
        return self._change(lambda now: without_route(now, pattern), note, if_version)

    def panic(self, side: Side | None, note: Note, *, if_version: int | None = None) -> Changed:
        """Send everything to one side, or, with None, as the routes say again.

        Raises:
            NoTarget: to the cloud, where no upstream is configured.
            RouteConflict, HistoryError: as `set`.
        """
        if side == "cloud" and not self.in_force.world.upstream:
            raise NoTarget(
                "nothing can go to the cloud: no upstream is configured. Add [upstreams.NAME] to "
                "reshore.toml, and restart."
            )
        return self._change(lambda now: with_override(now, side), note, if_version)

    def rollback(self, to: int | None, note: Note, *, if_version: int | None = None) -> Changed:
        """Bring back an earlier version, as a new one with its content.

        Args:
            to: None for the version before; again and again it goes further back, and never to
                what was rolled back already.
            note: without a reason, the version is named.

        Raises:
            RouteError: there is no version before.
            RouteNotFound: there is no version of that number.
            HistoryError: its file is damaged, or the new one could not be written.
            RouteConflict: as `set`.
        """

        with self._lock:
            before = self._expected(if_version)
            number = self._before(before) if to is None else to
            changed = restored(before, self._history.read(number))
            reason = note.reason or f"rollback to version {number}"
            return self._commit(changed, before, structs.replace(note, reason=reason))

    def put_back(
        self, pattern: str, route: Route | None, note: Note, *, if_version: int | None = None
    ) -> Changed:
        """Give a pattern the route that it had, or, with None, none.

        As a rollback, it is not asked whether that route can work: it was in force before.

        Raises:
            RouteConflict, HistoryError: as `set`.
        """

        def changed(now: Snapshot) -> Snapshot:
            if route is not None:
                return with_route(now, route)
            return now if now.route(pattern) is None else without_route(now, pattern)

        return self._change(changed, note, if_version)

    def reload(self, config: Config) -> Changed:
        """Take over `[routes]`, `[aliases]` and `[privacy]`: all of them, or nothing.

        The routes become a new version if the table is not the one that was read last.

        Raises:
            ConfigError: a policy, pattern or upstream name is wrong; names the key.
            HistoryError: the version could not be written.
        """
        with self._lock:
            now = self.in_force
            before = now.snapshot
            world = replace(now.world, privacy=Privacy.from_config(config.privacy))
            after = self._imported(before, config.routes, Table(aliases=config.aliases), world)
            self.in_force = _compiled(after, config.aliases, world)
            self.file_problem = ""
            return Changed(before=before, after=after)

    # What people look at

    def problems(self, route: Route) -> list[str]:
        """What speaks against a route, a sentence each."""
        now = self.in_force
        # A table of its own: that of the view belongs to the thread that decides.
        return problems(route, now.world, Table(aliases=now.aliases.table))

    def missing(self, route: Route) -> list[str]:
        """Which local models it needs that are not installed, a sentence each."""
        now = self.in_force
        return missing(route, now.world, Table(aliases=now.aliases.table))

    def route(self, pattern: str) -> Route:
        """The route in force for a pattern.

        Raises:
            RouteNotFound: there is none; names those that there are.
        """
        snapshot = self.in_force.snapshot
        route = snapshot.route(pattern)
        if route is None:
            raise no_route(snapshot, pattern)
        return route

    def version(self, number: int) -> Snapshot:
        """A version of the history.

        Raises:
            RouteNotFound, HistoryError: there is no such version, or it is damaged.
        """
        return self._history.read(number)

    def versions(self) -> Iterator[Snapshot | Damaged]:
        """The history, newest first, read version by version."""
        return self._history.newest()

    # How a change is made

    def _change(self, step: Step, note: Note, if_version: int | None) -> Changed:
        with self._lock:
            before = self._expected(if_version)
            return self._commit(step(before), before, note)

    def _expected(self, if_version: int | None) -> Snapshot:
        snapshot = self.in_force.snapshot
        if if_version is not None and if_version != snapshot.number:
            raise RouteConflict(expected=if_version, version=snapshot.number)
        return snapshot

    def _commit(self, changed: Snapshot, before: Snapshot, note: Note) -> Changed:
        after = self._append(changed, before, note)
        now = self.in_force
        self.in_force = _compiled(after, now.aliases.table, now.world)
        return Changed(before=before, after=after)

    def _append(self, changed: Snapshot, before: Snapshot, note: Note) -> Snapshot:
        if changed.same_as(before) and changed.imported == before.imported:
            return before
        after = numbered(
            changed,
            note,
            number=self._history.next_number(),
            parent=before.number,
            time_s=self._clock.wall(),
        )
        self._history.append(after)
        return after

    def _imported(
        self,
        before: Snapshot,
        table: Mapping[str, str | RouteConfig],
        aliases: Table,
        world: World,
    ) -> Snapshot:
        if not table and before.imported is None:
            return before  # a file without routes says nothing about them
        digest = table_digest(table)
        if digest == before.imported:
            return before
        routes = read_routes(table)
        for route in routes:
            if found := problems(route, world, aliases):
                raise ConfigError(f'routes."{route.pattern}": {" ".join(found)}')
        note = Note(author=FILE_AUTHOR, reason="[routes] was read")
        return self._append(with_table(before, routes, digest), before, note)

    def _before(self, now: Snapshot) -> int:
        content = now if now.restores is None else self._history.read(now.restores)
        if not content.number:
            raise RouteError("there is no version before: nothing was ever set")
        return content.parent


def _compiled(snapshot: Snapshot, aliases: Mapping[str, str], world: World) -> InForce:
    table = Table(snapshot.routes, aliases)
    view = View(
        number=snapshot.number,
        table=table,
        override=snapshot.override,
        routers=_routers(snapshot, world),
    )
    return InForce(snapshot=snapshot, view=view, world=world, aliases=Aliases(aliases))


def _routers(snapshot: Snapshot, world: World) -> dict[str, LearnedRouter]:
    """The trained routers of all routes. One that cannot be read is no reason not to serve."""
    found = {}
    for name in {name for route in snapshot.routes for name, _ in routers(route.policy)}:
        try:
            found[name] = world.trained(name)
        except LearnError as error:
            log.error("%s; rules decide instead", str(error).rstrip("."))
    return found
