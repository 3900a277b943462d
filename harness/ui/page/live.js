// What the server has told. Bounded: the page keeps the last 10,000 events and log lines.

const MOST = 10000, SPARE = 1000;

export const data = { overview: null, events: new Map(), lines: [], problem: "", revision: 0 };
const listeners = new Set();
let drawing = false, paused = false, connection = { state: "connecting", text: "connecting" };

export const listen = (listener) => listeners.add(listener);
export const connectionNow = () => connection;
export const pausedNow = () => paused;

// What comes is kept while the page stands still, and is shown afterwards.
export function pause(value) {
  paused = value;
  changed();
}

// At most one drawing per frame, however many messages come.
export function changed() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    data.revision += 1;
    for (const listener of listeners) listener();
  });
}

function keepEvents(rows) {
  for (const row of rows) {
    row.text = `${row.id}\n${row.topic}\n${row.type}\n${row.published_by ?? ""}\n${(row.apps ?? []).join(" ")}`.toLowerCase();
    data.events.set(row.key, row);
  }
  if (data.events.size <= MOST + SPARE) return;
  let surplus = data.events.size - MOST;
  for (const key of data.events.keys()) {
    if (surplus-- <= 0) break;
    data.events.delete(key);
  }
}

function keepLines(lines) {
  for (const line of lines) data.lines.push(line);
  if (data.lines.length > MOST + SPARE) data.lines.splice(0, data.lines.length - MOST);
}

function say(state, text) {
  connection = { state, text };
  changed();
}

export function connect() {
  const source = new EventSource("stream");
  const on = (kind, take) => source.addEventListener(kind, (event) => { take(JSON.parse(event.data)); changed(); });
  source.onopen = () => say("live", "live");
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) say("ended", "the server was stopped; start `dapr-harness ui` again");
    else say("lost", "connection lost; trying again");
  };
  on("reset", (told) => {
    data.events.clear();
    data.lines.length = 0;
    data.problem = told.problem;
  });
  on("overview", (told) => { data.overview = told; });
  on("events", (told) => keepEvents(told.rows));
  on("logs", (told) => keepLines(told.lines));
  on("problem", (told) => { data.problem = told.text; });
  on("ended", (told) => { source.close(); say("ended", told.why); });
}

const token = location.pathname.split("/")[1];

export async function ask(path, values) {
  return answered(await sent(`${path}?${new URLSearchParams(values)}`, {}));
}

export async function tell(path, values) {
  return answered(await sent(path, { method: "POST", body: JSON.stringify(values),
    headers: { "content-type": "application/json", "x-dapr-harness-token": token } }));
}

async function sent(path, options) {
  try { return await fetch(path, options); } catch { throw new Error("the server does not respond"); }
}

async function answered(response) {
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let sentence = text;
  try { sentence = JSON.parse(text).error; } catch { /* it is a plain sentence */ }
  throw new Error(sentence);
}
