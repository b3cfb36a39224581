// SPDX-License-Identifier: MIT
// The pages as a browser shows them: headless Chromium, where there is one.
#include <ydistill/train/report/page.h>

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include <ydistill/data/image.h>

#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

std::string jpeg_of(uint8_t level) {
  return encode_jpeg(Image::filled(64, 48, level));
}

ValidationRecord some_validation(int64_t epoch) {
  ValidationRecord v;
  v.epoch = epoch;
  v.metrics.images = 10;
  v.metrics.map50 = 0.6;
  v.metrics.map = 0.4;
  for (int k = 0; k < 3; ++k) {
    ClassMetrics c;
    c.class_id = k;
    c.name = k == 0 ? "</script><b>evil" : fmt::format("class {}", k);
    c.map = 0.1 * k;
    for (int i = 0; i < 201 && k < 2; ++i) {
      c.precision_by_score.push_back(0.5 + i / 400.0);
      c.recall_by_score.push_back(1 - i / 200.0);
      c.precision_by_recall.push_back(1 - i / 400.0);
    }
    v.metrics.per_class.push_back(c);
  }
  v.confusion.assign(16, 3);
  for (int i = 0; i < 6; ++i) {
    ShownPicture p{fmt::format("a picture with a long name {}.jpg", i),
                   64,
                   48,
                   jpeg_of(uint8_t(40 * i)),
                   0.5,
                   {},
                   {}};
    p.labels = {{0.1f, 0.1f, 0.5f, 0.5f, 0, 0, true}, {0.6f, 0.6f, 0.9f, 0.9f, 1, 0, false}};
    p.found = {{0.1f, 0.1f, 0.5f, 0.5f, 0, 0.9f, true}, {0.3f, 0.1f, 0.5f, 0.9f, 2, 0.4f, false}};
    v.worst.push_back(p);
    v.best.push_back(p);
  }
  return v;
}

RunRecord some_record() {
  RunRecord r;
  r.name = "exp";
  r.started = 1.7e9;
  r.finished = true;
  r.epochs_planned = 5;
  r.classes = {"</script><b>evil", "class 1", "class 2"};
  r.model = {{"Student", "yolov5n"}, {"Parameters", "1.9 M"}};
  r.machine = {{"Processor", "a processor with a name that does not fit on one line of a phone"}};
  r.results.columns = {"train/box_loss", "val/box_loss", "metrics/mAP_0.5", "metrics/mAP_0.5:0.95",
                       "x/lr0"};
  for (int e = 0; e < 5; ++e) {
    r.results.epochs.push_back(e);
    r.results.rows.push_back(
        {1.0 / (e + 1), e == 2 ? std::nan("") : 1.2 / (e + 1), 0.1 * e, 0.05 * e, 0.01});
    r.speed.push_back({e, 1.7e9 + e, 2, 1, 40, 0.1});
  }
  r.train.summary = r.val.summary = "12 pictures";
  r.train.class_counts = {5, 7, 0};
  r.train.boxes = {{0.5f, 0.5f, 0.25f, 0.125f}, {0.25f, 0.5f, 0.5f, 0.5f}};
  r.train.findings = {
      "a/very/long/path/that/has/no/place/to/break/and/goes/on/and/on/labels/a.txt:1: wrong"};
  r.train.num_findings = 1;
  r.last = some_validation(4);
  r.best = some_validation(3);
  r.teacher = TeacherRecord{"yolov5m", "best.safetensors", some_validation(-1)};
  r.maps = {{"a.jpg", jpeg_of(10), jpeg_of(20), jpeg_of(30)}};
  r.config = R"({"train": {"epochs": 5}})";
  return r;
}

Comparison some_comparison() {
  std::vector<ComparedRun> runs;
  for (int i = 0; i < 4; ++i) {
    ComparedRun run;
    run.name = fmt::format("run{}", i);
    run.seed = i % 2;
    run.epochs_planned = 5;
    run.settings = {{"distill.loss", i < 2 ? "l2" : "kl"},
                    {"train.seed", std::to_string(run.seed)}};
    if (i < 3) run.results = some_record().results;
    run.best = run.results.best_row();
    runs.push_back(std::move(run));
  }
  return compare_runs(std::move(runs));
}

struct Shown {
  nlohmann::json page;  ///< what the page says of itself
  std::string log;
  Image screen;
};

bool have_chromium() {
  return std::system("command -v chromium >/dev/null 2>&1") == 0;
}

