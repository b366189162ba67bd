// The servers that the Python side has started, and how to talk to them.
import http from "node:http";
import OpenAI from "openai";

const options = { apiKey: "unused", maxRetries: 0 };

export const client = new OpenAI({ baseURL: process.env.SERVER_BASE_URL, ...options });

/** A client whose key the server does not know, for servers that ask for one. */
export const stranger = new OpenAI({ baseURL: process.env.KEYED_BASE_URL, ...options });

/** A conversation of one message. */
export const said = (content) => [{ role: "user", content }];

/** A conversation that makes a scripted engine do as told. */
export const scripted = (directive) => said(`/echo ${JSON.stringify(directive)}`);

/** How many requests have slots or wait for some, as the admin socket says. */
export function inFlight() {
  return new Promise((resolve, reject) => {
    const request = { socketPath: process.env.SERVER_ADMIN_SOCKET, path: "/admin/loaded" };
    http
      .get(request, async (reply) => {
        let body = "";
        for await (const piece of reply) body += piece;
        const models = JSON.parse(body);
        resolve(models.reduce((sum, model) => sum + model.in_flight + model.queued, 0));
      })
      .on("error", reject);
  });
}

/** Poll until nobody has a slot; rejects after five seconds. */
export async function allSlotsFree() {
  const deadline = Date.now() + 5000;
  while ((await inFlight()) > 0) {
    if (Date.now() > deadline) throw new Error("a slot is still taken after 5 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
