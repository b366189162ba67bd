"""An operator asks one model, whatever the routes say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL
from tests.server.routed import Routed, ask, decided, routed

ROUTES = f'[routes]\n"gpt-4o" = "local:{MODEL}"\n"{MODEL}" = "cloud"\n'


async def asked(both: Routed, target: str, body: dict[str, Any]) -> tuple[int, Any, Any]:
    url = f"{both.server.url}/admin/ask"
    async with both.server.session.post(url, params={"target": target}, json=body) as reply:
        return reply.status, reply.headers, await reply.json()


async def test_the_target_answers_and_not_the_route(home: Path) -> None:
    async with routed(home, ROUTES, admin=True) as both:
        status, headers, reply = await asked(both, "cloud:cloud/gpt-4.1", ask("gpt-4o"))
        assert (status, reply["choices"][0]["message"]["content"]) == (200, "from the cloud")
        assert [each["model"] for each in both.asked] == ["gpt-4.1"]
        said = decided(headers)
        assert (said["side"], said["backend"], said["model"]) == ("cloud", "cloud", "gpt-4.1")
        assert said["why"] == "an operator asks cloud:cloud/gpt-4.1"
        status, headers, reply = await asked(both, f"local:{MODEL}", ask(MODEL))
        assert (status, reply["model"], decided(headers)["side"]) == (200, MODEL, "local")
        assert len(both.asked) == 1


async def test_what_must_stay_here_is_not_sent_away(home: Path) -> None:
    async with routed(home, '[privacy]\nnames = ["gpt-4o"]', admin=True) as both:
        await asked(both, "cloud:cloud/gpt-4.1", ask("gpt-4o"))
        assert both.asked == []


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("", "a target names one model"),
        ("local", "a target names one model"),
        ("split(local=1, cloud=2)", "a target names one model"),
        ("cloud:nobody/gpt-4o", "the upstream 'nobody' is not configured"),
        ("lokal:x", "Did you mean local?"),
        ("local:missing", "missing"),
    ],
)
async def test_what_names_no_model_is_refused(home: Path, target: str, says: str) -> None:
    async with routed(home, admin=True) as both:
        status, _, reply = await asked(both, target, ask())
        assert 400 <= status < 500
        assert says in reply["error"]["message"]
        assert both.asked == []


async def test_clients_cannot_aim(home: Path) -> None:
    async with routed(home) as both:
        status, _, _ = await asked(both, "cloud:cloud/gpt-4.1", ask())
        assert (status, both.asked) == (404, [])
