"""`reshore rollback`: back to an earlier version of the routes."""

from __future__ import annotations

from typing import Annotated

import typer

from reshore.cli.operated import login_name, operations
from reshore.cli.output import Json
from reshore.cli.route_output import print_change
from reshore.routing.operating import Rollback


def command(
    version: Annotated[
        int | None, typer.Argument(metavar="[N]", help="The version; the one before if left out.")
    ] = None,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, for the history.")] = "",
    as_json: Json = False,
) -> None:
    """Go back to an earlier version of the routes, at once and without a restart.

    It becomes a new version with the content of the old one. Called again, it goes further back.
    """
    with operations() as routes:
        wish = Rollback(to=version, why=why, author=login_name())
        print_change(routes.rollback(wish), as_json)
