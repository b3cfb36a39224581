// SPDX-License-Identifier: MIT
// NMS of heads on a GPU, which must find exactly what it finds on the CPU.
#include <cmath>

#include <ydistill/tensor/random.h>
#include <ydistill/yolo/decode.h>
#include <ydistill/yolo/nms.h>

#include <limits>

#include "cuda/gpu.h"
#include "support/files.h"
#include "yolo/reference_cases.h"

namespace ydistill::test {
namespace {

const Anchors kAnchors{{8, 16}, {{{10, 13}, {16, 30}}, {{30, 61}, {62, 45}}}};

std::vector<Tensor> random_heads(uint64_t seed, int64_t classes, int64_t pictures = 3) {
  Rng rng(seed);
  return {rng.uniform({pictures, 6, 5, 2, 5 + classes}, -4, 3),
          rng.uniform({pictures, 3, 4, 2, 5 + classes}, -4, 3)};
}

std::vector<Tensor> moved(const std::vector<Tensor>& heads) {
  std::vector<Tensor> there;
  for (const Tensor& head : heads) there.push_back(head.to(Device::cuda()));
  return there;
}

TEST_CASE("gpu: nms_heads finds the same boxes as the CPU") {
  YD_NEEDS_GPU();
  for (const int64_t classes : {1, 4, 80}) {
    const auto heads = random_heads(1, classes);
    for (const NmsLabels labels : {NmsLabels::kBest, NmsLabels::kAll}) {
      // From all boxes passing to none.
      for (const double conf : {0.0, 0.001, 0.25, 0.6, 1.0}) {
        INFO("classes " << classes << ", conf " << conf);
        NmsOptions options;
        options.conf = conf;
        options.labels = labels;
        const auto expected = nms_heads(heads, kAnchors, options);
        CHECK(expected[0].empty() == (conf > 0.9));
        CHECK((nms_heads(moved(heads), kAnchors, options) == expected));
        const OtherOrder order;
        CHECK((nms_heads(moved(heads), kAnchors, options) == expected));
      }
    }
  }
}

TEST_CASE("gpu: nms_heads keeps the order of boxes of equal score") {
  YD_NEEDS_GPU();
  // Every box alike but for its place.
  const std::vector<Tensor> heads{Tensor::full({2, 6, 5, 2, 7}, 1),
                                  Tensor::full({2, 3, 4, 2, 7}, 1)};
  const auto expected = nms_heads(heads, kAnchors);
  CHECK(expected[1].size() > 5);
  CHECK((nms_heads(moved(heads), kAnchors) == expected));
  const OtherOrder order;
  CHECK((nms_heads(moved(heads), kAnchors) == expected));
}

TEST_CASE("gpu: nms_heads of an empty batch finds nothing") {
  YD_NEEDS_GPU();
  CHECK(nms_heads(moved(random_heads(2, 3, 0)), kAnchors).empty());
}

TEST_CASE("gpu: nms_heads names the box that is not finite as the CPU does") {
  YD_NEEDS_GPU();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const auto message = [](const std::vector<Tensor>& heads) -> std::string {
    try {
      nms_heads(heads, kAnchors);
    } catch (const NotFiniteError& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  const int64_t width = 9;
  for (const float bad : {nan, infinity, -infinity}) {
    for (const int64_t column : {0, 4, 8}) {
      auto heads = random_heads(3, 4);
      // Both boxes have an objectness that passes; a bad one in picture 2 comes later.
      for (const int64_t box : {60 + 13, 60 + 22, 120 + 1}) {
        heads[0].data<float>()[box * width + 4] = 2;
        heads[0].data<float>()[box * width + column] = bad;
      }
      const std::string expected = message(heads);
      CHECK(expected.find("picture 1, box ") != std::string::npos);
      CHECK(message(moved(heads)) == expected);
    }
  }
  // What is not finite in a box that is surely below is not looked at.
  auto heads = random_heads(4, 4);
  heads[1].data<float>()[4] = -20;
  heads[1].data<float>()[7] = nan;
  CHECK(message(moved(heads)) == "nothing was thrown");
}

TEST_CASE("gpu: nms_heads refuses heads that live apart or are float64") {
  YD_NEEDS_GPU();
  const auto heads = random_heads(5, 2);
  CHECK_THROWS_WITH_TEXT(nms_heads({heads[0].to(Device::cuda()), heads[1]}, kAnchors), DeviceError,
                         "nms_heads: head 1 is on cpu, head 0 on cuda:0");
  const std::vector<Tensor> wide{heads[0].to(DType::kFloat64), heads[1].to(DType::kFloat64)};
  CHECK_THROWS_WITH_TEXT(nms_heads(moved(wide), kAnchors), DTypeError, "must be float32");
}

TEST_CASE("gpu: decode_heads gives the CPU's boxes") {
  YD_NEEDS_GPU();
  const auto heads = random_heads(6, 3);
  const Tensor expected = decode_heads(heads, kAnchors);
  const Tensor got = decode_heads(moved(heads), kAnchors).to(Device::cpu());
  REQUIRE(got.shape() == expected.shape());
  // A GPU may fuse a multiplication and an addition.
  for (int64_t i = 0; i < got.numel(); ++i)
    CHECK(got.at(i) == Approx(expected.at(i)).epsilon(1e-5));
}

TEST_CASE("gpu: decode_heads lets a NaN through") {
  YD_NEEDS_GPU();
  auto heads = random_heads(6, 3);
  for (const int64_t k : {0, 2, 4, 5}) heads[0].data<float>()[k] = std::nanf("");
  const Tensor got = decode_heads(moved(heads), kAnchors).to(Device::cpu());
  for (const int64_t k : {0, 2, 4, 5}) CHECK(std::isnan(got.at(k)));
  CHECK(!std::isnan(got.at(1)));
}

TEST_CASE("gpu: nms_heads of two recorded pictures finds what the CPU finds") {
  YD_NEEDS_GPU();
  YD_REFERENCE_OR_SKIP(path, "reference/detect_yolov5n.safetensors");
  const TensorFile file = read_safetensors(path);
  for (const std::string name : {"bus", "zidane"}) {
    const auto heads = recorded_heads(file, name);
    for (const NmsOptions& options : {NmsOptions(), NmsOptions::validation()}) {
      const auto expected = nms_heads(heads, Anchors::yolov5(), options);
      CHECK(!expected[0].empty());
      CHECK((nms_heads(moved(heads), Anchors::yolov5(), options) == expected));
    }
  }
}

}  // namespace
}  // namespace ydistill::test
