"""The curves as pictures: share of calls to the strong model against the gap recovered."""

from __future__ import annotations

from pathlib import Path

from bench.labels import Labelled
from bench.routing.measures import Measured


def draw(folder: Path, labelled: Labelled, figures: dict[str, Measured]) -> Path | None:
    """Write `<set>.svg`; None without matplotlib, which the extra `bench` brings."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.add_subplot(
        title=f"{labelled.name}: {labelled.weak_model} / {labelled.strong_model}",
        xlabel="share of calls to the strong model",
        ylabel="gap in accuracy recovered",
    )
    for name, one in figures.items():
        shares = [at / (len(one.curve) - 1) for at in range(len(one.curve))]
        axes.plot(shares, one.curve, label=f"{name}  {one.apgr.apgr:.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.5)
    axes.legend(fontsize="small", title="APGR")
    path = folder / f"{labelled.name}.svg"
    figure.savefig(path, metadata={"Date": None})
    return path
