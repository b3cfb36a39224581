// SPDX-License-Identifier: MIT
// The page of one run: builds everything from the record in #record.
"use strict";

const { record, panels } = JSON.parse(document.getElementById("record").textContent);
const results = record.results;
const column = (name) => {
  const index = results.columns.indexOf(name);
  return index < 0 ? [] : results.rows.map((row) => row[index]);
};
const epochs = results.epochs.map((e) => e + 1);
const last = record.last;
const best = record.best === "last" ? record.last : record.best;
const chosen = best || last;
const teacher = record.teacher;
const teacherMetrics = teacher && teacher.validation ? teacher.validation.metrics : null;
const className = (id) => record.classes[id] || String(id);
const withUnit = (value, digits = 3) => h("div", { class: "figure" }, fixed(value, digits));

function header() {
  const done = results.rows.length;
  const stopped = done < record.epochs_planned;
  const badge = record.finished
    ? h("span", { class: "badge done" }, stopped ? `finished after ${done} of ${record.epochs_planned} epochs` : "finished")
    : h("span", { class: "badge busy" }, `epoch ${done} of ${record.epochs_planned}`);
  const started = new Date(record.started * 1000);
  const student = (record.model.find(([name]) => name === "Student") || [])[1];
  return [h("h1", {}, record.name), badge, h("span", { class: "about" },
    `${student || "student"}${teacher ? ` taught by ${teacher.name}` : ""} · ${record.classes.length} classes · started ${started.toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`)];
}

function summary() {
  if (!chosen) return h("p", { class: "note" }, "No epoch is finished yet. This page is updated after each epoch.");
  const m = chosen.metrics;
  const card = (label, key) => {
    const value = m[key], other = teacherMetrics ? teacherMetrics[key] : null;
    return h("div", { class: "card" }, h("div", { class: "label" }, label), withUnit(value),
      h("div", { class: "meter", role: "presentation" }, h("i", { style: `width:${100 * Math.min(1, value)}%` }),
        other === null ? null : h("b", { style: `left:calc(${100 * Math.min(1, other)}% - 1px)` })),
      h("div", { class: "beside" }, other === null ? "of 1" : `teacher ${fixed(other)}`));
  };
  const seconds = record.speed.reduce((sum, s) => sum + s.train_seconds + s.validation_seconds, 0);
  const speed = record.speed[record.speed.length - 1];
  return [
    h("h2", {}, `Best epoch: ${chosen.epoch + 1} of ${results.rows.length}`),
    h("div", { class: "grid small" }, card("mAP50-95", "map"), card("mAP50", "map50"), card("Precision", "precision"), card("Recall", "recall"),
      h("div", { class: "card" }, h("div", { class: "label" }, "Best confidence"), withUnit(m.best_score, 2),
        h("div", { class: "beside" }, "where mean F1 is largest")),
      speed ? h("div", { class: "card" }, h("div", { class: "label" }, "Training"), h("div", { class: "figure" }, speed.images_per_second.toFixed(speed.images_per_second < 10 ? 1 : 0), h("small", {}, " pictures/s")),
        h("div", { class: "beside" }, `${duration(seconds)} for ${record.speed.length} epochs`)) : null),
    teacher && !teacherMetrics ? h("p", { class: "note", style: "margin-top:.75rem" }, "The teacher was not validated (teacher.validate is false), so the student cannot be compared with it.") : null,
  ];
}

