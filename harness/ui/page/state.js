// The state stores: their keys, and a key that is read by its name through the sidecar of an app.

import { choice, el, offer, plural, pretty } from "./dom.js";
import { ask, data } from "./live.js";
import { keysView } from "./keys.js";

const KEPT = 30;

export function stateView() {
  const app = choice("App", [], () => stores()), store = choice("Store", [], () => {});
  const key = el("input", { required: true, placeholder: "Key, as the app uses it", "aria-label": "Key", autocomplete: "off", spellcheck: "false" });
  const found = el("div", { role: "status" });
  const form = el("form", { class: "tools", onsubmit: (event) => { event.preventDefault(); read(); } }, app, store, key,
    el("button", { type: "submit", class: "primary" }, "Read"));
  const byName = el("details", { class: "by-name" }, el("summary", {}, "Read a key by its name, as an app does"), form, found);
  const keys = keysView(byName);
  const values = [];

  const all = () => data.overview?.stores ?? [];

  function draw() {
    offer(app, [...new Set(all().flatMap((each) => each.apps))].sort().map((name) => [name, name]));
    stores();
    byName.hidden = !all().length;
    keys.draw();
  }

  function stores() {
    const mine = all().filter((each) => each.apps.includes(app.value));
    offer(store, mine.map((each) => [each.name, `${each.name} (${each.type.replace(/^state\./, "")})`]));
  }

  async function read() {
    try {
      const told = await ask("state", { app: app.value, store: store.value, key: key.value });
      const same = values.findIndex((each) => each.app === told.app && each.store === told.store && each.key === told.key);
      if (same >= 0) values.splice(same, 1);
      values.unshift(told);
      values.length = Math.min(values.length, KEPT);
      found.replaceChildren(el("p", { class: "soft" }, plural(values.length, "key")), el("ul", { class: "keys" }, values.map(valueOf)));
    } catch (error) {
      found.replaceChildren(el("p", { class: "warn" }, error.message));
    }
  }

  return { element: keys.element, draw, enter: keys.enter };
}

function valueOf(each, at) {
  return el("li", {}, el("details", { open: at === 0 }, el("summary", {}, el("code", {}, each.key),
    el("span", { class: "soft" }, ` ${each.app}, ${each.store}${each.etag ? `, etag ${each.etag}` : ""}`)),
  each.exists ? el("pre", {}, pretty(each.value)) : el("p", { class: "soft" }, "The key does not exist.")));
}
