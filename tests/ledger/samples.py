"""Outcomes and attempts as requests leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reshore.config import Config, load
from reshore.routing.paired import Paired
from reshore.types import Attempt, Decision, Outcome, Target, Usage

CLOUD = Target(side="cloud", backend="openai", model="gpt-4o-mini")
LOCAL = Target(side="local", backend="local", model="qwen2.5:7b")
USAGE = Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=200)

# 800 at 0.15, 200 at 0.075 and 100 at 0.60 dollars per million: genai-prices since 2024.
PRICE = 120_000 + 15_000 + 60_000

AT_S = 1_750_000_000.0  # 2025-06-15, when prices were those


def settings(home: Path, text: str = "[upstreams.openai]\n", **env: str) -> Config:
    """The settings of a home with one upstream."""
    home.mkdir(exist_ok=True)
    (home / "reshore.toml").write_text(text)
    return load(env={"RESHORE_HOME": str(home), **env})


def paired(request_id: str = "req_1", **changes: Any) -> Paired:
    fields = {
        "request_id": request_id,
        "source": "shadow",
        "route": "gpt-*",
        "arrived_s": AT_S,
        "local": LOCAL,
        "cloud": CLOUD,
        "verdict": "tie",
        "by": "agreement",
        "conversation": "c0ffee",
        "propensity": 0.05,
        "answered": "cloud",
    }
    return Paired(**{**fields, **changes})


def attempt(**changes: Any) -> Attempt:
    fields = {
        "role": "primary",
        "target": CLOUD,
        "answered": True,
        "status": 200,
        "usage": USAGE,
        "total_ms": 900.0,
        "ttft_ms": 200.0,
    }
    return Attempt(**{**fields, **changes})


def outcome(request_id: str = "req_1", **changes: Any) -> Outcome:
    fields = {
        "request_id": request_id,
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "total_ms": 1190.0,
        "stream": True,
        "asked_model": "gpt-4o-mini",
        "model": "gpt-4o-mini",
        "key": "0a1b2c3d",
        "ttft_ms": 200.0,
        "usage": USAGE,
        "decision": Decision(side="cloud", route="gpt-*", policy="cloud", why="as told", version=3),
        "attempts": (attempt(),),
        "wall_s": AT_S,
    }
    return Outcome(**{**fields, **changes})
