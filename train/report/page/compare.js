// SPDX-License-Identifier: MIT
// The page over several runs: builds everything from the comparison in #record.
"use strict";

const { comparison, panels } = JSON.parse(document.getElementById("record").textContent);
const { runs, groups } = comparison;
const kMap = "metrics/mAP_0.5:0.95";
const shown = [["metrics/precision", "Precision"], ["metrics/recall", "Recall"], ["metrics/mAP_0.5", "mAP50"], [kMap, "mAP50-95"]];
const groupOf = (index) => groups.findIndex((g) => g.runs.includes(index));
const groupName = (group) => {
  const names = group.runs.map((r) => runs[r].name);
  return names.length === 1 ? names[0] : `${names[0]} (${names.length} seeds)`;
};
const swatch = (index) => h("i", { style: `display:inline-block;width:.7em;height:.7em;border-radius:50%;background:${colorOf(index)};margin-right:.45em` });

function groupTable() {
  const cell = (g, key) => {
    const s = g.at_best[key];
    return s ? [fixed(s.mean, 4), s.deviation === null ? null : h("span", { class: "spread" }, ` ± ${fixed(s.deviation, 4)}`)] : "–";
  };
  const rows = groups.map((g, i) => ({ g, i }));
  return h("div", { class: "card" }, sortableTable(
    "Best epoch of each run; runs that differ only in train.seed share a row: mean ± sample standard deviation.",
    [{ name: "Runs", value: (r) => groupName(r.g), text: (r) => [swatch(r.i), groupName(r.g)] },
      { name: "n", value: (r) => r.g.runs.length, text: (r) => String((r.g.at_best[kMap] || { n: 0 }).n) },
      ...shown.map(([key, name]) => ({ name, value: (r) => (r.g.at_best[key] || { mean: -1 }).mean, text: (r) => cell(r.g, key) }))],
    rows));
}

function differences() {
  if (groups.length < 2) return null;
  return h("div", { class: "card", style: "margin-top:.9rem" }, h("h3", {}, "How they differ"), h("dl", { class: "facts" }, groups.map((g, i) =>
    [h("dt", {}, swatch(i), groupName(g)), h("dd", {}, g.differs.join(", ") || "–")])));
}

/** Each run as a dot, mean and deviation of a group as a bar. */
function dotChart(key, name) {
  const plot = h("div", { class: "chart" });
  responsive(plot, (width) => {
    const step = 42, top = 8, height = top + step * groups.length + 30;
    const values = groups.map((g) => g.runs.map((r) => (runs[r].at_best ? runs[r].at_best[key] : null)).filter((v) => !isMissing(v)));
    const bounds = groups.flatMap((g) => (g.at_best[key] ? [g.at_best[key].mean - (g.at_best[key].deviation || 0), g.at_best[key].mean + (g.at_best[key].deviation || 0)] : []));
    const [low, high] = rangeOf([values.flat(), bounds]);
    const list = ticks(low, high, Math.max(2, Math.floor(width / 130))), unit = list[1] - list[0];
    const left = 20, right = width - 20;
    const x = (v) => left + ((v - list[0]) / (list[list.length - 1] - list[0])) * (right - left);
    plot.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "data-points": values.flat().length,
      "aria-label": `${name}: ${groups.map((g) => `${groupName(g)} ${g.at_best[key] ? fixed(g.at_best[key].mean) : "none"}`).join(", ")}` },
    list.map((t) => [svg("line", { class: "gridline", x1: x(t), x2: x(t), y1: top, y2: height - 24 }),
      svg("text", { x: x(t), y: height - 8, "text-anchor": "middle" }, tickLabel(t, unit))]),
    groups.map((g, i) => {
      const y = top + step * (i + 0.66), s = g.at_best[key];
      return [
        svg("text", { x: left, y: y - 12, style: "fill:var(--ink)" }, groupName(g)),
        s && s.deviation ? svg("line", { x1: x(s.mean - s.deviation), x2: x(s.mean + s.deviation), y1: y, y2: y, stroke: colorOf(i), "stroke-width": 7, "stroke-opacity": 0.35, "stroke-linecap": "round" }) : null,
        s ? svg("line", { x1: x(s.mean), x2: x(s.mean), y1: y - 7, y2: y + 7, stroke: colorOf(i), "stroke-width": 2.5 }) : null,
        values[i].map((v) => svg("circle", { cx: x(v), cy: y, r: 4, fill: colorOf(i), stroke: "var(--card)" }, svg("title", {}, short(v))))];
    })));
  });
  return h("div", { class: "card" }, h("h3", {}, name), plot);
}

function runTable() {
  const rows = runs.map((run, i) => ({ run, i }));
  return [h("h2", {}, "Runs"), h("div", { class: "card" }, sortableTable("Each run at its best epoch.",
    [{ name: "Run", value: (r) => r.run.name, text: (r) => [swatch(groupOf(r.i)), r.run.name] },
      { name: "Seed", value: (r) => r.run.seed, text: (r) => String(r.run.seed) },
      { name: "Epochs", value: (r) => r.run.epochs, text: (r) => `${r.run.epochs}/${r.run.epochs_planned}${r.run.finished ? "" : " (unfinished)"}` },
      { name: "Best", value: (r) => r.run.best_epoch ?? -1, text: (r) => (r.run.best_epoch === null ? "–" : String(r.run.best_epoch + 1)) },
      ...shown.map(([key, name]) => ({ name, value: (r) => (r.run.at_best ? r.run.at_best[key] : -1), text: (r) => fixed(r.run.at_best ? r.run.at_best[key] : null, 4) })),
      { name: "Teacher", value: (r) => r.run.teacher_map ?? -1, text: (r) => fixed(r.run.teacher_map) },
      { name: "Pictures/s", value: (r) => r.run.images_per_second ?? -1, text: (r) => (isMissing(r.run.images_per_second) ? "–" : r.run.images_per_second.toFixed(1)) }],
    rows))];
}

function curves() {
  const charts = panels.flatMap((panel) => panel.lines.map((line) => ({ title: line.name ? `${panel.title}, ${line.name}` : panel.title, column: line.column })));
  charts.sort((a, b) => b.column.startsWith("metrics/") - a.column.startsWith("metrics/"));
  return [h("h2", {}, "Over the epochs"), h("div", { class: "grid" }, charts.map(({ title, column }) => lineChart({
    title, xLabel: "epoch", whole: true, dots: false,
    series: runs.map((run, i) => {
      const index = run.results.columns.indexOf(column);
      return { name: run.name, x: run.results.epochs.map((e) => e + 1), y: index < 0 ? [] : run.results.rows.map((row) => row[index]), color: colorOf(groupOf(i)) };
    }).filter((s) => s.y.length),
  })))];
}

document.title = `${runs.length} runs · ydistill`;
layOut([h("h1", {}, "Comparison"), h("span", { class: "about" }, `${runs.length} runs in ${groups.length} ${groups.length === 1 ? "group" : "groups"}`)], [
  { id: "groups", name: "Groups", node: [h("h2", {}, "Mean and spread over seeds"), groupTable(), differences(),
    h("div", { class: "grid wide", style: "margin-top:.9rem" }, dotChart(kMap, "mAP50-95"), dotChart("metrics/mAP_0.5", "mAP50"))] },
  { id: "runs", name: "Runs", node: runTable() },
  { id: "epochs", name: "Epochs", node: panels.length ? curves() : null },
]);
