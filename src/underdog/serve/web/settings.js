/** How a chat's answers are drawn: the form on the right, and what of it goes into a request. */

import { at } from "./dom.js";

const NUMBERS = ["temperature", "top_p", "top_k", "min_p", "presence_penalty", "repetition_penalty", "max_tokens", "seed",
  "thinking_budget"];

const fields = () => [...at("settings").elements].filter((field) => field.name);

/** Fills the form. */
export function show(settings) {
  for (const field of fields()) field.value = settings[field.name] ?? field.defaultValue ?? "";
  check();
}

/** What the form says, without the fields that say nothing. */
export function read() {
  return Object.fromEntries(fields().filter((field) => field.value !== "").map((field) => [field.name, field.value]));
}

/** Marks the fields that cannot be sent. */
export function check() {
  const { format, schema, tools } = at("settings").elements;
  at("schema").hidden = format.value !== "schema";
  schema.setCustomValidity(format.value === "schema" ? trouble(schema.value) : "");
  tools.setCustomValidity(tools.value.trim() ? trouble(tools.value) : "");
}

function trouble(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (problem) {
    return `This is no JSON: ${problem.message}`;
  }
}

/** The part of a request's body that the settings make; throws where a field is wrong. */
export function request(settings) {
  check();
  const wrong = fields().find((field) => !field.validity.valid);
  if (wrong) throw new Error(`Settings, ${wrong.name}: ${wrong.validationMessage}`);
  const body = {};
  for (const name of NUMBERS) if (settings[name]) body[name] = Number(settings[name]);
  if (settings.thinking) body.chat_template_kwargs = { enable_thinking: settings.thinking === "on" };
  if (settings.format === "json") body.response_format = { type: "json_object" };
  if (settings.format === "schema") {
    const schema = JSON.parse(settings.schema);
    body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  }
  if (settings.tools?.trim()) body.tools = JSON.parse(settings.tools);
  return body;
}
