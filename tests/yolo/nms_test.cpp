// SPDX-License-Identifier: MIT
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/decode.h>
#include <ydistill/yolo/nms.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "support/files.h"
#include "support/worst.h"
#include "yolo/reference_cases.h"

namespace ydistill {
namespace {

/// One picture; a row is cx, cy, w, h, objectness and two classes.
std::vector<Detection> run(std::initializer_list<float> numbers, const NmsOptions& options = {}) {
  return nms(Tensor::of({1, int64_t(numbers.size()) / 7, 7}, numbers), options).at(0);
}

TEST_CASE("nms: of overlapping boxes of a class the best stays") {
  const auto kept = run({10, 10, 8, 8, 0.5f, 0.9f, 0.1f,  //
                         11, 10, 8, 8, 1.0f, 0.8f, 0.1f,  //
                         50, 50, 8, 4, 1.0f, 0.7f, 0.1f});
  CHECK(kept == std::vector<Detection>{{7, 6, 15, 14, 0.8f, 0}, {46, 48, 54, 52, 0.7f, 0}});
}

TEST_CASE("nms: boxes of different classes suppress each other only if asked") {
  const std::initializer_list<float> boxes{10, 10, 8, 8, 1, 0.9f, 0.1f,  //
                                           10, 10, 8, 8, 1, 0.1f, 0.8f};
  CHECK(run(boxes).size() == 2);
  NmsOptions all;
  all.scope = NmsScope::kAllClasses;
  REQUIRE(run(boxes, all).size() == 1);
  CHECK(run(boxes, all)[0].class_id == 0);
}

TEST_CASE("nms: boxes of classes that are not wanted suppress nothing") {
  const std::initializer_list<float> boxes{10, 10, 8, 8, 1, 0.9f, 0.1f,  //
                                           10, 10, 8, 8, 1, 0.1f, 0.8f,  //
                                           50, 50, 8, 8, 1, 0.3f, 0.6f};
  NmsOptions options;
  options.scope = NmsScope::kAllClasses;
  options.classes = {1};
  const auto kept = run(boxes, options);
  CHECK(kept == std::vector<Detection>{{6, 6, 14, 14, 0.8f, 1}, {46, 46, 54, 54, 0.6f, 1}});
  // A box counts as its best class only, unless all of its classes do.
  options.labels = NmsLabels::kAll;
  options.classes = {0};
  CHECK(run(boxes, options) ==
        std::vector<Detection>{{6, 6, 14, 14, 0.9f, 0}, {46, 46, 54, 54, 0.3f, 0}});
  options.labels = NmsLabels::kBest;
  CHECK(run(boxes, options) == std::vector<Detection>{{6, 6, 14, 14, 0.9f, 0}});
  options.classes = {0, 2};
  CHECK_THROWS_WITH_TEXT(run(boxes, options), ValueError, "there is no class 2, there are 0 to 1");
}

TEST_CASE("nms: classes that count as one suppress each other, and are found once") {
  const std::initializer_list<float> boxes{10, 10, 8, 8, 1, 0.9f, 0.3f,  //
                                           11, 10, 8, 8, 1, 0.1f, 0.8f,  //
                                           50, 50, 8, 8, 1, 0.3f, 0.6f};
  NmsOptions options;
  options.found_as = {1, 1};
  for (const NmsLabels labels : {NmsLabels::kBest, NmsLabels::kAll}) {
    options.labels = labels;
    CHECK(run(boxes, options) ==
          std::vector<Detection>{{6, 6, 14, 14, 0.9f, 1}, {46, 46, 54, 54, 0.6f, 1}});
  }
  // What a box counts as is what is wanted.
  options.found_as = {1, 0};
  options.classes = {0};
  options.labels = NmsLabels::kBest;
  CHECK(run(boxes, options) ==
        std::vector<Detection>{{7, 6, 15, 14, 0.8f, 0}, {46, 46, 54, 54, 0.6f, 0}});
  options.found_as = {0};
  CHECK_THROWS_WITH_TEXT(run(boxes, options), ValueError, "speaks of 1 classes, the network has 2");
  options.found_as = {0, -1};
  CHECK_THROWS_WITH_TEXT(run(boxes, options), ValueError, "found as -1");
}

TEST_CASE("nms: an overlap of exactly the threshold stays") {
  NmsOptions options;
  options.iou = 0.5;
  // 3 x 1 boxes, 1 apart: 2 of 4
  const std::initializer_list<float> boxes{10, 10, 3, 1, 1, 0.9f, 0, 11, 10, 3, 1, 1, 0.8f, 0};
  CHECK(run(boxes, options).size() == 2);
  options.iou = 0.49;
  CHECK(run(boxes, options).size() == 1);
}

TEST_CASE("nms: objectness and score must both be above the threshold") {
  NmsOptions options;
  options.conf = 0.25;
  CHECK(run({10, 10, 8, 8, 0.25f, 1, 0}, options).empty());    // objectness not above
  CHECK(run({10, 10, 8, 8, 0.5f, 0.5f, 0}, options).empty());  // product not above
  CHECK(run({10, 10, 8, 8, 0.5f, 0.51f, 0}, options).size() == 1);
}

TEST_CASE("nms: detecting takes the best class and validating every class above the threshold") {
  NmsOptions options = NmsOptions::validation();
  CHECK(options.conf == 0.001);
  CHECK(options.iou == 0.6);
  CHECK(options.max_det == 300);
  options.conf = 0.2;
  const std::initializer_list<float> box{10, 10, 8, 8, 0.5f, 0.5f, 0.8f};
  const auto all = run(box, options);
  REQUIRE(all.size() == 2);
  CHECK(all[0].class_id == 1);
  CHECK(all[0].score == 0.4f);
  CHECK(all[1].class_id == 0);
  CHECK(all[1].score == 0.25f);
  options.labels = NmsLabels::kBest;
  REQUIRE(run(box, options).size() == 1);
  CHECK(run(box, options)[0].class_id == 1);
  // of equal classes the first
  CHECK(run({10, 10, 8, 8, 1, 0.5f, 0.5f}, options)[0].class_id == 0);
}

TEST_CASE("nms: limits on candidates and on detections keep the best") {
  std::vector<float> rows;
  for (int i = 0; i < 20; ++i) {
    rows.insert(rows.end(), {float(20 * i), 10, 8, 8, 1, 0.4f + 0.01f * float(i), 0});
  }
  const Tensor decoded = Tensor::of<float>({1, 20, 7}, rows);
  NmsOptions options;
  options.max_det = 3;
  const auto kept = nms(decoded, options).at(0);
  REQUIRE(kept.size() == 3);
  CHECK(kept[0].score > kept[1].score);
  CHECK(kept[0].x1 == 376);  // the last box is the best
  options.max_nms = 2;
  CHECK(nms(decoded, options).at(0).size() == 2);
}

TEST_CASE("nms: equal scores keep the order of the boxes") {
  const auto kept = run({50, 10, 8, 8, 1, 0.5f, 0, 10, 10, 8, 8, 1, 0.5f, 0,  //
                         51, 10, 8, 8, 1, 0.5f, 0});
  REQUIRE(kept.size() == 2);
  CHECK(kept[0].x1 == 46);
  CHECK(kept[1].x1 == 6);
}

TEST_CASE("nms: running it on its own result changes nothing") {
  Rng rng(5);
  Tensor decoded = Tensor::empty({2, 300, 8});
  for (int64_t i = 0; i < decoded.numel(); ++i) {
    const int64_t column = i % 8;
    const double value = column < 2   ? rng.uniform(0, 60)
                         : column < 4 ? rng.uniform(5, 40)
                                      : rng.uniform();
    decoded.data<float>()[i] = float(value);
  }
  NmsOptions options = NmsOptions::validation();
  options.labels = NmsLabels::kBest;
  for (const auto& kept : nms(decoded, options)) {
    REQUIRE(kept.size() > 5);
    REQUIRE(kept.size() < 290);  // of 300: some were suppressed
    std::vector<float> rows;
    for (const Detection& d : kept) {
      std::vector<float> row{
          (d.x1 + d.x2) / 2, (d.y1 + d.y2) / 2, d.x2 - d.x1, d.y2 - d.y1, 1, 0, 0, 0};
      row[size_t(5 + d.class_id)] = d.score;
      rows.insert(rows.end(), row.begin(), row.end());
    }
    const auto again = nms(Tensor::of<float>({1, int64_t(kept.size()), 8}, rows), options).at(0);
    REQUIRE(again.size() == kept.size());
    for (size_t i = 0; i < kept.size(); ++i) CHECK(again[i].score == kept[i].score);
  }
}

void check_same(const std::vector<Detection>& a, const std::vector<Detection>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].class_id == b[i].class_id);
    CHECK(a[i].score == Approx(b[i].score).epsilon(1e-5));
    CHECK(a[i].x1 == Approx(b[i].x1).margin(1e-3));
    CHECK(a[i].y2 == Approx(b[i].y2).margin(1e-3));
  }
}

