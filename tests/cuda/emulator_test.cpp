// SPDX-License-Identifier: MIT
#include <cmath>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/tensor.h>

#include "cuda/capture.h"
#include "support/catch.h"

namespace ydistill {
namespace {

bool all_nan(const Tensor& t) {
  const ArenaScope heap(nullptr);
  const Tensor numbers = t.to(Device::cpu());
  bool all = true;
  for (int64_t i = 0; i < numbers.numel(); ++i) all &= std::isnan(numbers.at(i));
  return all;
}

TEST_CASE("emulator: memory that nobody has written is not a number, also where it was before") {
  const auto check = [] {
    for (int i = 0; i < 2; ++i) {
      const Tensor t = Tensor::empty({100}, DType::kFloat32, Device::cuda());
      CHECK(all_nan(t));
      t.zero();
    }
    CHECK(all_nan(Tensor::empty({100}, DType::kBFloat16, Device::cuda())));
  };
  check();
  const ArenaScope scope(Arena::create(int64_t(1) << 20, Device::cuda()));
  check();
}

TEST_CASE("emulator: memory of a captured graph is unwritten whenever it is launched") {
  const ArenaScope scope(Arena::create(int64_t(1) << 20, Device::cuda()));
  const Tensor out = Tensor::zeros({8}, DType::kFloat32, Device::cuda());
  test::CapturedWork work([&] {
    const Tensor inside = Tensor::empty({8}, DType::kFloat32, Device::cuda());
    out.copy_from(inside);
    inside.zero();
  });
  for (int i = 0; i < 2; ++i) {
    out.zero();
    work.replay();
    CHECK(all_nan(out));
  }
}

}  // namespace
}  // namespace ydistill