function teacherSection() {
  if (!teacher || !chosen || (!teacherMetrics && !record.maps.some((m) => m.teacher))) return null;
  const nodes = [h("h2", {}, "Teacher and student")];
  if (teacherMetrics) {
    const ofTeacher = new Map(teacherMetrics.per_class.map((c) => [c.class, c]));
    const row = (name, a, b) => ({ name, teacher: a.map, student: b.map, teacher50: a.map50, student50: b.map50 });
    const rows = chosen.metrics.per_class.filter((c) => ofTeacher.has(c.class)).map((c) => row(c.name, ofTeacher.get(c.class), c));
    const pair = (name, key) => ({ name, value: (r) => r[key], text: (r) => fixed(r[key]) });
    const ratio = (r) => (r.teacher > 0 ? r.student / r.teacher : NaN);
    nodes.push(h("div", { class: "card" }, sortableTable(
      `Teacher: ${teacher.name} from ${teacher.weights}. Student: epoch ${chosen.epoch + 1}.`,
      [{ name: "Class", value: (r) => r.name, text: (r) => r.name },
        pair("Teacher mAP50-95", "teacher"), pair("Student mAP50-95", "student"),
        { name: "Student / teacher", value: ratio, text: (r) => (Number.isNaN(ratio(r)) ? "–" : `${Math.round(100 * ratio(r))} %`) },
        pair("Teacher mAP50", "teacher50"), pair("Student mAP50", "student50")],
      rows, row("all", teacherMetrics, chosen.metrics))));
  }
  const maps = record.maps.filter((m) => m.teacher);
  if (maps.length) {
    nodes.push(h("h3", { style: "margin-top:1.1rem" }, "Where they see objects"),
      h("p", { class: "note" }, "Objectness of each cell, the largest over anchors and scales: ", "0", h("span", { class: "ramp", role: "img", "aria-label": "from dark to light" }), "1. Student after epoch " + (last.epoch + 1) + "."),
      h("div", { class: "grid wide" }, maps.map((m) => h("div", { class: "card" }, h("div", { class: "trio" },
        [["picture", m.picture], ["teacher", m.teacher], ["student", m.student]].map(([name, uri]) => h("figure", {},
          h("img", { src: uri, alt: name === "picture" ? `Validation picture ${m.name}` : `Objectness of the ${name} on ${m.name}`, loading: "lazy" }),
          h("figcaption", {}, name === "picture" ? m.name : name))))))));
  }
  return nodes;
}

function studentMaps() {
  const maps = record.maps.filter((m) => !m.teacher && m.student);
  if (!maps.length) return null;
  return [h("h3", { style: "margin-top:1.1rem" }, "Where it sees objects"),
    h("p", { class: "note" }, "Objectness of each cell, the largest over anchors and scales: 0", h("span", { class: "ramp", role: "img", "aria-label": "from dark to light" }), "1."),
    h("div", { class: "grid" }, maps.map((m) => h("div", { class: "card" }, h("div", { class: "trio" },
      [["picture", m.picture], ["student", m.student]].map(([name, uri]) => h("figure", {},
        h("img", { src: uri, alt: name === "picture" ? `Validation picture ${m.name}` : `Objectness on ${m.name}`, loading: "lazy" }),
        h("figcaption", {}, name === "picture" ? m.name : "objectness")))))))];
}

function curves() {
  if (!epochs.length) return null;
  const mark = best ? { x: best.epoch + 1, label: "best epoch" } : null;
  return [h("h2", {}, "Over the epochs"), h("div", { class: "grid" }, panels.map((panel) => lineChart({
    title: panel.title, xLabel: "epoch", whole: true, mark,
    series: panel.lines.map((line, i) => ({ name: line.name, x: epochs, y: column(line.column), color: colorOf(i) })),
  })))];
}

function classes() {
  if (!chosen || !chosen.metrics.per_class.length) return null;
  const m = chosen.metrics;
  const number = (name, key, digits) => ({ name, value: (c) => c[key], text: (c) => (digits === 0 ? String(c[key]) : fixed(c[key])) });
  const f1 = m.per_class.reduce((sum, c) => sum + c.f1, 0) / m.per_class.length;
  return [h("h2", {}, "Classes"), h("div", { class: "card" }, sortableTable(
    `Epoch ${chosen.epoch + 1}; precision, recall and F1 at confidence ${fixed(m.best_score)}. Click a column name to sort.`,
    [{ name: "Class", value: (c) => c.name, text: (c) => c.name }, number("Pictures", "images", 0), number("Labels", "instances", 0),
      number("Precision", "precision"), number("Recall", "recall"), number("F1", "f1"), number("mAP50", "map50"), number("mAP50-95", "map")],
    m.per_class, { ...m, name: "all", f1 }))];
}

