"""What operators ask of the routes and are told, in the forms that JSON has.

The admin API and the command line without a server both use this, so that both keep one set of
rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct, structs

from reshore.errors import HistoryError, RouteError
from reshore.routing.asking import Asking, Kind
from reshore.routing.breaker import BreakerState
from reshore.routing.history import Damaged
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Route
from reshore.routing.snapshot import Note, Snapshot, Written, differences, written
from reshore.routing.state import Changed, RoutingState
from reshore.types import Side

# Characters of a route's name, of its policy's text, and of what is remembered of a change.
_NAME = 256
_POLICY = 4096
_LINE = 500


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every change may say.

    Attributes:
        why: the reason, for the history.
        author: who asks for it.
        if_version: change nothing unless this version is in force.
    """

    why: str = ""
    author: str = ""
    if_version: int | None = None

    def note(self) -> Note:
        """What the history remembers of it: a line of each."""
        return Note(author=_line(self.author), reason=_line(self.why))


class SetRoute(Wish, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A route to be set. What is None stays as the route of that name has it.

    Attributes:
        policy: its text form.
        force: set it although it would mix embeddings of several models.
        evidence: what it rests on, for the history.
    """

    policy: str
    local: str | None = None
    cloud: str | None = None
    pins: bool | None = None
    force: bool = False
    evidence: dict[str, Any] | None = None

    def note(self) -> Note:
        """What the history remembers of it."""
        return structs.replace(super().note(), evidence=self.evidence)


class Rollback(Wish, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`to`: the version to go back to; None: the one before."""

    to: int | None = None


class Panic(Wish, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`side`: where everything goes; None: where the routes say."""

    side: Side | None


class Change(Struct, frozen=True, kw_only=True):
    """What came of a wish.

    Attributes:
        version: in force now; the same as `before` if there was nothing to change.
        changes: what is different, a line each.
        warnings: what does not work with the routes in force now.
    """

    version: int
    before: int
    changes: list[str]
    warnings: list[str]


class Shown(Struct, frozen=True, kw_only=True):
    """The routes in force.

    Attributes:
        problems: what speaks against routes that are in force, by their patterns.
        warnings: files of the history that are damaged.
        file_problem: why reshore.toml as it is now is not in force, "" if it is.
        breakers: models of upstreams that rest or have failed lately; none without a server.
    """

    version: Written
    problems: dict[str, list[str]]
    warnings: list[str]
    file_problem: str
    breakers: list[BreakerState]


class Past(Struct, frozen=True, kw_only=True):
    """A version in the history.

    Attributes:
        in_force: it decides now.
        changes: against the version before it.
        evidence: what it rests on, None where nothing was told (`Snapshot.evidence`).
        problem: why it was never in force, or cannot be read; the rest is unknown then.
    """

    number: int
    in_force: bool = False
    time_s: float = 0.0
    author: str = ""
    reason: str = ""
    parent: int = 0
    restores: int | None = None
    changes: list[str] = []
    evidence: dict[str, Any] | None = None
    problem: str = ""


class Difference(Struct, frozen=True, kw_only=True, rename={"old": "from", "new": "to"}):
    """What leads from version `from` to version `to`, a line each."""

    old: int
    new: int
    changes: list[str]


class Operator:
    """Operates one routing state. What reads or writes the history blocks for milliseconds.

    Args:
        breakers: the state of the circuit breakers.
    """

    def __init__(
        self, state: RoutingState, breakers: Callable[[], tuple[BreakerState, ...]] = tuple
    ) -> None:
        self._state = state
        self._breakers = breakers

    def show(self) -> Shown:
        """The routes in force, and what is wrong with them."""
        state = self._state
        return Shown(
            version=written(state.in_force.snapshot),
            problems=self._troubles(),
            warnings=list(state.warnings),
            file_problem=state.file_problem,
            breakers=list(self._breakers()),
        )

    def version(self, number: int) -> Written:
        """One version.

        Raises:
            RouteNotFound, HistoryError: there is none of that number, or it is damaged.
        """
        return written(self._state.version(number))

    def history(self, limit: int = 0, before: int | None = None) -> list[Past]:
        """Versions, newest first.

        Args:
            limit: how many; 0: all.
            before: only those with a smaller number.
        """
        found: list[Past] = []
        for past in self._past():
            if limit and len(found) == limit:
                break
            if before is None or past.number < before:
                found.append(past)
        return found

    def diff(self, old: int, new: int) -> Difference:
        """What leads from one version to the other. Raises as `version`."""
        changes = differences(self._state.version(old), self._state.version(new))
        return Difference(old=old, new=new, changes=list(changes))

    def set(self, pattern: str, wish: SetRoute) -> Change:
        """Set a route.

        Raises:
            RouteError: its policy cannot be read, or cannot work; says what to do.
            RouteConflict, HistoryError: see `RoutingState.set`.
        """
        _check(pattern, wish.policy)
        old = self._state.in_force.snapshot.route(pattern)
        policy = parse_policy(wish.policy)
        was = old or Route(pattern=pattern, policy=policy)
        route = Route(
            pattern=pattern,
            policy=policy,
            local=was.local if wish.local is None else wish.local,
            cloud=was.cloud if wish.cloud is None else wish.cloud,
            pins=was.pins if wish.pins is None else wish.pins,
            mix_embeddings=was.mix_embeddings or wish.force,
        )
        return self._told(
            self._state.set(route, wish.note(), if_version=wish.if_version), route.pattern
        )

    def remove(self, pattern: str, wish: Wish) -> Change:
        """Remove a route. Raises as `RoutingState.remove`."""
        return self._told(self._state.remove(pattern, wish.note(), if_version=wish.if_version))

    def panic(self, wish: Panic) -> Change:
        """Turn the panic switch. Raises as `RoutingState.panic`."""
        return self._told(self._state.panic(wish.side, wish.note(), if_version=wish.if_version))

    def rollback(self, wish: Rollback) -> Change:
        """Go back. Raises as `RoutingState.rollback`."""
        found = self._state.rollback(wish.to, wish.note(), if_version=wish.if_version)
        return self._told(found)

    def _told(self, changed: Changed, pattern: str | None = None) -> Change:
        found = self._problems() if pattern is None else self._troubles()
        return Change(
            version=changed.after.number,
            before=changed.before.number,
            changes=changed.lines(),
            warnings=[
                f"{name}: {problem}"
                for name, problems in found.items()
                if pattern in (None, name)
                for problem in problems
            ],
        )

    def _problems(self) -> dict[str, list[str]]:
        """What speaks against routes, by their patterns."""
        routes = self._state.in_force.snapshot.routes
        return {route.pattern: found for route in routes if (found := self._state.problems(route))}

    def _troubles(self) -> dict[str, list[str]]:
        """The same, and what they need that can still be fetched."""
        found = self._problems()
        for route in self._state.in_force.snapshot.routes:
            if missing := self._state.missing(route):
                found[route.pattern] = found.get(route.pattern, []) + missing
        return found

    def _past(self) -> Iterator[Past]:
        """The history, each version with what it changed.

        Every version knows the one that was in force before it; one that no other knows was
        written by a process that ended before it could put it into force.
        """
        now = self._state.in_force.snapshot.number
        expected: int | None = now
        for version in self._state.versions():
            if isinstance(version, Damaged):
                yield Past(number=version.number, problem=version.problem)
                expected = None if version.number == expected else expected
            elif expected is not None and version.number != expected:
                yield Past(number=version.number, problem="never in force")
            else:
                expected = version.parent
                yield self._told_past(version, version.number == now)

    def _told_past(self, version: Snapshot, in_force: bool) -> Past:
        try:
            changes = list(differences(self._state.version(version.parent), version))
        except (RouteError, HistoryError):
            changes = []  # the version before tells by itself that it cannot be read
        return Past(
            number=version.number,
            in_force=in_force,
            time_s=version.time_s,
            author=version.author,
            reason=version.reason,
            parent=version.parent,
            restores=version.restores,
            changes=changes,
            evidence=version.evidence,
        )


def _check(pattern: str, policy: str) -> None:
    """Raises RouteError for what can be neither a name nor a policy, and would fill the history."""
    if not pattern:
        raise RouteError("a route needs the name that clients send, or a glob of names")
    if len(pattern) > _NAME or not pattern.isprintable():
        raise RouteError(
            f"a route's name has at most {_NAME} characters, none of which is a control character"
        )
    if len(policy) > _POLICY:
        raise RouteError(f"a policy has at most {_POLICY} characters, and this one {len(policy)}")


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def asking_of(
    body: dict[str, Any],
    *,
    kind: Kind | None = None,
    key: str | None = None,
    pin: Side | None = None,
    header: Callable[[str], str | None] = lambda name: None,
) -> Asking:
    """A request of OpenAI's dialect as `decide` sees it, read leniently.

    Args:
        kind: None: as far as the fields of the body tell.
    """
    model, user = body.get("model"), body.get("user")
    return Asking(
        name=model if isinstance(model, str) else "",
        kind=kind or _kind(body),
        user=user if isinstance(user, str) else "",
        key=key,
        pin=pin,
        header=header,
        load=lambda: body,
    )


def _kind(body: dict[str, Any]) -> Kind:
    if "messages" not in body and "input" in body:
        return "embedding"
    return "completion" if "messages" not in body and "prompt" in body else "chat"
