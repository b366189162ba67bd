"""`reshore compare`: the same prompts to several models, and what their answers are worth."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from reshore.cli.compare_asking import Questions, Referees, ask
from reshore.cli.compare_keeping import keep
from reshore.cli.compare_output import print_report
from reshore.cli.failure import ExitCode, Failure
from reshore.cli.hosted import served
from reshore.cli.ledger_options import RouteName, Since, moment_ms, now
from reshore.cli.output import Json, note, print_json
from reshore.config import Config, load
from reshore.errors import CompareError
from reshore.evals.compare.aims import aims
from reshore.evals.compare.answers import AnswerFile
from reshore.evals.compare.labels import LabelFile
from reshore.evals.compare.labels import rulings as labelled
from reshore.evals.compare.page.render import page
from reshore.evals.compare.people import heeded
from reshore.evals.compare.prompts import Prompt, read_prompts, with_parameters
from reshore.evals.compare.report import Report
from reshore.evals.compare.running import Manner
from reshore.evals.compare.sampled import sampled
from reshore.evals.compare.summary import About, summarise
from reshore.ledger.database import reading
from reshore.ledger.queries import Filter
from reshore.ledger.samples import samples
from reshore.models.disk import write_atomic
from reshore.routing.privacy import Privacy

_LONGEST_ERROR = 300


def command(
    targets: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: local:MODEL, cloud:UPSTREAM/MODEL, or a name that the server "
            "routes. The others are held against the first."
        ),
    ],
    prompts: Annotated[
        str | None,
        typer.Option(
            "--prompts",
            "-p",
            metavar="FILE",
            help="JSONL, CSV, a prompt a line, or OpenAI's "
            "batch format; - or nothing: what is piped in.",
        ),
    ] = None,
    from_ledger: Annotated[
        bool, typer.Option("--from-ledger", help="Ask what clients asked, as far as it is kept.")
    ] = False,
    since: Since = "7d",
    route: RouteName = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Prompts of the ledger at most.")
    ] = 200,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="NAME=VALUE", help="A field of every request: temperature=0."
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            min=0.001, max=0.9, help="How many more losses than wins are acceptable, as a share."
        ),
    ] = 0.05,
    parallel: Annotated[
        int, typer.Option(min=1, max=256, help="Requests to one target at a time.")
    ] = 4,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="N", help="Requests to one target a second at most."),
    ] = None,
    check: Annotated[
        str,
        typer.Option(
            "--check",
            metavar="PROGRAM",
            help="Your own check, file.py:function or a command, where no reference decides.",
        ),
    ] = "",
    judge: Annotated[
        str,
        typer.Option("--judge", metavar="TARGET", help="A model that rules where no check can."),
    ] = "",
    own_family: Annotated[
        bool, typer.Option("--own-family", help="Let the judge grade models of its own family.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="STEM",
            help="Where the report goes: STEM.json, STEM.html, and "
            "the answers in STEM.answers.jsonl.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="The page goes here instead.")
    ] = None,
    ledger: Annotated[
        bool,
        typer.Option("--ledger", help="Keep pairs of local and cloud in the ledger, to learn."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask several models the same, and compare their answers.

    Answers are kept: the same command goes on where it was interrupted, and asks for nothing twice.
    """
    config, wanted = load(), aims(tuple(targets))
    if from_ledger and prompts is not None:
        raise Failure(ExitCode.USAGE, "prompts come from a file or from the ledger, not both")
    if from_ledger:
        asked = [*targets, judge] if judge else targets
        away = not all(each.startswith("local:") for each in asked)
        which = Filter(since_ms=moment_ms(since, now()), route=route)
        found, source = _stored(config, which, limit, away=away), "ledger"
    else:
        found, source = _read(prompts)
    parameters = dict(map(_parameter, given or []))
    questions = Questions(
        prompts=with_parameters(found, parameters),
        targets=wanted,
        manner=Manner(parallel=parallel, rate=rate),
        referees=Referees(check=check, judge=judge, own_family=own_family),
    )
    stem = out or Path(f"{Path(source).stem}.compare")
    about = About(
        made_s=time.time(), source=source, parameters=parameters, judge=judge, check=check
    )
    report = _report(config, questions, stem, margin, about)
    page_file = html or _beside(stem, ".html")
    _write(_beside(stem, ".json"), msgspec.json.encode(report))
    _write(page_file, page(report).encode())
    if as_json:
        print_json(report)
    else:
        print_report(report)
        note(f"answers side by side: {page_file}")
    if ledger:
        _keep(config, report)
    _tell_failures(report)


