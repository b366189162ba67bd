"""The pattern that needs no change of code: address, key and model come from the environment."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.compat.running import Server, clean_environment
from tests.compat.scripts import script

_APPLICATION = """
import os
from openai import OpenAI

with OpenAI() as client:
    reply = client.chat.completions.create(
        model=os.environ.get("LLM_MODEL", "gpt-4o-mini"),
        messages=[{"role": "user", "content": os.environ["QUESTION"]}],
    )
    print(reply.model, reply.choices[0].message.content)
"""


def run(server: Server, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _APPLICATION],
        env=clean_environment()
        | {
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_KEY": "unused",
            "QUESTION": script(text="forty-two"),
        }
        | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_application_is_moved_by_its_environment(scripted_server: Server) -> None:
    assert run(scripted_server, LLM_MODEL="tools") == "tools:latest forty-two"


def test_an_application_keeps_its_model_name_by_an_alias(scripted_server: Server) -> None:
    assert "LLM_MODEL" not in os.environ
    assert run(scripted_server) == "tiny:latest forty-two"
