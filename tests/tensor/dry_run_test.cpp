// SPDX-License-Identifier: MIT
#include <ydistill/tensor/dry_run.h>

#include <thread>

#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/random.h>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("dry run: nothing is computed while it lives, on its thread alone") {
  int calls = 0;
  const auto count = [&] { parallel_for(3, 1, [&](int64_t i) { calls += i == 0 ? 1 : 0; }); };
  const Tensor t = Tensor::full({4}, 5);
  {
    const DryRun dry_run;
    CHECK(DryRun::is_on());
    count();
    t.fill(1);
    t.zero();
    t.copy_from(Tensor::full({4}, 2));
    std::thread(count).join();
  }
  CHECK_FALSE(DryRun::is_on());
  CHECK(calls == 1);
  CHECK(t.at(3) == 5);
}

TEST_CASE("dry run: a convolution asks for the memory of the real one and keeps nothing") {
  const Tensor x = Rng(1).uniform({2, 16, 16, 8}, -1, 1), w = Rng(2).uniform({24, 3, 3, 8}, -1, 1);
  const Conv2dOptions options{.stride = 2, .padding = 1};
  PackedWeights packed;
  const auto peak = [&] {
    const auto arena = Arena::create(1 << 24);
    const ArenaScope scope(arena);
    const Tensor y = conv2d_forward(x, w, {}, options, &packed, 1);
    const Tensor grad = Tensor::zeros(w.shape());
    conv2d_backward_weight(y, x, options, grad, {});
    conv2d_backward_input(y, w, x.shape(), x.dtype(), options, &packed, 1);
    return arena->peak_bytes();
  };
  int64_t predicted = 0;
  {
    const DryRun dry_run;
    predicted = peak();
  }
  CHECK(peak() == predicted);
  const Tensor expected = conv2d_forward(x, w, {}, options);
  const Tensor found = conv2d_forward(x, w, {}, options, &packed, 1);
  for (int64_t i = 0; i < expected.numel(); ++i) REQUIRE(found.at(i) == expected.at(i));
}

TEST_CASE("tensor: large zeros are zero, can be written and come anew as zeros") {
  for (int i = 0; i < 2; ++i) {
    const Tensor t = Tensor::zeros({1 << 20});
    CHECK(t.at(0) == 0);
    CHECK(t.at(t.numel() - 1) == 0);
    t.fill(3);
    CHECK(t.at(t.numel() - 1) == 3);
  }
}

}  // namespace
}  // namespace ydistill