def _keep(config: Config, report: Report) -> None:
    if not config.ledger.enabled:
        raise CompareError("the ledger is switched off; set `ledger.enabled = true` to keep pairs")
    with served(config, ()) as server:
        count = keep(server, report)
    note(f"{count} pair{'s' * (count != 1)} of local and cloud in the ledger")


def _report(
    config: Config, questions: Questions, stem: Path, margin: float, about: About
) -> Report:
    """Ask, and say what came of it; people's labels, where there are any, have the last word."""
    targets = [target.text for target in questions.targets]
    with AnswerFile(_beside(stem, ".answers.jsonl")) as kept:
        rulings = ask(config, questions, kept)
        answers = questions.answers(kept)
    report = summarise(
        questions.prompts, answers, targets, margin=margin, rulings=rulings, about=about
    )
    labels = LabelFile(_beside(stem, ".labels.jsonl")).known
    if not labels:
        return report
    settled = {**rulings, **labelled(report, labels)}
    report = summarise(
        questions.prompts, answers, targets, margin=margin, rulings=settled, about=about
    )
    return heeded(report, labels)


def _parameter(text: str) -> tuple[str, Any]:
    """`temperature=0`: the value is JSON where it can be, and else a text."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise Failure(ExitCode.USAGE, f"--with takes NAME=VALUE, as temperature=0; not {text!r}")
    if name in ("model", "messages", "stream", "stream_options", "n"):
        raise Failure(ExitCode.USAGE, f"--with cannot change {name!r}")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def _read(place: str | None) -> tuple[tuple[Prompt, ...], str]:
    """The prompts of a file, or of what is piped in; and its name."""
    if place in (None, "-"):
        if sys.stdin.isatty():
            raise Failure(
                ExitCode.USAGE, "there are no prompts: give --prompts FILE, or --from-ledger"
            )
        return read_prompts(_text(sys.stdin.buffer.read(), "what is piped in")), "stdin"
    path = Path(str(place))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failure(ExitCode.USAGE, f"cannot read {path}: {error.strerror}") from error
    return read_prompts(_text(data, str(path)), name=path.name), path.name


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CompareError(f"{source} is no text in UTF-8: {error.reason}") from error


def _stored(config: Config, which: Filter, limit: int, *, away: bool) -> tuple[Prompt, ...]:
    """What clients asked; what may not leave this machine only if nobody else is asked."""
    with reading(config) as connection:
        stored = samples(connection, which)
        privacy = Privacy.from_config(config.privacy)
        found = sampled(stored, limit=limit, away=away, privacy=privacy)
    for reason, count in found.left_out.items():
        note(f"left out: {count:,} requests: {reason}")
    return found.prompts


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)


def _write(path: Path, data: bytes) -> None:
    """Replace a file as a whole; nobody else may read it, for it holds what people asked."""
    try:
        write_atomic(path, data, mode=0o600)
    except OSError as error:
        raise CompareError(f"cannot write {path}: {error.strerror}") from error


def _tell_failures(report: Report) -> None:
    """A target that never answered has most likely the wrong name, or key: that is no result."""
    first: Mapping[str, str] = {
        answer.target: _shown(answer.error)
        for item in reversed(report.items)
        for answer in item.answers
        if answer.error
    }
    for side in report.groups[0].sides:
        if side.failed:
            note(f"{side.target}: {side.failed} of {side.answers} failed: {first[side.target]}")
    lost = [side for side in report.groups[0].sides if side.failed == side.answers]
    if lost:
        raise CompareError(f"{lost[0].target} answered nothing: {first[lost[0].target]}")


def _shown(text: str) -> str:
    """What an upstream said of itself, safe for a terminal."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= _LONGEST_ERROR else line[:_LONGEST_ERROR] + "…"
