// The keys of the state stores.

import { choice, el, offer, plural, pretty, search } from "./dom.js";
import { ask, data } from "./live.js";

export function stateView() {
  let store = "", prefix = "", timer = 0, asked = 0;
  const stores = choice("Store", [], (value) => { store = value; look(0); });
  const box = search("Keys that begin with", (value) => { prefix = value; look(250); });
  const again = el("button", { type: "button", onclick: () => look(0) }, "Read again");
  const found = el("span", { class: "soft found" }), content = el("div", { class: "card scroll" });
  const view = el("div", { class: "page" }, el("div", { class: "tools" }, stores, box, again, found), content);

  function draw() {
    const names = (data.overview?.stores ?? []).map((each) => [each.name, `${each.name} (${each.type.replace(/^state\./, "")})`]);
    offer(stores, names);
    if (!names.length) content.replaceChildren(el("p", { class: "empty" }, "No sidecar has loaded a state store."));
    else if (!store) { store = stores.value; look(0); }
  }

  function look(wait) {
    if (!store) return;
    const mine = asked += 1;
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        const told = await ask("state", { store, prefix });
        if (mine === asked) show(told);
      } catch (error) {
        if (mine === asked) { found.textContent = ""; content.replaceChildren(el("p", { class: "empty" }, error.message)); }
      }
    }, wait);
  }

  function show(told) {
    const keys = told.keys ?? [];
    found.textContent = plural(keys.length, "key") + (told.truncated ? ", more exist" : "");
    content.replaceChildren(keys.length ? el("ul", { class: "keys" }, keys.map(keyOf)) : el("p", { class: "empty" }, "No key begins like this."));
  }

  return { element: view, draw, enter(name) { if (name) { offer(stores, (data.overview?.stores ?? []).map((each) => [each.name, each.name])); store = stores.value = name; } if (store) look(0); } };
}

function keyOf(each) {
  const key = typeof each === "string" ? { key: each } : each;
  if (key.value === undefined) return el("li", {}, el("code", {}, key.key));
  return el("li", {}, el("details", {}, el("summary", {}, el("code", {}, key.key)), el("pre", {}, pretty(key.value))));
}
