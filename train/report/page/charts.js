// SPDX-License-Identifier: MIT
// What both pages draw with: elements, curves, bars and matrices as SVG. No library, no network.
"use strict";

window.addEventListener("error", (event) => {
  document.documentElement.dataset.error = event.message;
});

const SVG = "http://www.w3.org/2000/svg";
const isMissing = (v) => v === null || v === undefined || Number.isNaN(v);

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(9)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}
const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

const colorOf = (index) => `var(--series-${index % 10})`;
const fixed = (value, digits = 3) => (isMissing(value) ? "–" : value.toFixed(digits));
function short(value) {
  if (isMissing(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e5 || size < 1e-4) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}
function duration(seconds) {
  if (isMissing(seconds)) return "–";
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** Round numbers from at or below low to at or above high. */
function ticks(low, high, wanted, whole) {
  if (!(high > low)) high = low + 1;
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const factors = whole ? [1, 2, 5, 10] : [1, 2, 2.5, 5, 10];
  const step = Math.max(whole ? 1 : 0, power * factors.find((factor) => factor * power >= raw * 0.999999));
  const list = [];
  for (let i = Math.floor(low / step + 1e-9); i <= Math.ceil(high / step - 1e-9); ++i) list.push(i * step);
  return list;
}
function tickLabel(value, step) {
  if (Math.abs(value) >= 1e6 || step < 1e-5) {
    // As many digits as tell neighbours apart.
    const digits = value === 0 ? 0 : Math.ceil(Math.log10(Math.abs(value) / step) - 1e-9);
    return value === 0 ? "0" : value.toExponential(Math.min(Math.max(digits, 0), 12));
  }
  let digits = 0;
  for (let s = step; digits < 8 && Math.abs(s - Math.round(s)) > 1e-6 * s; s *= 10) ++digits;
  return (value || 0).toFixed(digits);
}

/** Draws now, and again whenever the width changes. */
function responsive(container, draw) {
  let width = 0;
  const redraw = () => {
    const now = Math.round(container.clientWidth);
    if (now > 0 && now !== width) draw((width = now));
  };
  // Drawing changes heights, which an observer must not do while it is being told of them.
  if (window.ResizeObserver) new ResizeObserver(() => requestAnimationFrame(redraw)).observe(container);
  else window.addEventListener("resize", redraw);
  container.redraw = () => width > 0 && draw(width);
}

function rangeOf(lists) {
  let low = Infinity, high = -Infinity;
  for (const list of lists) {
    for (const v of list) {
      if (isMissing(v) || !Number.isFinite(v)) continue;
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
  }
  if (low > high) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : [low - Math.abs(low) / 2, high + Math.abs(high) / 2];
  return [low, high];
}

/**
 * Curves with a cursor that shows values.
 * options: title, xLabel, yLabel, series [{name, x, y, color, width, dash}], xRange, yRange, height,
 *          mark {x, label}: a vertical line.
 */
function lineChart(options) {
  const hidden = new Set();
  const plot = h("div", { class: "chart" });
  // Drawn last is on top, and first in the legend.
  const named = options.series.filter((s) => s.name);
  if (options.lastOnTop) named.reverse();
  const legend = named.length < 1 || options.series.length < 2 ? null : h("ul", { class: "legend" }, named.map((s) =>
    h("li", {}, h("button", {
      type: "button", "aria-pressed": "true",
      onclick: (event) => {
        if (hidden.has(s)) hidden.delete(s);
        else hidden.add(s);
        event.currentTarget.setAttribute("aria-pressed", String(!hidden.has(s)));
        plot.redraw();
      },
    }, h("i", { style: `background:${s.color}` }), s.name))));
  responsive(plot, (width) => drawLines(plot, options, width, hidden));
  const last = options.series.map((s) => `${s.name || options.title}: ${short(s.y[s.y.length - 1])}`).slice(0, 6).join(", ");
  plot.label = `${options.title || options.yLabel}. At the right end ${last}.`;
  return h("div", { class: "card" }, options.title ? h("h3", {}, options.title) : null, plot, legend);
}

function drawLines(plot, options, width, hidden) {
  const shown = options.series.filter((s) => !hidden.has(s));
  const height = options.height || Math.max(190, Math.min(300, Math.round(width * 0.58)));
  const xAll = options.xRange || rangeOf(options.series.map((s) => s.x));
  const yTicks = ticks(...(options.yRange || rangeOf(shown.map((s) => s.y))), Math.max(3, Math.round(height / 55)));
  const yStep = yTicks.length > 1 ? yTicks[1] - yTicks[0] : 1;
  const labels = yTicks.map((t) => tickLabel(t, yStep));
  const left = 12 + 7 * Math.max(...labels.map((l) => l.length)) + (options.yLabel ? 16 : 0);
  const right = width - 16, top = 10, bottom = height - (options.xLabel ? 40 : 24);
  const x = (v) => left + ((v - xAll[0]) / (xAll[1] - xAll[0] || 1)) * (right - left);
  const y = (v) => bottom - ((v - yTicks[0]) / (yTicks[yTicks.length - 1] - yTicks[0])) * (bottom - top);
  const xTicks = ticks(xAll[0], xAll[1], Math.max(2, Math.floor((right - left) / 55)), options.whole)
    .filter((t) => t >= xAll[0] - 1e-9 && t <= xAll[1] + 1e-9);
  const xStep = xTicks.length > 1 ? xTicks[1] - xTicks[0] : 1;

  const cursor = svg("g", { visibility: "hidden" });
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, height, role: "img", tabindex: 0, "aria-label": plot.label,
    "data-points": shown.reduce((n, s) => n + s.y.filter((v) => !isMissing(v)).length, 0),
  },
  yTicks.map((t, i) => [
    svg("line", { class: "gridline", x1: left, x2: right, y1: Math.round(y(t)), y2: Math.round(y(t)) }),
    svg("text", { x: left - 7, y: y(t) + 4, "text-anchor": "end" }, labels[i]),
  ]),
  xTicks.map((t) => svg("text", { x: x(t), y: bottom + 17, "text-anchor": "middle" }, tickLabel(t, xStep))),
  svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }),
  options.xLabel ? svg("text", { x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, options.xLabel) : null,
  options.yLabel ? svg("text", { transform: `translate(13 ${(top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, options.yLabel) : null,
  options.mark && options.mark.x >= xAll[0] && options.mark.x <= xAll[1] ? svg("line", {
    class: "cursor", x1: x(options.mark.x), x2: x(options.mark.x), y1: top, y2: bottom }, svg("title", {}, options.mark.label)) : null,
  shown.map((s) => curveOf(s, x, y, options.dots)),
  cursor);

  const tip = h("div", { class: "tip", hidden: true });
  const xs = [...new Set(shown.flatMap((s) => s.x))].sort((a, b) => a - b);
  let at = -1;
  const show = (index) => {
    at = Math.max(0, Math.min(xs.length - 1, index));
    const value = xs[at];
    const rows = shown.map((s) => [s, s.y[s.x.indexOf(value)]]).filter(([, v]) => !isMissing(v));
    if (!rows.length) return;
    cursor.replaceChildren(svg("line", { class: "cursor", x1: x(value), x2: x(value), y1: top, y2: bottom }),
      ...rows.map(([s, v]) => svg("circle", { cx: x(value), cy: y(v), r: 3.5, fill: s.color })));
    cursor.setAttribute("visibility", "visible");
    tip.replaceChildren(h("div", {}, `${options.xLabel || ""} ${short(value)}`),
      ...rows.slice(0, 12).map(([s, v]) => h("div", {}, h("i", { style: `background:${s.color}` }), `${s.name ? s.name + " " : ""}${short(v)}`)));
    tip.hidden = false;
    tip.style.left = `${Math.max(0, Math.min(width - tip.offsetWidth, x(value) + (x(value) > width / 2 ? -tip.offsetWidth - 10 : 10)))}px`;
    tip.style.top = `${top}px`;
  };
  const hide = () => {
    cursor.setAttribute("visibility", "hidden");
    tip.hidden = true;
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const wanted = xAll[0] + ((event.clientX - box.left - left) / (right - left)) * (xAll[1] - xAll[0]);
    let best = 0;
    for (let i = 1; i < xs.length; ++i) if (Math.abs(xs[i] - wanted) < Math.abs(xs[best] - wanted)) best = i;
    show(best);
  });
  picture.addEventListener("pointerleave", hide);
  picture.addEventListener("blur", hide);
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(at < 0 ? xs.length - 1 : at + step * Math.max(1, Math.round(xs.length / 100)));
  });
  plot.replaceChildren(picture, tip);
}

function curveOf(series, x, y, dots) {
  let path = "", open = false;
  const points = [];
  for (let i = 0; i < series.y.length; ++i) {
    if (isMissing(series.y[i]) || !Number.isFinite(series.y[i])) {
      open = false;
      continue;
    }
    const px = x(series.x[i]).toFixed(1), py = y(series.y[i]).toFixed(1);
    path += `${open ? "L" : "M"}${px} ${py}`;
    open = true;
    points.push([px, py]);
  }
  const single = points.length <= 30 && dots !== false;
  return [
    svg("path", { class: "curve", d: path, stroke: series.color, "stroke-dasharray": series.dash,
      style: series.width ? `stroke-width:${series.width}` : null }),
    single ? points.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.6, fill: series.color })) : null,
  ];
}

/** Bars upwards. items: [{name, value, color}] */
function barChart(options) {
  const plot = h("div", { class: "chart" });
  responsive(plot, (width) => {
    const height = 240, top = 22, many = options.items.length * 46 > width;
    const longest = Math.max(...options.items.map((i) => i.name.length), 1);
    const bottom = height - (many ? Math.min(110, 10 + 6.5 * longest) : 24);
    const most = Math.max(...options.items.map((i) => i.value), 1);
    const list = ticks(0, most, 4), step = list[1] - list[0], labels = list.map((t) => tickLabel(t, step));
    const left = 12 + 7 * Math.max(...labels.map((l) => l.length)), right = width - 8;
    const y = (v) => bottom - (v / list[list.length - 1]) * (bottom - top);
    const slot = (right - left) / Math.max(options.items.length, 1);
    const every = Math.ceil(14 / slot);
    plot.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "data-points": options.items.length,
      "aria-label": `${options.title}: ${options.items.slice(0, 12).map((i) => `${i.name} ${i.value}`).join(", ")}` },
    list.map((t, i) => [
      svg("line", { class: "gridline", x1: left, x2: right, y1: Math.round(y(t)), y2: Math.round(y(t)) }),
      svg("text", { x: left - 7, y: y(t) + 4, "text-anchor": "end" }, labels[i])]),
    options.items.map((item, i) => {
      const at = left + slot * i, gap = Math.min(10, slot * 0.15), middle = at + slot / 2;
      const name = item.name.length > 17 ? item.name.slice(0, 16) + "…" : item.name;
      return svg("g", {}, svg("title", {}, `${item.name}: ${short(item.value)}`),
        svg("rect", { x: at + gap, width: Math.max(1, slot - 2 * gap), y: y(item.value), height: Math.max(0, bottom - y(item.value)), fill: item.color, rx: 2 }),
        slot > 34 ? svg("text", { x: middle, y: y(item.value) - 5, "text-anchor": "middle" }, short(item.value)) : null,
        i % every ? null : many
          ? svg("text", { transform: `translate(${middle + 4} ${bottom + 8}) rotate(-90)`, "text-anchor": "end" }, name)
          : svg("text", { x: middle, y: bottom + 17, "text-anchor": "middle" }, name));
    })));
  });
  return h("div", { class: "card" }, h("h3", {}, options.title), plot);
}

/** values [row][column] in 0..1 with the text of each cell; rows and columns have names. */
function matrixChart(options) {
  const plot = h("div", { class: "chart matrix" });
  responsive(plot, (width) => {
    const n = options.names.length;
    const longest = Math.min(15, Math.max(...options.names.map((s) => s.length)));
    const cut = (name) => (name.length > 15 ? name.slice(0, 14) + "…" : name);
    const beside = 34 + 7 * longest, below = 30 + 7 * longest;
    const cell = Math.max(5, Math.min(64, (width - beside - 8) / n));
    const left = beside + Math.max(0, (width - beside - 8 - cell * n) / 2);
    const height = 8 + cell * n + below, every = Math.ceil(13 / cell);
    plot.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "data-points": n * n, "aria-label": options.label },
      options.values.map((row, r) => row.map((value, c) => svg("g", {},
        svg("title", {}, options.hover(r, c)),
        svg("rect", { x: left + c * cell, y: 8 + r * cell, width: cell - 1, height: cell - 1, rx: cell > 20 ? 3 : 0,
          fill: `color-mix(in srgb, var(--matrix-high) ${Math.round(value * 100)}%, var(--matrix-low))` }),
        cell >= 30 && options.text(r, c) ? svg("text", { class: "cell", x: left + (c + 0.5) * cell, y: 8 + (r + 0.5) * cell,
          style: `fill:${value > 0.6 ? "var(--card)" : "var(--ink)"};${cell < 40 ? "font-size:10px" : ""}` }, options.text(r, c)) : null))),
      options.names.map((name, i) => i % every ? null : [
        svg("text", { x: left - 8, y: 8 + (i + 0.5) * cell + 4, "text-anchor": "end" }, cut(name)),
        svg("text", { transform: `translate(${left + (i + 0.5) * cell + 4} ${8 + cell * n + 8}) rotate(-90)`, "text-anchor": "end" }, cut(name))]),
      svg("text", { x: left + (cell * n) / 2, y: height - 4, "text-anchor": "middle" }, options.xLabel),
      svg("text", { transform: `translate(${left - beside + 14} ${8 + (cell * n) / 2}) rotate(-90)`, "text-anchor": "middle" }, options.yLabel)));
  });
  return plot;
}

/** Where points of the unit square lie, as darker and lighter cells. y runs downwards if asked. */
function densityChart(options) {
  const plot = h("div", { class: "chart" });
  responsive(plot, (width) => {
    const size = Math.min(width - 50, 300), left = 38, top = 8, n = 32;
    const counts = new Map();
    let most = 1;
    for (const [px, py] of options.points) {
      const c = Math.max(0, Math.min(n - 1, Math.floor(px * n)));
      const r = Math.max(0, Math.min(n - 1, Math.floor((options.downwards ? py : 1 - py) * n)));
      const count = (counts.get(r * n + c) || 0) + 1;
      counts.set(r * n + c, count);
      most = Math.max(most, count);
    }
    const cell = size / n;
    plot.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${size + 50}`, height: size + 50, role: "img", "data-points": options.points.length,
      "aria-label": `${options.title}, ${options.points.length} boxes` },
    [0, 0.5, 1].map((t) => {
      const v = options.downwards ? t : 1 - t;
      return [
        svg("line", { class: "gridline", x1: left, x2: left + size, y1: top + size * t, y2: top + size * t }),
        svg("line", { class: "gridline", x1: left + size * t, x2: left + size * t, y1: top, y2: top + size }),
        svg("text", { x: left - 6, y: top + size * t + 4, "text-anchor": "end" }, String(v)),
        svg("text", { x: left + size * t, y: top + size + 16, "text-anchor": "middle" }, String(t))];
    }),
    [...counts].map(([at, count]) => svg("rect", { x: left + (at % n) * cell, y: top + Math.floor(at / n) * cell, width: cell + 0.3, height: cell + 0.3,
      fill: `color-mix(in srgb, var(--matrix-high) ${Math.round(25 + 75 * Math.sqrt(count / most))}%, var(--card))` })),
    svg("text", { x: left + size / 2, y: size + 44, "text-anchor": "middle" }, options.xLabel),
    svg("text", { transform: `translate(10 ${top + size / 2}) rotate(-90)`, "text-anchor": "middle" }, options.yLabel)));
  });
  return h("div", { class: "card" }, h("h3", {}, options.title), plot);
}

