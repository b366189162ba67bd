// The starter models through OpenAI's JavaScript SDK: real weights, real tokens.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { allSlotsFree, client } from "./servers.mjs";

const CHAT = "smollm2:135m";
const asking = (content) => [
  { role: "system", content: "You are a helpful assistant." },
  { role: "user", content },
];
const CAPITAL = { model: CHAT, messages: asking("What is the capital of France?"), temperature: 0 };
const expected = JSON.parse(readFileSync(process.env.EMBEDDINGS, "utf8"));

test("a question is answered, whole and streamed", async () => {
  const reply = await client.chat.completions.create(CAPITAL);
  assert.match(reply.choices[0].message.content, /Paris/);
  const stream = client.chat.completions.stream(CAPITAL);
  assert.equal(await stream.finalContent(), reply.choices[0].message.content);
});

test("parse fills a zod schema from what was generated", async () => {
  const Fox = z.object({ name: z.string(), age: z.int(), tame: z.boolean() });
  const reply = await client.chat.completions.parse({
    model: CHAT,
    messages: asking("Describe a tame fox named Ada, 3 years old."),
    response_format: zodResponseFormat(Fox, "fox"),
    temperature: 0,
    max_tokens: 100,
  });
  assert.equal(reply.choices[0].message.parsed.name, "Ada");
});

test("a forced call fits the schema", async () => {
  const parameters = z.object({ city: z.string() });
  const reply = await client.chat.completions.parse({
    model: CHAT,
    messages: asking("What is the weather in Paris?"),
    tools: [zodFunction({ name: "get_weather", parameters })],
    tool_choice: "required",
    parallel_tool_calls: false,
    temperature: 0,
  });
  const [call] = reply.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.equal(call.function.parsed_arguments.city, "Paris");
});

test("vectors are those that the Python SDK gets", async () => {
  const input = expected.map((item) => item.text);
  const reply = await client.embeddings.create({ model: "text-embedding-3-small", input });
  reply.data.forEach((item, at) => {
    const wanted = expected[at].embedding;
    assert.equal(item.embedding.length, wanted.length);
    const cosine = item.embedding.reduce((sum, value, i) => sum + value * wanted[i], 0);
    assert.ok(cosine > 0.9999, `${cosine}`);
  });
});

test("leaving a stream frees its slot", async () => {
  const stream = await client.chat.completions.create({
    model: CHAT,
    messages: asking("Tell me a story of a fox."),
    logit_bias: { 2: -100 }, // the end token: the answer cannot end by itself
    stream: true,
  });
  for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
  await allSlotsFree();
});
