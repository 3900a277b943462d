// The list of traces, and one trace as a waterfall.

import { clock, el, moment, plural, pretty, search, words } from "./dom.js";
import { data, ask } from "./live.js";
import { named, save } from "./files.js";
import { List } from "./list.js";
import { chip } from "./events.js";

const short = (seconds) => seconds >= 1 ? `${seconds.toFixed(2)} s` : seconds >= 0.01 ? `${Math.round(seconds * 1000)} ms` : `${(seconds * 1000).toFixed(1)} ms`;
const COLOURS = 6;

export function tracesView(go) {
  const wanted = { text: "", errors: false };
  let shownId = null, shownRevision = null, timer = 0;

  const list = new List({ label: "Traces, the newest first", height: 44, key: (row) => row.id, make: rowOf,
    chosen: (row) => row && show(row.id, 120), opened: (clicked) => { view.classList.add("open"); if (!clicked) detail.focus(); } });
  const box = search("Filter: id, name, service", (value) => { wanted.text = value.toLowerCase(); draw(); });
  const failed = el("input", { type: "checkbox", id: "failed-only", onchange: () => { wanted.errors = failed.checked; draw(); } });
  const found = el("span", { class: "soft found" });
  const nothing = el("p", { class: "empty" });
  const untold = el("div", { class: "untold", role: "note" });
  const detail = el("section", { class: "detail", tabindex: "-1", "aria-label": "The chosen trace",
    onkeydown: (event) => { if (event.key === "Escape") close(); } }, el("p", { class: "empty" }, "Choose a trace to see its spans."));
  const head = el("div", { class: "row heads", "aria-hidden": "true" },
    ["begin", "first span", "services", "duration"].map((text) => el("span", {}, text)));
  const view = el("div", { class: "split" }, el("div", { class: "side" },
    el("div", { class: "tools" }, box, el("label", { class: "check" }, failed, "failed only"), found), untold, head, list.element, nothing), detail);

  function close() {
    view.classList.remove("open");
    list.element.focus();
  }

  function draw() {
    const rows = [...data.traces.values()].filter((row) => (!wanted.errors || row.errors) && (!wanted.text || row.text.includes(wanted.text)));
    rows.sort((one, other) => other.at - one.at);
    list.set(rows);
    found.textContent = rows.length === data.traces.size ? plural(rows.length, "trace") : `${plural(rows.length, "trace")} of ${data.traces.size.toLocaleString("en")}`;
    nothing.hidden = rows.length > 0 || (data.untold.length > 0 && !data.traces.size);
    nothing.textContent = data.traces.size ? "No trace matches the filter." : "No trace so far.";
    const said = data.untold.join("\n");
    if (untold.said !== said) {
      untold.said = said;
      untold.replaceChildren(...data.untold.map((each) => el("p", {}, `Missing: ${each}`)));
    }
    const row = data.traces.get(shownId);
    if (row && row.revision !== shownRevision) show(shownId, 0);
  }

  function show(id, wait) {
    shownId = id;
    shownRevision = data.traces.get(id)?.revision ?? null;
    history.replaceState(null, "", `#traces/${encodeURIComponent(id)}`);
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        const told = await ask("trace", { id });
        if (shownId === id) fill(told);
      } catch (error) {
        if (shownId === id) detail.replaceChildren(backButton(), el("p", { class: "empty" }, error.message));
      }
    }, wait);
  }

  const backButton = () => el("button", { type: "button", class: "back", onclick: close }, "← Traces");

  function fill(told) {
    const row = told.row, same = detail.dataset.key === row.id, top = same ? detail.scrollTop : 0;
    const open = same ? openSpans(detail) : new Set(), focused = same ? detail.querySelector(".span:focus")?.dataset.key : null;
    detail.dataset.key = row.id;
    detail.replaceChildren(...[
      backButton(),
      el("div", { class: "title" }, el("h2", {}, row.name || "(no name)"), row.errors ? el("span", { class: "chip", "data-outcome": "dropped" }, `${row.errors} failed`) : null),
      el("dl", { class: "facts" }, [["id", row.id], ["began", `${new Date(moment(row.at)).toISOString().slice(0, 10)} ${clock(row.at)}`],
        ["duration", short(row.took)], ["spans", row.spans.toLocaleString("en")], ["services", row.services.join(", ") || "(none)"]]
        .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      el("div", { class: "buttons" }, el("button", { type: "button", onclick: () => go(`logs/${encodeURIComponent(row.id)}`) }, "Find in logs"),
        el("button", { type: "button", onclick: () => save(`trace-${named(row.id)}.json`, `${pretty(told)}\n`) }, "Download")),
      told.events.length ? [el("h3", {}, "Events"), el("ul", { class: "parts" }, told.events.map((event) => el("li", {},
        el("a", { href: `#events/${encodeURIComponent(event.key)}` }, event.type || event.id || event.key),
        el("span", { class: "soft" }, ` on ${event.topic || "(no topic)"} `), chip().show(event.outcome))))] : [],
      el("h3", {}, "Spans"),
      told.spans.length ? waterfall(told, open) : el("p", { class: "soft" }, "None was received."),
      told.truncated ? el("p", { class: "soft" }, `${plural(row.spans - told.spans.length, "more span")} not kept`) : null,
      told.logs.length ? [el("h3", {}, "Log lines that mention it"), el("ol", { class: "loglines" }, told.logs.map((line) =>
        el("li", { "data-level": line.level }, el("span", { class: "soft" }, `${clock(line.at)} ${line.node} `), words(line.text))))] : [],
      (told.missing ?? []).map((each) => el("p", { class: "warn" }, `Missing: ${each}`))].flat().filter(Boolean));
    detail.scrollTop = top;
    if (focused) [...detail.querySelectorAll(".span")].find((each) => each.dataset.key === focused)?.focus();
  }

  return { element: view, draw,
    enter(id) {
      if (!id) return;
      list.select(id, { quietly: true });
      view.classList.add("open");
      show(id, 0);
    } };
}

