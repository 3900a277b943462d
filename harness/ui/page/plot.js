// A plot of values over time, with its figures in words and its values as a table.

import { clock, el, svg } from "./dom.js";

const WIDTH = 320, HEIGHT = 72;

// `points` are [seconds since the epoch, value]; `format` makes a value a text; `steps` keeps a value until the next one.
export function plot({ title, points, begin, end, format, kind, steps = false }) {
  const values = points.map(([, value]) => value), most = Math.max(...values, 0), last = values.at(-1);
  const least = steps ? "" : `least ${format(Math.min(...values))}, `;
  const figures = points.length ? `now ${format(last)}, ${least}most ${format(most)}` : "no value so far";
  const told = el("span", { class: "soft told" }, figures);
  const picture = pictureOf(points, begin, end, most || 1, steps, `${title}: ${figures}`);
  const near = (event) => {
    const box = picture.getBoundingClientRect(), at = begin + (end - begin) * (event.clientX - box.left) / box.width;
    const found = points.reduce((best, each) => !best || Math.abs(each[0] - at) < Math.abs(best[0] - at) ? each : best, null);
    if (found) told.textContent = `${clock(found[0]).slice(0, 8)}: ${format(found[1])}`;
  };
  picture.addEventListener("pointermove", near);
  picture.addEventListener("pointerleave", () => { told.textContent = figures; });
  return el("figure", { class: "plot", "data-kind": kind },
    el("figcaption", {}, el("strong", {}, title), " ", told),
    picture,
    el("div", { class: "ends", "aria-hidden": "true" }, el("span", {}, clock(begin).slice(0, 8)), el("span", {}, clock(end).slice(0, 8))));
}

function pictureOf(points, begin, end, most, steps, label) {
  const x = (at) => WIDTH * (at - begin) / (end - begin || 1), y = (value) => HEIGHT - 2 - (HEIGHT - 6) * value / most;
  const number = (value) => value.toFixed(1);
  const line = points.map(([at, value], index) => {
    const place = `${number(x(at))} ${number(y(value))}`;
    return index === 0 ? `M${place}` : steps ? `H${number(x(at))}V${number(y(value))}` : `L${place}`;
  }).join("");
  const last = points.length ? `${steps ? `H${WIDTH}` : ""}` : "";
  const right = points.length ? (steps ? WIDTH : number(x(points.at(-1)[0]))) : 0;
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, preserveAspectRatio: "none" },
    svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 2, y2: HEIGHT - 2, class: "base" }),
    points.length ? svg("path", { class: "area", d: `${line}${last}L${right} ${HEIGHT - 2}L${number(x(points[0][0]))} ${HEIGHT - 2}Z` }) : null,
    points.length ? svg("path", { class: "line", d: `${line}${last}` }) : null);
}
