"""`reshore evaluation`: how local answers do against the cloud's, on live traffic."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Annotated

import msgspec
import typer

from reshore.cli.admin import AdminClient
from reshore.cli.failure import ExitCode, Failure
from reshore.cli.output import Json, human_span, note, print_json, print_table, visible
from reshore.config import find_home, load
from reshore.errors import RouteNotFound
from reshore.evals.live.keeping import Keeping
from reshore.evals.live.standing import (
    Estimate,
    LatencyStanding,
    Overview,
    SideStanding,
    Standing,
    standing,
)
from reshore.stats.planning import hours_text
from reshore.types import Side

TITLES = ("ROUTE", "LOCAL", "CLOUD", "PAIRS", "NET WIN", "UNDECIDED", "DRIFT", "SINCE")
_SIDES = ("", "LOCAL", "CLOUD")


def command(
    name: Annotated[
        str | None,
        typer.Argument(help="A route, as `reshore route show` has it; without one: all."),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget what is known of the route, and begin anew.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show how local answers do against the cloud's, from copies of live requests.

    Intervals hold with 95 % however often one looks.
    """
    server = AdminClient(find_home())
    if reset:
        _reset(server, name)
        return
    overview = _overview(server)
    shown = [each for each in overview.standings if name in (None, each.route)]
    if name is not None and not shown:
        raise RouteNotFound(
            f"no pair of the route '{name}' was compared yet; `reshore evaluation` lists those of "
            "which something is known"
        )
    if as_json:
        print_json(msgspec.structs.replace(overview, standings=shown))
    elif name is not None:
        _print_one(shown)
    else:
        _print_all(overview)


def _reset(server: AdminClient, name: str | None) -> None:
    if name is None:
        raise Failure(ExitCode.USAGE, "--reset takes the name of a route")
    server.post("/admin/evaluation/reset", {"route": name})
    note(f"what was known of '{name}' is forgotten")


def _overview(server: AdminClient) -> Overview:
    """What the running server knows; without one, what the last one wrote down."""
    if server.running():
        return msgspec.json.decode(server.get("/admin/evaluation"), type=Overview)
    config = load()
    kept = Keeping(config.home / "evaluation").load(set_aside=False)
    kept.sort(key=lambda each: (each.route, -each.changed_s))
    level = config.evaluation.net_win
    return Overview(standings=[standing(each, level=level) for each in kept])


def _print_all(overview: Overview) -> None:
    if not overview.enabled:
        note("evaluation is switched off (evaluation.enabled)")
    now_s = time.time()
    if overview.standings:
        print_table(TITLES, (_row(each, now_s) for each in overview.standings))
    else:
        note(
            "no pair was compared yet; a route with `shadow(…)` makes some, see docs/evaluation.md"
        )
    for what, counts in (
        ("copies without an answer", overview.unanswered),
        ("not compared", overview.dropped),
        ("the judge", overview.judged),
    ):
        listed = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
        if listed:
            note(f"{what}: {listed}")


def _row(each: Standing, now_s: float) -> tuple[str, ...]:
    return (
        each.route,
        each.local,
        each.cloud,
        str(each.pairs),
        _signed(each.net_win),
        str(each.undecided),
        each.drift.state if each.drift else "-",
        f"{human_span(max(now_s - each.since_s, 0))} ago",
    )


def _print_one(shown: Iterable[Standing]) -> None:
    for number, each in enumerate(shown):
        if number:
            print()
        print(visible(f"{each.route}: {each.local} against {each.cloud}"))
        by = ", ".join(f"{name} {count}" for name, count in each.by.items())
        print(
            f"{each.pairs} pairs: {each.wins} wins, {each.ties} ties, {each.losses} losses"
            f"{by and f' (by {by})'}; {each.undecided} undecided, {each.repeated} of conversations "
            "that have counted"
        )
        print(f"net win {_signed(each.net_win)}, {_verdict(each)}")
        _print_drift(each)
        print()
        print_table(_SIDES, _side_rows(each.sides))


def _verdict(each: Standing) -> str:
    if not each.pairs:
        return "as no pair was decided"
    if each.verdict == "passed":
        return f"which keeps {each.level:+g}"
    if each.verdict == "failed":
        return f"which does not keep {each.level:+g}"
    if each.to_go is None:
        return f"which, as it goes, will not be shown to keep {each.level:+g}"
    text = f"which {each.to_go} more pairs like these would show to keep {each.level:+g}"
    if each.hours_to_go is None:
        return text
    return f"{text}, some {hours_text(each.hours_to_go)} at the traffic so far"


def _print_drift(each: Standing) -> None:
    drift = each.drift
    if drift is None:
        print("drift is not looked for: no client gets local answers of which there are pairs")
    elif drift.alarmed_s is None:
        print(
            f"no drift in {drift.pairs} pairs: the net win keeps {drift.level:+g}, as far as can "
            f"be told (evidence {drift.evidence:.3g} of {drift.goal:g})"
        )
    else:
        age = human_span(max(time.time() - drift.alarmed_s, 0))
        print(
            f"DRIFT, found {age} ago: the net win has fallen below {drift.level:+g}; when that is "
            f"mended, `reshore evaluation {visible(each.route)} --reset` begins anew"
        )


def _side_rows(sides: dict[Side, SideStanding]) -> list[tuple[str, str, str]]:
    local, cloud = sides["local"], sides["cloud"]
    rows = [
        ("requests", str(local.requests), str(cloud.requests)),
        ("failed", _share(local.failure_rate), _share(cloud.failure_rate)),
    ]
    for label, one, other in (
        ("TTFT", local.ttft, cloud.ttft),
        ("total", local.total, cloud.total),
    ):
        rows += _latency_rows(label, one, other)
    return rows


def _latency_rows(
    label: str, one: LatencyStanding, other: LatencyStanding
) -> list[tuple[str, str, str]]:
    return [
        (f"{label} p50", _span(one.p50_ms), _span(other.p50_ms)),
        (f"{label} p95", _span(one.p95_ms), _span(other.p95_ms)),
    ]


def _signed(number: Estimate) -> str:
    if number.value is None:
        return "-"
    return f"{number.value:+.3f} [{number.low:+.3f}, {_high(number, '+.3f')}]"


def _share(number: Estimate) -> str:
    if number.value is None:
        return "-"
    return f"{number.value:.1%} [{number.low:.1%}, {_high(number, '.1%')}]"


def _span(number: Estimate) -> str:
    if number.value is None:
        return "-"
    return f"{number.value:.0f} ms [{number.low:.0f}, {_high(number, '.0f')}]"


def _high(number: Estimate, form: str) -> str:
    return "?" if number.high is None else format(number.high, form)
