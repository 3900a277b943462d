// A list of any length, of which only the visible rows exist. Keyboard: arrows, Page, Home, End, Enter.

import { el } from "./dom.js";

let lists = 0;

export class List {
  // make() returns an empty row with the property `fill`, which shows an item in it.
  constructor({ label, height, key, make, chosen, opened, newestLast = false }) {
    Object.assign(this, { height, key, make, chosen, opened, newestLast });
    this.items = [];
    this.selected = null;
    this.pool = [];
    this.id = `list-${lists += 1}`;
    this.window = el("div", { class: "window", role: "presentation" });
    this.sizer = el("div", { class: "sizer", role: "presentation" }, this.window);
    this.element = el("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": label,
      onkeydown: (event) => this.pressed(event), onclick: (event) => this.clicked(event),
      onscroll: () => this.later() }, this.sizer);
    new ResizeObserver(() => this.later()).observe(this.element);
  }

  // What was visible stays where it is, except at the end that grows: there, the newest stays visible.
  set(items) {
    const top = this.element.scrollTop, first = Math.floor(top / this.height);
    const atEnd = top + this.element.clientHeight >= this.items.length * this.height - this.height;
    const before = this.items[first], follow = this.newestLast ? atEnd : top < this.height;
    this.items = items;
    this.sizer.style.height = `${items.length * this.height}px`;
    if (follow) this.element.scrollTop = this.newestLast ? items.length * this.height : 0;
    else if (before && (!items[first] || this.key(items[first]) !== this.key(before))) {
      const now = this.indexOf(this.key(before));
      if (now >= 0) this.element.scrollTop = now * this.height + top % this.height;
    }
    this.draw();
  }

  indexOf(key) {
    return key === null ? -1 : this.items.findIndex((item) => this.key(item) === key);
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    const seen = Math.ceil(this.element.clientHeight / this.height) + 6;
    const first = Math.max(0, Math.min(Math.floor(this.element.scrollTop / this.height) - 3, this.items.length - seen));
    const count = Math.min(seen, this.items.length - first);
    while (this.pool.length < count) {
      const row = this.make();
      row.setAttribute("role", "option");
      row.style.height = `${this.height}px`;
      this.pool.push(row);
      this.window.append(row);
    }
    this.pool.forEach((row, at) => {
      row.hidden = at >= count;
      if (row.hidden) return;
      const item = this.items[first + at], selected = this.key(item) === this.selected;
      row.id = `${this.id}-${first + at}`;
      row.at = first + at;
      row.setAttribute("aria-setsize", this.items.length);
      row.setAttribute("aria-posinset", first + at + 1);
      row.setAttribute("aria-selected", selected);
      if (row.shown !== item) { row.fill(item); row.shown = item; }
    });
    this.window.style.transform = `translateY(${first * this.height}px)`;
    const active = this.indexOf(this.selected);
    if (active >= first && active < first + count) this.element.setAttribute("aria-activedescendant", `${this.id}-${active}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  select(key, { quietly = false } = {}) {
    this.selected = key;
    const at = this.indexOf(key);
    if (at >= 0) this.reveal(at);
    this.draw();
    if (!quietly) this.chosen(this.items[at] ?? null);
  }

  reveal(at) {
    const top = at * this.height, box = this.element;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + this.height > box.scrollTop + box.clientHeight) box.scrollTop = top + this.height - box.clientHeight;
  }

  pressed(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" && this.selected !== null) this.opened?.();
    else if (event.key in moves && this.items.length) {
      const now = this.indexOf(this.selected);
      const wanted = now < 0 ? (moves[event.key] === Infinity ? this.items.length - 1 : 0) : now + moves[event.key];
      this.select(this.key(this.items[Math.max(0, Math.min(this.items.length - 1, wanted))]));
    } else return;
    event.preventDefault();
  }

  clicked(event) {
    const row = event.target.closest("[role=option]");
    if (!row) return;
    this.select(this.key(this.items[row.at]));
    this.opened?.(true);
  }
}
