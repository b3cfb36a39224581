// SPDX-License-Identifier: MIT
#include <ydistill/detect/test_time_augmentation.h>

#include <algorithm>
#include <array>
#include <cmath>

#include <ydistill/data/letterbox.h>
#include <ydistill/detect/detector.h>
#include <ydistill/tensor/random.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

const Anchors kTwoHeads{{8, 16}, {{{10, 12}}, {{30, 20}}}};

/// Heads of one anchor and one class in which one box a head is seen: of picture i at this row,
/// and at this column less i.
std::vector<Tensor> one_box_a_head(const Tensor& images, const Anchors& anchors, int64_t row,
                                   int64_t column) {
  std::vector<Tensor> heads;
  for (const double stride : anchors.strides) {
    const int64_t rows = images.size(1) / int64_t(stride),
                  columns = images.size(2) / int64_t(stride);
    heads.push_back(Tensor::full({images.size(0), rows, columns, 1, 6}, -20));
    for (int64_t i = 0; i < images.size(0); ++i) {
      float* const box = heads.back().data<float>() + ((i * rows + row) * columns + column - i) * 6;
      std::fill(box, box + 4, 0.0f);  // the anchor, centred in its cell
      box[4] = box[5] = 20;
    }
  }
  return heads;
}

/// Centre and size.
using Box = std::array<float, 4>;
std::vector<Box> boxes_of(const std::vector<Detection>& found) {
  std::vector<Box> boxes;
  for (const Detection& d : found) {
    boxes.push_back({(d.x1 + d.x2) / 2, (d.y1 + d.y2) / 2, d.x2 - d.x1, d.y2 - d.y1});
  }
  std::sort(boxes.begin(), boxes.end());
  return boxes;
}

void check_boxes(const std::vector<Detection>& found, std::vector<Box> expected) {
  std::sort(expected.begin(), expected.end());
  const std::vector<Box> got = boxes_of(found);
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    for (size_t k = 0; k < 4; ++k) CHECK(got[i][k] == Approx(expected[i][k]).margin(1e-3));
  }
}

NmsOptions keep_all() {
  NmsOptions options;
  options.iou = 1;
  return options;
}

TEST_CASE("tta: three looks, and of the first and the last a head is left out") {
  const Tensor images = Tensor::full({2, 64, 96, 3}, 7, DType::kUInt8);
  std::vector<Shape> seen;
  const Network network = [&](const Tensor& input) {
    seen.push_back(input.shape());
    return one_box_a_head(input, kTwoHeads, 1, 2);
  };
  const auto found = nms_with_tta(network, images, 16, kTwoHeads, keep_all());
  CHECK(seen == std::vector<Shape>{{2, 64, 96, 3}, {2, 64, 80, 3}, {2, 48, 80, 3}});
  REQUIRE(found.size() == 2);
  const float s = 0.83f, t = 0.67f;
  const std::vector<Box> expected{{20, 12, 10, 12},
                                  {96 - 20 / s, 12 / s, 10 / s, 12 / s},
                                  {96 - 40 / s, 24 / s, 30 / s, 20 / s},
                                  {40 / t, 24 / t, 30 / t, 20 / t}};
  check_boxes(found[0], expected);
  check_boxes(found[1], {{12, 12, 10, 12},
                         {96 - 12 / s, 12 / s, 10 / s, 12 / s},
                         {96 - 24 / s, 24 / s, 30 / s, 20 / s},
                         {24 / t, 24 / t, 30 / t, 20 / t}});
}

TEST_CASE("tta: a network of one head keeps it in every look") {
  const Anchors one{{8}, {{{10, 12}}}};
  const Network network = [&](const Tensor& input) { return one_box_a_head(input, one, 0, 0); };
  const auto found =
      nms_with_tta(network, Tensor::zeros({1, 64, 64, 3}, DType::kUInt8), 8, one, keep_all());
  CHECK(found.at(0).size() == 3);
}

TEST_CASE("tta: pictures and networks that do not fit are refused") {
  const Network network = [&](const Tensor& input) {
    return one_box_a_head(input, kTwoHeads, 0, 0);
  };
  const auto run = [&](const Tensor& images, const Anchors& anchors) {
    return nms_with_tta(network, images, 16, anchors, keep_all());
  };
  CHECK_THROWS_WITH_TEXT(run(Tensor::zeros({1, 64, 72, 3}, DType::kUInt8), kTwoHeads), ShapeError,
                         "H and W multiples of 16");
  CHECK_THROWS_WITH_TEXT(run(Tensor(), kTwoHeads), ShapeError, "pictures are undefined");
  CHECK_THROWS_WITH_TEXT(run(Tensor::zeros({1, 64, 64, 3}), kTwoHeads), DTypeError, "uint8");
  const Anchors one{{8}, {{{10, 12}}}};
  CHECK_THROWS_AS(run(Tensor::zeros({1, 64, 64, 3}, DType::kUInt8), one), Error);
}

