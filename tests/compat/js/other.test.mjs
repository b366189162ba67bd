// Completions, embeddings and models through OpenAI's JavaScript SDK, against scripted engines.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import OpenAI from "openai";
import { client } from "./servers.mjs";

// Texts, and the vectors that the Python SDK got for them as floats.
const expected = JSON.parse(readFileSync(process.env.EMBEDDINGS, "utf8"));

function assertClose(actual, wanted) {
  assert.equal(actual.length, wanted.length);
  actual.forEach((value, at) => assert.ok(Math.abs(value - wanted[at]) < 1e-6));
}

test("a prompt is continued, whole and streamed", async () => {
  const request = { model: "tiny", prompt: '/echo {"text": "one two three"}' };
  const reply = await client.completions.create(request);
  assert.equal(reply.choices[0].text, "one two three");
  let text = "";
  for await (const chunk of await client.completions.create({ ...request, stream: true })) {
    text += chunk.choices[0].text;
  }
  assert.equal(text, "one two three");
});

test("one text is embedded with the SDK's default encoding", async () => {
  const model = "text-embedding-3-small";
  const reply = await client.embeddings.create({ model, input: expected[0].text });
  assertClose(reply.data[0].embedding, expected[0].embedding);
});

test("a batch keeps its order, whatever the encoding", async () => {
  const request = { model: "team/embed", input: expected.map((item) => item.text) };
  const encoded = await client.embeddings.create(request);
  const floats = await client.embeddings.create({ ...request, encoding_format: "float" });
  for (const reply of [encoded, floats]) {
    assert.deepEqual(reply.data.map((item) => item.index), [...expected.keys()]);
    reply.data.forEach((item, at) => assertClose(item.embedding, expected[at].embedding));
  }
});

test("models are listed, and found by names with a slash", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  for (const name of ["tiny:latest", "team/embed:latest", "gpt-4o-mini"]) {
    assert.ok(names.includes(name), name);
  }
  const model = await client.models.retrieve("team/embed"); // goes out as team%2Fembed
  assert.equal(model.id, "team/embed");
  await assert.rejects(client.models.retrieve("team/nothing"), OpenAI.NotFoundError);
});
