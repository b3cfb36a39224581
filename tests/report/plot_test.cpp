// SPDX-License-Identifier: MIT
#include <ydistill/train/report/plot.h>
#include <ydistill/train/report/run_plots.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

int64_t count_of(const Image& image, Color c) {
  int64_t n = 0;
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    n += image.rgb[i] == c.r && image.rgb[i + 1] == c.g && image.rgb[i + 2] == c.b;
  }
  return n;
}

constexpr Color kBlack{0, 0, 0};

TEST_CASE("canvas: an area that ends inside pixels tints them by its share") {
  Canvas canvas(4, 1);
  canvas.fill({0.5, 0, 2, 1}, kBlack);
  CHECK(int(canvas.image().at(0, 0)[0]) == 128);
  CHECK(int(canvas.image().at(1, 0)[0]) == 0);
  CHECK(int(canvas.image().at(2, 0)[0]) == 255);
}

TEST_CASE("canvas: a line covers its length times its width") {
  Canvas canvas(60, 20);
  const Point line[] = {{10, 10}, {50, 10}};
  canvas.polyline(line, 4, kBlack);
  double dark = 0;
  for (size_t i = 0; i < canvas.image().rgb.size(); i += 3)
    dark += (255 - canvas.image().rgb[i]) / 255.0;
  // A rectangle of 40 x 4 and two half discs of radius 2; edges of pixels allow for the rest.
  CHECK(dark == Approx(160 + 3.14159 * 4).epsilon(0.03));
}

TEST_CASE("canvas: drawing beyond the edges is clipped") {
  Canvas canvas(10, 10);
  const Point line[] = {{-1e6, -1e6}, {1e6, 1e6}};
  canvas.polyline(line, 2, kBlack);
  canvas.text({-50, 5}, "far away");
  canvas.disc({20, 20}, 3, kBlack);
  canvas.picture({8, 8, 20, 20}, Image::filled(2, 2, 0));
  canvas.fill({-100, -100, 5, 5}, kBlack);
  CHECK(count_of(canvas.image(), kBlack) >= 25);
}

bool same(const std::vector<Stroke>& a, const std::vector<Stroke>& b) {
  const auto same_point = [](Point p, Point q) { return p.x == q.x && p.y == q.y; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const Stroke& x, const Stroke& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), same_point);
  });
}

TEST_CASE("font: every printable character has strokes of its own inside its width") {
  const auto question = lay_out("?").strokes;
  for (char c = 33; c < 127; ++c) {
    INFO(c);
    const LaidOutText text = lay_out(std::string(1, c));
    REQUIRE_FALSE(text.strokes.empty());
    if (c != '?') CHECK_FALSE(same(text.strokes, question));
    for (const Stroke& stroke : text.strokes) {
      CHECK(stroke.size() >= 2);
      for (const Point& p : stroke) {
        CHECK(p.x >= 0);
        CHECK(p.x <= text.width + 1e-9);
        CHECK(p.y >= 0);
        CHECK(p.y <= 1.34);
      }
    }
  }
  CHECK(lay_out("\xC3\xA4").width == lay_out("?").width);  // one character of two bytes
  CHECK(lay_out("ab").width > lay_out("a").width + lay_out("b").width);
}

TEST_CASE("plot: ticks are round and hold the range") {
  CHECK(round_ticks(0, 1, 5) == std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1});
  CHECK(round_ticks(3, 17, 4) == std::vector<double>{0, 5, 10, 15, 20});
  for (const auto& [low, high] :
       {std::pair{-0.013, 0.02}, std::pair{1e-7, 3e-7}, std::pair{5.0, 5.0}}) {
    const auto ticks = round_ticks(low, high, 5);
    CHECK(ticks.front() <= low);
    CHECK(ticks.back() >= high);
    CHECK(ticks.size() <= 12);
  }
  CHECK(round_ticks(1, 3, 8, TickKind::kWhole) == std::vector<double>{1, 2, 3});
  CHECK(round_ticks(1, 10, 4, TickKind::kWhole) == std::vector<double>{0, 5, 10});
  CHECK(tick_label(0.2, 0.2) == "0.2");
  CHECK(tick_label(0.25, 0.25) == "0.25");
  CHECK(tick_label(1, 0.25) == "1.00");
  CHECK(tick_label(1500, 500) == "1500");
  CHECK(tick_label(0.006302, 2e-6) != tick_label(0.0063, 2e-6));
}

