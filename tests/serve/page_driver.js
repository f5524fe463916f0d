// Runs the chat page's script against a real server with just enough of a browser around it.
// Usage: node page_driver.js page.html http://127.0.0.1:PORT  <  steps, one JSON value a line
"use strict";
const fs = require("fs");
const vm = require("vm");

class Element {
  constructor(tag) {
    Object.assign(this, { tag, className: "", value: "", children: [], listeners: {}, parent: null });
    Object.assign(this, { scrollHeight: 0, scrollTop: 0, clientHeight: 0 });
  }
  append(...added) {
    for (const child of added) {
      if (child instanceof Element) child.parent = this;
      this.children.push(child);
    }
  }
  remove() { this.parent.children = this.parent.children.filter((child) => child !== this); }
  replaceChildren(...children) { this.children = []; this.append(...children); }
  set textContent(text) { this.children = text === "" ? [] : [text]; }
  get textContent() { return this.children.map((child) => child.textContent ?? child).join(""); }
  addEventListener(kind, listener) { this.listeners[kind] = listener; }
  focus() {}
  /** "kind: text" of every element that holds text itself. */
  lines() {
    const own = this.children.filter((child) => typeof child === "string").join("");
    const nested = this.children.filter((child) => child instanceof Element).flatMap((child) => child.lines());
    return own ? [`${this.tag}.${this.className}: ${own}`, ...nested] : nested;
  }
}

const [page, base] = process.argv.slice(2);
const html = fs.readFileSync(page, "utf8");
const byId = {};
for (const [, tag, id] of html.matchAll(/<(\w+)[^>]*? id="(\w+)"/g)) byId[id] = new Element(tag);
byId.temperature.value = "0.7";
const requests = [];
const browser = vm.createContext({
  document: { getElementById: (id) => byId[id], createElement: (tag) => new Element(tag), title: "" },
  fetch: (path, options) => {
    if (options?.body) requests.push(JSON.parse(options.body));
    return fetch(base + path, options);
  },
  matchMedia: () => ({ matches: true }),
  AbortController, TextDecoder, JSON,
});
vm.runInContext(html.match(/<script>([\s\S]*)<\/script>/)[1], browser);

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const event = (more = {}) => ({ preventDefault() {}, ...more });

async function main() {
  while (byId.name.textContent !== "scripted") await pause(5);
  for (const line of fs.readFileSync(0, "utf8").trim().split("\n")) {
    const step = JSON.parse(line);
    if (step.new) byId.new.listeners.click(event());
    if (step.temperature) byId.temperature.value = step.temperature;
    if (step.ask) {
      byId.question.value = step.ask;
      const answered = byId.form.listeners.submit(event());
      if (step.stopAfter) {
        while (byId.chat.textContent.length < step.stopAfter) await pause(5);
        byId.question.listeners.keydown(event({ key: "Enter" })); // does nothing while an answer runs
        byId.form.listeners.submit(event());
      }
      await answered;
    }
    console.log(JSON.stringify({ lines: byId.chat.lines(), box: byId.question.value, button: byId.send.textContent }));
  }
  console.log(JSON.stringify(requests));
}

main();
