/** The page: chats on the left, the conversation, settings on the right. */

import * as api from "./api.js";
import * as chats from "./chats.js";
import { at, button, make } from "./dom.js";
import { install } from "./keyboard.js";
import * as settings from "./settings.js";
import * as view from "./view.js";

let served = { id: "", context_length: null };
let greeted; // a promise: the server has said what it serves
let chat = chats.fresh();
let running = null; // the AbortController of the answer in progress
let editing = null; // which question is being asked anew

// What is on the page

function draw() {
  const results = new Map(chat.turns.filter((turn) => turn.role === "tool").map((turn) => [turn.tool_call_id, turn.content]));
  const last = chat.turns.at(-1);
  at("turns").replaceChildren(...chat.turns.filter((turn) => turn.role !== "tool").map((turn) => {
    if (turn.role === "user") return view.question(turn, () => edit(turn));
    return view.answer(turn, results, turn === last && !running ? again : null, give).element;
  }));
  if (!chat.turns.length) at("turns").append(make("p", { className: "hello", textContent: "Chats stay in this browser." }));
  at("turns").scrollTop = at("turns").scrollHeight;
  list();
  ready();
}

function list() {
  at("chats").replaceChildren(...chats.all().map((one) => make("li", { className: one.id === chat.id ? "open" : "" },
    button(one.title || "…", () => open(one), { title: one.title }),
    button("✕", () => drop(one), { className: "quiet", ariaLabel: `Delete ${one.title}` }),
  )));
}

/** The state of what is around the turns. */
function ready() {
  const missing = chats.openCalls(chat.turns).length > 0;
  at("send").textContent = running ? "Stop" : "Send";
  at("question").placeholder = missing && !running ? "The model waits for the results above" : "Ask something";
  at("editing").hidden = !editing;
  const used = chat.turns.findLast((turn) => turn.shown?.used)?.shown.used;
  at("used").textContent = used ? `${used.toLocaleString("en")} of ${served.context_length?.toLocaleString("en") ?? "?"}` : "";
}

/** Keeps the end in view, unless the person has scrolled up. */
function follow(change) {
  const turns = at("turns");
  const atEnd = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 60;
  change();
  if (atEnd) turns.scrollTop = turns.scrollHeight;
}

const complain = (words) => follow(() => at("turns").append(make("p", { className: "wrong", textContent: words })));

// What a person does

function open(one) {
  running?.abort();
  running = null;
  stopEditing();
  chat = one;
  settings.show(chat.settings);
  document.body.classList.remove("chats");
  draw();
  at("question").focus();
}

const begin = () => open(chats.fresh(chat.settings));

function drop(one) {
  if (!confirm(`Delete “${one.title}”?`)) return;
  chats.remove(one);
  if (one.id === chat.id) begin();
  else list();
}

function edit(turn) {
  if (running) return;
  editing = turn;
  at("question").value = turn.content;
  at("question").focus();
  ready();
}

function stopEditing() {
  if (editing) at("question").value = "";
  editing = null;
}

function submit(event) {
  event?.preventDefault();
  if (running) return running.abort();
  const content = at("question").value.trim();
  if (!content || (!editing && chats.openCalls(chat.turns).length)) return;
  if (editing) chat.turns = chat.turns.slice(0, chat.turns.indexOf(editing));
  editing = null;
  at("question").value = "";
  chat.turns.push({ role: "user", content });
  return ask();
}

function again() {
  chat.turns.pop();
  return ask();
}

function give(id, content) {
  chat.turns.push({ role: "tool", content, tool_call_id: id });
  if (chats.openCalls(chat.turns).length) draw();
  else return ask();
}

// An answer

async function ask() {
  const mine = chat;
  const control = (running = new AbortController());
  draw();
  await greeted;
  let body;
  try {
    body = { model: served.id, messages: chats.messages(mine), ...settings.request(mine.settings) };
  } catch (problem) {
    running = null;
    withdraw(mine);
    draw();
    return complain(problem.message);
  }
  const turn = { role: "assistant", content: "" };
  const shown = {};
  const growing = view.answer(turn, new Map(), null, give);
  follow(() => at("turns").append(growing.element));
  try {
    await grow(turn, shown, api.answer(body, control.signal), growing);
  } catch (problem) {
    if (control.signal.aborted) shown.notice = "Stopped.";
    else shown.wrong = problem.message;
    if (problem.status === 401) toggleSettings(true);
  }
  turn.shown = shown;
  if (running === control) running = null;
  keep(mine, turn);
}

