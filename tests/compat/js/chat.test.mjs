// Chat through OpenAI's JavaScript SDK, against scripted engines.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { allSlotsFree, client, inFlight, scripted, stranger } from "./servers.mjs";

const WORDS = "the quick brown fox jumps";
const Weather = z.object({ city: z.string(), unit: z.enum(["celsius", "fahrenheit"]) });
const PARIS = { city: "Paris", unit: "celsius" };

test("a reply has every part that applications read", async () => {
  const reply = await client.chat.completions.create({
    model: "tiny",
    messages: scripted({ text: WORDS }),
  });
  assert.equal(reply.object, "chat.completion");
  assert.equal(reply.choices[0].message.content, WORDS);
  assert.equal(reply.choices[0].message.refusal, null);
  assert.equal(reply.choices[0].finish_reason, "stop");
  assert.equal(reply.usage.completion_tokens, 5);
  assert.match(reply._request_id, /^req_/);
});

test("an alias answers, and the reply says which model it was", async () => {
  const reply = await client.chat.completions.create({
    model: "ft:gpt-4o-mini:acme::abc123",
    messages: scripted({ text: WORDS }),
  });
  assert.equal(reply.model, "tiny:latest");
});

test("a stream gives the words in order and its usage at the end", async () => {
  const stream = await client.chat.completions.create({
    model: "tiny",
    messages: scripted({ text: WORDS }),
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let last;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    last = chunk;
  }
  assert.equal(text, WORDS);
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.completion_tokens, 5);
});

test("the stream helper accumulates the whole reply", async () => {
  const stream = client.chat.completions.stream({
    model: "tiny",
    messages: scripted({ text: WORDS }),
    stream_options: { include_usage: true },
  });
  const deltas = [];
  stream.on("content", (delta) => deltas.push(delta));
  const whole = await stream.finalChatCompletion();
  assert.equal(deltas.join(""), WORDS);
  assert.equal(whole.choices[0].message.content, WORDS);
  assert.equal(whole.choices[0].message.role, "assistant");
  assert.equal((await stream.totalUsage()).completion_tokens, 5);
});

test("n choices have dense indexes and one usage", async () => {
  const reply = await client.chat.completions.create({
    model: "tiny",
    messages: scripted({ text: WORDS }),
    n: 5,
  });
  assert.deepEqual(reply.choices.map((choice) => choice.index), [0, 1, 2, 3, 4]);
  assert.equal(reply.usage.completion_tokens, 25);
});

test("parse fills a zod schema", async () => {
  const Solution = z.object({ answer: z.number(), steps: z.array(z.string()) });
  const solution = { answer: 42, steps: ['add "both"'] };
  const reply = await client.chat.completions.parse({
    model: "tiny",
    messages: scripted({ text: JSON.stringify(solution) }),
    response_format: zodResponseFormat(Solution, "solution"),
  });
  assert.deepEqual(reply.choices[0].message.parsed, solution);
});

// Once with a template that has a tool section, once with calls written out as text.
const calls = {
  tools: { tool_calls: [{ name: "weather", arguments: PARIS }] },
  tiny: {
    text: `<tool_call>\n{"name": "weather", "arguments": ${JSON.stringify(PARIS)}}\n</tool_call>`,
  },
};

for (const [model, directive] of Object.entries(calls)) {
  test(`a call has id, type, name and arguments (${model})`, async () => {
    const reply = await client.chat.completions.parse({
      model,
      messages: scripted(directive),
      tools: [zodFunction({ name: "weather", parameters: Weather })],
    });
    const [choice] = reply.choices;
    assert.equal(choice.finish_reason, "tool_calls");
    assert.equal(choice.message.content, null);
    assert.ok(choice.message.tool_calls[0].id);
    assert.deepEqual(choice.message.tool_calls[0].function.parsed_arguments, PARIS);
  });

  test(`the stream helper accumulates calls (${model})`, async () => {
    const stream = client.chat.completions.stream({
      model,
      messages: scripted(directive),
      tools: [zodFunction({ name: "weather", parameters: Weather })],
    });
    const [choice] = (await stream.finalChatCompletion()).choices;
    assert.equal(choice.finish_reason, "tool_calls");
    assert.equal(choice.message.tool_calls[0].function.name, "weather");
    assert.deepEqual(JSON.parse(choice.message.tool_calls[0].function.arguments), PARIS);
  });

  for (const stream of [false, true]) {
    test(`runTools calls the function and sends its result (${model}, stream ${stream})`, async () => {
      const asked = [];
      const weather = {
        name: "weather",
        description: "Look up the weather of a city",
        parameters: z.toJSONSchema(Weather),
        parse: JSON.parse,
        function: (args) => {
          asked.push(args);
          return "sunny";
        },
      };
      const runner = client.chat.completions.runTools(
        { model, messages: scripted(directive), stream, tools: [{ type: "function", function: weather }] },
        { maxChatCompletions: 2 },
      );
      await runner.done();
      assert.deepEqual(asked[0], PARIS);
      const roles = runner.messages.map((message) => message.role);
      assert.deepEqual(roles.slice(0, 4), ["user", "assistant", "tool", "assistant"]);
      // Without a tool section the result is the last that was said, which the script repeats.
      if (model === "tiny") assert.match(await runner.finalContent(), /sunny/);
    });
  }
}

test("errors have their classes, codes and fields", async () => {
  const ask = (fields) =>
    client.chat.completions.create({
      model: "tiny",
      messages: scripted({ text: WORDS }),
      ...fields,
    });
  await assert.rejects(ask({ model: "llama9" }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    assert.match(error.message, /reshore pull/);
    assert.match(error.requestID, /^req_/);
    return true;
  });
  await assert.rejects(ask({ temperature: 9 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "temperature");
    assert.equal(error.type, "invalid_request_error");
    return true;
  });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});

test("a failure in mid-stream is thrown after what was said before", async () => {
  const stream = await client.chat.completions.create({
    model: "tiny",
    messages: scripted({ text: WORDS, fault: "error", fault_after: 2, gap_ms: 5 }),
    stream: true,
  });
  let text = "";
  await assert.rejects(async () => {
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  }, OpenAI.APIError);
  assert.equal(text, "the quick");
});

test("aborting a stream frees its slot", async () => {
  const stream = await client.chat.completions.create({
    model: "tiny",
    messages: scripted({ forever: true, gap_ms: 2 }),
    stream: true,
  });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) break; // leaving the loop aborts the request
  }
  await allSlotsFree();
});

test("aborting a request that is not streamed frees its slot", async () => {
  const controller = new AbortController();
  const reply = client.chat.completions.create(
    { model: "tiny", messages: scripted({ forever: true, gap_ms: 2 }) },
    { signal: controller.signal },
  );
  const ended = assert.rejects(reply, OpenAI.APIUserAbortError);
  while ((await inFlight()) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort();
  await ended;
  await allSlotsFree();
});
