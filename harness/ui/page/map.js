// The map: topics on the left, apps with their sidecars in the middle, stores and jobs on the right.

import { plural, svg } from "./dom.js";

const WIDE = { topics: 220, apps: 230, right: 200, gap: 150 }, NARROW = { topics: 142, apps: 168, right: 0, gap: 40 };
const ROW = 62, SMALL = 46, TOP = 34;
let drawn = "";

export function drawMap(place, now, traffic, go, open) {
  const narrow = place.clientWidth < 560, model = modelOf(now, traffic), shape = JSON.stringify([model, narrow]);
  if (shape !== drawn || !place.firstChild) {
    drawn = shape;
    const active = place.contains(document.activeElement) ? document.activeElement.getAttribute("data-name") : null;
    place.replaceChildren(pictureOf(model, go, open, narrow));
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
  // Those that nobody uses so far are in the table.
  const used = now.topics.filter((topic) => topic.pubsub || topic.records || topic.subscribers.length);
  const topics = used.map((topic) => ({ name: topic.name, records: topic.records, rate: rate(traffic.topics.get(topic.name)),
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

function pictureOf(model, go, open, narrow) {
  const size = narrow ? NARROW : WIDE, middle = size.topics + size.gap, right = middle + size.apps + size.gap;
  const rights = [...model.stores.map((store) => ({ is: "store", name: store.name, title: store.name, words: store.type.replace(/^state\./, ""),
    apps: store.apps, press: () => go(`state/${encodeURIComponent(store.name)}`) })),
  ...model.jobs.map(([app, count]) => ({ is: "jobs", name: app, title: `jobs of ${app}`, words: String(count), apps: [app], press: () => go("jobs") }))];
  const others = model.others.map((node) => ({ is: "node", name: node.name, title: node.name, words: node.kind, state: node.state, press: () => open(node.name) }));
  const tall = Math.max(model.topics.length * SMALL, model.apps.length * ROW, narrow ? 0 : rights.length * SMALL);
  const at = (count, step, index) => TOP + (tall - count * step) / 2 + index * step + step / 2;
  const y = { topic: new Map(ordered(model).map((topic, index) => [topic.name, at(model.topics.length, SMALL, index)])),
    app: new Map(model.apps.map((app, index) => [app.name, at(model.apps.length, ROW, index)])) };
  const lines = svg("g", { class: "edges" });
  const picture = svg("svg", { role: "group", class: narrow ? "narrow" : null,
    "aria-label": `${model.topics.length} topics, ${model.apps.length} apps, ${model.stores.length} stores` },
    svg("defs", {}, ["delivers", "publishes"].map((kind) => svg("marker", { id: `arrow-${kind}`, viewBox: "0 0 8 8", refX: 7, refY: 4,
      markerWidth: 7, markerHeight: 7, orient: "auto", markerUnits: "userSpaceOnUse" }, svg("path", { d: "M0 0L8 4L0 8z", class: `arrow ${kind}` })))), lines);
  const heading = (x, top, text) => picture.append(svg("text", { x, y: top, class: "heading" }, text));
  heading(0, 14, "topics");
  heading(middle, 14, narrow ? "apps" : "apps and sidecars");

  for (const edge of model.edges) {
    const delivers = edge.kind === "delivers", side = delivers ? -6 : 6;
    const ends = [[size.topics, y.topic.get(edge.topic) + side], [middle, y.app.get(edge.app) + side]];
    lines.append(svg("path", { class: `edge ${edge.kind}${edge.rate ? " busy" : ""}`, "data-from": edge.topic, "data-to": edge.app,
      d: curve(...(delivers ? ends : ends.reverse())), "marker-end": `url(#arrow-${edge.kind})` },
      svg("title", {}, delivers ? `${edge.app} subscribes to ${edge.topic}` : `${edge.app} publishes to ${edge.topic}, ${edge.rate} per second`)));
  }
  for (const topic of model.topics) picture.append(box({ x: 0, y: y.topic.get(topic.name), width: size.topics, is: "topic", name: topic.name, title: topic.name,
    words: `${plural(topic.records, "record")}${topic.rate ? ` · ${topic.rate}/s` : ""}${topic.lag ? ` · lag ${topic.lag}` : ""}`, press: () => go("events", topic.name) }));
  for (const app of model.apps) picture.append(appBox(app, middle, y.app.get(app.name), size.apps, open));

  let bottom = TOP + tall + 12;
  const rows = (title, boxes) => {
    if (!boxes.length) return;
    heading(0, bottom + 14, title);
    const columns = narrow ? 2 : 6, width = (right + size.right - (narrow ? size.gap : 0)) / columns;
    boxes.forEach((each, index) => picture.append(box({ ...each, x: index % columns * width, y: bottom + 44 + Math.floor(index / columns) * SMALL, width: width - 8 })));
    bottom += 24 + Math.ceil(boxes.length / columns) * SMALL;
  };
  if (narrow) rows("stores and jobs", rights);
  else if (rights.length) {
    heading(right, 14, "stores and jobs");
    rights.forEach((each, index) => {
      const top = at(rights.length, SMALL, index);
      for (const app of each.apps) if (y.app.has(app)) lines.append(svg("path", { class: "edge uses",
        "data-from": `${each.is}:${each.name}`, "data-to": app, d: curve([middle + size.apps, y.app.get(app)], [right, top]) }));
      picture.append(box({ ...each, x: right, y: top, width: size.right }));
    });
  }
  rows("brokers, databases and control plane", others);
  picture.setAttribute("viewBox", `0 0 ${narrow ? middle + size.apps : right + size.right} ${bottom}`);

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

function box({ x, y, width, is, name, state, title, words, press }) {
  const text = x + (state ? 25 : 12);
  return pressable({ class: `box ${is}`, "data-name": ["store", "jobs"].includes(is) ? `${is}:${name}` : name, "data-state": state },
    `${is} ${title}, ${state ?? ""} ${words}`, press,
    svg("title", {}, title), svg("rect", { x: x + 1, y: y - 19, width: width - 2, height: 38, rx: 8 }),
    state ? svg("circle", { cx: x + 14, cy: y - 5, r: 4.5, class: "light" }) : null,
    svg("text", { x: text, y: y - 1 }, short(title, Math.floor((width - text + x - 6) / 7.3))),
    svg("text", { x: text, y: y + 13, class: "small" }, short(words, Math.floor((width - text + x) / 5.6))));
}

function appBox(app, x, y, width, open) {
  const nodes = [...app.nodes].sort((one, other) => one.kind.localeCompare(other.kind)), step = (width - 8) / Math.max(2, nodes.length);
  const parts = nodes.map((node, index) => pressable({ class: "part", "data-state": node.state, "data-name": app.name, "data-node": node.name },
    `${node.kind} ${node.name}, ${node.state}`, () => open(node.name),
    svg("rect", { x: x + 6 + index * step, y: y + 1, width: step - 4, height: 21, rx: 6 }),
    svg("circle", { cx: x + 16 + index * step, cy: y + 11.5, r: 4.5, class: "light" }),
    svg("text", { x: x + 25 + index * step, y: y + 15.5, class: "small" }, node.kind === "sidecar" ? "daprd" : "app")));
  return svg("g", { class: "box app", "data-name": app.name }, svg("rect", { x: x + 1, y: y - 26, width: width - 2, height: 52, rx: 8 }),
    svg("title", {}, app.name), svg("text", { x: x + 12, y: y - 8 }, short(app.name, Math.floor((width - 16) / 7.3))), parts);
}
