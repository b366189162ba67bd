"""Images, from a client to llama.cpp's projector and back, with a tiny model that sees."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.backends.image_samples import bmp, gif, png
from tests.compat.running import Server, clean_environment, serving
from tests.models.tiny_vision import IMAGE_TOKENS, write_tiny_vision

pytestmark = pytest.mark.slow

MODEL = "seer"
WIDTH, HEIGHT = 40, 30
RED = b"\xff\0\0"
BLUE = b"\0\0\xff"
CUT_GIF = gif(5, 5)[:14]  # only its decoder finds that out


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the model, installed from a folder as its user would."""
    home = tmp_path_factory.mktemp("vision")
    folder = tmp_path_factory.mktemp("files")
    write_tiny_vision(folder)
    reshore(home, "create", MODEL, "--from", str(folder))
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    with serving(home) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="unused", max_retries=0) as client:
        yield client


def reshore(home: Path, *arguments: str) -> str:
    """What a command of ours prints."""
    done = subprocess.run(
        [Path(sys.executable).with_name("reshore"), *arguments],
        env=clean_environment() | {"RESHORE_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def picture(pixel: bytes = RED) -> bytes:
    return png(WIDTH, HEIGHT, (b"\0" + pixel * WIDTH) * HEIGHT)


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def question(*urls: str) -> list[dict[str, Any]]:
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, *images]}]


def ask(client: OpenAI, *urls: str, **more: Any) -> Any:
    more = {"max_tokens": 8, "seed": 1, "temperature": 0} | more
    return client.chat.completions.create(model=MODEL, messages=question(*urls), **more)


def refusal(client: OpenAI, *urls: str, **more: Any) -> dict[str, Any]:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, *urls, **more)
    assert isinstance(caught.value.body, dict)
    return caught.value.body


def test_a_folder_with_a_projector_becomes_a_model_that_sees(home: Path) -> None:
    shown = json.loads(reshore(home, "show", MODEL, "--json"))
    assert "vision" in shown["capabilities"]
    assert "vision" in reshore(home, "show", MODEL)


def test_each_image_is_part_of_the_prompt(client: OpenAI) -> None:
    tokens = [
        ask(client, *urls).usage.prompt_tokens
        for urls in ((), (data_url(picture()),), (data_url(picture()), data_url(picture(BLUE))))
    ]
    assert tokens[1] - tokens[0] >= IMAGE_TOKENS
    assert tokens[2] - tokens[1] >= IMAGE_TOKENS


def test_the_answer_depends_on_what_is_seen(client: OpenAI) -> None:
    """The weights are random, but the same image gives the same numbers, and another one others."""
    red, again, blue = (
        ask(client, data_url(picture(pixel)), logprobs=True, top_logprobs=5)
        .choices[0]
        .logprobs.content[0]
        .top_logprobs
        for pixel in (RED, RED, BLUE)
    )
    assert [token.logprob for token in red] == pytest.approx([t.logprob for t in again], abs=1e-3)
    assert [token.logprob for token in red] != pytest.approx([t.logprob for t in blue], abs=1e-3)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (gif(1, 1), "gif"),
        (bmp(2, 2, bytes(16)), "bmp"),
        (picture(), "jpeg"),  # mislabelled, as many are
        (png(1, 1), "png"),
        (png(200, 1), "png"),
        (png(1, 200), "png"),
        (png(3, 3, bytes(3 * 25), depth=16, colour=6), "png"),
        (png(3, 3, bytes(22), colour=0, interlaced=True), "png"),
    ],
)
def test_every_kind_that_is_promised_is_decoded(client: OpenAI, data: bytes, kind: str) -> None:
    assert ask(client, data_url(data, kind)).usage.prompt_tokens > IMAGE_TOKENS


def test_several_choices_share_an_image(client: OpenAI) -> None:
    one = ask(client, data_url(picture())).usage
    several = ask(client, data_url(picture()), n=6, temperature=1)
    assert [choice.index for choice in several.choices] == list(range(6))
    assert several.usage.prompt_tokens == one.prompt_tokens
    assert several.usage.completion_tokens > one.completion_tokens


def test_an_answer_about_an_image_streams(client: OpenAI) -> None:
    whole = ask(client, data_url(picture()))
    chunks = list(
        ask(client, data_url(picture()), stream=True, stream_options={"include_usage": True})
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens


def test_a_conversation_goes_on_after_an_image(client: OpenAI) -> None:
    turns = [
        *question(data_url(picture())),
        {"role": "assistant", "content": "A red one."},
        *question(data_url(picture(BLUE))),
    ]
    reply = client.chat.completions.create(model=MODEL, messages=turns, max_tokens=4)  # type: ignore[arg-type]
    assert reply.usage is not None
    assert reply.usage.prompt_tokens > 2 * IMAGE_TOKENS


@pytest.mark.parametrize("images", [0, 1])
def test_a_text_that_looks_like_the_engines_own_marker_is_a_text(
    client: OpenAI, images: int
) -> None:
    turns = question(*[data_url(picture())] * images)
    turns[0]["content"].append({"type": "text", "text": "<__media__> <image>"})
    reply = client.chat.completions.create(model=MODEL, messages=turns, max_tokens=4)  # type: ignore[arg-type]
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens > 60) == (images > 0)


