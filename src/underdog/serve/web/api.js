/** The server's API. Errors carry the server's own words. */

const KEY = "underdog.key";

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => sessionStorage.setItem(KEY, value),
};

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(path, options = {}) {
  const headers = { "Content-Type": "application/json" };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (problem) {
    throw problem.name === "AbortError" ? problem : new Error("The server does not answer.");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => null);
  throw new Refused(response.status, said?.error?.message ?? `The server answers ${response.status}.`);
}

/** {id, context_length} of the model that is served. */
export const model = async () => (await (await call("/v1/models")).json()).data[0];

/** The chunks of one answer as they come; the last one has the usage. */
export async function* answer(body, signal) {
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  const response = await call("/v1/chat/completions", { method: "POST", body: JSON.stringify(asked), signal });
  for await (const event of events(response.body)) {
    if (event === "[DONE]") return;
    const chunk = JSON.parse(event);
    if (chunk.error) throw new Error(chunk.error.message);
    yield chunk;
  }
  throw new Error("The connection broke off.");
}

/** Whole server-sent events out of a stream of bytes. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (waiting + value).split("\n\n");
    waiting = parts.pop();
    for (const part of parts) yield part.slice("data: ".length);
  }
}
