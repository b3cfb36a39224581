// SPDX-License-Identifier: MIT
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/decode.h>

#include <cmath>

#include "support/catch.h"
#include "support/files.h"
#include "yolo/reference_cases.h"

namespace ydistill {
namespace {

const Anchors kTwoHeads{{8, 16}, {{{10, 13}, {16, 30}}, {{30, 61}, {62, 45}}}};

TEST_CASE("decode: zero logits give the anchor in the middle of its cell") {
  const Tensor boxes =
      decode_heads({Tensor::zeros({1, 2, 3, 2, 7}), Tensor::zeros({1, 1, 2, 2, 7})}, kTwoHeads);
  REQUIRE(boxes.shape() == Shape{1, 16, 7});
  const auto row = [&](int64_t i) {
    std::vector<float> r;
    for (int64_t k = 0; k < 7; ++k) r.push_back(float(boxes.at(i * 7 + k)));
    return r;
  };
  using Row = std::vector<float>;
  CHECK(row(0) == Row{4, 4, 10, 13, .5f, .5f, .5f});
  CHECK(row(2) == Row{20, 4, 10, 13, .5f, .5f, .5f});  // column 2
  CHECK(row(3) == Row{4, 12, 10, 13, .5f, .5f, .5f});  // row 1
  CHECK(row(6) == Row{4, 4, 16, 30, .5f, .5f, .5f});   // the second anchor follows all cells
  CHECK(row(12) == Row{8, 8, 30, 61, .5f, .5f, .5f});  // the second head
  CHECK(row(15) == Row{24, 8, 62, 45, .5f, .5f, .5f});
}

TEST_CASE("decode: agrees with its formula in float32 and float64") {
  const Anchors anchors{{4}, {{{3, 5}}}};
  const Tensor logits = Rng(3).uniform({2, 2, 2, 1, 8}, -6, 6, DType::kFloat64);
  const Tensor wide = decode_heads({logits}, anchors);
  const Tensor narrow = decode_heads({logits.to(DType::kFloat32)}, anchors);
  const auto s = [](double x) { return 1 / (1 + std::exp(-x)); };
  for (int64_t box = 0; box < 8; ++box) {
    for (int64_t k = 0; k < 8; ++k) {
      const double t = logits.at(box * 8 + k);
      double expected = s(t);
      if (k == 0) expected = (2 * s(t) - 0.5 + double(box % 2)) * 4;
      if (k == 1) expected = (2 * s(t) - 0.5 + double(box / 2 % 2)) * 4;
      if (k == 2) expected = std::pow(2 * s(t), 2) * 3;
      if (k == 3) expected = std::pow(2 * s(t), 2) * 5;
      CHECK(wide.at(box * 8 + k) == Approx(expected).epsilon(1e-12).margin(1e-12));
      CHECK(narrow.at(box * 8 + k) == Approx(expected).epsilon(1e-6).margin(1e-6));
    }
  }
}

TEST_CASE("decode: an empty batch gives no boxes") {
  CHECK(decode_heads({Tensor::zeros({0, 2, 3, 2, 7}), Tensor::zeros({0, 1, 2, 2, 7})}, kTwoHeads)
            .shape() == Shape{0, 16, 7});
}

TEST_CASE("decode: heads that do not fit are refused") {
  const Tensor good = Tensor::zeros({1, 2, 3, 2, 7});
  CHECK_THROWS_WITH_TEXT(decode_heads({good}, kTwoHeads), ShapeError,
                         "decode_heads: 1 heads, but anchors for 2");
  CHECK_THROWS_WITH_TEXT(decode_heads({good, Tensor::zeros({1, 2, 3, 3, 7})}, kTwoHeads),
                         ShapeError,
                         "head 1 is float32 [1,2,3,3,7], but there are 2 anchors a cell");
  CHECK_THROWS_WITH_TEXT(decode_heads({good, Tensor::zeros({1, 2, 3, 2, 8})}, kTwoHeads),
                         ShapeError,
                         "head 1 is float32 [1,2,3,2,8], head 0 is float32 [1,2,3,2,7]");
  CHECK_THROWS_WITH_TEXT(decode_heads({good, Tensor::zeros({1, 2, 3, 2, 5})}, kTwoHeads),
                         ShapeError, "must be [N,H,W,A,5+C] with at least one class");
  CHECK_THROWS_WITH_TEXT(decode_heads({good, Tensor()}, kTwoHeads), ShapeError,
                         "head 1 is undefined");
  CHECK_THROWS_WITH_TEXT(decode_heads({good, good.to(DType::kFloat64)}, kTwoHeads), DTypeError,
                         "head 1 is float64 [1,2,3,2,7], head 0 is float32");
  CHECK_THROWS_WITH_TEXT(decode_heads({good, good.to(DType::kBFloat16)}, kTwoHeads), DTypeError,
                         "must be float32 or float64");
}

TEST_CASE("anchors: bad anchors are refused") {
  const Tensor head = Tensor::zeros({1, 1, 1, 1, 6});
  CHECK_THROWS_WITH_TEXT(decode_heads({head}, {{8}, {}}), ValueError,
                         "1 strides and anchors for 0 heads");
  CHECK_THROWS_WITH_TEXT(decode_heads({head}, {{0}, {{{1, 1}}}}), ValueError,
                         "the stride of head 0 is 0");
  CHECK_THROWS_WITH_TEXT(decode_heads({head}, {{8}, {{{1, -1}}}}), ValueError,
                         "an anchor of head 0 is 1 x -1 pixels");
  CHECK_THROWS_WITH_TEXT(decode_heads({head, head}, {{8, 16}, {{{1, 1}}, {}}}), ValueError,
                         "head 1 has 0 anchors, head 0 has 1");
}

TEST_CASE("anchors: the grid form is pixels divided by the stride") {
  const Anchors anchors = Anchors::yolov5();
  CHECK(anchors.num_heads() == 3);
  CHECK(anchors.per_head() == 3);
  CHECK(anchors.grid(0, 0) == std::array<double, 2>{1.25, 1.625});
  CHECK(anchors.grid(2, 2) == std::array<double, 2>{11.65625, 10.1875});
}

void check_decoded(const std::filesystem::path& path) {
  const test::Reference reference(path);
  const Anchors anchors = reference.anchors("anchors.student");
  CHECK(anchors == Anchors::yolov5());
  for (const std::string who : {"student", "teacher"}) {
    const Tensor decoded = decode_heads(reference.heads(who + ".head"), anchors);
    CHECK(reference.share_of_limit(decoded, who + ".decoded") <= 1);
  }
}

TEST_CASE("decode: agrees with the recorded boxes of yolov5s and yolov5m") {
  YD_REFERENCE_OR_SKIP(path, "reference/train_s_m.safetensors");
  check_decoded(path);
}

TEST_CASE("decode: agrees with the recorded boxes of yolov5n") {
  YD_REFERENCE_OR_SKIP(path, "reference/train_n_v6.safetensors");
  check_decoded(path);
}

}  // namespace
}  // namespace ydistill
