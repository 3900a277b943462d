// One page: tasks, live notifications, the assistant. It calls only the service that served it.

import { dialogue } from "./chat.js";
import { session } from "./session.js";

const $ = (id) => document.getElementById(id);
const user = { name: "" };
let tasks = [];
let source;

const api = (rest) => `api/${encodeURIComponent(user.name)}/${rest}`;

async function ask(method, path, body, headers = {}) {
  const answer = await fetch(path, {
    method,
    // Pages of another origin cannot send this header.
    headers: {
      "x-requested-with": "page",
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  // The session has ended, or belongs to somebody else by now.
  if ([401, 403].includes(answer.status) && path !== "session") refresh(signedIn.check);
  const problem = await answer.json().catch(() => ({ detail: `status ${answer.status}` }));
  const places = (problem.errors ?? []).map((each) => `${each.at}: ${each.says}`);
  // A sidecar's own error has a message and no detail.
  const said = problem.detail ?? problem.message ?? `status ${answer.status}`;
  throw Object.assign(new Error([said, ...places].join("; ")), { status: answer.status });
}

async function refresh(work) {
  try {
    return await work();
  } catch (error) {
    $("problem").textContent = error.message;
    $("problem").hidden = false;
  }
}

// User actions clear an earlier error; automatic updates do not.
function attempt(work) {
  $("problem").hidden = true;
  return refresh(work);
}

// datetime-local has no time zone; the browser's own is used.
const instant = (local) => (local ? new Date(local).toISOString() : null);
const local = (instant) => {
  if (!instant) return "";
  const time = new Date(instant);
  return new Date(time - time.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
};
const shown = (instant) =>
  new Date(instant).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...properties });
}

function draw() {
  const which = document.querySelector("[name=filter]:checked").value;
  const words = $("find").value.toLowerCase();
  const wanted = tasks.filter(
    (task) =>
      (which === "all" || task.completed === (which === "done")) &&
      task.title.toLowerCase().includes(words),
  );
  // The buttons are recreated: the one with the keyboard focus keeps it.
  const focused = document.activeElement?.closest("#tasks button")?.getAttribute("aria-label");
  $("tasks").replaceChildren(...wanted.map(row));
  if (focused)
    [...$("tasks").querySelectorAll("button")]
      .find((each) => each.getAttribute("aria-label") === focused)
      ?.focus();
  $("nothing").hidden = wanted.length > 0;
}

function row(task) {
  const item = element("li", "", { className: task.completed ? "done" : "" });
  item.dataset.id = task.id;
  const buttons = element("div", "", { className: "buttons" });
  const act = (place, label, className, work) => {
    const button = element("button", label, { type: "button", className, onclick: work });
    button.setAttribute("aria-label", `${label}: ${task.title}`);
    place.append(button);
  };
  if (task.completed) item.append(element("span", "✓", { className: "tick" }));
  else act(item, "Done", "tick", () => change("POST", `tasks/${task.id}/complete`));
  const text = element("div", "");
  text.append(element("span", task.title, { className: "title" }), facts(task));
  act(buttons, "Edit", "quiet", () => edit(task));
  act(buttons, "Delete", "quiet", () => change("DELETE", `tasks/${task.id}`));
  item.append(text, buttons);
  return item;
}

const DAYS = { mo: "Mon", tu: "Tue", we: "Wed", th: "Thu", fr: "Fri", sa: "Sat", su: "Sun" };
const UNITS = { daily: "day", weekly: "week", monthly: "month", yearly: "year" };

function rule({ frequency, interval = 1, weekdays = [] }) {
  const unit = UNITS[frequency];
  const every = interval > 1 ? `every ${interval} ${unit}s` : `every ${unit}`;
  if (!weekdays.length) return every;
  if (interval === 1 && weekdays.join() === "mo,tu,we,th,fr") return "every weekday";
  return `${every} on ${weekdays.map((day) => DAYS[day]).join(", ")}`;
}

function facts(task) {
  const both = task.due_at && task.due_at === task.remind_at;
  const late = task.due_at && !task.completed && new Date(task.due_at) < new Date();
  const found = [
    task.due_at && [`${both ? "due, with reminder," : "due"} ${shown(task.due_at)}`, late],
    task.remind_at && !both && [`reminder ${shown(task.remind_at)}`],
    task.recurrence && [rule(task.recurrence)],
    task.description && [task.description],
  ].filter(Boolean);
  const line = element("small", "");
  for (const [said, isLate] of found)
    line.append(element("span", said, { className: isLate ? "late" : "" }));
  return line;
}

// Responses may arrive out of order: an older one must not replace a newer one.
function newest(show) {
  const asked = { last: 0, shown: 0 };
  return async (work) => {
    const own = ++asked.last;
    const found = await work();
    if (own < asked.shown) return found;
    asked.shown = own;
    show(found);
    return found;
  };
}

const newestTasks = newest(({ who, found }) => {
  if (who !== user.name) return;
  tasks = found;
  draw();
});
const load = () =>
  newestTasks(async () => {
    const who = user.name;
    return { who, found: await ask("GET", api("tasks")) };
  });

const change = async (method, path, body, headers) => {
  await attempt(() => ask(method, api(path), body, headers));
  await refresh(load);
};

function edit(task) {
  const dialog = $("edit");
  const form = dialog.querySelector("form");
  form.title.value = task.title;
  form.description.value = task.description;
  form.due_at.value = local(task.due_at);
  form.remind_at.value = local(task.remind_at);
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue !== "save") return;
    const said = { title: form.title.value, description: form.description.value };
    for (const name of ["due_at", "remind_at"])
      if (form[name].value !== local(task[name])) said[name] = instant(form[name].value);
    // If someone else changed it meanwhile, their change is shown, not overwritten.
    change("PUT", `tasks/${task.id}`, said, { "if-match": `"${task.version}"` });
  };
  dialog.showModal();
}