const openSpans = (detail) => new Set([...detail.querySelectorAll(".span[aria-expanded=true]")].map((each) => each.dataset.key));

// A line for each span: where it is in the trace. Arrows go from one to the next, Enter shows its attributes.
function waterfall(told, open) {
  const whole = told.row.took || 0, services = [...new Set(told.spans.map((span) => span.service))];
  const ids = new Set(told.spans.map((span) => span.id));
  const marks = el("div", { class: "marks", "aria-hidden": "true" }, el("span", { class: "scale" },
    el("span", {}, "0"), el("span", {}, short(whole / 2)), el("span", {}, short(whole))));
  return el("div", {}, marks, el("ul", { class: "spans", onkeydown: moved }, told.spans.map((span, at) => {
    const key = `${span.id} ${at}`, more = el("div", { class: "more", id: `span-${at}`, hidden: !open.has(key) });
    const line = el("button", { type: "button", class: "span", "data-key": key, "aria-expanded": String(open.has(key)), "aria-controls": `span-${at}`,
      "data-status": span.status, title: `${span.service}: ${span.name}`,
      onclick: () => {
        more.hidden = !more.hidden;
        line.setAttribute("aria-expanded", String(!more.hidden));
        if (!more.hidden && !more.firstChild) more.append(...factsOf(span, ids));
      } },
    el("span", { class: "label" }, el("span", { class: "soft" }, `${span.service || "(no service)"} `), span.name || "(no name)"),
    el("span", { class: "track", "aria-hidden": "true" }, barOf(span, whole, services.indexOf(span.service) % COLOURS)),
    el("span", { class: "took" }, short(span.took)),
    span.status === "error" ? el("span", { class: "failed" }, span.error || "failed") : null);
    line.firstChild.style.paddingLeft = `${Math.min(span.depth, 12) * 12}px`;
    if (!more.hidden) more.append(...factsOf(span, ids));
    return el("li", {}, line, more);
  })));
}

// At least a line wide, and never outside of the track.
function barOf(span, whole, colour) {
  const bar = el("span", { class: "bar", "data-colour": String(colour) });
  const left = whole ? Math.min(99.5, Math.max(0, 100 * span.start / whole)) : 0;
  bar.style.left = `${left}%`;
  bar.style.width = `${Math.max(0.5, Math.min(100 - left, whole ? 100 * span.took / whole : 100))}%`;
  return bar;
}

function factsOf(span, ids) {
  const orphan = span.parent && !ids.has(span.parent);
  const facts = [["starts", `after ${short(span.start)}, takes ${short(span.took)}`], ["status", span.error ? `${span.status}: ${span.error}` : span.status],
    ["kind", span.kind], ["reported by", span.node || span.service], ["id", span.id],
    ["parent", orphan ? `${span.parent}, which was not received` : span.parent]];
  return [el("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
    Object.entries(span.attributes).map(([name, value]) => [el("dt", {}, name), el("dd", {}, el("code", {}, value))]))];
}

function moved(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.classList.contains("span")) return;
  const all = [...event.currentTarget.querySelectorAll(".span")];
  all[all.indexOf(event.target) + step]?.focus();
  event.preventDefault();
}

function rowOf() {
  const time = el("span", { class: "time" }), name = el("span", { class: "main" }), id = el("span", { class: "soft" });
  const way = el("span", { class: "way" }), took = el("span", {}), count = el("span", { class: "soft" });
  const made = el("div", { class: "row" }, time, el("span", { class: "two" }, name, id), way, el("span", { class: "two end" }, took, count));
  made.fill = (row) => {
    time.textContent = clock(row.at);
    name.textContent = row.name || "(no name)";
    id.textContent = row.id;
    way.textContent = row.services.join(", ");
    took.textContent = short(row.took);
    count.textContent = row.errors ? `${row.errors} of ${row.spans} failed` : plural(row.spans, "span");
    count.className = row.errors ? "bad-text" : "soft";
  };
  return made;
}