TEST_CASE("nms: from the logits is the same as from the decoded boxes") {
  const Anchors anchors{{8, 16}, {{{10, 13}, {16, 30}}, {{30, 61}, {62, 45}}}};
  Rng rng(6);
  const std::vector<Tensor> heads{rng.uniform({2, 6, 5, 2, 9}, -4, 3),
                                  rng.uniform({2, 3, 3, 2, 9}, -4, 3)};
  for (const NmsLabels labels : {NmsLabels::kBest, NmsLabels::kAll}) {
    for (const double conf : {0.0, 0.001, 0.25, 0.6, 1.0}) {
      NmsOptions options;
      options.conf = conf;
      options.labels = labels;
      const auto from_logits = nms_heads(heads, anchors, options);
      const auto from_boxes = nms(decode_heads(heads, anchors), options);
      REQUIRE(from_logits.size() == 2);
      check_same(from_logits[0], from_boxes[0]);
      check_same(from_logits[1], from_boxes[1]);
      CHECK(from_logits[0].empty() == (conf > 0.9));
    }
  }
}

TEST_CASE("nms: candidates of several looks are brought back and compete") {
  const Anchors anchors{{8}, {{{10, 14}}}};
  Tensor small = Tensor::full({1, 4, 6, 1, 6}, -20);
  float* const box = small.data<float>() + (1 * 6 + 2) * 6;  // row 1, column 2
  std::fill(box, box + 4, 0.0f);
  box[4] = box[5] = 20;
  const auto found = nms_candidates({small}, anchors, {}, {.scale = 0.5, .mirrored_width = 100});
  REQUIRE(found.size() == 1);
  REQUIRE(found[0].size() == 1);
  // Centre 20, 12 and size 10 x 14, twice as large, and 40 from the right.
  CHECK(found[0][0].x1 == Approx(50));
  CHECK(found[0][0].x2 == Approx(70));
  CHECK(found[0][0].y1 == Approx(10));
  CHECK(found[0][0].y2 == Approx(38));

  std::vector<std::vector<Detection>> both = found;
  both[0].push_back({51, 10, 71, 38, 0.7f, 0});
  CHECK(nms_of_candidates(both, {}) == found);
}

