/**
 * The chats that this browser keeps, and nobody else sees. Each stands under a key of its own, so that two tabs do not
 * overwrite each other's.
 *
 * A chat: {id, title, changed, settings, turns}. A turn: a message as the API takes it, and `shown`: what the page says
 * of it beyond that.
 */

const PREFIX = "underdog.chat.";

export const fresh = (settings = {}) => ({ id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
  title: "", changed: Date.now(), settings: { ...settings }, turns: [] });

/** All of them, the last changed one first. */
export function all() {
  const ids = Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
  return ids.map(read).filter(Boolean).sort((one, other) => other.changed - one.changed);
}

function read(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null; // not ours
  }
}

/** Throws where the browser has no room left. */
export function save(chat) {
  chat.changed = Date.now();
  chat.title ||= (chat.turns[0]?.content ?? "").replace(/\s+/g, " ").trim().slice(0, 60);
  try {
    localStorage.setItem(PREFIX + chat.id, JSON.stringify(chat));
  } catch {
    throw new Error("The browser has no room left for this chat: it is lost when the page is closed. Delete others.");
  }
}

export const remove = (chat) => localStorage.removeItem(PREFIX + chat.id);

/** Calls of the last turns that have no result yet. */
export function openCalls(turns) {
  const calls = turns.findLast((turn) => turn.role === "assistant")?.tool_calls ?? [];
  const done = new Set(turns.map((turn) => turn.tool_call_id));
  return calls.filter((call) => !done.has(call.id));
}

/** The messages as the API takes them. */
export function messages(chat) {
  const said = chat.turns.map(({ shown, ...message }) => message);
  return chat.settings.system ? [{ role: "system", content: chat.settings.system }, ...said] : said;
}
