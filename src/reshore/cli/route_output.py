"""How the commands of `reshore route` print."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from reshore.cli.output import (
    human_span,
    note,
    print_aligned,
    print_json,
    print_table,
    visible,
)
from reshore.config import RouteConfig
from reshore.errors import RouteNotFound
from reshore.routing.explain import Explained
from reshore.routing.operating import Change, Past, Shown
from reshore.routing.opinions import Opinion
from reshore.routing.patterns import Patterns
from reshore.routing.snapshot import Written, override_text

_REASONS = 5


def print_change(change: Change, as_json: bool) -> None:
    """What a change came to, and how to take it back."""
    if as_json:
        print_json(change)
        return
    for line in change.changes:
        print(line)
    for warning in change.warnings:
        note(f"warning: {warning}")
    if change.version == change.before:
        note(f"nothing to change: version {change.version} does that already")
    else:
        back = f"reshore rollback {change.before}"
        note(f"version {change.version} is in force; `{back}` takes it back")


def print_routes(shown: Shown, as_json: bool) -> None:
    """All routes in force, the panic switch, and what is wrong."""
    if as_json:
        print_json(shown)
        return
    version = shown.version
    _print_version(version)
    if version.routes:
        print_table(*_columns(version.routes))
    if shown.breakers:
        print()
        _print_breakers(shown)
    _print_problems(shown)
    if not version.routes:
        note("no route is set: names that are installed here are answered here, others go to the")
        note("first upstream; `reshore route set NAME POLICY` sets one")


def print_route(shown: Shown, name: str, as_json: bool) -> None:
    """The route that is used for a name.

    Raises:
        RouteNotFound: no route matches it.
    """
    routes = shown.version.routes
    pattern = Patterns((each, each) for each in routes).find(name) if name not in routes else name
    if pattern is None:
        raise RouteNotFound(
            f"no route matches '{name}'; see `reshore route show`, and `reshore route explain "
            f"{name}` for who answers it"
        )
    route = routes[pattern]
    problems = shown.problems.get(pattern, [])
    if as_json:
        print_json({"name": pattern, **_fields(route), "problems": problems})
        return
    rows = {
        "route": pattern,
        "policy": route.policy,
        "local": route.local or "-",
        "cloud": route.cloud or "-",
        "pins": "yes" if route.pins else "no",
        "panic switch": override_text(shown.version.override),
        "version": str(shown.version.number),
    }
    if route.mix_embeddings:
        rows["embeddings"] = "of several models"
    _print_pairs(rows.items())
    for problem in problems:
        note(f"warning: {problem}")


def print_history(versions: list[Past], as_json: bool) -> None:
    """Versions, newest first; `*` marks the one in force."""
    if as_json:
        print_json(versions)
        return
    now_s = time.time()
    titles = ("VERSION", "AGE", "BY", "WHY", "CHANGES")
    print_table(titles, (_past(version, now_s) for version in versions))
    if not versions:
        note("nothing was ever set")


def print_explained(explained: Explained, as_json: bool) -> None:
    """Who would answer, and everything that led there."""
    if as_json:
        print_json(explained)
        return
    decision = explained.decision
    rows = [
        ("name", explained.name or "-"),
        ("route", explained.route or "none"),
        ("policy", explained.policy or "-"),
        ("version", str(explained.version)),
        ("privacy", _privacy(explained)),
    ]
    if explained.complexity is not None:
        rows.append(("complexity", f"{explained.complexity.score:.2f}"))
        parts = explained.complexity.parts
        rows += [(f"  {part.feature}", f"{part.points:+.2f}  {part.value}") for part in parts]
    for opinion in explained.learned:
        rows += _opinion(opinion)
    if decision is not None:
        rows += [("side", decision.side), ("plan", explained.plan), ("why", decision.why)]
    else:
        rows.append(("refused", explained.refusal))
    _print_pairs(rows)


def _privacy(explained: Explained) -> str:
    return "; ".join(rule.removeprefix("privacy: ") for rule in explained.privacy) or "-"


def _opinion(opinion: Opinion) -> list[tuple[str, str]]:
    """What a trained router says; of a long list of reasons the beginning."""
    name = f"router {opinion.router}"
    if not opinion.found:
        instead = "rules decide" if opinion.reads == "prompt" else "checks alone decide"
        return [(name, f"cannot be read, so {instead}; the server's log says why")]
    target = f" ({opinion.target})" if opinion.target else ""
    limit = f"cloud from {opinion.threshold:.2f} on{target}"
    if opinion.score is None:
        said = f"reads the local answer, which nobody has yet; {limit}"
    else:
        said = f"score {opinion.score:.2f}, {limit}; expected gain {opinion.gain:+.3f}"
    instead = "rules decide" if opinion.reads == "prompt" else "it says nothing"
    place = f"outside, so {instead}" if opinion.outside else "inside"
    likeness = f"{opinion.likeness:.2f}, least {opinion.least:.2f}"
    rows = [(name, said), ("  training", f"{place}: likeness {likeness}")]
    rows += [(f"  {part.feature}", f"{part.points:+.3f}") for part in opinion.parts[:_REASONS]]
    return rows


def _print_version(version: Written) -> None:
    if version.number:
        age = human_span(max(time.time() - version.time_s, 0))
        by = f", by {version.author}" if version.author else ""
        why = f": {version.reason}" if version.reason else ""
        print(f"version {version.number}, {age} ago{by}{why}")
    if version.override:
        print(f"panic switch: all {version.override}; `reshore route all normal` ends it")
    if version.routes:
        print()


def _columns(routes: Mapping[str, RouteConfig]) -> tuple[list[str], Iterable[list[str]]]:
    """Titles and rows, without the columns in which nothing stands."""
    titles = ["NAME", "POLICY", "LOCAL", "CLOUD", "BESIDES"]
    rows = [
        [name, route.policy, route.local, route.cloud, _besides(route)]
        for name, route in routes.items()
    ]
    kept = [i for i in range(len(titles)) if any(row[i] for row in rows)]
    return [titles[i] for i in kept], [[row[i] for i in kept] for row in rows]


def _besides(route: RouteConfig) -> str:
    said = (
        () if route.pins else ("no pins",),
        ("mixed embeddings",) if route.mix_embeddings else (),
    )
    return ", ".join(word for words in said for word in words)


def _print_breakers(shown: Shown) -> None:
    print_table(
        ("UPSTREAM", "MODEL", "BREAKER", "FAILED", "RESTS FOR"),
        (
            (
                each.backend,
                each.model,
                each.state,
                f"{each.failures} of {each.requests}",
                f"{each.rest_s:.0f} s" if each.rest_s else "-",
            )
            for each in shown.breakers
        ),
    )


def _print_problems(shown: Shown) -> None:
    for name, problems in shown.problems.items():
        for problem in problems:
            note(f"warning: {name}: {problem}")
    for warning in shown.warnings:
        note(f"warning: {warning}")
    if shown.file_problem:
        note(f"warning: reshore.toml is not in force as it is: {shown.file_problem}")


def _past(version: Past, now_s: float) -> tuple[str, ...]:
    mark = " *" if version.in_force else ""
    if version.problem:
        return f"{version.number}{mark}", "-", "-", version.problem, ""
    age = f"{human_span(max(now_s - version.time_s, 0))} ago"
    return (
        f"{version.number}{mark}",
        age,
        version.author or "-",
        version.reason or "-",
        "\n".join(version.changes),
    )


def _fields(route: RouteConfig) -> dict[str, object]:
    return {name: getattr(route, name) for name in route.__struct_fields__}


def _print_pairs(rows: Iterable[tuple[str, str]]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(visible(value)))
    print_aligned(table)
