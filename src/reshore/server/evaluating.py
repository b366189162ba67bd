"""Puts evaluation together, for the lifespan of a server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from reshore.clock import Clock
from reshore.config import Config
from reshore.evals.live.evaluation import Evaluation
from reshore.evals.live.keeping import Keeping
from reshore.ledger.ledger import Ledger
from reshore.server.deciders import Deciding


@contextlib.asynccontextmanager
async def running_evaluation(
    config: Config, clock: Clock, ledger: Ledger, deciding: Deciding
) -> AsyncIterator[Evaluation | None]:
    """Evaluation while the server runs; None where it is switched off.

    Args:
        deciding: who decides pairs (`open_decider`).

    Raises:
        ConfigError: `[evaluation]` names a check that there is not.
    """
    if not config.evaluation.enabled:
        yield None
        return
    async with Evaluation(
        config.evaluation,
        keeping=Keeping(config.home / "evaluation"),
        clock=clock,
        ledger=ledger,
        decider=deciding.decider,
        deciders=deciding.deciders,
        judged=deciding.judged,
    ) as evaluation:
        yield evaluation
