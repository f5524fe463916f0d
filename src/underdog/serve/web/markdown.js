/**
 * Markdown as models write it, as elements: code, headings, lists, quotes, tables, emphasis, links. Anything else stays
 * as it was written.
 */

import { copier, make } from "./dom.js";

const FENCE = /^ {0,3}(```+|~~~+)\s*(\S*)/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const DIVIDER = /^\s*\|?(\s*:?-+:?\s*\|)+\s*(:?-+:?\s*)?$/;

/** The blocks of a text. */
export function blocks(text) {
  const lines = text.split("\n"), found = [];
  while (lines.length) found.push(block(lines));
  return found.filter(Boolean);
}

/** Takes the next block's lines away. */
function block(lines) {
  const line = lines[0];
  if (!line.trim()) return void lines.shift();
  if (FENCE.test(line)) return code(lines);
  const heading = line.match(/^ {0,3}(#{1,6})\s+(.*?)\s*#*$/);
  if (heading) return lines.shift(), make(`h${Math.min(heading[1].length, 4)}`, {}, ...spans(heading[2]));
  if (/^ {0,3}([-*_])( *\1){2,}\s*$/.test(line)) return lines.shift(), make("hr");
  if (/^ {0,3}>/.test(line)) {
    const quoted = take(lines, (one) => /^ {0,3}>/.test(one)).map((one) => one.replace(/^ {0,3}> ?/, ""));
    return make("blockquote", {}, ...blocks(quoted.join("\n")));
  }
  if (ITEM.test(line)) return list(lines);
  if (line.includes("|") && DIVIDER.test(lines[1] ?? "")) return table(lines);
  const rest = take(lines, (one, i) => i === 0 || (one.trim() && !FENCE.test(one) && !ITEM.test(one) && !/^ {0,3}(#{1,6}\s|>)/.test(one)));
  return make("p", {}, ...broken(rest));
}

function take(lines, belongs) {
  let count = 0;
  while (count < lines.length && belongs(lines[count], count)) count++;
  return lines.splice(0, count);
}

/** A block of code; one that is not closed yet ends with the text. */
function code(lines) {
  const [, fence, language] = lines.shift().match(FENCE);
  const body = take(lines, (one) => !(one.trim().startsWith(fence) && !one.trim().slice(fence.length).replaceAll(fence[0], "")));
  lines.shift();
  const text = body.join("\n");
  return make("pre", {}, make("code", { textContent: text, className: language && `language-${language}` }), copier(() => text));
}

/** A list with the lists and blocks inside its items, which are what is indented further. */
function list(lines) {
  const [, indent, mark] = lines[0].match(ITEM);
  const ordered = /\d/.test(mark);
  const element = make(ordered ? "ol" : "ul", ordered ? { start: parseInt(mark) } : {});
  for (let item; (item = lines[0]?.match(ITEM)) && item[1].length <= indent.length && /\d/.test(item[2]) === ordered;) {
    lines.shift();
    const inside = take(lines, (one, i) => {
      const deeper = one.match(/^\s*/)[0].length > item[1].length;
      return one.trim() ? deeper || (i === 0 && !ITEM.test(one) && !FENCE.test(one)) : lines[i + 1]?.match(/^\s*/)[0].length > item[1].length;
    });
    const least = Math.min(...inside.filter((one) => one.trim()).map((one) => one.match(/^\s*/)[0].length));
    const [first, ...rest] = blocks([item[3], ...inside.map((one) => one.slice(least))].join("\n"));
    element.append(make("li", {}, ...(first?.tagName === "P" ? first.childNodes : first ? [first] : []), ...rest));
    while (lines.length > 1 && !lines[0].trim() && ITEM.test(lines[1])) lines.shift();
  }
  return element;
}

function table(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const row = (kind, line) => make("tr", {}, ...cells(line).map((cell) => make(kind, {}, ...spans(cell))));
  const head = row("th", lines.shift());
  lines.shift();
  return make("table", {}, head, ...take(lines, (one) => one.includes("|")).map((line) => row("td", line)));
}

/** Lines of a paragraph: a model's line breaks are meant. */
const broken = (lines) => lines.flatMap((line, i) => (i ? [make("br"), ...spans(line)] : spans(line)));

const SPAN = /(`+)(.+?)\1(?!`)|\*\*(?=\S)(.+?)\*\*|(?<![\w*])[*_](?=[^\s*_])(.+?)(?<=\S)[*_](?![\w*])|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/;

/** Text with code, emphasis and links. */
function spans(text) {
  const found = text.match(SPAN);
  if (!found) return text ? [text] : [];
  const [whole, , written, strong, light, words, href] = found;
  const element = written !== undefined ? make("code", { textContent: written })
    : strong !== undefined ? make("strong", {}, ...spans(strong))
    : light !== undefined ? make("em", {}, ...spans(light))
    : make("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...spans(words));
  return [...spans(text.slice(0, found.index)), element, ...spans(text.slice(found.index + whole.length))];
}
