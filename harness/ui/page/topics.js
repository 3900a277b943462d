// The topics with their subscribers, and how far each of these is behind.

import { el } from "./dom.js";

export function drawTopics(place, topics, go) {
  place.replaceChildren(topics.length ? el("table", { class: "topics" },
    el("thead", {}, el("tr", {}, [["topic"], ["pub/sub"], ["records", "num"], ["subscriber"], ["route"], ["dead letters"], ["lag", "num"]].map(
      ([text, kind]) => el("th", { scope: "col", class: kind }, text)))),
    el("tbody", {}, topics.flatMap((topic) => rowsOf(topic, go))))
    : el("p", { class: "empty" }, "No app subscribes to a topic, and nothing was published so far."));
}

function rowsOf(topic, go) {
  const subscribers = topic.subscribers.length ? topic.subscribers : [null];
  return subscribers.map((each, at) => el("tr", {}, cells(topic, each, at === 0, go).map((cell, number) =>
    el("td", { class: number === 2 || number === 6 ? "num" : null }, cell))));
}

function cells(topic, subscriber, first, go) {
  return [
    first ? el("button", { type: "button", class: "link", onclick: () => go("events", topic.name) }, topic.name) : "",
    first ? topic.pubsub : "",
    first && topic.records ? topic.records.toLocaleString("en") : "",
    subscriber ? subscriber.app : el("span", { class: "soft" }, "none"),
    subscriber ? [subscriber.routes.join(", "), subscriber.recorded ? "" : el("span", { class: "soft" }, " not recorded")] : "",
    subscriber?.dead_letter ? el("button", { type: "button", class: "link", onclick: () => go("events", subscriber.dead_letter) }, subscriber.dead_letter) : "",
    subscriber?.lag === null || subscriber?.lag === undefined ? "" : el("span", { class: subscriber.lag > 0 ? "behind" : null }, subscriber.lag.toLocaleString("en")),
  ];
}
