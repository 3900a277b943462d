// What the buttons do: each answer is said in one line, and nothing harmful happens without a question.

import { byId, choice, el, pretty, table } from "./dom.js";
import { ask, data, tell } from "./live.js";

let timer = 0;

export function say(text, bad = false) {
  const place = byId("said");
  place.textContent = text.charAt(0).toUpperCase() + text.slice(1);
  place.classList.toggle("bad", bad);
  clearTimeout(timer);
  timer = setTimeout(() => { place.textContent = ""; }, bad ? 15000 : 5000);
}

export async function run(path, values, done) {
  say("…");
  try {
    const told = await tell(path, values);
    say(typeof done === "function" ? done(told) : done);
    return told;
  } catch (error) {
    say(error.message, true);
    return undefined;
  }
}

const DONE = { restart: "is ready again", pause: "is paused", resume: "continues", kill: "was killed" };
const busy = new Set();

export function nodeButtons(node) {
  if (node.state === "external") return [];
  const names = node.state === "paused" ? ["resume", "restart", "kill"] : node.state === "exited" ? ["restart"] : ["restart", "pause", "kill"];
  return names.map((name) => el("button", { type: "button", class: name === "kill" ? "danger" : null, "data-action": name,
    "aria-label": `${name} ${node.name}`, disabled: busy.has(node.name), onclick: () => act(name, node.name) }, name));
}

async function act(action, node) {
  if (action === "kill" && !await confirmed(`Kill ${node}?`,
    `It ends at once, with SIGKILL. Tests that are attached to the stack fail and name the cause. “restart” starts it again.`, "Kill")) return;
  busy.add(node);
  say(`${action} ${node} …`);
  await run("act", { action, node }, `${node} ${DONE[action]}.`);
  busy.delete(node);
}

export function dialog(title, ...content) {
  const made = el("dialog", { "aria-label": title, onclose: () => made.remove() },
    el("div", { class: "title" }, el("h2", {}, title),
      el("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => made.close() }, "✕")), content);
  document.body.append(made);
  made.showModal();
  return made;
}

function confirmed(title, text, yes) {
  return new Promise((resolve) => {
    const made = dialog(title, el("p", {}, text), el("div", { class: "buttons end" },
      el("button", { type: "button", onclick: () => made.close() }, "Cancel"),
      el("button", { type: "button", class: "danger", onclick: () => { resolve(true); made.close(); } }, yes)));
    made.addEventListener("close", () => resolve(false));
    made.querySelector(".buttons button").focus();
  });
}

export function nodeDialog(node, logs) {
  const more = el("div", { role: "status" }, el("p", { class: "soft" }, "…"));
  dialog(node.name,
    el("dl", { class: "facts" }, [["kind", node.kind], ["state", node.exit_code === null ? node.state : `${node.state}, exit code ${node.exit_code}`],
      ...(node.app_id ? [["app-id", node.app_id]] : []), ["processor time", `${node.cpu_seconds.toFixed(1)} s`],
      ...Object.entries(node.addresses)].map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    el("div", { class: "buttons" }, nodeButtons(node), el("button", { type: "button", onclick: (event) => {
      event.target.closest("dialog").close(); logs(node.name); } }, "Show its log")), more);
  ask("node", { name: node.name }).then((told) => more.replaceChildren(...startedAs(told)),
    (error) => more.replaceChildren(el("p", { class: "warn" }, error.message)));
}

function startedAs(told) {
  return [told.command.length ? [el("h3", {}, "Command"), el("pre", {}, told.command.join("\n"))] : [],
    el("h3", {}, `Variables${told.variables.length ? "" : ": the stack gives it none"}`),
    told.variables.length ? table(["name", "value"], told.variables.map((each) => [el("code", {}, each.name),
      el("code", { class: each.masked ? "soft" : null, title: each.masked ? "a secret is masked" : null }, each.value)]), `Variables of ${told.row.name}`) : []].flat();
}

const sidecars = () => [...new Set((data.overview?.nodes ?? []).filter((node) => node.kind === "sidecar")
  .map((node) => node.app_id))].sort().map((name) => [name, name]);

const field = (label, control) => el("label", { class: "field" }, el("span", {}, label), control);

function json(text) {
  try { return JSON.parse(text); } catch (error) { throw new Error(`the data is not JSON: ${error.message}`); }
}

function form(title, fields, send) {
  const answer = el("pre", { class: "answer", role: "status", hidden: true });
  const show = (text, bad) => { answer.hidden = false; answer.textContent = text; answer.classList.toggle("bad", bad); };
  const made = el("form", { method: "dialog", onsubmit: async (event) => {
    event.preventDefault();
    try { show(await send(), false); } catch (error) { show(error.message, true); }
  } }, fields, el("div", { class: "buttons end" }, el("button", { type: "submit", class: "primary" }, title)), answer);
  dialog(title, made).querySelector("select, input")?.focus();
}

export function publishDialog() {
  const topics = data.overview?.topics ?? [];
  const app = choice("Sidecar of", sidecars(), () => {});
  const pubsub = el("input", { required: true, value: topics.find((topic) => topic.pubsub)?.pubsub ?? "", autocomplete: "off" });
  const names = el("datalist", { id: "topic-names" }, topics.map((topic) => el("option", { value: topic.name })));
  const topic = el("input", { required: true, list: "topic-names", autocomplete: "off", onchange: () => {
    const known = topics.find((each) => each.name === topic.value);
    if (known?.pubsub) pubsub.value = known.pubsub;
  } });
  const type = el("input", { autocomplete: "off", placeholder: "com.dapr.event.sent" });
  const key = el("input", { autocomplete: "off", placeholder: "none: any partition" });
  const content = el("textarea", { rows: "7", spellcheck: "false" });
  content.value = "{}";
  form("Publish", [field("Through the sidecar of", app), field("Topic", topic), names, field("Pub/sub component", pubsub),
    el("div", { class: "pair" }, field("Event type", type), field("Key, on Kafka", key)), field("Data, as JSON", content)],
    async () => {
      await tell("publish", { app: app.value, pubsub: pubsub.value, topic: topic.value, data: json(content.value),
        event_type: type.value || null, key: key.value || null });
      return `Published to ${topic.value}; the event appears in the list.`;
    });
}

export function invokeDialog() {
  const app = choice("App", sidecars(), () => {});
  const verb = choice("Verb", ["GET", "POST", "PUT", "PATCH", "DELETE"].map((each) => [each, each]), () => {});
  const method = el("input", { required: true, placeholder: "a path of the app, such as healthz", autocomplete: "off" });
  const content = el("textarea", { rows: "5", spellcheck: "false" });
  form("Invoke", [field("App", app), field("Verb", verb), field("Method", method), field("Data, as JSON; empty for none", content)],
    async () => {
      const told = await tell("invoke", { app: app.value, verb: verb.value, path: method.value,
        data: content.value.trim() ? json(content.value) : null });
      return `status ${told.status}\n${pretty(told.body)}`;
    });
}