TEST_CASE("nms: of the candidates the best max_nms are left, in their order") {
  const Anchors anchors{{8}, {{{10, 14}}}};
  Tensor head = Tensor::zeros({1, 1, 8, 1, 6});
  const float objectness[] = {1, 3, 2, 5, 3, 0, 3, 4};
  for (int64_t i = 0; i < 8; ++i) head.data<float>()[i * 6 + 4] = objectness[i];
  NmsOptions options;
  options.max_nms = 4;
  const auto found = nms_candidates({head}, anchors, options).at(0);
  std::vector<float> columns;
  for (const Detection& d : found) columns.push_back(std::floor((d.x1 + d.x2) / 2 / 8));
  CHECK(columns == std::vector<float>{1, 3, 4, 7});
}

TEST_CASE("nms: nothing in gives nothing out") {
  CHECK(nms(Tensor::zeros({0, 10, 7})).empty());
  CHECK(nms(Tensor::zeros({2, 0, 7})).size() == 2);
  CHECK(nms(Tensor::zeros({1, 10, 7})).at(0).empty());
  const Anchors anchors{{8}, {{{10, 13}}}};
  CHECK(nms_heads({Tensor::zeros({0, 2, 2, 1, 7})}, anchors).empty());
}

TEST_CASE("nms: numbers that are not finite are refused") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH_TEXT(run({1, 1, 1, 1, .1f, .5f, .5f, 1, 1, 1, 1, nan, .5f, .5f}),
                         NotFiniteError,
                         "nms: picture 0, box 1: NaN or infinity in the network's output");
  CHECK_THROWS_WITH_TEXT(run({1, 1, 1, 1, 1, nan, .5f}), NotFiniteError, "box 0");
  CHECK_THROWS_WITH_TEXT(run({1, infinity, 1, 1, 1, .5f, .5f}), NotFiniteError, "box 0");

  const Anchors anchors{{8}, {{{10, 13}}}};
  for (const int64_t i : {4 + 7, 5 + 7, 0 + 7}) {
    Tensor head = Tensor::full({2, 1, 2, 1, 7}, 1);
    head.data<float>()[14 + i] = nan;
    CHECK_THROWS_WITH_TEXT(nms_heads({head}, anchors), NotFiniteError, "picture 1, box 1");
  }
  Tensor head = Tensor::full({1, 1, 2, 1, 7}, 1);
  head.data<float>()[4] = -infinity;
  CHECK_THROWS_WITH_TEXT(nms_heads({head}, anchors), NotFiniteError, "picture 0, box 0");
}