function byConfidence() {
  if (!chosen || !chosen.metrics.per_class.some((c) => c.precision_by_score.length)) return null;
  const list = chosen.metrics.per_class;
  const points = Math.max(...list.map((c) => c.precision_by_score.length));
  const x = Array.from({ length: points }, (_, i) => i / (points - 1));
  const ofClass = {
    "Precision over recall": (c, i) => c.precision_by_recall[i],
    "F1 over confidence": (c, i) => (2 * c.precision_by_score[i] * c.recall_by_score[i]) / (c.precision_by_score[i] + c.recall_by_score[i] + 1e-16),
    "Precision over confidence": (c, i) => c.precision_by_score[i],
    "Recall over confidence": (c, i) => c.recall_by_score[i],
  };
  const chart = (title, value) => {
    const per = list.map((c) => x.map((_, i) => (c.precision_by_score.length ? value(c, i) : 0)));
    const mean = x.map((_, i) => per.reduce((sum, y) => sum + y[i], 0) / per.length);
    const many = list.length > 9;
    const series = [{ name: "all classes", x, y: mean, color: colorOf(0), width: 3.2 }];
    if (list.length > 1) {
      list.forEach((c, k) => series.unshift({ name: many ? "" : c.name, x, y: per[k], color: many ? "var(--line)" : colorOf(k + 1), width: 1.6 }));
    }
    const [yLabel, xLabel] = title.toLowerCase().replace("f1", "F1").split(" over ");
    return lineChart({ title, xLabel, yLabel, xRange: [0, 1], yRange: [0, 1], series, dots: false, lastOnTop: true,
      mark: xLabel === "confidence" ? { x: chosen.metrics.best_score, label: "best mean F1" } : null });
  };
  return [h("h2", {}, "Precision and recall"), h("div", { class: "grid wide" }, Object.entries(ofClass).map(([title, value]) => chart(title, value)))];
}

function confusion() {
  if (!chosen || !chosen.confusion.length) return null;
  const n = Math.round(Math.sqrt(chosen.confusion.length));
  const names = Array.from({ length: n - 1 }, (_, i) => className(i)).concat("background");
  const count = (r, c) => chosen.confusion[r * n + c];
  const sums = names.map((_, c) => names.reduce((sum, _, r) => sum + count(r, c), 0));
  const share = (r, c) => (sums[c] ? count(r, c) / sums[c] : 0);
  let shares = true;
  const chart = matrixChart({
    names, values: names.map((_, r) => names.map((_, c) => share(r, c))), xLabel: "true", yLabel: "predicted",
    text: (r, c) => (count(r, c) === 0 ? "" : shares ? share(r, c).toFixed(2) : String(count(r, c))),
    hover: (r, c) => `predicted ${names[r]}, true ${names[c]}: ${count(r, c)} (${Math.round(100 * share(r, c))} % of the column)`,
    label: `Confusion matrix. Found and right: ${names.slice(0, -1).map((name, i) => `${name} ${Math.round(100 * share(i, i))} %`).slice(0, 12).join(", ")}`,
  });
  const toggle = h("button", {
    type: "button", "aria-pressed": "false",
    onclick: () => {
      shares = !shares;
      toggle.setAttribute("aria-pressed", String(!shares));
      chart.redraw();
    },
  }, "Counts");
  return [h("div", { class: "row" }, h("h2", {}, "Confusion matrix"), toggle),
    h("p", { class: "note" }, "Each column shows how the labels of a class were predicted, at confidence above 0.25 and overlap (IoU) above 0.45. Last row: missed. Last column: false alarms, by the class they were taken for."),
    h("div", { class: "card" }, chart)];
}