TEST_CASE("tta: what a look sees is the picture, smaller, mirrored the second time, on grey") {
  const Image picture = test::slope(96, 64);
  Tensor images = Tensor::empty({1, 64, 96, 3}, DType::kUInt8);
  std::copy(picture.rgb.begin(), picture.rgb.end(), images.data<uint8_t>());
  std::vector<Tensor> seen;
  const Network network = [&](const Tensor& input) {
    seen.push_back(input);
    return one_box_a_head(input, kTwoHeads, 0, 0);
  };
  nms_with_tta(network, images, 16, kTwoHeads, keep_all());
  REQUIRE(seen.size() == 3);
  const auto level = [&](size_t look, int64_t x, int64_t y, int64_t c) {
    return int(seen[look].data<uint8_t>()[(y * seen[look].size(2) + x) * 3 + c]);
  };
  // 96 x 64 becomes 79 x 53 and 64 x 42.
  for (const auto& [x, y] : {std::pair<int64_t, int64_t>{3, 5}, {40, 30}, {60, 41}}) {
    for (int64_t c = 0; c < 3; ++c) {
      CHECK(level(0, x, y, c) == picture.at(x, y)[c]);
      const auto there = [](int64_t to, int64_t from, int64_t at) {
        return (double(at) + 0.5) * double(to) / double(from) - 0.5;
      };
      const int64_t mirrored_x = 95 - std::lround(there(96, 79, x));
      CHECK(std::abs(level(1, x, y, c) -
                     picture.at(mirrored_x, std::lround(there(64, 53, y)))[c]) <= 3);
      CHECK(std::abs(level(2, x, y, c) - picture.at(std::lround(there(96, 64, x)),
                                                    std::lround(there(64, 42, y)))[c]) <= 3);
    }
  }
  for (int64_t c = 0; c < 3; ++c) {
    CHECK(level(1, 79, 0, c) == kPaddingGrey);
    CHECK(level(1, 0, 53, c) == kPaddingGrey);
    CHECK(level(2, 64, 0, c) == kPaddingGrey);
    CHECK(level(2, 0, 42, c) == kPaddingGrey);
  }
}

// The numbers come from YOLOv5 v7.0 (augment=True, conf 0.25, IoU 0.45); see detector_test.cpp for
// the tolerances.
TEST_CASE("tta: finds what the original finds on its two pictures", "[reference]") {
  YD_REFERENCE_OR_SKIP(weights, "weights/yolov5n-v6-coco.pt");
  YD_REFERENCE_OR_SKIP(images, "data/images");
  const std::vector<Detection> bus{{54.47f, 385.88f, 215.09f, 892.81f, 0.87826f, 0},
                                   {680.16f, 394.53f, 810.00f, 871.45f, 0.80200f, 0},
                                   {215.35f, 404.83f, 341.35f, 862.71f, 0.79486f, 0},
                                   {8.24f, 235.96f, 797.00f, 783.16f, 0.76288f, 5},
                                   {0.00f, 571.62f, 65.49f, 876.24f, 0.42266f, 0}};
  const std::vector<Detection> zidane{{732.78f, 34.79f, 1157.75f, 704.35f, 0.80535f, 0},
                                      {147.18f, 193.25f, 690.25f, 715.75f, 0.71771f, 0},
                                      {427.21f, 441.44f, 495.41f, 719.18f, 0.31993f, 27}};
  Detector detector(weights, {.tta = true});
  for (const auto& [name, expected] : {std::pair{"bus.jpg", bus}, {"zidane.jpg", zidane}}) {
    INFO(name);
    const auto found = detector.detect(read_image(images / name));
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      const Detection &a = found[i], &b = expected[i];
      CHECK(a.class_id == b.class_id);
      CHECK(std::abs(a.score - b.score) < 0.01f);
      for (const float difference : {a.x1 - b.x1, a.y1 - b.y1, a.x2 - b.x2, a.y2 - b.y2}) {
        CHECK(std::abs(difference) < 1.0f);
      }
    }
  }
}

}  // namespace
}  // namespace ydistill