def test_num_ctx_counts_what_images_take(client: OpenAI) -> None:
    urls = [data_url(picture())] * 5
    needed = ask(client, *urls).usage.prompt_tokens
    fits = ask(client, *urls, extra_body={"num_ctx": needed + 3})
    assert fits.usage.completion_tokens <= 3
    error = refusal(client, *urls, extra_body={"num_ctx": needed})
    assert error["code"] == "context_length_exceeded"
    assert f"{needed} tokens" in error["message"]


def test_a_schema_and_tools_hold_beside_an_image(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"red": {"type": "boolean"}}, "required": ["red"]}
    answer = ask(
        client,
        data_url(picture()),
        max_tokens=200,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "colour", "schema": schema},
        },
    ).choices[0]
    if answer.finish_reason == "stop":
        assert isinstance(json.loads(answer.message.content)["red"], bool)
    call = ask(
        client,
        data_url(picture()),
        max_tokens=200,
        tool_choice="required",
        tools=[{"type": "function", "function": {"name": "paint", "parameters": schema}}],
    ).choices[0]
    assert call.finish_reason in ("tool_calls", "length")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", ""),
        (b"not an image", ""),
        (picture()[:60], "cut short"),
        (picture()[:-20], "cut short"),
        (picture().replace(b"IDAT\x78", b"IDAT\x11"), "damaged"),
        (png(30_000, 30_000, b""), "30000 x 30000"),
        (png(1, 1, bytes(100_000_000)), "unpacks to more"),
        (png(16_000_000, 1, b""), "200 times"),
        (b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f" + bytes(12), "WebP"),
        (b"RIFF\x1a\0\0\0WAVEfmt " + bytes(24), "not decoded"),
        (b"BM" + bytes(60), "0 x 0"),
        (CUT_GIF, "cannot decode"),
    ],
)
def test_a_bad_image_is_a_bad_request_and_the_engine_lives(
    client: OpenAI, server: Server, data: bytes, says: str
) -> None:
    ask(client)
    (before,) = server.loaded()
    error = refusal(client, data_url(picture()), data_url(data))
    assert error["param"].startswith("messages")
    assert says in error["message"]
    ask(client, data_url(picture()))
    (after,) = server.loaded()
    assert after["pid"] == before["pid"]


def test_more_images_than_allowed_are_refused(client: OpenAI) -> None:
    assert "at most 16" in refusal(client, *[data_url(picture())] * 17)["message"]


def test_urls_are_refused_unless_enabled(client: OpenAI, server: Server) -> None:
    error = refusal(client, f"{server.root}/picture.png")
    assert error["param"] == "messages[0].content[1].image_url"
    assert "image_urls" in error["message"]


def test_urls_of_this_machine_are_refused_even_then(home: Path, tmp_path: Path) -> None:
    (tmp_path / "reshore.toml").write_text(
        f'image_urls = true\nread_models = ["{home / "models"}"]\n'
    )
    with (
        serving(tmp_path) as server,
        OpenAI(base_url=server.base_url, api_key="unused", max_retries=0) as client,
    ):
        for host in (server.root, server.root.replace("127.0.0.1", "localhost")):
            error = refusal(client, f"{host}/picture.png")
            assert "not a public address" in error["message"]
            assert error["param"] == "messages[0].content[1].image_url"


def test_what_the_engine_cannot_decode_is_handed_to_no_other_program(
    home: Path, tmp_path: Path
) -> None:
    """llama.cpp would try `ffprobe`, to see whether it is a video."""
    traces = tmp_path / "traces"
    for name in ("ffprobe", "ffmpeg"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "$0" >> "{traces}"\n')
        program.chmod(0o755)
    (tmp_path / "reshore.toml").write_text(f'read_models = ["{home / "models"}"]\n')
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    with (
        serving(tmp_path, {"PATH": path}) as server,
        OpenAI(base_url=server.base_url, api_key="unused", max_retries=0) as client,
    ):
        assert refusal(client, data_url(CUT_GIF))["param"] == "messages"
    assert not traces.exists()


def native(server: Server, messages: list[dict[str, Any]]) -> tuple[Message, dict[str, Any]]:
    """Headers and reply of Ollama's `/api/chat`."""
    body = {"model": MODEL, "messages": messages, "stream": False, "options": {"num_predict": 4}}
    request = urllib.request.Request(
        f"{server.root}/api/chat",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return reply.headers, json.loads(reply.read())


def test_the_native_api_sees_too(server: Server) -> None:
    text = {"role": "user", "content": "What is it?"}
    image = base64.b64encode(picture()).decode()
    _, blind = native(server, [text])
    _, seen = native(server, [text | {"images": [image]}])
    assert seen["prompt_eval_count"] - blind["prompt_eval_count"] >= IMAGE_TOKENS


def test_images_that_overflow_the_context_are_told_so(home: Path, tmp_path: Path) -> None:
    """And on the native API, which truncates, no more turns go than have to."""
    (tmp_path / "reshore.toml").write_text(f'read_models = ["{home / "models"}"]\n')
    turn = {"role": "user", "content": "?", "images": [base64.b64encode(picture()).decode()]}
    with (
        serving(tmp_path, {"RESHORE_ENGINE_CONTEXT_LENGTH": "256"}) as server,
        OpenAI(base_url=server.base_url, api_key="unused", max_retries=0) as client,
    ):
        error = refusal(client, *[data_url(picture())] * 16)
        assert error["code"] == "context_length_exceeded"
        ask(client, data_url(picture()))
        headers, reply = native(server, [turn] * 12)
        assert "messages=" in headers["x-reshore-truncated"]
        assert reply["prompt_eval_count"] > 128
