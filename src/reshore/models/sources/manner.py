"""How files are fetched and given."""

from __future__ import annotations

from dataclasses import dataclass, field

from reshore.clock import Clock, SystemClock
from reshore.models.progress import OnProgress, ignore
from reshore.models.sources.patience import Parts, Patience


@dataclass(frozen=True)
class Manner:
    """How files come and go: with which clock and patience, in which parts, telling whom."""

    clock: Clock = field(default_factory=SystemClock)
    on_progress: OnProgress = ignore
    patience: Patience = field(default_factory=Patience)
    parts: Parts = field(default_factory=Parts)