$("new-task").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const said = { title: form.title.value };
  for (const name of ["due_at", "remind_at"])
    if (form[name].value) said[name] = instant(form[name].value);
  if (form.frequency.value)
    said.recurrence = {
      frequency: form.frequency.value,
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
    };
  const made = await sent(form, form.title, () => ask("POST", api("tasks"), said));
  if (made) await refresh(load);
});

// The form is cleared at once, so input typed in the meantime is not lost. Rejected input is
// restored, unless the form contains something else by then.
async function sent(form, first, work) {
  const before = Object.fromEntries(new FormData(form));
  form.reset();
  first.focus();
  const made = await attempt(work);
  if (!made && !first.value)
    for (const [name, value] of Object.entries(before)) form.elements[name].value = value;
  return made;
}

const line = (each) => {
  const row = element("li", each.message);
  row.dataset.id = each.event_id;
  return row;
};

// The latest first, each only once, whether it was pushed or read from the list.
function tell(each) {
  const rows = [...$("news").children];
  if (!rows.some((row) => row.dataset.id === each.event_id)) $("news").prepend(line(each));
}

function connect() {
  source?.close();
  source = new EventSource(`live/${encodeURIComponent(user.name)}`);
  source.addEventListener("open", () => {
    $("live").textContent = "live";
    $("live").className = "on";
    // Read what was missed before the connection opened, initially and after each reconnect.
    refresh(readNews);
    refresh(load);
    refresh(talk.read);
  });
  source.addEventListener("chat", (event) => talk.told(JSON.parse(event.data)));
  source.addEventListener("notification", (event) => {
    tell(JSON.parse(event.data));
    refresh(load);
  });
  source.addEventListener("error", (event) => {
    $("live").textContent = "connecting …";
    $("live").className = "";
    // The browser does not reconnect after a refusal.
    if (event.target.readyState === EventSource.CLOSED) refresh(signedIn.check);
  });
}

// A response for one user is not shown to the next one.
async function read(rest, show) {
  const who = user.name;
  const found = await ask("GET", api(rest));
  if (who === user.name) show(found);
}

const readNews = () =>
  read("notifications", (found) => {
    const listed = new Set(found.map((each) => each.event_id));
    const since = [...$("news").children].filter((row) => !listed.has(row.dataset.id));
    $("news").replaceChildren(...since, ...found.map(line).reverse());
  });

const talk = dialogue({
  $,
  element,
  ask,
  api,
  attempt,
  refresh,
  newest,
  changed: () => refresh(load),
});

// Input is disabled until the saved value is known, because the response would replace it.
function readContact() {
  const form = $("contact");
  form.firstElementChild.disabled = true;
  return read("contact", (said) => {
    form.email.value = said.email ?? "";
    form.webhook.checked = said.webhook;
    $("saved").textContent = "";
    form.firstElementChild.disabled = false;
  });
}

$("contact").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  $("saved").textContent = "";
  const said = { email: form.email.value.trim() || null, webhook: form.webhook.checked };
  if (await attempt(() => ask("PUT", api("contact"), said))) $("saved").textContent = "saved";
});

document.querySelectorAll("[name=filter]").forEach((each) => each.addEventListener("change", draw));
$("find").addEventListener("input", draw);

// Nothing of one user stays on the page for the next one.
function leave() {
  source?.close();
  user.name = "";
  tasks = [];
  draw();
  $("news").replaceChildren();
  $("contact").reset();
  $("new-task").reset();
  $("edit").close();
  $("problem").hidden = true;
  talk.forget();
}

function open(name) {
  leave();
  user.name = name || "ada";
  $("user").value = user.name;
  localStorage.setItem("user", user.name);
  connect();
  attempt(talk.read);
  attempt(load);
  attempt(readContact);
}
$("user").addEventListener("change", (event) => open(event.target.value.trim()));

const chosen = () => new URLSearchParams(location.search).get("user") ?? localStorage.getItem("user");
const signedIn = session({ $, ask, leave, enter: (name) => open(name ?? chosen()) });
refresh(signedIn.check);
