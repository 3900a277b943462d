// The list of events, and one event with its path.

import { choice, clock, el, moment, offer, plural, pretty, search, bytes, words } from "./dom.js";
import { data, ask } from "./live.js";
import { List } from "./list.js";
import { run } from "./actions.js";
import { copy, named, save } from "./files.js";

export const OUTCOMES = { delivered: "delivered", retrying: "retrying", dropped: "dropped", dead_letter: "dead letter",
  expired: "expired", rejected: "rejected", in_flight: "in flight", not_recorded: "not recorded", unhandled: "no subscriber" };

export const chip = () => {
  const made = el("span", { class: "chip" });
  made.show = (outcome) => { made.dataset.outcome = outcome; made.textContent = OUTCOMES[outcome] ?? outcome; return made; };
  return made;
};

export function eventsView(go) {
  const wanted = { text: "", topic: "", outcome: "" };
  let detailKey = null, detailRevision = null, timer = 0;

  const list = new List({ label: "Events, the newest first", height: 44, key: (row) => row.key, make: rowOf,
    chosen: (row) => row && show(row.key, 120), opened: (clicked) => { view.classList.add("open"); if (!clicked) detail.focus(); } });
  const topics = choice("Topic", [["", "all topics"]], (value) => { wanted.topic = value; draw(); });
  const outcomes = choice("Outcome", [["", "all outcomes"]], (value) => { wanted.outcome = value; draw(); });
  const box = search("Filter: id, type, topic, app", (value) => { wanted.text = value.toLowerCase(); draw(); });
  const found = el("span", { class: "soft found" });
  const nothing = el("p", { class: "empty" });
  const detail = el("section", { class: "detail", tabindex: "-1", "aria-label": "The chosen event",
    onkeydown: (event) => { if (event.key === "Escape") close(); } }, el("p", { class: "empty" }, "Choose an event to see where it went."));
  const head = el("div", { class: "row heads", "aria-hidden": "true" },
    ["time", "topic and type", "from → to", "outcome"].map((text) => el("span", {}, text)));
  const view = el("div", { class: "split" },
    el("div", { class: "side" }, el("div", { class: "tools" }, box, topics, outcomes, found), head, list.element, nothing), detail);

  function close() {
    view.classList.remove("open");
    list.element.focus();
  }

  function draw() {
    const rows = [], counts = {}, names = new Set();
    for (const row of data.events.values()) {
      names.add(row.topic);
      if ((wanted.topic && row.topic !== wanted.topic) || (wanted.text && !row.text.includes(wanted.text))) continue;
      counts[row.outcome] = (counts[row.outcome] ?? 0) + 1;
      if (!wanted.outcome || row.outcome === wanted.outcome) rows.push(row);
    }
    rows.sort((one, other) => other.at - one.at);
    offer(topics, [["", "all topics"], ...[...names].sort().map((name) => [name, name || "(none)"])]);
    offer(outcomes, [["", "all outcomes"], ...Object.entries(OUTCOMES).filter(([name]) => counts[name] || name === wanted.outcome)
      .map(([name, text]) => [name, `${text} (${counts[name] ?? 0})`])]);
    list.set(rows);
    found.textContent = rows.length === data.events.size ? plural(rows.length, "event") : `${plural(rows.length, "event")} of ${data.events.size.toLocaleString("en")}`;
    nothing.hidden = rows.length > 0;
    nothing.textContent = data.events.size ? "No event matches the filter." : "No event so far. Publish one with the button above, or let an app do it.";
    const row = data.events.get(detailKey);
    if (row && row.revision !== detailRevision) show(detailKey, 0);
  }

  function show(key, wait) {
    detailKey = key;
    detailRevision = data.events.get(key)?.revision ?? null;
    history.replaceState(null, "", `#events/${encodeURIComponent(key)}`);
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        const told = await ask("event", { id: key });
        if (detailKey === key) fill(told);
      } catch (error) {
        if (detailKey === key) detail.replaceChildren(el("p", { class: "empty" }, error.message));
      }
    }, wait);
  }

  function fill(told) {
    const row = told.row, state = new Map([...detail.querySelectorAll("details")].map((each) => [each.id, each.open]));
    const top = detail.dataset.key === row.key ? detail.scrollTop : 0;
    detail.dataset.key = row.key;
    detail.replaceChildren(...[
      el("button", { type: "button", class: "back", onclick: close }, "← Events"),
      el("div", { class: "title" }, el("h2", {}, row.type || "(no type)"), chip().show(row.outcome)),
      el("p", { class: "conclusion" }, told.conclusion),
      el("dl", { class: "facts" }, facts(row, told).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      el("div", { class: "buttons" },
        el("button", { type: "button", onclick: () => run("redeliver", { id: row.key }, (done) => done.note) }, "Redeliver"),
        el("button", { type: "button", onclick: () => go(`logs/${encodeURIComponent(row.id)}`) }, "Find in logs"),
        el("button", { type: "button", onclick: () => copy(pretty(told.data)) }, "Copy data"),
        el("button", { type: "button", onclick: () => save(`event-${named(row.id)}.json`, `${pretty(told)}\n`) }, "Download")),
      el("h3", {}, "Path"), pathOf(told),
      el("details", { id: "payload", open: state.get("payload") ?? true },
        el("summary", {}, `Data, ${bytes(row.size)}${told.truncated ? ", cut off" : ""}`), el("pre", {}, pretty(told.data))),
      told.logs.length ? [el("h3", {}, "Log lines that mention it"), el("ol", { class: "loglines" }, told.logs.map((line) =>
        el("li", { "data-level": line.level }, el("span", { class: "soft" }, `${clock(line.at)} ${line.node} `), words(line.text))))] : [],
      (told.missing ?? []).map((each) => el("p", { class: "warn" }, each))].flat());
    detail.scrollTop = top;
  }

  return { element: view, draw,
    enter(key) {
      if (!key) return;
      list.select(key, { quietly: true });
      view.classList.add("open");
      show(key, 0);
    },
    filter(topic) { wanted.topic = topic; draw(); topics.value = topic; } };
}

