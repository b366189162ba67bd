// Ollama's JavaScript library, against scripted engines.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ollama } from "ollama";
import { allSlotsFree, said, scripted } from "./servers.mjs";

const host = new URL(process.env.SERVER_BASE_URL).origin;
const client = new Ollama({ host });
const stranger = new Ollama({ host: new URL(process.env.KEYED_BASE_URL).origin });

const WORDS = "the quick brown fox jumps";
const PARIS = { city: "Paris", unit: "celsius" };
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "Look up the weather of a city",
    parameters: {
      type: "object",
      required: ["city"],
      properties: { city: { type: "string" }, unit: { type: "string", enum: ["celsius", "kelvin"] } },
    },
  },
};

async function heard(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

test("a chat is answered whole and streamed", async () => {
  const messages = scripted({ text: WORDS });
  const whole = await client.chat({ model: "tiny", messages });
  assert.equal(whole.message.content, WORDS);
  assert.equal(whole.done_reason, "stop");
  assert.equal(whole.eval_count, 5);
  const parts = await heard(await client.chat({ model: "tiny", messages, stream: true }));
  assert.equal(parts.map((part) => part.message.content).join(""), WORDS);
  assert.equal(parts.at(-1).done, true);
  assert.ok(parts.at(-1).total_duration > 0);
});

test("a prompt is continued whole and streamed", async () => {
  const request = { model: "tiny", prompt: scripted({ text: WORDS })[0].content };
  assert.equal((await client.generate(request)).response, WORDS);
  const parts = await heard(await client.generate({ ...request, stream: true }));
  assert.equal(parts.map((part) => part.response).join(""), WORDS);
});

for (const [model, directive] of Object.entries({
  tools: { tool_calls: [{ name: "weather", arguments: PARIS }] },
  tiny: {
    text: `<tool_call>\n{"name": "weather", "arguments": ${JSON.stringify(PARIS)}}\n</tool_call>`,
  },
})) {
  test(`a function is called, and its result goes back (${model})`, async () => {
    const messages = scripted(directive);
    const { message } = await client.chat({ model, messages, tools: [weather] });
    const [call] = message.tool_calls;
    assert.equal(call.function.name, "weather");
    assert.deepEqual(call.function.arguments, PARIS);
    messages.push(message, { role: "tool", tool_name: "weather", content: "sunny" });
    messages.push(...scripted({ text: "It is sunny." }));
    const answer = await client.chat({ model, messages, tools: [weather] });
    assert.equal(answer.message.content, "It is sunny.");
  });
}

test("a schema comes back as JSON", async () => {
  const answer = { city: "Paris" };
  const { message } = await client.chat({
    model: "tiny",
    messages: scripted({ text: JSON.stringify(answer) }),
    format: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  });
  assert.deepEqual(JSON.parse(message.content), answer);
});

test("texts are embedded", async () => {
  const { embeddings } = await client.embed({ model: "team/embed", input: ["one", "two"] });
  assert.equal(embeddings.length, 2);
  const { embedding } = await client.embeddings({ model: "team/embed", prompt: "one" });
  assert.equal(embedding.length, embeddings[0].length);
});

test("models are listed, shown, copied, deleted and seen in memory", async () => {
  const { models } = await client.list();
  assert.ok(models.some((model) => model.name === "tiny:latest" && model.digest.length === 64));
  const shown = await client.show({ model: "tiny" });
  assert.ok(shown.capabilities.includes("completion"));
  assert.equal(shown.model_info["general.architecture"], "llama");
  assert.equal((await client.copy({ source: "tiny", destination: "js-copy" })).status, "success");
  await client.generate({ model: "js-copy", prompt: "" });
  assert.ok((await client.ps()).models.some((model) => model.name === "js-copy:latest"));
  assert.equal((await client.delete({ model: "js-copy" })).status, "success");
  assert.ok((await client.version()).version);
});

test("a model is derived, with its progress", async () => {
  const stream = await client.create({ model: "js-mine", from: "tiny", system: "Be kind.", stream: true });
  const parts = await heard(stream);
  assert.equal(parts.at(-1).status, "success");
  assert.equal((await client.show({ model: "js-mine" })).system, "Be kind.");
  await client.delete({ model: "js-mine" });
});

test("errors have their status and words", async () => {
  await assert.rejects(client.chat({ model: "nobody", messages: said("hi") }), (error) => {
    assert.equal(error.name, "ResponseError");
    assert.equal(error.status_code, 404);
    assert.match(error.message, /model 'nobody' not found/);
    return true;
  });
  await assert.rejects(
    client.chat({ model: "tiny", messages: said("hi"), think: true }),
    /"tiny" does not support thinking/,
  );
  await assert.rejects(stranger.list(), (error) => error.status_code === 401);
});

test("a failure in mid-stream is thrown after what was said before", async () => {
  const messages = scripted({ text: WORDS, fault: "error", fault_after: 2, gap_ms: 5 });
  let text = "";
  await assert.rejects(async () => {
    const stream = await client.chat({ model: "tiny", messages, stream: true });
    for await (const part of stream) text += part.message.content;
  });
  assert.equal(text, "the quick");
});

test("aborting a stream frees its slot", async () => {
  const messages = scripted({ forever: true, gap_ms: 2 });
  const stream = await client.chat({ model: "tiny", messages, stream: true });
  await assert.rejects(async () => {
    for await (const part of stream) if (part.message.content) stream.abort();
  }, { name: "AbortError" });
  await allSlotsFree();
});