/** A table whose columns sort when their heads are pressed. columns: [{name, value(row), text(row)}] */
function sortableTable(caption, columns, rows, first) {
  const body = h("tbody");
  let sorted = -1, rising = false;
  const cells = (row, className) => h("tr", { class: className }, columns.map((c, i) =>
    h(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : {}, c.text(row))));
  const fill = (list) => body.replaceChildren(...(first ? [cells(first, "all")] : []), ...list.map((r) => cells(r)));
  const head = h("tr", {}, columns.map((c, i) => h("th", { scope: "col", "aria-sort": "none" }, h("button", {
    type: "button",
    onclick: (event) => {
      rising = sorted === i ? !rising : i === 0;
      sorted = i;
      const list = [...rows].sort((a, b) => {
        const x = c.value(a), y = c.value(b);
        return (x < y ? -1 : x > y ? 1 : 0) * (rising ? 1 : -1);
      });
      for (const cell of head.children) cell.setAttribute("aria-sort", "none");
      event.currentTarget.parentNode.setAttribute("aria-sort", rising ? "ascending" : "descending");
      fill(list);
    },
  }, c.name))));
  fill(rows);
  return [h("p", { class: "caption" }, caption),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
      h("table", { "aria-label": caption }, h("thead", {}, head), body))];
}