function facts(row, told) {
  const path = told.path, found = [["id", row.id || "(none)"], ["topic", row.topic],
    ["published by", row.published_by ?? "unknown"], ["first seen", `${new Date(moment(row.at)).toISOString().slice(0, 10)} ${clock(row.at)}`]];
  if (path.source) found.push(["source", path.source]);
  if (path.subject) found.push(["subject", path.subject]);
  if (path.trace) found.push(["trace", path.trace]);
  if (path.expires) found.push(["expires", path.expires]);
  return found;
}

// Each step with the time since the first of them. Of a delivery, the same time is among the attempts.
function pathOf(told) {
  const { steps, attempts } = told.path;
  if (!steps?.length) return el("p", { class: "soft" }, "Nothing is recorded of it.");
  const outcomes = new Map((attempts ?? []).map((each) => [each.time, each.outcome]));
  return el("ol", { class: "path" }, steps.map(([time, text]) => {
    const kind = outcomes.has(time) ? "delivered" : text.startsWith("stored at ") ? "stored" : "published";
    const bad = kind === "delivered" ? outcomes.get(time) !== "success" : / as the dead letter of |: no response|: status [45]/.test(text);
    return el("li", { "data-kind": kind, class: bad ? "bad" : null },
      el("span", { class: "when", title: clock(time) }, `+${((moment(time) - moment(steps[0][0])) / 1000).toFixed(3)} s`), el("span", {}, text));
  }));
}

function rowOf() {
  const time = el("span", { class: "time" }), topic = el("span", { class: "main" }), type = el("span", { class: "soft tail" });
  const way = el("span", { class: "way" }), outcome = chip();
  const made = el("div", { class: "row" }, time, el("span", { class: "two" }, topic, type), way,
    el("span", { class: "end" }, outcome));
  made.fill = (row) => {
    time.textContent = clock(row.at);
    topic.textContent = row.topic || "(no topic)";
    type.textContent = `\u200e${row.type || row.id}`;
    way.textContent = `${row.published_by ?? ""} → ${row.apps.length ? row.apps.join(", ") : "–"}${row.attempts > row.apps.length ? ` (${row.attempts})` : ""}`;
    outcome.show(row.outcome);
  };
  return made;
}
