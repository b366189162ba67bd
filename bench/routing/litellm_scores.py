"""Runs in LiteLLM's environment: prompts as JSON on standard input, scores on standard output."""

from __future__ import annotations

import asyncio
import json
import sys

from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter


class _NoModels:
    """Stands for the gateway around the router, which scoring does not ask."""

    model_list = ()


def main() -> None:
    prompts = json.load(sys.stdin)
    rules = ComplexityRouter(model_name="bench", litellm_router_instance=_NoModels())
    trained = ComplexityRouter(
        model_name="bench",
        litellm_router_instance=_NoModels(),
        complexity_router_config={"classifier_type": "heuristic_v2"},
    )
    found = {
        "heuristic": [rules.classify(prompt)[1] for prompt in prompts],
        "heuristic_v2": [asyncio.run(_unlikely(trained, prompt)) for prompt in prompts],
    }
    sys.stdout.write("\n" + json.dumps(found))


async def _unlikely(router: ComplexityRouter, prompt: str) -> float:
    """How unlikely the cheapest tier is to do."""
    forecast = (await router.aclassify(prompt)).heuristic_v2_forecast
    return 1 - forecast["probabilities"]["SIMPLE"]


if __name__ == "__main__":
    main()
