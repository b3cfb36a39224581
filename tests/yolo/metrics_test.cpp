// SPDX-License-Identifier: MIT
#include <ydistill/tensor/error.h>
#include <ydistill/yolo/metrics.h>

#include <cmath>
#include <limits>

#include "support/catch.h"

namespace ydistill {
namespace {

constexpr auto kBoth = {EvalCompat::kV7, EvalCompat::kV5};

Detection found(float x, float width, float score, int64_t class_id = 0) {
  return {x, 0, x + width, 10, score, class_id};
}
TruthBox truth(float x, float width, int64_t class_id = 0) {
  return {class_id, x, 0, x + width, 10};
}

int thresholds_met(const Correct& c) {
  int n = 0;
  for (const bool met : c) n += met ? 1 : 0;
  return n;
}

TEST_CASE("metrics: the thresholds run from 0.5 to 0.95") {
  const auto t = iou_thresholds();
  for (int i = 0; i < kNumIous; ++i) CHECK(t[size_t(i)] == Approx(0.5 + 0.05 * i));
  CHECK(t[0] == 0.5f);
  CHECK(t[9] == 0.95f);
}

TEST_CASE("metrics: a detection is right at the thresholds its overlap reaches") {
  // 8 of 10 pixels wide: IoU 0.8
  for (const EvalCompat compat : kBoth) {
    const auto correct = match_detections({found(0, 8, 0.9f)}, {truth(0, 10)}, compat);
    CHECK(thresholds_met(correct[0]) >= 6);  // 0.5 to 0.75, and 0.8 up to rounding
    CHECK(thresholds_met(correct[0]) <= 7);
    CHECK(correct[0][5]);
    CHECK_FALSE(correct[0][7]);
  }
}

TEST_CASE("metrics: an overlap of exactly 0.5 counts in v7 and not in v5") {
  const std::vector<Detection> half{found(0, 5, 0.9f)};
  CHECK(match_detections(half, {truth(0, 10)}, EvalCompat::kV7)[0][0]);
  CHECK_FALSE(match_detections(half, {truth(0, 10)}, EvalCompat::kV5)[0][0]);
}

TEST_CASE("metrics: v7 matches every threshold alone and v5 once") {
  // Both fit one label: the first to 0.6, the second to 0.9.
  const std::vector<Detection> detections{found(0, 6.1f, 0.9f), found(0, 9.1f, 0.8f)};
  const auto v7 = match_detections(detections, {truth(0, 10)}, EvalCompat::kV7);
  CHECK(thresholds_met(v7[0]) == 3);  // 0.5, 0.55, 0.6
  CHECK_FALSE(v7[1][2]);
  CHECK(v7[1][3]);
  CHECK(v7[1][8]);
  CHECK(thresholds_met(v7[1]) == 6);  // 0.65 to 0.9
  const auto v5 = match_detections(detections, {truth(0, 10)}, EvalCompat::kV5);
  CHECK(thresholds_met(v5[0]) == 3);
  CHECK(thresholds_met(v5[1]) == 0);
}

TEST_CASE("metrics: a detection whose best label is taken does not fall back to another") {
  // The second overlaps label 0 by 0.8 and label 1, ten wide from 3.5, by 0.575.
  const std::vector<Detection> detections{found(0, 9.5f, 0.9f), found(1, 9.5f, 0.8f)};
  const std::vector<TruthBox> truths{truth(0, 10), truth(3.5f, 10)};
  for (const EvalCompat compat : kBoth) {
    const auto correct = match_detections(detections, truths, compat);
    CHECK(correct[0][0]);
    CHECK(thresholds_met(correct[1]) == 0);
  }
}

TEST_CASE("metrics: other classes do not match") {
  for (const EvalCompat compat : kBoth) {
    const auto correct = match_detections({found(0, 10, 0.9f, 1)}, {truth(0, 10, 0)}, compat);
    CHECK(thresholds_met(correct[0]) == 0);
    CHECK(match_detections({}, {truth(0, 10)}, compat).empty());
    CHECK(thresholds_met(match_detections({found(0, 10, 0.9f)}, {}, compat)[0]) == 0);
  }
}

TEST_CASE("metrics: average precision of a hand-computed curve") {
  // Right, wrong, right of two labels. Envelope: 1 up to recall 0.5, 2/3 up to 1. At 0.5 itself the
  // later of the two points counts, at 1 the end point of precision 0.
  const std::vector<double> recall{0.5, 0.5, 1}, precision{1, 0.5, 2.0 / 3};
  const double until_end = 0.49 + 0.01 * (1 + 2.0 / 3) / 2 + 0.49 * 2 / 3;
  const ApResult v7 = average_precision(recall, precision, EvalCompat::kV7);
  CHECK(v7.ap == Approx(until_end + 0.01 * (2.0 / 3) / 2));
  CHECK(v7.recall == std::vector<double>{0, 0.5, 0.5, 1, 1});
  CHECK(v7.precision == std::vector<double>{1, 1, 2.0 / 3, 2.0 / 3, 0});
  // v5 ends at 1.01, so the precision at recall 1 is still 2/3.
  CHECK(average_precision(recall, precision, EvalCompat::kV5).ap ==
        Approx(until_end + 0.01 * 2 / 3));
  // Half of the labels found: v7 falls linearly to 0 at recall 1, v5 within 0.01.
  CHECK(average_precision({0.5}, {1}, EvalCompat::kV7).ap == Approx(0.75));
  CHECK(average_precision({0.5}, {1}, EvalCompat::kV5).ap == Approx(0.505));
  CHECK_THROWS_WITH_TEXT(average_precision({}, {}, EvalCompat::kV7), ValueError, "0 recalls");
}

TEST_CASE("metrics: everything right gives 0.995 in v7 and 1 in v5") {
  for (const EvalCompat compat : kBoth) {
    DetectionMetrics metrics(compat);
    metrics.add({found(0, 10, 0.9f), found(50, 10, 0.8f, 1)}, {truth(0, 10), truth(50, 10, 1)});
    const MetricsResult r = metrics.compute({"cat", "dog"});
    CHECK(r.images == 1);
    CHECK(r.instances == 2);
    CHECK(r.map50 == Approx(compat == EvalCompat::kV7 ? 0.995 : 1));
    CHECK(r.map == Approx(r.map50));
    CHECK(r.recall == Approx(1));
    CHECK(r.precision == Approx(1));
    REQUIRE(r.per_class.size() == 2);
    CHECK(r.per_class[1].name == "dog");
    CHECK(r.per_class[1].images == 1);
    CHECK(r.per_class[1].precision_by_score.size() == size_t(kCurvePoints));
    CHECK(r.per_class[1].precision_by_recall.size() == size_t(kCurvePoints));
  }
}

TEST_CASE("metrics: precision and recall stand where the mean F1 is best") {
  // One label, right at 0.9; wrong at 0.3. F1 rises between the two scores and is 0 above 0.9.
  for (const EvalCompat compat : kBoth) {
    DetectionMetrics metrics(compat);
    metrics.add({found(100, 10, 0.3f), found(0, 10, 0.9f)}, {truth(0, 10)});
    const MetricsResult r = metrics.compute();
    CHECK(r.recall == Approx(1));
    // Precision runs in a straight line from 0.5 at score 0.3 to 1 at 0.9.
    CHECK(r.precision == Approx(0.5 + 0.5 * (r.best_score - 0.3) / 0.6).epsilon(1e-6));
    if (compat == EvalCompat::kV5) {
      CHECK(r.best_score == Approx(0.9).margin(1e-3));
    } else {
      CHECK(r.best_score == Approx(0.85).margin(1e-3));  // the window of 101 ends at 0.9
    }
  }
}

TEST_CASE("metrics: classes without labels do not count and classes without detections do") {
  DetectionMetrics metrics;
  metrics.add({found(0, 10, 0.9f, 0), found(0, 10, 0.9f, 5)}, {truth(0, 10, 0), truth(30, 10, 3)});
  metrics.add({}, {truth(30, 10, 3), truth(60, 10, 3)});
  metrics.add({}, {});
  const MetricsResult r = metrics.compute({"a"});
  CHECK(r.images == 3);
  CHECK(r.instances == 4);
  REQUIRE(r.per_class.size() == 2);
  CHECK(r.per_class[0].name == "a");
  CHECK(r.per_class[1].class_id == 3);
  CHECK(r.per_class[1].name == "3");
  CHECK(r.per_class[1].images == 2);
  CHECK(r.per_class[1].instances == 3);
  CHECK(r.per_class[1].map == 0);
  CHECK(r.map50 == Approx(0.995 / 2));
  CHECK(r.recall == Approx(0.5));
}

TEST_CASE("metrics: equal scores count in the order of the pictures") {
  const auto map50 = [](bool right_first) {
    DetectionMetrics metrics;
    for (const bool right : {right_first, !right_first}) {
      metrics.add({found(right ? 0.0f : 90.0f, 10, 0.5f)}, {truth(0, 10)});
    }
    return metrics.compute().map50;
  };
  CHECK(map50(true) > map50(false));
}

TEST_CASE("metrics: detections of any order are taken best score first") {
  DetectionMetrics a, b;
  const Detection good = found(0, 9.5f, 0.9f), poor = found(0, 7, 0.2f);
  a.add({good, poor}, {truth(0, 10)});
  b.add({poor, good}, {truth(0, 10)});
  CHECK(a.compute().map == b.compute().map);
}

TEST_CASE("metrics: nothing at all gives zeros") {
  for (const EvalCompat compat : kBoth) {
    DetectionMetrics metrics(compat);
    CHECK(metrics.compute().map == 0);
    metrics.add({found(0, 10, 0.9f)}, {});
    const MetricsResult r = metrics.compute();
    CHECK(r.images == 1);
    CHECK(r.per_class.empty());
    CHECK(r.map50 == 0);
  }
}

TEST_CASE("metrics: parts that were collected apart and appended are those of one collection") {
  const std::vector<std::vector<Detection>> detections{
      {found(0, 8, 0.9f), found(20, 9, 0.4f, 1)}, {}, {found(3, 10, 0.9f), found(0, 10, 0.2f, 2)}};
  const std::vector<std::vector<TruthBox>> truths{
      {truth(0, 10), truth(20, 10, 1)}, {truth(0, 10, 1)}, {truth(2, 10), truth(40, 10)}};
  DetectionMetrics whole, first, second, joined;
  for (size_t i = 0; i < detections.size(); ++i) {
    whole.add(detections[i], truths[i]);
    (i < 2 ? first : second).add(detections[i], truths[i]);
  }
  joined.append(first.state());
  joined.append(DetectionMetrics().state());
  joined.append(second.state());
  const MetricsResult a = whole.compute(), b = joined.compute();
  CHECK(b.images == 3);
  CHECK(b.instances == a.instances);
  CHECK(a.map > 0);
  CHECK(b.map == a.map);
  CHECK(b.precision == a.precision);
  REQUIRE(b.per_class.size() == a.per_class.size());
  for (size_t i = 0; i < a.per_class.size(); ++i) {
    CHECK(b.per_class[i].images == a.per_class[i].images);
    CHECK(b.per_class[i].ap == a.per_class[i].ap);
    CHECK(b.per_class[i].precision_by_score == a.per_class[i].precision_by_score);
  }
  const std::string state = whole.state();
  for (const std::string& wrong :
       {std::string(), state.substr(1), state + "x", std::string(24, '\xff')}) {
    CHECK_THROWS_AS(joined.append(wrong), ValueError);
  }
  CHECK(joined.num_images() == 3);
}

TEST_CASE("metrics: numbers that are not finite and negative classes are refused") {
  DetectionMetrics metrics;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_TEXT(metrics.add({found(0, 10, nan)}, {}), NotFiniteError,
                         "metrics: picture 0 has a detection that is NaN or infinite");
  CHECK_THROWS_WITH_TEXT(metrics.add({}, {truth(nan, 10)}), NotFiniteError, "a label that is NaN");
  CHECK_THROWS_WITH_TEXT(metrics.add({found(0, 10, 0.5f, -1)}, {}), ValueError, "class -1");
  CHECK_THROWS_WITH_TEXT(metrics.add({}, {truth(0, 10, -2)}), ValueError, "class -2");
  CHECK(metrics.num_images() == 0);
}

TEST_CASE("metrics: the convention is chosen by name") {
  CHECK(eval_compat_of("v7") == EvalCompat::kV7);
  CHECK(eval_compat_of("v5") == EvalCompat::kV5);
  CHECK_THROWS_WITH_TEXT(eval_compat_of("v6"), ValueError, "neither");
}

}  // namespace
}  // namespace ydistill
