// The logs of all nodes, merged and filtered.

import { choice, clock, el, offer, plural, search, words } from "./dom.js";
import { data } from "./live.js";
import { copy, named, save } from "./files.js";
import { List } from "./list.js";

const LEVELS = [["", "all levels"], ["warning", "warnings and errors"], ["error", "errors"]];
const HARMFUL = { error: 2, fatal: 2, warning: 1 };

export function logsView(go) {
  const wanted = { text: "", node: "", level: "" };
  let seen = null;
  const list = new List({ label: "Log lines, the newest last", height: 24, newestLast: true, key: (line) => line.seq,
    make: lineOf, chosen: (line) => line && show(line), opened: (clicked) => { if (!clicked) whole.focus(); } });
  const nodes = choice("Node", [["", "all nodes"]], (value) => { wanted.node = value; draw(); });
  const levels = choice("Level", LEVELS, (value) => { wanted.level = value; draw(); });
  const box = search("Filter the text of all logs", (value) => { wanted.text = value.toLowerCase(); draw(); });
  const found = el("span", { class: "soft found" });
  const nothing = el("p", { class: "empty" });
  const newest = el("button", { type: "button", onclick: () => { list.element.scrollTop = list.items.length * list.height; } }, "Newest");
  const keep = el("button", { type: "button", onclick: () => save(`${named(data.overview?.stack ?? "logs")}.log`,
    list.items.map((line) => `${clock(line.at)} ${line.node} ${line.text}\n`).join("")) }, "Download");
  const whole = el("section", { class: "whole", tabindex: "-1", "aria-label": "The chosen line", hidden: true,
    onkeydown: (event) => { if (event.key === "Escape") { whole.hidden = true; list.element.focus(); } } });
  const view = el("div", { class: "logs" }, el("div", { class: "tools" }, box, nodes, levels, newest, keep, found),
    list.element, nothing, whole);

  function draw() {
    const names = new Set((data.overview?.nodes ?? []).map((node) => node.name));
    const least = HARMFUL[wanted.level] ?? 0;
    const rows = data.lines.filter((line) => {
      names.add(line.node);
      return (!wanted.node || line.node === wanted.node) && (HARMFUL[line.level] ?? 0) >= least
        && (!wanted.text || (line.lower ??= line.text.toLowerCase()).includes(wanted.text));
    });
    offer(nodes, [["", "all nodes"], ...[...names].sort().map((name) => [name, name])]);
    list.set(rows);
    found.textContent = rows.length === data.lines.length ? plural(rows.length, "line") : `${plural(rows.length, "line")} of ${data.lines.length.toLocaleString("en")}`;
    nothing.hidden = rows.length > 0;
    nothing.textContent = data.lines.length ? "No line matches the filter." : "No node has logged anything so far.";
  }

  function show(line) {
    if (seen === line.seq && !whole.hidden) return;
    seen = line.seq;
    const events = mentioned(line.text);
    whole.hidden = false;
    whole.replaceChildren(
      el("div", { class: "title" }, el("strong", {}, line.node), el("span", { class: "soft" }, `${clock(line.at)} ${line.level ?? ""}`),
        events.map((row) => el("a", { href: `#events/${encodeURIComponent(row.key)}` }, `event ${row.type || row.id}`)),
        el("button", { type: "button", class: "small", onclick: () => copy(line.text) }, "Copy"),
        el("button", { type: "button", class: "quiet", "aria-label": "Close the line",
          onclick: () => { whole.hidden = true; list.element.focus(); } }, "✕")),
      el("pre", {}, line.text));
  }

  return { element: view, draw,
    enter(text) {
      if (text) { wanted.text = text.toLowerCase(); box.value = text; draw(); }
    },
    of({ node, level = "" }) {
      Object.assign(wanted, { node, level });
      draw();
      nodes.value = node;
      levels.value = level;
    } };
}

// The events whose id a line contains.
function mentioned(text) {
  const found = [];
  for (const row of data.events.values()) {
    if (row.id.length > 5 && text.includes(row.id)) found.push(row);
    if (found.length === 3) break;
  }
  return found;
}

function lineOf() {
  const time = el("span", { class: "time" }), node = el("span", { class: "node" }), text = el("span", { class: "text" });
  const made = el("div", { class: "row line" }, time, node, text);
  made.fill = (line) => {
    time.textContent = clock(line.at);
    node.textContent = line.node;
    text.textContent = words(line.text);
    made.dataset.level = line.level ?? "";
  };
  return made;
}
