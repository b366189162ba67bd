"""Embeddings through the official Python SDK, with its default encoding and without."""

from __future__ import annotations

import base64
import math
import struct

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

TEXTS = ["The quick brown fox", "A fast auburn fox", "Quarterly revenue fell sharply"]


def length(vector: list[float]) -> float:
    return math.sqrt(sum(value * value for value in vector))


def test_the_default_encoding_and_floats_give_the_same_vector(scripted: OpenAI) -> None:
    """The SDK asks for base64 unless told otherwise, and decodes it itself."""
    default = scripted.embeddings.create(model="team/embed", input=TEXTS[0])
    floats = scripted.embeddings.create(model="team/embed", input=TEXTS[0], encoding_format="float")
    assert default.data[0].embedding == pytest.approx(floats.data[0].embedding, rel=1e-6)
    assert length(default.data[0].embedding) == pytest.approx(1, abs=1e-5)
    assert default.data[0].object == "embedding"
    assert default.model == "team/embed:latest"
    assert default.usage.prompt_tokens == default.usage.total_tokens > 0


def test_base64_is_little_endian_float32(scripted: OpenAI) -> None:
    encoded = scripted.embeddings.create(
        model="team/embed", input=TEXTS[0], encoding_format="base64"
    )
    floats = scripted.embeddings.create(model="team/embed", input=TEXTS[0], encoding_format="float")
    raw = base64.b64decode(str(encoded.data[0].embedding))
    assert struct.unpack(f"<{len(raw) // 4}f", raw) == pytest.approx(
        floats.data[0].embedding, rel=1e-6
    )


async def test_a_batch_keeps_its_order(scripted_async: AsyncOpenAI) -> None:
    batch = [f"{text} {number}" for number in range(30) for text in TEXTS]
    together = await scripted_async.embeddings.create(model="team/embed", input=batch)
    assert [item.index for item in together.data] == list(range(90))
    for index in (0, 41, 89):
        alone = await scripted_async.embeddings.create(model="team/embed", input=batch[index])
        assert together.data[index].embedding == pytest.approx(alone.data[0].embedding, rel=1e-6)
    assert len({tuple(item.embedding) for item in together.data}) == 90


def test_token_arrays_are_embedded_as_the_text_they_stand_for(scripted: OpenAI) -> None:
    """LangChain sends token ids; a scripted engine's tokens are bytes."""
    text = scripted.embeddings.create(model="team/embed", input="fox")
    ids = scripted.embeddings.create(model="team/embed", input=list(b"fox"))
    lists = scripted.embeddings.create(model="team/embed", input=[list(b"fox"), list(b"hen")])
    assert ids.data[0].embedding == pytest.approx(text.data[0].embedding)
    assert lists.data[0].embedding == pytest.approx(text.data[0].embedding)
    assert lists.data[1].embedding != pytest.approx(text.data[0].embedding)


def test_dimensions_cut_and_renormalise(scripted: OpenAI) -> None:
    whole = scripted.embeddings.create(model="team/embed", input=TEXTS[0]).data[0].embedding
    cut = scripted.embeddings.create(model="team/embed", input=TEXTS[0], dimensions=8)
    norm = length(whole[:8])
    assert cut.data[0].embedding == pytest.approx([v / norm for v in whole[:8]], rel=1e-5)


def test_an_alias_embeds(scripted: OpenAI) -> None:
    reply = scripted.embeddings.create(model="text-embedding-3-small", input="hello")
    assert reply.model == "team/embed:latest"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": "hello", "dimensions": 100_000}, "dimensions"),
        ({"input": "long " * 5000}, "input"),
    ],
)
def test_what_cannot_be_embedded_is_a_bad_request(
    scripted: OpenAI, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        scripted.embeddings.create(model="team/embed", **fields)
    assert caught.value.param is not None
    assert caught.value.param.startswith(param)


def test_a_chat_model_embeds_and_an_embedding_model_does_not_chat(scripted: OpenAI) -> None:
    raw = scripted.embeddings.with_raw_response.create(model="tiny", input="hello")
    assert raw.headers["x-reshore-pooling"] == "last"
    assert len(raw.parse().data[0].embedding) == 32
    with pytest.raises(openai.BadRequestError, match="team/embed"):
        scripted.chat.completions.create(
            model="team/embed", messages=[{"role": "user", "content": "hello"}]
        )
