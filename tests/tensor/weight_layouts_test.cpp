// SPDX-License-Identifier: MIT
// Each layout by its definition, element for element: a letter of oneDNN's tag names an axis (a:
// out channels, b: in channels), a capital one what is left of it outside the blocks.
#include <ydistill/tensor/random.h>
#include <ydistill/tensor/weight_layouts.h>

#include "support/catch.h"

namespace ydistill {
namespace {

constexpr int64_t kOut = 64, kIn = 48, kTaps = 9;

Tensor random_weights() {
  return Rng(5).uniform({kOut, 3, 3, kIn}, -1, 1);
}
float weight_at(const Tensor& weights, int64_t o, int64_t tap, int64_t c) {
  return weights.data<float>()[(o * kTaps + tap) * kIn + c];
}

/// Checks that element index(o, tap, c) of what was packed is the weight, rounded.
template <class Index>
void check_packed(const Tensor& weights, const Tensor& packed, const Index& index) {
  for (int64_t o = 0; o < kOut; ++o) {
    for (int64_t tap = 0; tap < kTaps; ++tap) {
      for (int64_t c = 0; c < kIn; ++c) {
        const BFloat16 expected(weight_at(weights, o, tap, c));
        REQUIRE(packed.data<BFloat16>()[index(o, tap, c)].bits == expected.bits);
      }
    }
  }
}

TEST_CASE(
    "weight layouts: pairs of inputs are Acdb with blocks of outputs (AcdB64a2b, AcdB32a2b)") {
  const Tensor weights = random_weights();
  for (const int64_t block : {64, 32}) {
    const Tensor packed = Tensor::zeros(weights.shape(), DType::kBFloat16);
    weight_layout_kernels().pack_pairs_of_inputs(weights.data<float>(), kOut, kTaps, kIn, block,
                                                 packed.data<BFloat16>());
    check_packed(weights, packed, [=](int64_t o, int64_t tap, int64_t c) {
      return (((o / block * kTaps + tap) * (kIn / 2) + c / 2) * block + o % block) * 2 + c % 2;
    });
  }
}

TEST_CASE("weight layouts: pairs of outputs in blocks of 16 x 16 (ABcd8a16b2a, BAcd8a16b2a)") {
  const Tensor weights = random_weights();
  for (const bool inputs_first : {false, true}) {
    const Tensor packed = Tensor::zeros(weights.shape(), DType::kBFloat16);
    weight_layout_kernels().pack_pairs_of_outputs(weights.data<float>(), kOut, kTaps, kIn,
                                                  inputs_first, packed.data<BFloat16>());
    check_packed(weights, packed, [=](int64_t o, int64_t tap, int64_t c) {
      const int64_t block =
          inputs_first ? c / 16 * (kOut / 16) + o / 16 : o / 16 * (kIn / 16) + c / 16;
      return (((block * kTaps + tap) * 8 + o % 16 / 2) * 16 + c % 16) * 2 + o % 2;
    });
  }
}

TEST_CASE("weight layouts: gradients in blocks of 16 x 16 (ABcd16b16a) are added in their place") {
  const Tensor blocks = random_weights();  // read as blocks
  const Tensor sum = Tensor::full({kOut, 3, 3, kIn}, 1);
  weight_layout_kernels().add_unpacked(blocks.data<float>(), kOut, kTaps, kIn, sum.data<float>());
  for (int64_t o = 0; o < kOut; ++o) {
    for (int64_t tap = 0; tap < kTaps; ++tap) {
      for (int64_t c = 0; c < kIn; ++c) {
        const int64_t at =
            (((o / 16 * (kIn / 16) + c / 16) * kTaps + tap) * 16 + c % 16) * 16 + o % 16;
        REQUIRE(weight_at(sum, o, tap, c) == 1 + blocks.data<float>()[at]);
      }
    }
  }
}

}  // namespace
}  // namespace ydistill
