// Elements. Every text is set as text: what an event or a log contains is never HTML.

export function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);

export function search(label, change) {
  return el("input", { type: "search", placeholder: label, "aria-label": label, autocomplete: "off",
    spellcheck: "false", oninput: (event) => change(event.target.value) });
}

export function choice(label, options, change) {
  const made = el("select", { "aria-label": label, onchange: () => change(made.value) });
  offer(made, options);
  return made;
}

// The options of a select, as [value, text]; the chosen one stays chosen.
export function offer(select, options) {
  const now = options.map((each) => each.join("\u0000")).join("\u0001");
  if (select.offered === now) return;
  select.offered = now;
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

export function table(heads, rows, kind) {
  const numeric = heads.map((head) => head.startsWith("#"));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": kind },
    el("table", {},
      el("thead", {}, el("tr", {}, heads.map((head, at) =>
        el("th", { class: numeric[at] ? "num" : null, scope: "col" }, head.replace("#", ""))))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, at) =>
        el("td", { class: numeric[at] ? "num" : null }, cell)))))));
}

// Moments come in nanoseconds since the epoch or as text; in JavaScript they are milliseconds.
export const moment = (at) => typeof at === "string" ? Date.parse(at) : at > 1e16 ? at / 1e6 : at > 1e11 ? at : at * 1000;

const two = (number) => String(number).padStart(2, "0");

export function clock(at) {
  const time = new Date(moment(at));
  if (Number.isNaN(time.getTime())) return "";
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

export const megabytes = (bytes) => bytes ? `${Math.round(bytes / 1048576)} MB` : "";
export const bytes = (size) => size >= 1048576 ? `${(size / 1048576).toFixed(1)} MB` : size >= 1024 ? `${(size / 1024).toFixed(1)} kB` : `${size ?? 0} B`;
export const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

export function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2) ?? "";
  try { return JSON.stringify(JSON.parse(value), null, 2); } catch { return value; }
}

// Of a line of daprd, what it says; the whole line is shown when it is chosen.
export function words(text) {
  const found = / level=\w+ msg="((?:[^"\\]|\\.)*)"/.exec(text);
  return found ? found[1] : text.replace(/^\d{4}-\d\d-\d\d[T ][\d:.,]+Z?\s*/, "");
}