function picture(p) {
  const box = (b, color, dash) => svg("rect", {
    x: b[0] * p.width, y: b[1] * p.height, width: (b[2] - b[0]) * p.width, height: (b[3] - b[1]) * p.height,
    stroke: color, "stroke-dasharray": dash,
  }, svg("title", {}, dash ? `label: ${className(b[4])}` : `${className(b[4])} ${b[5].toFixed(2)}`));
  const wrong = p.found.filter((b) => !b[6]), missed = p.labels.filter((b) => !b[6]);
  const count = (list) => {
    const names = new Map();
    for (const b of list) names.set(className(b[4]), (names.get(className(b[4])) || 0) + 1);
    return [...names].slice(0, 4).map(([name, n]) => (n > 1 ? `${n} ${name}` : name)).join(", ") + (names.size > 4 ? " …" : "");
  };
  return h("figure", { class: "picture" },
    h("div", { class: "frame" }, h("img", { src: p.jpeg, loading: "lazy", alt: `${p.name}: ${p.labels.length} labels, ${p.found.length - wrong.length} found right, ${missed.length} missed, ${wrong.length} wrong` }),
      svg("svg", { viewBox: `0 0 ${p.width} ${p.height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
        missed.map((b) => box(b, "#ffd60a", "5 4")), p.found.filter((b) => b[6]).map((b) => box(b, "#2dd4bf")), wrong.map((b) => box(b, "#ff3b5c")))),
    h("figcaption", {}, `${p.name} · F1 ${p.f1.toFixed(2)}`, h("br"),
      `${p.found.length - wrong.length} of ${p.labels.length} found`, missed.length ? ` · missed: ${count(missed)}` : "", wrong.length ? ` · wrong: ${count(wrong)}` : ""));
}

function predictions() {
  if (!chosen || !(chosen.worst.length + chosen.best.length)) return null;
  const key = (color, text, dash) => h("span", { class: dash ? "tag dash" : "tag" }, h("i", { style: `border-color:${color}` }), text);
  return [h("h2", {}, "Predictions"),
    h("p", { class: "note" }, key("#2dd4bf", "correct"), key("#ff3b5c", "wrong class, wrong place or no object"), key("#ffd60a", "missed label", true)),
    chosen.worst.length ? [h("h3", {}, "Worst"), h("div", { class: "grid", style: "--cell:10.5rem" }, chosen.worst.map(picture))] : null,
    chosen.best.length ? [h("h3", { style: "margin-top:1rem" }, "Best"), h("div", { class: "grid", style: "--cell:10.5rem" }, chosen.best.map(picture))] : null,
    teacher && record.maps.some((m) => m.teacher) ? null : studentMaps()];
}

function data() {
  const findings = (name, d) => (d.num_findings === 0
    ? h("p", { class: "note", style: "margin:.5rem 0 0" }, "No problems were found.")
    : h("details", { open: d.num_findings <= 5 }, h("summary", {}, `${d.num_findings} findings`),
      h("ul", { class: "findings" }, d.findings.map((f) => h("li", {}, f))),
      d.findings.length < d.num_findings ? h("p", { class: "note" }, `The first ${d.findings.length} are listed.`) : null));
  const boxes = record.train.boxes;
  return [h("h2", {}, "Data"),
    h("div", { class: "grid wide", style: "margin-bottom:.9rem" }, [["Training", record.train], ["Validation", record.val]].map(([name, d]) =>
      h("div", { class: "card" }, h("h3", {}, name), h("div", {}, d.summary), findings(name, d)))),
    h("div", { class: "grid" },
      barChart({ title: "Training labels per class", items: record.classes.map((name, i) => ({ name, value: record.train.class_counts[i] || 0, color: colorOf(i) })) }),
      densityChart({ title: "Centres of the boxes", points: boxes, downwards: true, xLabel: "x / width", yLabel: "y / height" }),
      densityChart({ title: "Sizes of the boxes", points: boxes.map((b) => [b[2], b[3]]), xLabel: "box width / picture width", yLabel: "box height / picture" }))];
}

function speed() {
  if (!record.speed.length) return null;
  const x = record.speed.map((s) => s.epoch + 1);
  const list = (key, factor = 1) => record.speed.map((s) => s[key] * factor);
  return [h("h2", {}, "Speed"), h("div", { class: "grid" },
    lineChart({ title: "Training pictures per second", xLabel: "epoch", whole: true, series: [{ x, y: list("images_per_second"), color: colorOf(0) }] }),
    lineChart({ title: "Seconds per epoch", xLabel: "epoch", whole: true, series: [
      { name: "training", x, y: list("train_seconds"), color: colorOf(0) }, { name: "validation", x, y: list("validation_seconds"), color: colorOf(1) }] }),
    lineChart({ title: "Waiting for data, % of training time", xLabel: "epoch", whole: true, series: [{ x, y: list("waiting_share", 100), color: colorOf(0) }] }))];
}

function setup() {
  return [h("h2", {}, "Setup"), h("div", { class: "grid wide" },
    h("div", { class: "card" }, h("h3", {}, "Model and recipe"), facts(record.model)),
    h("div", { class: "card" }, h("h3", {}, "Hardware and versions"), facts(record.machine))),
  record.config ? h("details", { style: "margin-top:.75rem" }, h("summary", {}, "Resolved config"), h("pre", { tabindex: 0 }, JSON.stringify(record.config, null, 2))) : null];
}

document.title = `${record.name} · ydistill`;
layOut(header(), [
  { id: "summary", name: "Summary", node: summary() },
  { id: "teacher", name: "Teacher", node: teacherSection() },
  { id: "epochs", name: "Epochs", node: curves() },
  { id: "classes", name: "Classes", node: classes() },
  { id: "precision", name: "Precision and recall", node: byConfidence() },
  { id: "confusion", name: "Confusion", node: confusion() },
  { id: "predictions", name: "Predictions", node: predictions() },
  { id: "data", name: "Data", node: data() },
  { id: "speed", name: "Speed", node: speed() },
  { id: "setup", name: "Setup", node: setup() },
]);
