/** Small helpers for elements. Text goes in as text, never as HTML: a model may write anything. */

export const at = (id) => document.getElementById(id);

/** An element with these properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A button that does something. */
export const button = (label, act, properties = {}) =>
  make("button", { type: "button", textContent: label, onclick: act, ...properties });

/** A button that copies a text and says so. */
export function copier(text) {
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text());
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "The browser forbids it"; // as it does away from this machine, without https
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  return copy;
}
