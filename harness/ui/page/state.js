// Values of the state stores. Dapr cannot list keys, so a key has to be known; those that were read are kept.

import { choice, el, offer, plural, pretty } from "./dom.js";
import { ask, data } from "./live.js";

const KEPT = 30;

export function stateView() {
  const app = choice("App", [], () => stores()), store = choice("Store", [], () => {});
  const key = el("input", { required: true, placeholder: "Key, as the app uses it", "aria-label": "Key", autocomplete: "off", spellcheck: "false" });
  const found = el("div", { role: "status" }, el("p", { class: "empty" }, "Each app has keys of its own, unless the store’s keyPrefix says otherwise."));
  const form = el("form", { class: "tools", onsubmit: (event) => { event.preventDefault(); read(); } }, app, store, key,
    el("button", { type: "submit", class: "primary" }, "Read"));
  const view = el("div", { class: "page" }, form, el("div", { class: "card" }, found));
  const values = [];
  let wanted = "";

  const all = () => data.overview?.stores ?? [];

  function draw() {
    offer(app, [...new Set(all().flatMap((each) => each.apps))].sort().map((name) => [name, name]));
    stores();
    form.hidden = !all().length;
    if (data.overview && !all().length) found.replaceChildren(el("p", { class: "empty" }, "No sidecar has loaded a state store."));
  }

  function stores() {
    const mine = all().filter((each) => each.apps.includes(app.value));
    offer(store, mine.map((each) => [each.name, `${each.name} (${each.type.replace(/^state\./, "")})`]));
    if (wanted && mine.some((each) => each.name === wanted)) { store.value = wanted; wanted = ""; }
  }

  async function read() {
    const asked = { app: app.value, store: store.value, key: key.value };
    try {
      const told = await ask("state", asked);
      const same = values.findIndex((each) => each.app === told.app && each.store === told.store && each.key === told.key);
      if (same >= 0) values.splice(same, 1);
      values.unshift(told);
      values.length = Math.min(values.length, KEPT);
      found.replaceChildren(el("p", { class: "soft" }, plural(values.length, "key")), el("ul", { class: "keys" }, values.map(valueOf)));
    } catch (error) {
      found.replaceChildren(el("p", { class: "warn" }, error.message));
    }
  }

  return { element: view, draw, enter(name) {
    if (!name) return;
    wanted = name;
    const able = all().find((each) => each.name === name);
    if (able && !able.apps.includes(app.value)) app.value = able.apps[0];
    stores();
  } };
}

function valueOf(each, at) {
  return el("li", {}, el("details", { open: at === 0 }, el("summary", {}, el("code", {}, each.key),
    el("span", { class: "soft" }, ` ${each.app}, ${each.store}${each.etag ? `, etag ${each.etag}` : ""}`)),
  each.exists ? el("pre", {}, pretty(each.value)) : el("p", { class: "soft" }, "The key does not exist.")));
}
