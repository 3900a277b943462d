// What a stack does over time: rates of events and calls, and what its nodes use.

import { clock, el, megabytes, table } from "./dom.js";
import { ask, connectionNow, pausedNow } from "./live.js";
import { plot } from "./plot.js";

const EVERY = 2000, SHOWN = 300;
const RATES = [["published", "Events published"], ["delivered", "Deliveries accepted"], ["failed", "Deliveries not accepted"], ["invoked", "Apps invoked by apps"]];
const rate = (value) => `${value >= 10 ? value.toFixed(0) : value.toFixed(1)} per s`;
const percent = (value) => `${value >= 10 ? value.toFixed(0) : value.toFixed(1)} %`;
const memory = (value) => megabytes(value) || "0 MB";

export function metricsView() {
  const rates = el("div", { class: "plots" }), nodes = el("div", { class: "plots" });
  const parts = tableIn("As a table"), values = tableIn("Values of each interval"), used = tableIn("As a table"), problem = el("div", {});
  const view = el("div", { class: "page" }, problem,
    el("section", { class: "card", "aria-labelledby": "rates-title" }, el("h2", { id: "rates-title" }, "Events and calls"), rates, parts.element, values.element),
    el("section", { class: "card", "aria-labelledby": "used-title" }, el("h2", { id: "used-title" }, "Nodes"),
      el("p", { class: "soft" }, "Memory, and processor time in percent of one core, since `dapr-harness ui` was started."), nodes, used.element));
  let timer = 0, asked = false;

  async function look() {
    if (asked || pausedNow() || connectionNow().state === "ended") return;
    asked = true;
    try { fill(await ask("metrics", {})); } catch (error) { problem.replaceChildren(el("p", { class: "warn" }, error.message)); }
    asked = false;
  }

  function fill(told) {
    const end = told.begin + told.step * told.intervals;
    problem.replaceChildren(...told.missing.map((each) => el("p", { class: "warn" }, `Missing: ${each}`)));
    const sums = RATES.map(([what, title]) => ({ what, title, counts: summed(told.rates.filter((each) => each.what === what), told.intervals) }));
    rates.replaceChildren(...sums.map(({ what, title, counts }) => plot({ title, kind: what, begin: told.begin, end, format: rate, steps: true,
      points: counts.map((count, at) => [told.begin + at * told.step, count / told.step]) })));
    parts.fill(["what", "of", `#in ${Math.round(told.step * told.intervals / 60)} min`, "#per second", "#most per second"], told.rates.map((each) => {
      const total = each.counts.reduce((sum, one) => sum + one, 0);
      return [each.what, each.of, total.toLocaleString("en"), (total / told.step / told.intervals).toFixed(2), (Math.max(...each.counts) / told.step).toFixed(1)];
    }));
    values.fill(["from", ...RATES.map(([what]) => `#${what}`)], Array.from({ length: told.intervals }, (_, at) =>
      [clock(told.begin + at * told.step).slice(0, 8), ...sums.map(({ counts }) => String(counts[at]))]).reverse());
    const known = told.nodes.filter((each) => each.samples.length);
    const first = Math.min(...known.map((each) => each.samples[0].at)), begin = Math.max(end - SHOWN, Math.min(first, end - 20));
    nodes.replaceChildren(...known.flatMap(({ node, samples }) => [
      plot({ title: `${node}: memory`, kind: "memory", begin, end, format: memory, points: samples.map((each) => [each.at, each.memory]) }),
      plot({ title: `${node}: processor`, kind: "cpu", begin, end, format: percent, points: samples.filter((each) => each.cpu !== null).map((each) => [each.at, each.cpu]) })]));
    used.fill(["node", "#memory", "#least", "#most", "#processor", "#most"], known.map(({ node, samples }) => {
      const sizes = samples.map((each) => each.memory), times = samples.map((each) => each.cpu).filter((each) => each !== null);
      return [node, memory(sizes.at(-1)), memory(Math.min(...sizes)), memory(Math.max(...sizes)),
        times.length ? percent(times.at(-1)) : "", times.length ? percent(Math.max(...times)) : ""];
    }));
  }

  function start() {
    look();
    timer = setInterval(() => {
      if (view.isConnected) { look(); return; }
      clearInterval(timer);
      timer = 0;
    }, EVERY);
  }

  return { element: view, draw() {}, enter() { if (!timer) start(); else look(); } };
}

const summed = (rows, count) => Array.from({ length: count }, (_, at) => rows.reduce((sum, each) => sum + each.counts[at], 0));

// A table that is only made while it is open, and keeps its place.
function tableIn(title) {
  const place = el("div", {});
  let now = null;
  const draw = () => {
    if (!element.open || !now) return;
    const top = place.firstChild?.scrollTop ?? 0, focused = place.contains(document.activeElement);
    place.replaceChildren(table(...now, title));
    place.firstChild.scrollTop = top;
    if (focused) place.firstChild.focus();
  };
  const element = el("details", { class: "values", ontoggle: draw }, el("summary", {}, title), place);
  return { element, fill(heads, rows) { now = [heads, rows]; draw(); } };
}
