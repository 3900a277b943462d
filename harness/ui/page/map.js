// The map: topics on the left, apps with their sidecars in the middle, stores and jobs on the right.

import { svg } from "./dom.js";

const BOX = { topics: 220, apps: 230, right: 200 }, GAP = 150, ROW = 62, SMALL = 46, TOP = 34;
let drawn = "";

export function drawMap(place, now, traffic, go, open) {
  const model = modelOf(now, traffic), shape = JSON.stringify(model);
  if (shape !== drawn || !place.firstChild) {
    drawn = shape;
    const active = place.contains(document.activeElement) ? document.activeElement.getAttribute("data-name") : null;
    place.replaceChildren(pictureOf(model, go, open));
    if (active) [...place.querySelectorAll("[data-name]")].find((each) => each.getAttribute("data-name") === active)?.focus();
  }
}

function modelOf(now, traffic) {
  const apps = new Map();
  for (const node of now.nodes) {
    if (!node.app_id || !["app", "sidecar"].includes(node.kind)) continue;
    const app = apps.get(node.app_id) ?? { name: node.app_id, nodes: [] };
    app.nodes.push({ name: node.name, kind: node.kind, state: node.state });
    apps.set(node.app_id, app);
  }
  const rate = (value) => value ? Number(value.toFixed(1)) : 0;
  const topics = now.topics.map((topic) => ({ name: topic.name, records: topic.records, rate: rate(traffic.topics.get(topic.name)),
    lag: topic.subscribers.reduce((sum, each) => sum + (each.lag ?? 0), 0) }));
  const names = new Set(topics.map((topic) => topic.name));
  const edges = now.topics.flatMap((topic) => topic.subscribers.filter((each) => apps.has(each.app)).map((each) => (
    { kind: "delivers", topic: topic.name, app: each.app, rate: rate(traffic.topics.get(topic.name)) })));
  for (const [way, value] of traffic.published) {
    const [app, topic] = way.split("\n");
    if (apps.has(app) && names.has(topic)) edges.push({ kind: "publishes", topic, app, rate: rate(value) });
  }
  const stores = now.stores.map((store) => ({ name: store.name, type: store.type, apps: store.apps }));
  const jobs = {};
  for (const job of now.jobs) jobs[job.app] = (jobs[job.app] ?? 0) + 1;
  return { apps: [...apps.values()], topics, edges, stores, jobs: Object.entries(jobs).filter(([app]) => apps.has(app)),
    others: now.nodes.filter((node) => !["app", "sidecar", "recorder"].includes(node.kind)).map((node) => ({ name: node.name, kind: node.kind, state: node.state })) };
}

