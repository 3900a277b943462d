// The tables of the databases, and the rows of the chosen one.

import { choice, el, plural, pretty, search } from "./dom.js";
import { ask } from "./live.js";
import { List } from "./list.js";

const PAUSE = 300, SHORT = 160, ROWS = 50;

export function tablesView() {
  const wanted = { text: "", offset: 0, order: "newest" };
  let tables = [], chosen = null, asked = 0, timer = 0, filter = "", where = "";

  const list = new List({ label: "Tables", height: 44, key: keyOf, make: tableOf, chosen: (table) => table && choose(table),
    opened: (clicked) => { view.classList.add("open"); if (!clicked) detail.focus(); } });
  const box = search("Filter: table, column", (value) => { filter = value.toLowerCase(); drawTables(); });
  const found = el("span", { class: "soft found", role: "status" });
  const missing = el("div", { class: "missing" }), nothing = el("p", { class: "empty" });
  const title = el("h2", {}), count = el("span", { class: "soft" }), columns = el("p", { class: "soft columns" });
  const inRows = search("Filter the rows: a text in any column", (value) => {
    Object.assign(wanted, { text: value, offset: 0 });
    clearTimeout(timer);
    timer = setTimeout(() => load(), PAUSE);
  });
  const order = choice("Order of the key", [["newest", "descending"], ["oldest", "ascending"]], (value) => { Object.assign(wanted, { order: value, offset: 0 }); load(); });
  const before = el("button", { type: "button", "aria-label": "Previous rows", onclick: () => page(-1) }, "←");
  const after = el("button", { type: "button", "aria-label": "Next rows", onclick: () => page(1) }, "→");
  const place = el("span", { class: "soft found", role: "status" }), rows = el("div", { class: "rows" });
  const whole = el("section", { class: "whole", tabindex: "-1", "aria-label": "The chosen row", hidden: true,
    onkeydown: (event) => { if (event.key === "Escape") { event.stopPropagation(); whole.hidden = true; rows.querySelector("[aria-current]")?.focus(); } } });
  const content = el("div", { class: "content", hidden: true }, el("div", { class: "title" }, title, count), columns,
    el("div", { class: "tools" }, inRows, order, el("button", { type: "button", onclick: () => load() }, "Refresh"), before, after, place), rows, whole);
  const hint = el("p", { class: "empty" }, "Choose a table to see its rows.");
  const detail = el("section", { class: "detail", tabindex: "-1", "aria-label": "The chosen table",
    onkeydown: (event) => { if (event.key === "Escape") close(); } },
  el("button", { type: "button", class: "back", onclick: close }, "← Tables"), hint, content);
  const view = el("div", { class: "split tables" }, el("div", { class: "side" },
    el("div", { class: "tools" }, box, el("button", { type: "button", onclick: () => look() }, "Refresh"), found), missing, list.element, nothing), detail);

  function close() {
    view.classList.remove("open");
    list.element.focus();
  }

  async function look() {
    found.textContent = "…";
    try {
      const told = await ask("tables", {});
      tables = told.tables;
      missing.replaceChildren(...told.missing.map((each) => el("p", { class: "warn" }, each)),
        told.truncated ? el("p", { class: "soft" }, "There are more tables.") : "");
      drawTables();
    } catch (error) {
      found.textContent = "";
      missing.replaceChildren(el("p", { class: "warn" }, error.message));
    }
  }

  function drawTables() {
    const shown = tables.filter((each) => !filter || `${each.name}\n${each.columns.map((column) => column.name).join("\n")}`.toLowerCase().includes(filter));
    list.set(shown);
    found.textContent = plural(shown.length, "table");
    nothing.hidden = shown.length > 0;
    nothing.textContent = tables.length ? "No table matches the filter." : "The stack has no PostgreSQL database with a table.";
  }

  function choose(table) {
    if (chosen && keyOf(chosen) === keyOf(table)) return;
    chosen = table;
    Object.assign(wanted, { text: "", offset: 0, order: "newest" });
    inRows.value = "";
    order.value = "newest";
    rows.replaceChildren();
    load();
  }

  function page(step) {
    wanted.offset = Math.max(0, wanted.offset + step * ROWS);
    load();
  }

  // What is asked last is shown, whichever answer comes last.
  async function load() {
    const number = asked += 1, { node, database, schema, name } = chosen;
    hint.hidden = true;
    content.hidden = false;
    whole.hidden = true;
    title.textContent = name;
    place.textContent = "…";
    try {
      const told = await ask("rows", { table: schema === "public" ? `public.${name}` : name, node, database, ...wanted });
      if (number === asked) fill(told);
    } catch (error) {
      if (number !== asked) return;
      place.textContent = "";
      rows.replaceChildren(el("p", { class: "warn" }, error.message));
    }
  }

  function fill(told) {
    where = `${told.table.database} on ${told.table.node}`;
    count.textContent = `${numberOf(told.table)} in ${where}`;
    columns.replaceChildren(...told.table.columns.flatMap((each, at) => [at ? ", " : "", each.key ? el("strong", {}, each.name) : each.name, ` ${each.type}`]));
    order.hidden = !told.order.length;
    before.disabled = told.offset === 0;
    after.disabled = !told.more;
    place.textContent = told.rows.length ? `rows ${(told.offset + 1).toLocaleString("en")} to ${(told.offset + told.rows.length).toLocaleString("en")}` : "";
    rows.replaceChildren(told.rows.length ? gridOf(told) : el("p", { class: "empty" }, wanted.text ? "No row has this text." : "The table has no rows."));
    rows.scrollTop = 0;
  }

  function gridOf(told) {
    const names = told.table.columns.map((each) => each.name);
    const open = (event, row) => {
      rows.querySelector("[aria-current]")?.removeAttribute("aria-current");
      event.currentTarget.setAttribute("aria-current", "true");
      show(row, names);
    };
    return el("table", { "aria-label": `Rows of ${told.table.name}` },
      el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col", class: numeric(told.rows, name) ? "num" : null }, name)))),
      el("tbody", {}, told.rows.map((row) => el("tr", { tabindex: "0", onclick: (event) => open(event, row), onkeydown: (event) => moved(event, row, open) },
        names.map((name) => cellOf(row.values[name]))))));
  }

  function moved(event, row, open) {
    const other = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (event.key === "Enter") { open(event, row); whole.focus(); } else if (other) event.currentTarget[other]?.focus();
    else return;
    event.preventDefault();
  }

  function show(row, names) {
    whole.hidden = false;
    whole.replaceChildren(
      el("div", { class: "title" }, el("strong", {}, "The row"),
        el("button", { type: "button", class: "quiet", "aria-label": "Close the row", onclick: () => { whole.hidden = true; } }, "✕")),
      el("dl", { class: "facts" }, names.map((name) => [el("dt", {}, name), el("dd", {}, row.values[name] === null ? el("span", { class: "soft" }, "NULL")
        : el("pre", {}, pretty(row.values[name])),
      row.cut[name] ? el("p", { class: "soft" }, `This is the beginning; the whole value has ${row.cut[name].toLocaleString("en")} characters or bytes.`) : null)])));
  }

  return { element: view, draw() {}, enter() { look(); if (chosen) load(); } };
}

const keyOf = (table) => `${table.node}\n${table.database}\n${table.schema}\n${table.name}`;

function numberOf(table) {
  if (table.rows === null) return "rows not counted";
  return `${table.estimated ? "about " : ""}${plural(table.rows, "row")}`;
}

const numeric = (rows, name) => rows.some((row) => typeof row.values[name] === "number");

function cellOf(value) {
  if (value === null) return el("td", { class: "soft" }, "NULL");
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return el("td", { class: typeof value === "number" ? "num" : null }, text.length > SHORT ? `${text.slice(0, SHORT)}…` : text);
}

function tableOf() {
  const name = el("span", { class: "main" }), place = el("span", { class: "soft" }), count = el("span", { class: "time end" });
  const made = el("div", { class: "row key" }, el("span", { class: "two" }, name, place), count);
  made.fill = (table) => {
    name.textContent = table.name;
    place.textContent = [table.kind === "table" ? "" : table.kind, `${table.database} on ${table.node}`, plural(table.columns.length, "column")].filter(Boolean).join(" · ");
    count.textContent = table.rows === null ? "?" : `${table.estimated ? "≈ " : ""}${table.rows.toLocaleString("en")}`;
  };
  return made;
}
