"""`reshore rollout`: move a name's traffic step by step, as far as the evidence lets it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from reshore.cli.admin import AdminClient
from reshore.cli.failure import ExitCode, Failure
from reshore.cli.operated import login_name
from reshore.cli.output import Json, note
from reshore.cli.rollout_output import print_all, print_status
from reshore.config import find_home, parse_duration
from reshore.errors import RouteError
from reshore.evals.rollouts.asked import Brief, Shown, StartRollout, Wish
from reshore.routing.guards import DEFAULT_GUARDS, parse_guard
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Cloud, Local
from reshore.types import Side

Name = Annotated[str, typer.Argument(help="A model's name as clients send it, or a route's glob.")]
Why = Annotated[str, typer.Option(metavar="TEXT", help="The reason, for the history.")]

_GUARDS = [str(guard) for guard in DEFAULT_GUARDS]


def start(
    name: Name,
    to: Annotated[
        str,
        typer.Option(
            metavar="SIDE[:MODEL]", help="local, local:MODEL, cloud or cloud:UPSTREAM/MODEL."
        ),
    ] = "local",
    steps: Annotated[
        str, typer.Option(metavar="PERCENT,…", help="Percent of the traffic, rising.")
    ] = "1,5,25,50,100",
    guard: Annotated[
        list[str] | None,
        typer.Option(metavar="GUARD", help=f"May be repeated; {', '.join(_GUARDS)}."),
    ] = None,
    min_pairs: Annotated[
        int, typer.Option(metavar="N", help="Decided pairs of a step before it can end.")
    ] = 200,
    hold: Annotated[
        str, typer.Option(metavar="TIME", help="How long a step lasts at least, as 10m.")
    ] = "10m",
    compared: Annotated[
        str, typer.Option(metavar="PERCENT", help="Requests that both sides answer, as 5%.")
    ] = "5%",
    alpha: Annotated[
        float, typer.Option(metavar="P", help="Probability of each kind of wrong end.")
    ] = 0.05,
    why: Why = "",
    if_version: Annotated[
        int | None,
        typer.Option(metavar="N", help="Start nothing unless version N is in force."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Move a name's traffic to the other side, step by step.

    For example `reshore rollout start gpt-4o-mini --to local --guard "net_win>=-0.03"`. A step is
    taken when the answers are certainly good enough; a guard that is certainly broken takes
    everything back.
    """
    side, model = _target(to)
    wish = StartRollout(
        route=name,
        to=side,
        model=model,
        steps=_steps(steps),
        guards=tuple(map(_guard, guard or _GUARDS)),
        min_pairs=min_pairs,
        hold_s=_hold(hold),
        compared=_share(compared),
        alpha=alpha,
        why=why,
        author=login_name(),
        if_version=if_version,
    )
    begun = _shown(_server().post("/admin/rollouts", wish))
    print_status(begun, as_json)
    if not as_json:
        note(f"`reshore rollout status {name}` shows how it goes")


def status(
    name: Annotated[
        str | None, typer.Argument(help="A route; without one, every rollout that is not over.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how a rollout stands, what its next step waits for, and how long that may take."""
    server = _server()
    if name is not None:
        print_status(_shown(server.get(_path(name))), as_json)
        return
    print_all([each for each in _all(server) if not each.over], as_json, none="no rollout runs")


def list_all(as_json: Json = False) -> None:
    """List all rollouts, newest first."""
    print_all(_all(_server()), as_json, none="there was no rollout yet")


def pause(name: Name, why: Why = "", as_json: Json = False) -> None:
    """Take no further step; a guard that is broken still takes everything back."""
    _turn(name, "pause", why, as_json)


def resume(name: Name, why: Why = "", as_json: Json = False) -> None:
    """Go on after a pause."""
    _turn(name, "resume", why, as_json)


def abort(name: Name, why: Why = "", as_json: Json = False) -> None:
    """Give up, and bring back the route as it was before."""
    _turn(name, "abort", why, as_json)


COMMANDS = {
    "start": start,
    "status": status,
    "list": list_all,
    "pause": pause,
    "resume": resume,
    "abort": abort,
}


def _turn(name: str, word: str, why: str, as_json: bool) -> None:
    wish = Wish(why=why, author=login_name())
    print_status(_shown(_server().post(f"{_path(name)}/{word}", wish)), as_json)


def _server() -> AdminClient:
    return AdminClient(find_home())


def _path(name: str) -> str:
    return f"/admin/rollouts/{quote(name, safe='')}"


def _shown(body: bytes) -> Shown:
    return msgspec.json.decode(body, type=Shown)


def _all(server: AdminClient) -> list[Brief]:
    return msgspec.json.decode(server.get("/admin/rollouts"), type=list[Brief])


def _target(text: str) -> tuple[Side, str]:
    """The new side, and its model as a route has it."""
    try:
        found = parse_policy(text)
    except RouteError as error:
        raise _wrong("--to", error) from error
    match found:
        case Local(model=model):
            return "local", model
        case Cloud(upstream=upstream, model=model):
            return "cloud", f"{upstream}/{model}" if model else upstream
    raise _wrong("--to", f"'{text}' is no side; write local, local:MODEL, cloud or cloud:UPSTREAM")


def _steps(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(piece) for piece in text.replace("%", "").split(","))
    except ValueError as error:
        raise _wrong("--steps", f"'{text}' are no percents; write 1,5,25,50,100") from error


def _guard(text: str) -> str:
    try:
        return str(parse_guard(text))
    except RouteError as error:
        raise _wrong("--guard", error) from error


def _hold(text: str) -> float:
    try:
        return float(parse_duration(text))
    except ValueError as error:
        raise _wrong("--hold", error) from error


def _share(text: str) -> float:
    """A share of 1, from percent or from such a share."""
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        share = float(number) / 100 if percent else float(number)
    except ValueError as error:
        raise _wrong("--compared", f"'{text}' is no share of the requests; write 5%") from error
    if not 0 < share <= 1:
        raise _wrong("--compared", f"{text} is not above 0 and at most 100 %; write 5%")
    return share


def _wrong(option: str, why: Any) -> Failure:
    return Failure(ExitCode.USAGE, f"{option}: {why}")
