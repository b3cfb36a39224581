// SPDX-License-Identifier: MIT
#include <ydistill/tensor/error.h>
#include <ydistill/yolo/confusion_matrix.h>

#include <numeric>

#include "support/catch.h"

namespace ydistill {
namespace {

// All boxes are 10 high, so that the IoU of two is that of their intervals.
Detection found(float x, float width, float score, int64_t class_id = 0) {
  return {x, 0, x + width, 10, score, class_id};
}
TruthBox truth(float x, float width, int64_t class_id = 0) {
  return {class_id, x, 0, x + width, 10};
}

TEST_CASE("confusion matrix: a hand-counted picture with every kind of outcome") {
  ConfusionMatrix matrix(2);
  matrix.add({{found(0, 10, 0.9f, 0),      // right
               found(20, 10, 0.8f, 1),     // a 0 taken for a 1
               found(60, 10, 0.7f, 1),     // false alarm
               found(40, 10, 0.25f, 1)}},  // not above 0.25: as if it were not there
             {{truth(0, 10, 0), truth(20, 10, 0), truth(40, 10, 1)}});
  CHECK(matrix.size() == 3);
  CHECK(matrix.at(0, 0) == 1);
  CHECK(matrix.at(1, 0) == 1);
  CHECK(matrix.at(1, 2) == 1);
  CHECK(matrix.at(2, 1) == 1);  // missed
  CHECK(std::accumulate(matrix.counts().begin(), matrix.counts().end(), int64_t(0)) == 4);
}

TEST_CASE("confusion matrix: the overlap must be above 0.45") {
  // 9 of 20 wide: IoU exactly 0.45 would need rounding luck; 8.9 and 9.1 stand on either side.
  for (const auto& [width, pairs] : {std::pair{8.9f, 0}, std::pair{9.1f, 1}}) {
    ConfusionMatrix matrix(1);
    matrix.add({{found(0, width, 0.9f)}}, {{truth(0, 20)}});
    CHECK(matrix.at(0, 0) == pairs);
    CHECK(matrix.at(1, 0) == 1 - pairs);
    CHECK(matrix.at(0, 1) == 1 - pairs);
  }
}

TEST_CASE("confusion matrix: the better overlap wins whatever the score and the class") {
  ConfusionMatrix matrix(2);
  matrix.add({{found(0, 7, 0.9f, 0), found(0, 9, 0.3f, 1)}}, {{truth(0, 10, 0)}});
  CHECK(matrix.at(1, 0) == 1);
  CHECK(matrix.at(0, 2) == 1);
  CHECK(matrix.at(0, 0) == 0);
}

TEST_CASE("confusion matrix: a detection whose best label is taken does not get the second best") {
  // Of detection 1, label 0 is the best (IoU 9/11) and label 1 (7/13) the second.
  const std::vector<Detection> detections{found(0, 10, 0.9f), found(1, 10, 0.8f)};
  const std::vector<TruthBox> truths{truth(0, 10), truth(4, 10)};
  CHECK(pair_detections(detections, truths) == std::vector<int64_t>{0, -1});
}

TEST_CASE("confusion matrix: false alarms count also where nothing was found right") {
  ConfusionMatrix matrix(1);
  matrix.add({{found(0, 10, 0.9f)}}, {});
  matrix.add({{found(0, 10, 0.9f)}}, {{truth(50, 10)}});
  CHECK(matrix.at(0, 1) == 2);
  CHECK(matrix.at(1, 0) == 1);
}

TEST_CASE("confusion matrix: the counts of another are added, of another size refused") {
  ConfusionMatrix a(2), b(2);
  const std::vector<Detection> detections{{0, 0, 10, 10, 0.9f, 1}};
  const std::vector<TruthBox> truths{{0, 0, 0, 10, 10}, {1, 50, 50, 60, 60}};
  a.add(detections, truths);
  b.add(detections, {});
  b.add_counts(a.counts());
  CHECK(b.at(1, 0) == 1);
  CHECK(b.at(2, 1) == 1);
  CHECK(b.at(1, 2) == 1);
  CHECK_THROWS_WITH(b.add_counts(ConfusionMatrix(3).counts()),
                    "confusion matrix: 16 counts added to 9");
}

TEST_CASE("confusion matrix: classes outside it are refused and nothing is counted") {
  ConfusionMatrix matrix(2);
  CHECK_THROWS_WITH_TEXT(matrix.add({{found(0, 10, 0.9f, 2)}}, {}), ValueError,
                         "a detection has class 2, there are 2");
  CHECK_THROWS_WITH_TEXT(matrix.add({}, {{truth(0, 10, -1)}}), ValueError, "a label has class -1");
  CHECK(std::accumulate(matrix.counts().begin(), matrix.counts().end(), int64_t(0)) == 0);
  CHECK_THROWS_WITH_TEXT(ConfusionMatrix(0), ValueError, "at least one class");
}

}  // namespace
}  // namespace ydistill