const facts = (list) => h("dl", { class: "facts" }, list.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

function themeButton() {
  const root = document.documentElement;
  const stored = () => {
    try {
      return localStorage.getItem("ydistill-theme");
    } catch {
      return null;
    }
  };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const button = h("button", { type: "button", class: "theme" });
  const set = (theme) => {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", theme === "dark" ? "Use light colours" : "Use dark colours");
  };
  const follow = () => set(stored() || (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", follow);
  button.addEventListener("click", () => {
    set(root.dataset.theme === "dark" ? "light" : "dark");
    try {
      localStorage.setItem("ydistill-theme", root.dataset.theme);
    } catch {
      // A page from a file may not be allowed to remember.
    }
  });
  follow();
  return button;
}

/** Title, sections with their links, in the order given: [{id, name, node}], nodes may be null. */
function layOut(header, sections) {
  const there = sections.filter((s) => s.node);
  const body = document.body;
  body.replaceChildren(
    h("header", { class: "top" }, h("div", { class: "wrap" }, header, themeButton())),
    h("nav", { "aria-label": "Sections" }, h("div", { class: "wrap" }, there.map((s) => h("a", { href: `#${s.id}` }, s.name)))),
    h("main", { class: "wrap" }, there.map((s) => h("section", { id: s.id, "aria-label": s.name }, s.node))),
    h("footer", {}, h("div", { class: "wrap" }, "Written by ydistill. This page is one file and loads nothing.")));
  document.documentElement.dataset.ready = "yes";
}
