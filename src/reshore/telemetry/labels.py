"""What may become a label. Whatever clients choose themselves is `other`: each value of a label
costs memory here and in Prometheus for ever, and junk names would fill both. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from reshore.models.names import parse_name
from reshore.routing.patterns import is_glob
from reshore.routing.policy import Cloud, Route
from reshore.routing.sides import parts
from reshore.routing.table import Table
from reshore.telemetry.series import OTHER
from reshore.types import Side

NONE = "none"

# Values of one label: more models or routes than a page of metrics, or a dashboard, is good for.
_MOST = 200
# Spellings of names that are remembered with their labels.
_SPELLINGS = 1024


class Bounded:
    """Values that are ours already, up to a number of them; what comes later is `other`."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._seen:
            return value
        if len(self._seen) >= self._most:
            return OTHER
        self._seen.add(value)
        return value


class Endpoints:
    """The paths of the server; what hangs below one of them is `*`.

    Args:
        paths: as routes have them: `/v1/models`, `/v1/models/{model:path}`.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        paths = set(paths)
        self._exact = {path for path in paths if "{" not in path}
        below = {path.partition("{")[0] for path in paths if "{" in path}
        self._below = sorted(below - {"/"}, key=len, reverse=True)

    def __call__(self, path: str) -> str:
        if path in self._exact:
            return path
        return next((f"{start}*" for start in self._below if path.startswith(start)), OTHER)


class ModelNames:
    """Models that are installed, or that a route or the settings of an upstream name.

    Models on this machine are written as `reshore list` does, in lower case, for their names mean
    the same in any; those of upstreams as they are.

    Args:
        installed: whether a model is, by any spelling of its name. Asked with every request.
        table: the routes in force.
        upstream_models: those that `[upstreams.*]` names.
    """

    def __init__(
        self,
        *,
        installed: Callable[[str], bool],
        table: Callable[[], Table],
        upstream_models: Iterable[str] = (),
        most: int = _MOST,
    ) -> None:
        self._installed = installed
        self._table = table
        self._upstream_models = frozenset(upstream_models)
        self._seen: Table | None = None
        self._named = self._upstream_models
        self._bounded = Bounded(most)
        self._labels: dict[tuple[Side, str], str] = {}

    def __call__(self, side: Side, name: str) -> str:
        label = self._labels.get((side, name))
        if label is not None:
            return label
        label = self._local(name) if side == "local" else self._cloud(name)
        if label == OTHER:
            return OTHER  # not remembered: it may be installed or routed one day
        if len(self._labels) >= _SPELLINGS:
            self._labels.clear()
        label = self._labels[side, name] = self._bounded(label)
        return label

    def _local(self, name: str) -> str:
        return str(parse_name(name)).lower() if self._installed(name) else OTHER

    def _cloud(self, name: str) -> str:
        table = self._table()
        if table is not self._seen:
            self._seen = table
            self._named = self._upstream_models.union(*map(_names, table.routes))
        return name if name and name in self._named else OTHER


def _names(route: Route) -> Iterator[str]:
    """The models of upstreams that a route names."""
    if not is_glob(route.pattern):
        yield route.pattern
    yield route.cloud.partition("/")[2]
    for part in parts(route.policy):
        if isinstance(part, Cloud):
            yield part.model
