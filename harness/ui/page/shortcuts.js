// Single keys that go to a view or open a dialog; they can be turned off.

import { el } from "./dom.js";
import { dialog, invokeDialog, publishDialog } from "./actions.js";
import { pause, pausedNow } from "./live.js";

const VIEWS = [["o", "overview", "Overview"], ["e", "events", "Events"], ["t", "traces", "Traces"], ["l", "logs", "Logs"], ["s", "state", "State"],
  ["b", "tables", "Tables"], ["j", "jobs", "Jobs"], ["m", "metrics", "Metrics"]];
const OFF = "dapr-harness-no-shortcuts";

let off = false;
try { off = localStorage.getItem(OFF) === "yes"; } catch { /* the browser keeps nothing: they are on */ }

export function shortcuts(go) {
  const ready = (id) => !document.getElementById(id).disabled;
  const keys = new Map([...VIEWS.map(([key, view, name]) => [key, [`Go to ${name}`, () => go(view)]]),
    ["/", ["Go to the filter of the view", () => document.querySelector("main input[type=search]")?.focus()]],
    [" ", ["Pause, or continue", () => pause(!pausedNow())]],
    ["p", ["Publish an event", () => { if (ready("open-publish")) publishDialog(); }]],
    ["i", ["Invoke an app", () => { if (ready("open-invoke")) invokeDialog(); }]],
    ["?", ["Show these keys", () => help(keys)]]]);
  addEventListener("keydown", (event) => {
    const found = keys.get(event.key);
    if (!found || event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented || document.querySelector("dialog[open]") || typing(event)) return;
    if (off && event.key !== "?") return;
    event.preventDefault();
    found[1]();
  });
  return () => help(keys);
}

// A key means something else where text is written, and on what a space presses.
function typing({ key, target }) {
  if (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)) return true;
  return key === " " && target !== document.body && target.id !== "main";
}

function help(keys) {
  const box = el("input", { type: "checkbox", id: "shortcuts-on", onchange: () => {
    off = !box.checked;
    try { localStorage.setItem(OFF, off ? "yes" : "no"); } catch { /* they are as chosen until the page is closed */ }
  } });
  box.checked = !off;
  dialog("Keys", el("dl", { class: "facts keyboard" }, [...keys].map(([key, [text]]) => [el("dt", {}, el("kbd", {}, key === " " ? "Space" : key)), el("dd", {}, text)]),
    [["↑ ↓", "Another row of a list, span, or row of a table"], ["Enter", "Details of the row"], ["Esc", "Back, or close a dialog"]].map(([key, text]) =>
      [el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)])),
  el("label", { class: "check" }, box, "Keys without Ctrl are used"));
}
