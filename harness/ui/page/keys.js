// The keys of the state stores, read from the databases; the value of the chosen one.

import { bytes, choice, clock, el, moment, offer, plural, pretty, search } from "./dom.js";
import { ask, data } from "./live.js";
import { List } from "./list.js";

const EVERY = 5000, PAUSE = 250;

export function keysView(byName) {
  const wanted = { text: "", app: "", store: "" };
  let rows = [], next = "", loaded = 0, asked = 0, timer = 0, waiting = 0, chosen = "", shownEtag = "";

  const list = new List({ label: "Keys, by store", height: 44, key: keyOf, make: rowOf, chosen: (row) => row && show(row, 120),
    opened: (clicked) => { view.classList.add("open"); if (!clicked) detail.focus(); } });
  const apps = choice("App of the keys", [["", "all apps"]], (value) => { wanted.app = value; load(); });
  const stores = choice("Store of the keys", [["", "all stores"]], (value) => { wanted.store = value; load(); });
  const box = search("Filter the keys", (value) => { wanted.text = value; clearTimeout(timer); timer = setTimeout(() => load(), PAUSE); });
  const found = el("span", { class: "soft found", role: "status" });
  const more = el("button", { type: "button", class: "more", hidden: true, onclick: () => load({ after: next }) }, "Show more keys");
  const missing = el("div", { class: "missing" }), nothing = el("p", { class: "empty" });
  const detail = el("section", { class: "detail", tabindex: "-1", "aria-label": "The chosen key",
    onkeydown: (event) => { if (event.key === "Escape") close(); } }, el("p", { class: "empty" }, "Choose a key to see its value."));
  const view = el("div", { class: "split" }, el("div", { class: "side" },
    el("div", { class: "tools" }, box, apps, stores, el("button", { type: "button", onclick: () => load() }, "Refresh"), found),
    missing, list.element, more, nothing, byName), detail);

  function close() {
    view.classList.remove("open");
    list.element.focus();
  }

  function draw() {
    const known = data.overview?.stores ?? [];
    offer(apps, [["", "all apps"], ...[...new Set(known.flatMap((each) => each.apps))].sort().map((name) => [name, name])]);
    offer(stores, [["", "all stores"], ...[...new Set(known.map((each) => each.name))].sort().map((name) => [name, name])]);
    if (stores.value !== wanted.store) stores.value = wanted.store;
    if (view.isConnected && Date.now() - loaded > EVERY && !document.hidden) load({ quietly: true });
  }

  // What is asked last is shown, whichever answer comes last. A look in between keeps the length of the list.
  async function load({ after = "", quietly = false } = {}) {
    if (quietly && (rows.length > 200 || timer)) return;
    timer = 0;
    loaded = Date.now();
    const number = asked += 1;
    if (!quietly) found.textContent = "…";
    try {
      const told = await ask("keys", { ...wanted, after });
      if (number === asked) fill(told, after);
    } catch (error) {
      if (number !== asked) return;
      found.textContent = "";
      missing.replaceChildren(el("p", { class: "warn" }, error.message));
    }
  }

  function fill(told, after) {
    rows = after ? [...rows, ...told.rows] : told.rows;
    next = told.next;
    more.hidden = !next;
    list.set(rows);
    const total = `${told.at_least ? "more than " : ""}${plural(told.total, "key")}`;
    found.textContent = rows.length < told.total ? `${rows.length.toLocaleString("en")} of ${total}` : total;
    missing.replaceChildren(...told.missing.map((each) => el("p", { class: "soft" }, each)));
    if (!rows.length && told.missing.length) byName.open = true;
    nothing.hidden = rows.length > 0;
    nothing.textContent = wanted.text || wanted.app || wanted.store ? "No key matches the filter."
      : told.missing.length ? "" : "No app has stored a key so far.";
    const row = rows.find((each) => keyOf(each) === chosen);
    if (row && row.etag !== shownEtag) show(row, 0);
  }

  function show(row, wait) {
    chosen = keyOf(row);
    shownEtag = row.etag;
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      try {
        const told = await ask("value", { store: row.store, raw: row.raw });
        if (chosen === keyOf(row)) detail.replaceChildren(...valueOf(told.row ?? row, told, close));
      } catch (error) {
        if (chosen === keyOf(row)) detail.replaceChildren(backTo(close), el("p", { class: "empty" }, error.message));
      }
    }, wait);
  }

  return { element: view, draw,
    enter(store) {
      if (store) { wanted.store = store; draw(); }
      load({ quietly: loaded > 0 && !store });
    } };
}

const keyOf = (row) => `${row.store}\n${row.raw}`;
const backTo = (close) => el("button", { type: "button", class: "back", onclick: close }, "← Keys");

function valueOf(row, told, close) {
  const facts = [["store", row.store], ["app", row.app || "all apps that use the store"]];
  if (row.kind !== "state") facts.push(["kind", row.kind], ["type", row.actor_type], ["id", row.actor_id]);
  facts.push(["in the store", row.raw], ["etag", row.etag], ["size", bytes(row.size)]);
  if (row.updated) facts.push(["changed", dateOf(row.updated)]);
  if (row.expires) facts.push(["expires", `${dateOf(row.expires)}${row.expires * 1000 < Date.now() ? ", no app sees it any more" : ""}`]);
  return [backTo(close), el("div", { class: "title" }, el("h2", {}, row.key)),
    el("dl", { class: "facts" }, facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    told.exists ? el("pre", {}, pretty(told.value)) : el("p", { class: "warn" }, "The key does not exist any more."),
    told.truncated ? el("p", { class: "soft" }, `This is the beginning of ${bytes(row.size)}.`) : null].filter(Boolean);
}

export const dateOf = (at) => `${new Date(moment(at)).toISOString().slice(0, 10)} ${clock(at)}`;

function rowOf() {
  const key = el("span", { class: "main" }), place = el("span", { class: "soft" }), size = el("span", { class: "time end" });
  const made = el("div", { class: "row key" }, el("span", { class: "two" }, key, place), size);
  made.fill = (row) => {
    key.textContent = row.kind === "state" ? row.key : `${row.actor_id} › ${row.key}`;
    place.textContent = [row.app || "all apps", row.store, row.kind === "state" ? "" : `${row.kind} ${row.actor_type}`].filter(Boolean).join(" · ");
    size.textContent = bytes(row.size);
  };
  return made;
}
