// The topics with their subscribers and partitions, and how far each of these is behind.

import { el, plural, table } from "./dom.js";

const HEADS = [["topic"], ["pub/sub"], ["records", "num"], ["partitions", "num"], ["subscriber"], ["route"], ["dead letters"], ["lag", "num"]];
const open = new Set();

export function drawTopics(place, topics, go) {
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  place.replaceChildren(topics.length ? el("table", { class: "topics" },
    el("thead", {}, el("tr", {}, HEADS.map(([text, kind]) => el("th", { scope: "col", class: kind }, text)))),
    el("tbody", {}, topics.flatMap((topic, at) => rowsOf(topic, `parts-${at}`, go))))
    : el("p", { class: "empty" }, "No app subscribes to a topic, and nothing was published so far."));
  if (focused) [...place.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focused)?.focus();
}

function rowsOf(topic, id, go) {
  const subscribers = topic.subscribers.length ? topic.subscribers : [null];
  const more = el("tr", { id, hidden: !open.has(topic.name) }, el("td", { colspan: String(HEADS.length) }));
  const fill = () => more.firstChild.replaceChildren(partitionsOf(topic));
  if (!more.hidden) fill();
  const parts = topic.partitions.length ? el("button", { type: "button", class: "small", "data-key": `parts of ${topic.name}`, "aria-controls": id,
    "aria-expanded": String(!more.hidden), "aria-label": `${plural(topic.partitions.length, "partition")} of ${topic.name}`, onclick: () => {
      more.hidden = !more.hidden;
      parts.setAttribute("aria-expanded", String(!more.hidden));
      if (more.hidden) open.delete(topic.name);
      else { open.add(topic.name); fill(); }
    } }, String(topic.partitions.length)) : "";
  return [...subscribers.map((each, at) => el("tr", {}, cells(topic, each, at === 0, parts, go).map((cell, number) =>
    el("td", { class: HEADS[number][1] ?? null }, cell)))), more];
}

function cells(topic, subscriber, first, parts, go) {
  const events = (name) => el("button", { type: "button", class: "link", "data-key": `${topic.name} ${name} ${subscriber?.app ?? ""}`, onclick: () => go("events", name) }, name);
  return [
    first ? events(topic.name) : "",
    first ? topic.pubsub : "",
    first && topic.records ? topic.records.toLocaleString("en") : "",
    first ? parts : "",
    subscriber ? subscriber.app : el("span", { class: "soft" }, "none"),
    subscriber ? [subscriber.routes.join(", "), subscriber.recorded ? "" : el("span", { class: "soft" }, " not recorded")] : "",
    subscriber?.dead_letter ? events(subscriber.dead_letter) : "",
    figure(subscriber?.lag),
  ];
}

const figure = (lag) => lag === null || lag === undefined ? "" : el("span", { class: lag > 0 ? "behind" : null }, lag.toLocaleString("en"));

function partitionsOf(topic) {
  const rows = topic.partitions.flatMap((part) => (part.groups.length ? part.groups : [null]).map((group, at) => [
    at === 0 ? String(part.number) : "", at === 0 ? part.end.toLocaleString("en") : "",
    group ? [group.group, group.app && group.app !== group.group ? el("span", { class: "soft" }, ` of ${group.app}`) : ""] : el("span", { class: "soft" }, "no group has read it"),
    group ? group.offset === null ? "none" : group.offset.toLocaleString("en") : "", figure(group?.lag),
    group ? group.reads ? "yes" : "no" : ""]));
  return table(["#partition", "#end offset", "consumer group", "#offset", "#lag", "assigned"], rows, `Partitions of ${topic.name}`);
}
