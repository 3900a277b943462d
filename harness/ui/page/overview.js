// The map of a stack, its figures, and its nodes.

import { el, megabytes, moment, svg } from "./dom.js";
import { data } from "./live.js";
import { nodeButtons, nodeDialog } from "./actions.js";
import { drawMap } from "./map.js";
import { OUTCOMES } from "./events.js";
import { drawTopics } from "./topics.js";

const SECONDS = 60;

export function overviewView(go) {
  const tiles = el("div", { class: "tiles" }), map = el("div", { class: "map" });
  const nodes = el("div", { class: "scroll" }), topics = el("div", { class: "scroll" }), parts = el("div", {}), missing = el("div", {});
  const view = el("div", { class: "page" }, tiles, missing,
    el("section", { class: "card", "aria-labelledby": "map-title" }, el("h2", { id: "map-title" }, "Map"), map),
    el("section", { class: "card", "aria-labelledby": "nodes-title" }, el("h2", { id: "nodes-title" }, "Nodes"), nodes),
    el("section", { class: "card", "aria-labelledby": "topics-title" }, el("h2", { id: "topics-title" }, "Topics"), topics),
    el("section", { class: "card", "aria-labelledby": "parts-title" }, el("h2", { id: "parts-title" }, "Components"), parts));
  const rows = new Map();
  const body = el("tbody", {});
  nodes.append(el("table", { class: "nodes" }, el("thead", {}, el("tr", {},
    [["node"], ["state"], ["kind"], ["errors", "num"], ["memory", "num"], ["CPU", "num"], ["address"], ["actions"]].map(([text, kind]) =>
      el("th", { scope: "col", class: kind }, text)))), body));
  let before = null, drawnParts = "", drawnTopics = "";

  function draw() {
    const now = data.overview;
    if (!now) return;
    const traffic = trafficOf();
    drawTiles(tiles, now, traffic);
    drawMap(map, now, traffic, go, (name) => nodeDialog(now.nodes.find((node) => node.name === name), (node) => go("logs", { node })));
    drawNodes(now);
    missing.replaceChildren(...(now.missing ?? []).map((each) => el("p", { class: "warn" }, each)));
    const asked = JSON.stringify(now.topics);
    if (asked !== drawnTopics) { drawnTopics = asked; drawTopics(topics, now.topics, go); }
    const told = JSON.stringify(now.components);
    if (told !== drawnParts) { drawnParts = told; drawParts(now.components); }
  }

  // Rows stay the same elements, so that the focus stays where it is.
  function drawNodes(now) {
    const cpu = cpuOf(before?.now, now), errors = errorsOf();
    for (const node of now.nodes) {
      let row = rows.get(node.name);
      if (!row) {
        row = el("tr", {}, Array.from({ length: 8 }, (_, at) => el("td", { class: at >= 3 && at <= 5 ? "num" : null })));
        rows.set(node.name, row);
        body.append(row);
        const name = el("button", { type: "button", class: "link", onclick: () =>
          nodeDialog(data.overview.nodes.find((each) => each.name === node.name), (each) => go("logs", { node: each })) }, node.name);
        row.cells[0].append(name);
      }
      const [, state, kind, wrong, memory, time, address, buttons] = row.cells;
      drawErrors(wrong, node.name, errors.get(node.name) ?? 0);
      state.replaceChildren(el("span", { class: "state", "data-state": node.state },
        node.exit_code === null ? node.state : `${node.state} (${node.exit_code})`));
      kind.textContent = node.kind;
      memory.textContent = megabytes(node.memory);
      time.textContent = cpu.has(node.name) ? `${cpu.get(node.name).toFixed(0)} %` : "";
      address.textContent = Object.values(node.addresses)[0] ?? "";
      if (row.state !== node.state) { row.state = node.state; buttons.replaceChildren(el("div", { class: "buttons" }, nodeButtons(node))); }
    }
    for (const [name, row] of rows) if (!now.nodes.some((node) => node.name === name)) { row.remove(); rows.delete(name); }
    if (before?.now !== now) before = { now, cpu };
  }

  function drawErrors(cell, name, count) {
    if (cell.drawn === count) return;
    cell.drawn = count;
    cell.replaceChildren(count ? el("button", { type: "button", class: "link bad", title: `Errors in the log of ${name}`,
      "aria-label": `${count} errors in the log of ${name}`, onclick: () => go("logs", { node: name, level: "error" }) }, count.toLocaleString("en")) : "");
  }

  function cpuOf(earlier, now) {
    if (earlier === now) return before.cpu;
    const found = new Map();
    for (const node of earlier?.nodes ?? []) {
      const same = now.nodes.find((each) => each.name === node.name);
      if (same && same.cpu_seconds >= node.cpu_seconds && now.at > earlier.at)
        found.set(node.name, 100 * (same.cpu_seconds - node.cpu_seconds) / (now.at - earlier.at));
    }
    return found;
  }

  function drawParts(components) {
    parts.replaceChildren(el("ul", { class: "parts" }, components.map((each) => el("li", { class: each.loaded ? null : "bad" },
      el("strong", {}, each.name), el("span", { class: "soft" }, ` ${each.type} `), el("span", {}, each.apps.join(", ")),
      Object.entries(each.failed ?? {}).map(([app, why]) => el("div", { class: "warn" }, `not loaded for ${app}: ${why}`))))));
  }

  return { element: view, draw, enter() {} };
}