/// Opens a page in a frame (a window of Chromium is never narrower than 500 pixels): what it then
/// says of itself, what the browser complained about, and a picture.
Shown show(const std::string& html, int width, int height, const char* theme) {
  const test::TempDir dir;
  test::write_file(dir / "page.html", html + R"(<script>setTimeout(() => {
    const root = document.documentElement;
    parent.postMessage({...root.dataset, overflow: root.scrollWidth - window.innerWidth,
      width: window.innerWidth, charts: document.querySelectorAll("[data-points]").length,
      blank: document.querySelectorAll('[data-points="0"]').length,
      text: document.body.innerText}, "*");
  }, 800)</script>)");
  test::write_file(dir / "frame.html",
                   fmt::format(R"(<!DOCTYPE html><style>body {{ margin: 0 }}</style>
    <iframe src="page.html" style="border:0;display:block" width="{}" height="{}"></iframe>
    <script>addEventListener("message", (event) => {{
      document.body.dataset.page = encodeURIComponent(JSON.stringify(event.data));
    }})</script>)",
                               width, height));
  const std::string common = fmt::format(
      "cd '{}' && timeout 100 chromium --headless --no-sandbox --disable-gpu --hide-scrollbars "
      "--user-data-dir=profile --enable-logging=stderr --v=0 --virtual-time-budget=3000 "
      "--blink-settings=preferredColorScheme={} --window-size={},{} ",
      dir.path().string(), std::string(theme) == "dark" ? 0 : 1, width, height);
  REQUIRE(std::system((common + "--dump-dom frame.html >dom.html 2>log.txt").c_str()) == 0);
  REQUIRE(std::system((common + "--screenshot=screen.png page.html >out.txt 2>>log.txt").c_str()) ==
          0);
  const std::string dom = test::read_file(dir / "dom.html"), mark = "data-page=\"";
  const size_t at = dom.find(mark);
  INFO(dom);
  REQUIRE(at != dom.npos);
  const size_t begin = at + mark.size();
  const std::string encoded = dom.substr(begin, dom.find('"', begin) - begin);
  std::string text;
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] == '%') {
      text += char(std::stoi(encoded.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      text += encoded[i];
    }
  }
  std::string log = test::read_file(dir / "log.txt");
  return {nlohmann::json::parse(text), std::move(log), read_image(dir / "screen.png")};
}

int64_t count_of(const std::string& text, const std::string& what) {
  int64_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

size_t colours_of(const Image& image) {
  std::set<uint32_t> colours;
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    colours.insert(uint32_t(image.rgb[i]) << 16 | uint32_t(image.rgb[i + 1]) << 8 |
                   image.rgb[i + 2]);
  }
  return colours.size();
}

void check_page(const Shown& shown, int width, int height, int64_t charts) {
  INFO(shown.page.dump(1));
  const size_t complaint = shown.log.find("CONSOLE");
  CHECK((complaint == shown.log.npos ? "" : shown.log.substr(complaint, 300)) == "");
  CHECK(shown.page.at("ready") == "yes");
  CHECK_FALSE(shown.page.contains("error"));
  CHECK(shown.page.at("width") == width);
  CHECK(shown.page.at("overflow") == 0);
  CHECK(shown.page.at("charts") == charts);
  CHECK(shown.page.at("blank") == 0);
  CHECK(shown.screen.width == width);
  CHECK(shown.screen.height == height);
  CHECK(colours_of(shown.screen) > 50);  // text alone, with its smooth edges, has about that
}

TEST_CASE("page: a report names no other place and cannot be ended by what is in it") {
  const std::string html = report_page(some_record());
  CHECK(count_of(html, "http") == 2);  // http-equiv and the name of SVG
  CHECK(count_of(html, "</script>") == 2);
  CHECK(html.find("<b>evil") == std::string::npos);
}

TEST_CASE("page: a report shows every chart on a desktop and on a phone without complaint") {
  if (!have_chromium()) YD_SKIP("no chromium");
  const std::string html = report_page(some_record());
  // 4 panels, 4 curves by confidence, the matrix, bars and 2 densities, 3 of speed.
  constexpr int64_t kCharts = 15;
  check_page(show(html, 1280, 900, "light"), 1280, 900, kCharts);
  const Shown phone = show(html, 390, 844, "dark");
  check_page(phone, 390, 844, kCharts);
  CHECK(phone.page.at("theme") == "dark");
  CHECK(int(phone.screen.at(1, 1)[0]) < 40);
}

TEST_CASE("page: a report before the first epoch and without a teacher is whole") {
  if (!have_chromium()) YD_SKIP("no chromium");
  RunRecord record;
  record.name = "begun";
  record.classes = {"a"};
  record.epochs_planned = 5;
  const Shown shown = show(report_page(record), 1280, 900, "light");
  CHECK(count_of(shown.log, "CONSOLE") == 0);
  CHECK(shown.page.at("ready") == "yes");
  CHECK(shown.page.at("text").get<std::string>().find("No epoch is finished yet") !=
        std::string::npos);
}

TEST_CASE("page: a comparison shows groups and curves on a desktop and on a phone") {
  if (!have_chromium()) YD_SKIP("no chromium");
  const std::string html = compare_page(some_comparison());
  constexpr int64_t kCharts = 7;  // two of dots, five columns
  check_page(show(html, 1280, 900, "light"), 1280, 900, kCharts);
  check_page(show(html, 390, 844, "light"), 390, 844, kCharts);
}

}  // namespace
}  // namespace ydistill