/** Adds the chunks to the turn. It is drawn at most once a frame. */
async function grow(turn, shown, chunks, growing) {
  const start = performance.now();
  let frame = null;
  for await (const { choices, usage } of chunks) {
    const { delta = {}, notice } = choices[0] ?? {};
    if (delta.reasoning_content) turn.reasoning_content = (turn.reasoning_content ?? "") + delta.reasoning_content;
    if (delta.content) turn.content += delta.content;
    if (delta.tool_calls) turn.tool_calls = [...(turn.tool_calls ?? []), ...delta.tool_calls.map(({ index, ...call }) => call)];
    if (notice) shown.notice = notice;
    if (usage) Object.assign(shown, { tokens: usage.completion_tokens, used: usage.total_tokens });
    if (turn.reasoning_content && !shown.thought && (delta.content || delta.tool_calls)) shown.thought = performance.now() - start;
    shown.took = performance.now() - start;
    frame ??= requestAnimationFrame(() => { frame = null; follow(() => growing.grow(!turn.shown)); });
  }
}

/** Puts the answer into its chat, if there is one: an empty turn would only confuse the model. */
function keep(mine, turn) {
  const empty = !turn.content && !turn.tool_calls;
  const withdrawn = empty && withdraw(mine);
  if (!empty) mine.turns.push(turn);
  try {
    if (mine.turns.length) chats.save(mine);
  } catch (problem) {
    complain(problem.message);
  }
  if (mine !== chat) return list(); // another chat was opened meanwhile
  draw();
  if (!empty) return;
  turn.shown.notice ??= turn.shown.wrong ? undefined : "The answer is empty.";
  follow(() => at("turns").append(view.answer(turn, new Map(), null, give).element));
  if (withdrawn) complain("The question is left out of the chat.");
}

/** Takes back a question that got no answer: it goes into the box again. */
function withdraw(mine) {
  if (mine.turns.at(-1)?.role !== "user") return false;
  const { content } = mine.turns.pop();
  if (mine === chat && !at("question").value) at("question").value = content;
  return true;
}

// What is around it

function toggleSettings(wanted = at("settings").hidden) {
  at("settings").hidden = !wanted;
  at("tune").setAttribute("aria-expanded", String(wanted));
  if (wanted) (at("key").value || !at("turns").querySelector(".wrong") ? at("settings").elements.system : at("key")).focus();
}

function step(by) {
  const known = chats.all();
  const next = known[known.findIndex((one) => one.id === chat.id) + by];
  if (next) open(next);
}

function look(theme) {
  document.documentElement.style.colorScheme = theme;
  localStorage.setItem("underdog.theme", theme);
  at("theme").value = theme;
}

at("form").addEventListener("submit", submit);
at("new").addEventListener("click", begin);
at("menu").addEventListener("click", () => document.body.classList.toggle("chats"));
at("tune").addEventListener("click", () => toggleSettings());
at("close").addEventListener("click", () => toggleSettings(false));
at("help").addEventListener("click", () => at("keys").showModal());
at("theme").addEventListener("change", () => look(at("theme").value));
at("settings").addEventListener("submit", (event) => event.preventDefault());
at("settings").addEventListener("input", () => {
  settings.check();
  chat.settings = settings.read();
  if (chat.turns.length) chats.save(chat);
});
at("key").addEventListener("change", () => { api.key.set(at("key").value); greeted = hello(); });
addEventListener("storage", list); // another tab has changed something
install({
  submit, begin, step,
  settings: () => toggleSettings(),
  editLast: () => { const last = chat.turns.findLast((turn) => turn.role === "user"); if (last) edit(last); },
  escape: () => { if (running) running.abort(); else { stopEditing(); ready(); } },
});

async function hello() {
  try {
    served = await api.model();
    at("name").textContent = document.title = served.id;
    ready();
  } catch (problem) {
    complain(problem.message);
    if (problem.status === 401) toggleSettings(true);
  }
}

look(localStorage.getItem("underdog.theme") ?? "light dark");
at("key").value = api.key.get();
open(chats.all()[0] ?? chat);
greeted = hello();
