"""The import graph keeps the order of the design: imports run one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "reshore"

# Lower ranks know nothing of higher ones. Modules of one rank may know each other only within
# one folder.
RANKS = {
    "types": 0,
    "errors": 0,
    "clock": 0,
    "config": 1,
    "wire": 2,
    "checks": 2,
    "models": 2,
    "stats": 2,
    "engine": 3,
    "backends": 4,
    "routing": 5,
    "ledger": 6,
    "telemetry": 6,
    "evals": 7,
    "server": 8,
    "cli": 9,
    "testing": 8,
}

# These are where bugs would hide, so these are where tests are instant.
PURE = (
    "wire",
    "checks",
    "engine/grammar",
    "engine/plan.py",
    "backends/remote/headers.py",
    "backends/remote/keys.py",
    "backends/remote/passing.py",
    "backends/remote/refusals.py",
    "evals/answered.py",
    "evals/calibration.py",
    "evals/families.py",
    "evals/judge.py",
    "evals/length.py",
    "evals/compare/aims.py",
    "evals/compare/judged.py",
    "evals/compare/page",
    "evals/compare/prompts.py",
    "evals/compare/report.py",
    "evals/compare/sampled.py",
    "evals/compare/summary.py",
    "evals/compare/verdict.py",
    "evals/compare/words.py",
    "evals/expected.py",
    "evals/gathering.py",
    "evals/off_policy.py",
    "evals/live/conversations.py",
    "evals/live/evidence.py",
    "evals/live/standing.py",
    "evals/pairs.py",
    "evals/replay.py",
    "evals/reports.py",
    "evals/rollouts/asked.py",
    "evals/rollouts/beginning.py",
    "evals/rollouts/hearing.py",
    "evals/rollouts/inbox.py",
    "evals/rollouts/kept.py",
    "evals/scoring.py",
    "ledger/batch.py",
    "ledger/entry.py",
    "ledger/prices.py",
    "ledger/redaction.py",
    "ledger/texts.py",
    "routing/aliases.py",
    "routing/allowing.py",
    "routing/asking.py",
    "routing/breaker.py",
    "routing/case.py",
    "routing/complexity.py",
    "routing/content.py",
    "routing/decide.py",
    "routing/explain.py",
    "routing/guards.py",
    "routing/learned.py",
    "routing/naming.py",
    "routing/opinions.py",
    "routing/failure.py",
    "routing/journal.py",
    "routing/paired.py",
    "routing/parsing.py",
    "routing/patterns.py",
    "routing/plan.py",
    "routing/planning.py",
    "routing/policy.py",
    "routing/privacy.py",
    "routing/retry.py",
    "routing/rollout.py",
    "routing/rollout_moves.py",
    "routing/rollout_plan.py",
    "routing/sides.py",
    "routing/signs.py",
    "routing/snapshot.py",
    "routing/stepping.py",
    "routing/sticky.py",
    "routing/syntax.py",
    "routing/table.py",
    "routing/taught.py",
    "routing/tiers.py",
    "routing/vocabulary.py",
    "routing/watches.py",
    "routing/world.py",
    "stats",
    "telemetry/gauges.py",
    "telemetry/labels.py",
    "telemetry/meter.py",
    "telemetry/metrics.py",
    "telemetry/series.py",
)
IMPURE = {
    "asyncio",
    "aiohttp",
    "starlette",
    "uvicorn",
    "socket",
    "http",
    "sqlite3",
    "sqlalchemy",
    "subprocess",
}


def modules() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


def station(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or "", node.lineno


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_imports_run_one_way(path: Path) -> None:
    own = station(path)
    if own == "__init__":
        return
    for name, line in imports(ast.parse(path.read_text())):
        if not name.startswith("reshore."):
            continue
        other = name.split(".")[1]
        assert other == own or RANKS[other] < RANKS[own], f"line {line}: {own} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_no_first_party_import_hides_in_a_function(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            hidden = [name for name, _ in imports(node) if name.split(".")[0] == "reshore"]
            assert not hidden, f"{node.name} imports {hidden}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_pure_modules_do_no_input_or_output(path: Path) -> None:
    place = str(path.relative_to(SRC))
    if not place.startswith(PURE):
        return
    used = {name.split(".")[0] for name, _ in imports(ast.parse(path.read_text()))}
    assert not used & IMPURE


def test_the_engine_library_is_imported_in_its_worker_alone() -> None:
    users = set()
    for path in modules():
        names = {name.split(".")[0] for name, _ in imports(ast.parse(path.read_text()))}
        if "xllamacpp" in names:
            users.add(str(path.relative_to(SRC)))
    assert users <= {"engine/worker.py"}
