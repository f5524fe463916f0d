/** How turns look. A view is an element; answers also have `grow`, which draws them anew as they come. */

import { button, copier, make } from "./dom.js";
import { blocks } from "./markdown.js";

/** What a person asked. */
export function question(turn, edit) {
  const acts = make("div", { className: "acts" }, button("Edit", edit), copier(() => turn.content));
  return make("div", { className: "turn user" }, make("div", { className: "said", textContent: turn.content }), acts);
}

/**
 * What the model answered.
 * @param results call id -> what its function gave
 * @param give called with a call's id and its result, where there is none yet
 */
export function answer(turn, results, again, give) {
  const thought = make("div");
  const summary = make("summary");
  const details = make("details", { className: "thought" }, summary, thought);
  const said = make("div", { className: "said" });
  const calls = make("div");
  const end = make("div");
  const acts = make("div", { className: "acts" });
  const element = make("div", { className: "turn assistant" }, details, said, calls, end, acts);
  const view = { element, grow };
  grow(!turn.shown);
  return view;

  function grow(running) {
    const { reasoning_content: reasoning = "", content = "", tool_calls = [], shown = {} } = turn;
    const thinking = running && !content && !tool_calls.length;
    details.hidden = !reasoning;
    summary.textContent = thinking ? "Thinking…" : shown.thought > 100 ? `Thought for ${seconds(shown.thought)}` : "Thought";
    if (thought.textContent !== reasoning) thought.textContent = reasoning;
    said.replaceChildren(...blocks(content));
    said.classList.toggle("waiting", Boolean(running));
    if (running) return;
    calls.replaceChildren(...tool_calls.map((one) => call(one, results.get(one.id), give)));
    end.className = shown.wrong ? "wrong" : "notice";
    end.textContent = shown.wrong ?? shown.notice ?? "";
    acts.replaceChildren(took(shown), copier(() => content), ...(again ? [button("Again", again)] : []));
  }
}

/** A call of a function, with its result or a place for it. */
function call(one, result, give) {
  const card = make("div", { className: "call" }, make("b", { textContent: one.function.name }), json(one.function.arguments));
  if (result !== undefined) {
    card.append(make("div", { className: "result", textContent: result }));
    return card;
  }
  const field = make("textarea", { rows: 1, placeholder: "What the function gives", ariaLabel: `Result of ${one.function.name}` });
  const form = make("form", {}, field, make("button", { textContent: "Give result" }));
  form.onsubmit = (event) => {
    event.preventDefault();
    give(one.id, field.value);
  };
  card.append(form);
  return card;
}

function json(text) {
  let pretty = text;
  try {
    pretty = JSON.stringify(JSON.parse(text), null, 2);
  } catch { /* shown as it is */ }
  return make("pre", {}, make("code", { textContent: pretty }));
}

function took({ tokens, took: time }) {
  if (!tokens || !time) return "";
  const rate = (tokens / (time / 1000)).toFixed(tokens < 10 * (time / 1000) ? 1 : 0);
  return make("span", { className: "took", textContent: `${tokens} tokens, ${seconds(time)}, ${rate} a second` });
}

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 1 : 0)} s`;