TEST_CASE("nms: bad shapes and options are refused") {
  const auto with = [](auto change) {
    NmsOptions options;
    change(options);
    return nms(Tensor::zeros({1, 1, 7}), options);
  };
  CHECK_THROWS_WITH_TEXT(with([](auto& o) { o.conf = 1.5; }), ValueError,
                         "conf is 1.5, must be 0..1");
  CHECK_THROWS_WITH_TEXT(with([](auto& o) { o.iou = -1; }), ValueError, "iou is -1, must be 0..1");
  CHECK_THROWS_WITH_TEXT(with([](auto& o) { o.max_det = 0; }), ValueError, "max_det is 0");
  CHECK_THROWS_WITH_TEXT(with([](auto& o) { o.max_nms = 0; }), ValueError, "max_nms is 0");
  CHECK_THROWS_WITH_TEXT(nms(Tensor::zeros({1, 7})), ShapeError, "nms: boxes are float32 [1,7]");
  CHECK_THROWS_WITH_TEXT(nms(Tensor::zeros({1, 1, 7}, DType::kFloat64)), DTypeError,
                         "nms: boxes are float64 [1,1,7], must be float32");
  CHECK_THROWS_WITH_TEXT(
      nms_heads({Tensor::zeros({1, 1, 1, 1, 7}, DType::kFloat64)}, {{8}, {{{10, 13}}}}), DTypeError,
      "must be float32");
}

using test::recorded_heads;

TEST_CASE("nms: the recorded heads of two pictures give the recorded detections") {
  YD_REFERENCE_OR_SKIP(tensors, "reference/detect_yolov5n.safetensors");
  YD_REFERENCE_OR_SKIP(boxes, "reference/detect_yolov5n.json");
  const TensorFile file = read_safetensors(tensors);
  const auto expected = nlohmann::json::parse(test::read_file(boxes));
  struct Picture {
    const char* name;
    float width, height, gain, pad_y;  // letterbox = picture * gain, then pad_y rows of grey above
  };
  for (const Picture& p :
       {Picture{"bus", 810, 1080, 640.0f / 1080, 0}, Picture{"zidane", 1280, 720, 0.5f, 12}}) {
    INFO(p.name);
    const auto found = nms_heads(recorded_heads(file, p.name), Anchors::yolov5()).at(0);
    const auto& wanted = expected.at(p.name);
    REQUIRE(found.size() == wanted.size());
    for (size_t i = 0; i < found.size(); ++i) {
      const Detection& d = found[i];
      CHECK(d.class_id == wanted[i].at("cls").get<int64_t>());
      CHECK(d.score == Approx(wanted[i].at("conf").get<double>()).margin(1e-4));
      const std::vector<double> box = wanted[i].at("box_xyxy");
      const float ours[4] = {d.x1, d.y1 - p.pad_y, d.x2, d.y2 - p.pad_y};
      for (size_t k = 0; k < 4; ++k) {
        const float clipped = std::clamp(ours[k] / p.gain, 0.0f, k % 2 == 0 ? p.width : p.height);
        CHECK(clipped == Approx(box[k]).margin(0.01));
      }
    }
  }
}

TEST_CASE("decode: the recorded boxes of two pictures agree") {
  YD_REFERENCE_OR_SKIP(path, "reference/detect_yolov5n.safetensors");
  const TensorFile file = read_safetensors(path);
  for (const std::string name : {"bus", "zidane"}) {
    const auto heads = recorded_heads(file, name);
    const Tensor boxes = decode_heads(heads, Anchors::yolov5());
    const Tensor& recorded = file.at(name + ".decoded");  // every seventh
    REQUIRE(recorded.size(1) == (boxes.size(1) + 6) / 7);
    const int64_t first = heads[0].numel() / 85;  // the thinned head is left out
    double worst_box = 0, worst_score = 0;
    for (int64_t row = first / 7 + 1; row < recorded.size(1); ++row) {
      for (int64_t k = 0; k < 85; ++k) {
        const double difference = std::abs(recorded.at(row * 85 + k) - boxes.at(row * 7 * 85 + k));
        double& worst = k < 4 ? worst_box : worst_score;
        worst = test::worse(worst, difference);
      }
    }
    CHECK(worst_box < 640 * 1e-6);
    CHECK(worst_score < 1e-6);
  }
}

}  // namespace
}  // namespace ydistill
