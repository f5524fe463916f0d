/** What keys do. `event.code` for letters: with Alt, a Mac types other characters. */

import { at } from "./dom.js";

export function install(acts) {
  at("question").addEventListener("keydown", (event) => {
    const enter = event.key === "Enter" && !event.shiftKey && !event.isComposing;
    // On a phone Enter breaks the line; while an answer runs it does nothing.
    if (enter && matchMedia("(pointer: fine)").matches) {
      event.preventDefault();
      if (at("send").textContent === "Send") acts.submit(event);
    } else if (event.key === "ArrowUp" && !event.altKey && !at("question").value) {
      event.preventDefault();
      acts.editLast();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (at("keys").open) return;
    const act = event.altKey ? alt[event.code] : event.key === "Escape" ? acts.escape : !writing() && plain[event.key];
    if (!act || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  });

  const alt = { KeyN: acts.begin, KeyS: acts.settings, ArrowUp: () => acts.step(-1), ArrowDown: () => acts.step(1) };
  const plain = { "/": () => at("question").focus(), "?": () => at("keys").showModal() };
}

const writing = () => document.activeElement?.matches("input, textarea, select");
