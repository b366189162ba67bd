"""OpenAI's SDK through reshore, whose cloud is a second reshore: real weights on both sides.

The cloud's model is the starter model under another name, with another system prompt and other
sampling, so that it can be told who answered.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import ollama
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from reshore.models.create import create
from reshore.models.recipe import Recipe
from reshore.models.store import Store
from tests.compat.running import KEY, Server, serving, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LOCAL, CLOUD = "smollm2:135m", "gpt-4o:latest"
NEVER_END = {"2": -100}  # SmolLM2's `<|im_end|>`
FOX: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me of a fox."}]

_ROUTES = """
read_models = ["{models}"]

[upstreams.cloud]
url = "{url}"
kind = "reshore"

[routes]
"gpt-4o" = "cloud"
"both" = "fallback(local:{local}, cloud:cloud/gpt-4o)"
"halves" = "split(local:{local}=50, cloud:cloud/gpt-4o=50, sticky=user)"
"text-embedding-3-small" = "cloud:cloud/all-minilm"
"""


@pytest.fixture(scope="module")
def cloud(starter_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("cloud")
    models = starter_home / "models"
    store = Store(home / "models", [models])
    parameters = {"temperature": 0.0, "repeat_penalty": 1.3, "num_predict": 24}
    recipe = Recipe(base=LOCAL, system="You are a pirate. Say arr.", parameters=parameters)
    asyncio.run(create(store, CLOUD, recipe))
    (home / "reshore.toml").write_text(f'read_models = ["{models}"]\n')
    with serving(home, {"RESHORE_API_KEY": KEY}) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(
    cloud: Server, starter_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("gateway")
    text = _ROUTES.format(models=starter_home / "models", url=cloud.base_url, local=LOCAL)
    (home / "reshore.toml").write_text(text)
    with serving(home, {"RESHORE_UPSTREAM_CLOUD_KEY": KEY}) as server:
        yield server


@pytest.fixture
def client(gateway: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.base_url, api_key="of-the-client", max_retries=0) as client:
        yield client


@pytest.fixture
def direct(cloud: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=cloud.base_url, api_key=KEY, max_retries=0) as client:
        yield client


def test_a_chat_is_what_the_cloud_says(client: OpenAI, direct: OpenAI) -> None:
    said = [
        each.chat.completions.create(model="gpt-4o", messages=FOX).choices[0].message.content
        for each in (client, direct)
    ]
    assert said[0]
    assert said[0] == said[1]
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=FOX)
    assert raw.headers["x-reshore-decision"].startswith("side=cloud; backend=cloud")
    assert raw.parse().model == CLOUD


def test_a_local_model_is_not_the_clouds(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=LOCAL, messages=FOX, max_tokens=8)
    assert raw.headers["x-reshore-decision"].startswith("side=local")
    assert raw.parse().model == LOCAL


def test_a_stream_is_the_same_text(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="gpt-4o", messages=FOX)
    stream = client.chat.completions.create(
        model="gpt-4o", messages=FOX, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


def test_vectors_are_the_clouds(client: OpenAI, direct: OpenAI) -> None:
    ours = client.embeddings.create(model="text-embedding-3-small", input=["a fox", "a hound"])
    theirs = direct.embeddings.create(model="all-minilm", input=["a fox", "a hound"])
    assert [e.embedding for e in ours.data] == [e.embedding for e in theirs.data]


def test_a_completion_passes(client: OpenAI) -> None:
    reply = client.completions.create(model="gpt-4o", prompt="The fox", max_tokens=5)
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 5


def test_an_error_of_the_cloud_is_its_own(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="gpt-4o", messages=FOX, temperature=9)
    assert raised.value.param == "temperature"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="not-anywhere", messages=FOX)
    assert unknown.value.code == "model_not_found"


def test_models_of_both_sides_are_listed(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert len(names) == len(set(names))
    assert {LOCAL, CLOUD, "both", "gpt-4o"} <= set(names)


def test_a_user_stays_on_one_side(client: OpenAI) -> None:
    sides: dict[str, set[str]] = {}
    for user in [f"user-{i % 6}" for i in range(12)]:
        raw = client.chat.completions.with_raw_response.create(
            model="halves", messages=FOX, user=user, max_tokens=1
        )
        side = raw.headers["x-reshore-decision"].partition(";")[0]
        sides.setdefault(user, set()).add(side)
    assert all(len(of_user) == 1 for of_user in sides.values())
    assert set().union(*sides.values()) == {"side=local", "side=cloud"}


def test_a_pin_chooses_the_side(client: OpenAI) -> None:
    for side, model in (("local", LOCAL), ("cloud", CLOUD)):
        reply = client.chat.completions.create(
            model="both", messages=FOX, max_tokens=1, extra_headers={"x-reshore-route": side}
        )
        assert reply.model == model


async def test_hanging_up_frees_the_clouds_slot(gateway: Server, cloud: Server) -> None:
    async with AsyncOpenAI(base_url=gateway.base_url, api_key="x", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=FOX, max_tokens=2000, stream=True, logit_bias=NEVER_END
        )
        async for _ in stream:
            break
        assert cloud.in_flight() == 1
        await stream.close()
        await asyncio.to_thread(wait_until, lambda: cloud.in_flight() == 0, "the slot is free", 10)


async def test_fifty_at_once(gateway: Server) -> None:
    async with AsyncOpenAI(base_url=gateway.base_url, api_key="x", max_retries=0) as client:

        async def one(i: int) -> str | None:
            reply = await client.chat.completions.create(
                model="gpt-4o" if i % 2 else LOCAL, messages=FOX, max_tokens=2, temperature=0
            )
            return reply.choices[0].message.content

        said = await asyncio.gather(*(one(i) for i in range(50)))
    assert len(set(said[::2])) == len(set(said[1::2])) == 1
    assert all(said)


def test_ollamas_client_is_answered_from_the_cloud(gateway: Server, client: OpenAI) -> None:
    whole = client.chat.completions.create(model="gpt-4o", messages=FOX)
    with ollama.Client(host=gateway.root) as native:
        reply = native.chat("gpt-4o", messages=FOX)
        assert reply.message.content == whole.choices[0].message.content
        assert reply.eval_count == (whole.usage and whole.usage.completion_tokens)
        vectors = native.embed("text-embedding-3-small", ["a fox"]).embeddings
        assert len(vectors[0]) == 384


def test_what_was_routed_is_in_the_log(gateway: Server, client: OpenAI) -> None:
    client.chat.completions.create(model="gpt-4o", messages=FOX)
    lines = (gateway.home / "serve.log").read_text().splitlines()
    requests = [json.loads(line) for line in lines if '"message":"request"' in line]
    assert requests[-1]["asked_model"] == "gpt-4o"
    assert requests[-1]["model"] == CLOUD
    assert KEY not in "\n".join(lines)
