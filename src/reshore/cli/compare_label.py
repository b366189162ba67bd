"""`reshore compare label`: people say which answers are better, where no check can tell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from reshore.cli.hosted import served
from reshore.cli.keys import Keys
from reshore.cli.labelling import PairScreen, label_all
from reshore.cli.output import Json, note, print_json
from reshore.config import load
from reshore.evals.compare.labels import Agreement, LabelFile, Open, agreements, open_pairs
from reshore.evals.compare.likeness import least_alike_first, texts_of
from reshore.evals.compare.report import read_report
from reshore.routing.aliases import Aliases
from reshore.wire.openai.vectors import read_embeddings

# Texts of one request; how many a server takes at once is its own business.
_BATCH = 32


def command(
    report: Annotated[
        Path, typer.Argument(metavar="REPORT.json", help="What `reshore compare` wrote.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Where labels are kept; beside the report."),
    ] = None,
    sort_by: Annotated[
        str | None,
        typer.Option(
            "--sort-by",
            metavar="MODEL",
            help="Begin with the answers that an embedding model finds least alike.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which of two answers is better, one key a pair.

    Shown are pairs that no check decided, in random order, without names and with the sides
    mixed. Labels are kept at once; the same command goes on where it was left.
    """
    pairs = open_pairs(read_report(report))
    kept = LabelFile(labels or report.with_name(f"{report.stem}.labels.jsonl"))
    shown = _sorted(pairs, sort_by) if sort_by and pairs else pairs
    with Keys() as keys:
        label_all(
            shown,
            kept,
            read_key=keys.read,
            screen=PairScreen(),
            wall_s=time.time,
            picked=sort_by is not None,
        )
    found = agreements(pairs, kept.known)
    if as_json:
        print_json(found)
    elif found:
        _print(found)
    else:
        note("there is nothing to label: checks decided every pair")


def _sorted(pairs: Sequence[Open], model: str) -> tuple[Open, ...]:
    """Least alike first, by a model of the running server, or of one that lives for this."""
    config = load()
    texts = [text for pair in pairs for text in texts_of(pair)]
    vectors: list[bytes] = []
    with served(config, [Aliases(config.aliases).resolve(model)]) as server:
        for begin in range(0, len(texts), _BATCH):
            batch = texts[begin : begin + _BATCH]
            reply = server.post("/v1/embeddings", {"model": model, "input": batch})
            found = read_embeddings(reply, inputs=len(batch), model=model, backend=model)
            vectors += found.vectors
    return least_alike_first(pairs, vectors)


def _print(found: Sequence[Agreement]) -> None:
    for each in found:
        more = f", and {each.picked} that were picked" if each.picked else ""
        print(f"{each.target}: {each.labels} of {each.pairs} open pairs are labelled{more}")
        if each.decided:
            share = each.same / each.decided
            print(f"  the judge says the same of {each.same} of {each.decided} ({share:.0%})")
        if each.net_win is None and each.pairs - each.labels >= each.missing:
            print(f"  {each.missing} more labels are needed for a net win that goes by people")
        elif each.net_win is None:
            print("  they are too few for a net win that goes by people")
        else:
            low, high = each.net_win.interval.low, each.net_win.interval.high
            print(
                f"  net win of these pairs, as people see it: {each.net_win.estimate:+.3f} "
                f"({low:+.3f} to {high:+.3f}); as the judge does: {each.net_win.judged:+.3f}"
            )
