// Jobs, and when they fire next.

import { el, moment } from "./dom.js";
import { data } from "./live.js";

export function jobsView() {
  const body = el("tbody", {}), empty = el("p", { class: "empty" }, "No app has a job.");
  const view = el("div", { class: "page" }, el("div", { class: "card scroll" }, empty, el("table", {}, el("thead", {}, el("tr", {},
    ["job", "app", "schedule", "next time", "deliveries", "last answer"].map((text) => el("th", { scope: "col" }, text)))), body)));
  let drawn = "";

  function draw() {
    const jobs = data.overview?.jobs ?? [], now = data.overview?.at ?? 0;
    empty.hidden = jobs.length > 0;
    body.parentElement.hidden = !jobs.length;
    const told = JSON.stringify(jobs) + Math.floor(now);
    if (told === drawn) return;
    drawn = told;
    body.replaceChildren(...jobs.map((job) => el("tr", {}, [el("code", {}, job.name), job.app,
      [job.schedule, job.repeats].filter(Boolean).join(", ") || "once", dueOf(job, now * 1000),
      String(job.attempts ?? 0), job.outcome || ""].map((cell) => el("td", {}, cell)))));
  }

  return { element: view, draw, enter() {} };
}

function dueOf(job, now) {
  if (job.scheduled === false) return "not scheduled any more";
  const due = moment(job.due);
  if (!job.due || Number.isNaN(due)) return job.due || "";
  const left = Math.round((due - now) / 1000);
  const words = left < 0 ? "due" : left < 90 ? `in ${left} s` : left < 5400 ? `in ${Math.round(left / 60)} min` : left < 129600 ? `in ${Math.round(left / 3600)} h` : `in ${Math.round(left / 86400)} days`;
  return [new Date(due).toISOString().replace("T", " ").slice(0, 19), " UTC, ", el("strong", {}, words)];
}
