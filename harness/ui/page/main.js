// The views, and which of them is shown. The address says it, so the browser's Back works.

import { byId } from "./dom.js";
import { connect, connectionNow, data, listen, pause, pausedNow } from "./live.js";
import { invokeDialog, publishDialog } from "./actions.js";
import { eventsView } from "./events.js";
import { jobsView } from "./jobs.js";
import { logsView } from "./logs.js";
import { metricsView } from "./metrics.js";
import { overviewView } from "./overview.js";
import { shortcuts } from "./shortcuts.js";
import { stateView } from "./state.js";
import { tablesView } from "./tables.js";
import { tracesView } from "./traces.js";

const views = { overview: overviewView(go), events: eventsView(go), traces: tracesView(go), logs: logsView(go), state: stateView(go),
  tables: tablesView(go), jobs: jobsView(go), metrics: metricsView() };
let shown = "";
let at = location.hash;

function go(place, filter) {
  if (place === "events" && filter !== undefined) views.events.filter(filter);
  if (place === "logs" && filter !== undefined) views.logs.of(filter);
  location.hash = place;
  // Not with the event, which comes later: a key that is pressed meanwhile means the new view.
  moved();
}

function moved() {
  if (at === location.hash) return;
  at = location.hash;
  show();
}

function show() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const place = Object.hasOwn(views, name) ? name : "overview";
  if (place !== shown) {
    shown = place;
    byId("main").replaceChildren(views[place].element);
    for (const link of byId("nav").children) {
      if (link.getAttribute("href") === `#${place}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }
  draw();
  views[place].draw();
  views[place].enter(decoded(rest.join("/")));
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return ""; }
}

function draw() {
  const { state, text } = connectionNow(), now = data.overview;
  byId("connection").dataset.state = state;
  if (byId("connection-text").textContent !== text) byId("connection-text").textContent = text;
  for (const id of ["open-publish", "open-invoke"]) byId(id).disabled = state !== "live" || !now;
  document.body.classList.toggle("ended", state === "ended");
  byId("problem").hidden = !data.problem;
  if (byId("problem").textContent !== data.problem) byId("problem").textContent = data.problem;
  if (now) {
    document.title = `${now.stack} · dapr-harness`;
    byId("stack").textContent = now.stack;
    byId("runtime").textContent = `on ${now.runtime}`;
  }
  const count = (id, number) => { byId(`count-${id}`).textContent = number ? number.toLocaleString("en") : ""; };
  count("events", data.events.size);
  count("traces", data.traces.size);
  count("logs", data.lines.length);
  count("stores", now?.stores.length);
  count("jobs", now?.jobs.length);
  drawPause(state);
  if (!pausedNow()) views[shown]?.draw();
}

function drawPause(state) {
  const button = byId("pause");
  button.hidden = state === "ended" && !pausedNow();
  button.textContent = pausedNow() ? "Continue" : "Pause";
  button.setAttribute("aria-pressed", pausedNow());
}

byId("pause").addEventListener("click", () => pause(!pausedNow()));
byId("open-publish").addEventListener("click", publishDialog);
byId("open-invoke").addEventListener("click", invokeDialog);
byId("open-keys").addEventListener("click", shortcuts(go));
addEventListener("hashchange", moved);
listen(draw);
show();
connect();