function pictureOf(model, go, open) {
  const left = 0, middle = BOX.topics + GAP, right = middle + BOX.apps + GAP, width = right + BOX.right;
  const rights = [...model.stores.map((store) => ({ ...store, is: "store" })), ...model.jobs.map(([app, count]) => ({ name: app, count, is: "jobs" }))];
  const tall = Math.max(model.topics.length * SMALL, model.apps.length * ROW, rights.length * SMALL);
  const bottom = TOP + tall + 14, height = bottom + (model.others.length ? 66 : 0);
  const at = (count, step, index) => TOP + (tall - count * step) / 2 + index * step + step / 2;
  const y = { topic: new Map(ordered(model).map((topic, index) => [topic.name, at(model.topics.length, SMALL, index)])),
    app: new Map(model.apps.map((app, index) => [app.name, at(model.apps.length, ROW, index)])) };
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group",
    "aria-label": `${model.topics.length} topics, ${model.apps.length} apps, ${model.stores.length} stores` },
    svg("defs", {}, ["delivers", "publishes"].map((kind) => svg("marker", { id: `arrow-${kind}`, viewBox: "0 0 8 8", refX: 7, refY: 4,
      markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8z", class: `arrow ${kind}` })))));
  const heading = (x, text) => svg("text", { x, y: 14, class: "heading" }, text);
  picture.append(heading(left, "topics"), heading(middle, "apps and sidecars"), heading(right, "stores and jobs"));
  const lines = svg("g", { class: "edges" });
  picture.append(lines);

  for (const edge of model.edges) {
    const from = [BOX.topics, y.topic.get(edge.topic) + (edge.kind === "delivers" ? -5 : 5)], to = [middle, y.app.get(edge.app) + (edge.kind === "delivers" ? -6 : 6)];
    const [begin, end] = edge.kind === "delivers" ? [from, to] : [to, from];
    lines.append(svg("path", { class: `edge ${edge.kind}${edge.rate ? " busy" : ""}`, "data-from": edge.topic, "data-to": edge.app,
      d: curve(begin, end), "marker-end": `url(#arrow-${edge.kind})` },
      svg("title", {}, edge.kind === "delivers" ? `${edge.app} subscribes to ${edge.topic}` : `${edge.app} publishes to ${edge.topic}, ${edge.rate} per second`)));
  }
  rights.forEach((each, index) => {
    const top = at(rights.length, SMALL, index);
    for (const app of each.is === "store" ? each.apps : [each.name]) if (y.app.has(app)) lines.append(svg("path", { class: "edge uses",
      "data-from": `${each.is}:${each.name}`, "data-to": app, d: curve([middle + BOX.apps, y.app.get(app)], [right, top]) }));
    picture.append(each.is === "store"
      ? box({ x: right, y: top, width: BOX.right, height: 38, kind: "store", name: `store:${each.name}`, title: each.name, words: each.type.replace(/^state\./, ""), press: () => go(`state/${encodeURIComponent(each.name)}`) })
      : box({ x: right, y: top, width: BOX.right, height: 38, kind: "jobs", name: `jobs:${each.name}`, title: `jobs of ${each.name}`, words: `${each.count}`, press: () => go("jobs") }));
  });
  for (const topic of model.topics) picture.append(box({ x: left, y: y.topic.get(topic.name), width: BOX.topics, height: 38, kind: "topic", name: topic.name,
    title: topic.name, words: `${topic.records.toLocaleString("en")} records${topic.rate ? ` · ${topic.rate}/s` : ""}${topic.lag ? ` · lag ${topic.lag}` : ""}`, press: () => go("events", topic.name) }));
  for (const app of model.apps) picture.append(appBox(app, middle, y.app.get(app.name), open));
  model.others.forEach((node, index) => picture.append(box({ x: index * 158, y: bottom + 40, width: 150, height: 36, kind: "node", name: node.name,
    state: node.state, title: node.name, words: node.kind, press: () => open(node.name) })));
  if (model.others.length) {
    picture.append(svg("text", { x: 0, y: bottom + 12, class: "heading" }, "brokers, databases and control plane"));
    picture.setAttribute("viewBox", `0 0 ${Math.max(width, model.others.length * 158)} ${height}`);
  }
  const mark = (event) => {
    const name = event.target.closest?.("[data-name]")?.getAttribute("data-name");
    for (const edge of lines.children) edge.classList.toggle("marked", [edge.getAttribute("data-from"), edge.getAttribute("data-to")].includes(name));
    lines.classList.toggle("marking", [...lines.children].some((edge) => edge.classList.contains("marked")));
  };
  for (const kind of ["pointerover", "focusin", "pointerleave", "focusout"]) picture.addEventListener(kind, mark);
  return picture;
}

// Topics in the order of the apps that subscribe to them, so that fewer lines cross.
function ordered(model) {
  const place = new Map(model.apps.map((app, index) => [app.name, index]));
  const weight = (topic) => {
    const found = model.edges.filter((edge) => edge.topic === topic.name).map((edge) => place.get(edge.app));
    return found.length ? found.reduce((sum, each) => sum + each, 0) / found.length : model.apps.length;
  };
  return [...model.topics].sort((one, other) => weight(one) - weight(other));
}

function curve([x1, y1], [x2, y2]) {
  const middle = (x1 + x2) / 2;
  return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
}

const short = (text, most) => text.length > most ? `${text.slice(0, most - 1)}…` : text;

function pressable(attributes, label, press, ...children) {
  return svg("g", { ...attributes, role: "button", tabindex: "0", "aria-label": label, onclick: press,
    onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); press(); } } }, children);
}

function box({ x, y, width, height, kind, name, state, title, words, press }) {
  return pressable({ class: `box ${kind}`, "data-name": name, "data-state": state }, `${kind} ${title}, ${state ?? ""} ${words}`, press,
    svg("title", {}, title), svg("rect", { x: x + 1, y: y - height / 2, width: width - 2, height, rx: 8 }),
    state ? svg("circle", { cx: x + 14, cy: y - 5, r: 4.5, class: "light" }) : null,
    svg("text", { x: x + (state ? 25 : 12), y: y - 1 }, short(title, Math.floor((width - 24) / 7.4))),
    svg("text", { x: x + (state ? 25 : 12), y: y + 13, class: "small" }, words));
}

function appBox(app, x, y, open) {
  const nodes = [...app.nodes].sort((one, other) => one.kind.localeCompare(other.kind));
  const step = BOX.apps / Math.max(2, nodes.length);
  const lights = nodes.map((node, index) => pressable({ class: "part", "data-state": node.state, "data-name": `${app.name}`, "data-node": node.name },
    `${node.kind} ${node.name}, ${node.state}`, () => open(node.name),
    svg("rect", { x: x + 6 + index * step, y: y + 1, width: step - 10, height: 21, rx: 6 }),
    svg("circle", { cx: x + 17 + index * step, cy: y + 11.5, r: 4.5, class: "light" }),
    svg("text", { x: x + 27 + index * step, y: y + 15.5, class: "small" }, node.kind === "sidecar" ? "daprd" : "app")));
  return svg("g", { class: "box app", "data-name": app.name }, svg("rect", { x: x + 1, y: y - 26, width: BOX.apps - 2, height: 52, rx: 8 }),
    svg("text", { x: x + 12, y: y - 8 }, short(app.name, 29)), lights);
}
