"""From what is told of requests and pairs to the evidence of a rollout. Pure."""

from __future__ import annotations

from reshore.evals.rollouts.inbox import Seen
from reshore.evals.rollouts.kept import Kept
from reshore.routing.paired import Paired
from reshore.routing.rollout_moves import Move
from reshore.routing.watches import swapped

# More conversations than that are not told apart within a step.
_CONVERSATIONS = 50_000


def hear(kept: Kept, item: Seen | Paired, now_s: float) -> Move | None:
    """Take one piece of evidence. Returns what is to be done now and was not before."""
    if isinstance(item, Paired):
        return _compared(kept, item, now_s)
    if item.version < kept.version:
        return None  # decided before the step was in force, whenever it arrived
    return kept.rollout.answered(
        item.answered.side,
        now_s,
        failed=item.answered.failed,
        ttft_ms=item.answered.ttft_ms,
        arrived_s=item.arrived_s,
    )


def _compared(kept: Kept, pair: Paired, now_s: float) -> Move | None:
    verdict, known = pair.verdict, kept.conversations
    if verdict != "undecided" and pair.conversation:
        # What is said of one conversation belongs together: its first pair counts.
        if pair.conversation in known:
            return None
        if len(known) < _CONVERSATIONS:
            known.add(pair.conversation)
    if kept.rollout.plan.to == "cloud":
        verdict = swapped(verdict)
    return kept.rollout.pair(verdict, now_s, arrived_s=pair.arrived_s)