// The lines of each node that report an error, of those that the page keeps.
function errorsOf() {
  const found = new Map();
  for (const line of data.lines)
    if (line.level === "error" || line.level === "fatal") found.set(line.node, (found.get(line.node) ?? 0) + 1);
  return found;
}

// Events of the last minute: by second, and the rate by topic and by publisher over ten seconds.
function trafficOf() {
  const now = Date.now(), bars = new Array(SECONDS).fill(0), topics = new Map(), published = new Map(), outcomes = {};
  for (const row of data.events.values()) {
    outcomes[row.outcome] = (outcomes[row.outcome] ?? 0) + 1;
    const way = `${row.published_by ?? ""}\n${row.topic}`, age = (now - moment(row.at)) / 1000;
    const recent = age < 10 ? 0.1 : 0;
    published.set(way, (published.get(way) ?? 0) + recent);
    topics.set(row.topic, (topics.get(row.topic) ?? 0) + recent);
    if (age >= 0 && age < SECONDS) bars[SECONDS - 1 - Math.floor(age)] += 1;
  }
  return { bars, topics, published, outcomes };
}

function drawTiles(place, now, traffic) {
  const bad = now.nodes.filter((node) => !["running", "external"].includes(node.state)).map((node) => node.name);
  const last = traffic.bars.slice(-11, -1), rate = last.reduce((sum, each) => sum + each, 0) / 10;
  const lost = ["dead_letter", "dropped", "rejected", "expired", "retrying"].filter((name) => traffic.outcomes[name]);
  const lags = now.topics.flatMap((topic) => topic.subscribers).map((each) => each.lag ?? null).filter((each) => each !== null);
  const failed = now.components.filter((each) => !each.loaded);
  const memory = now.nodes.reduce((sum, node) => sum + node.memory, 0);
  place.replaceChildren(
    tile("Nodes", bad.length ? `${now.nodes.length - bad.length} of ${now.nodes.length}` : String(now.nodes.length),
      bad.length ? `not running: ${bad.join(", ")}` : `all running, ${megabytes(memory)}`, bad.length > 0),
    tile("Events", data.events.size.toLocaleString("en"), `${rate.toFixed(1)} per second`, false, bars(traffic.bars)),
    tile("Not delivered", String(lost.reduce((sum, name) => sum + traffic.outcomes[name], 0)),
      lost.map((name) => `${OUTCOMES[name]}: ${traffic.outcomes[name]}`).join(", ") || "no dead letter, drop or retry", lost.length > 0),
    lags.length ? tile("Lag", lags.reduce((sum, each) => sum + each, 0).toLocaleString("en"), "records still to be handled", false) : "",
    tile("Components", failed.length ? `${now.components.length - failed.length} of ${now.components.length}` : String(now.components.length),
      failed.length ? `not loaded: ${failed.map((each) => each.name).join(", ")}` : "all loaded", failed.length > 0));
}

const tile = (name, figure, words, bad, more) => el("div", { class: bad ? "tile bad" : "tile" },
  el("div", { class: "soft" }, name), el("div", { class: "figure" }, figure), el("div", { class: "words" }, words), more);

function bars(counts) {
  const most = Math.max(1, ...counts);
  return svg("svg", { viewBox: `0 0 ${SECONDS * 3} 24`, class: "bars", role: "img", preserveAspectRatio: "none",
    "aria-label": `Events per second in the last minute, ${most} at most` },
    counts.map((count, at) => svg("rect", { x: at * 3, width: 2.2, y: 24 - Math.max(1, 24 * count / most), height: Math.max(1, 24 * count / most) })));
}