TEST_CASE("plot: ticks of ranges that doubles hardly tell apart or hold are two to twelve") {
  const double huge = std::numeric_limits<double>::max();
  const double tiny = std::numeric_limits<double>::denorm_min();
  for (const auto& [low, high] :
       {std::pair{-huge, huge}, std::pair{0.0, tiny}, std::pair{huge, huge},
        std::pair{1.0, std::nextafter(1.0, 2.0)}, std::pair{1e30, 1e30}}) {
    INFO(low << " to " << high);
    const auto ticks = round_ticks(low, high, 5);
    CHECK(ticks.size() >= 2);
    CHECK(ticks.size() <= 12);
    CHECK(ticks.front() < ticks.back());
    CHECK(std::isfinite(ticks.back()));
  }
}

TEST_CASE("plot: a curve is drawn where its values are and has a gap where there are none") {
  Canvas canvas(300, 200);
  LinePlot plot;
  const Color red{255, 0, 0};
  plot.series = {{"", {0, 1, 2, 3, 4}, {0, 0, std::nan(""), 1, 1}, red, 3, 1, false}};
  draw_plot(canvas, {0, 0, 300, 200}, plot);
  int64_t left_top = 200, left_bottom = 0, right_top = 200, right_bottom = 0, middle = 0;
  for (int64_t y = 0; y < 200; ++y) {
    for (int64_t x = 0; x < 300; ++x) {
      const uint8_t* p = canvas.image().at(x, y);
      if (p[0] != 255 || p[1] > 60) continue;
      if (x < 150) {
        left_top = std::min(left_top, y);
        left_bottom = std::max(left_bottom, y);
      } else {
        right_top = std::min(right_top, y);
        right_bottom = std::max(right_bottom, y);
      }
      middle += x > 140 && x < 180;
    }
  }
  CHECK(left_bottom - left_top <= 4);
  CHECK(right_bottom - right_top <= 4);
  CHECK(left_top > right_bottom + 80);  // low values below
  CHECK(middle == 0);
}

MetricsResult some_metrics() {
  MetricsResult m;
  for (int k = 0; k < 3; ++k) {
    ClassMetrics c;
    c.class_id = k;
    c.name = k == 0 ? "red cell" : k == 1 ? "white" : "never found";
    for (int i = 0; i < 201 && k < 2; ++i) {
      c.precision_by_score.push_back(0.5 + i / 400.0);
      c.recall_by_score.push_back(1 - i / 200.0);
      c.precision_by_recall.push_back(1 - i / 400.0);
    }
    m.per_class.push_back(c);
  }
  return m;
}

TEST_CASE("plots: the mean curve counts classes that were never found as zero") {
  const ClassCurves r = class_curves(some_metrics(), Curve::kRecall);
  CHECK(r.x.front() == 0);
  CHECK(r.x.back() == 1);
  CHECK(r.mean[0] == Approx(2.0 / 3));
  CHECK(r.mean[100] == Approx(1.0 / 3));
  const ClassCurves f1 = class_curves(some_metrics(), Curve::kF1);
  CHECK(f1.per_class[0][100] == Approx(2 * 0.75 * 0.5 / 1.25));
  CHECK(class_curves({}, Curve::kF1).x.empty());
}

TEST_CASE("plots: a record gives all the files of a YOLOv5 run folder and an empty one no fault") {
  const test::TempDir dir;
  RunRecord record;
  record.classes = {"red cell", "white", "never found"};
  write_run_plots(dir.path(), record);
  CHECK(std::filesystem::exists(dir / "labels.png"));
  CHECK_FALSE(std::filesystem::exists(dir / "results.png"));
  record.results = {{"train/box_loss", "val/box_loss"}, {0, 1}, {{0.5, 0.6}, {0.4, 0.5}}};
  record.train.class_counts = {5, 7};
  record.train.boxes = {{0.5f, 0.5f, 0.25f, 0.125f}, {1.0f, 1.0f, 1.0f, 1.0f}};
  record.best = ValidationRecord{1, some_metrics(), std::vector<int64_t>(16, 1), {}, {}};
  write_run_plots(dir.path(), record);
  for (const char* name :
       {"labels", "results", "F1_curve", "P_curve", "R_curve", "PR_curve", "confusion_matrix"}) {
    INFO(name);
    const Image image = read_image(dir / (std::string(name) + ".png"));
    CHECK(image.width >= 400);
    // Not blank: besides the white there is ink of many shades.
    CHECK(count_of(image, {255, 255, 255}) < image.width * image.height * 99 / 100);
  }
}

}  // namespace
}  // namespace ydistill
