// SPDX-License-Identifier: MIT
#include <ydistill/tensor/random.h>

#include <cmath>
#include <vector>

#include "support/catch.h"

namespace ydistill {
namespace {

// Known answers published with Random123 (kat_vectors, philox 4 32 10).
TEST_CASE("random: philox gives the published known answers") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) ==
        std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random: a stream is a function of its name alone") {
  Rng a(1, 2, 3, 4);
  Rng b(1, 2, 3, 4);
  for (int i = 0; i < 9; ++i) CHECK(a.bits() == b.bits());
  CHECK(Rng(1, 2, 3, 4).bits() != Rng(2, 2, 3, 4).bits());
  CHECK(Rng(1, 2, 3, 4).bits() != Rng(1, 3, 3, 4).bits());
  CHECK(Rng(1, 2, 3, 4).bits() != Rng(1, 2, 4, 4).bits());
  CHECK(Rng(1, 2, 3, 4).bits() != Rng(1, 2, 3, 5).bits());
}

TEST_CASE("random: uniform and normal have their moments") {
  Rng rng(7);
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  const int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double u = rng.uniform();
    REQUIRE((u >= 0 && u < 1));
    sum += u;
    squares += u * u;
    const double z = rng.normal();
    normal_sum += z;
    normal_squares += z * z;
  }
  // Five standard errors of each mean.
  CHECK(std::abs(sum / n - 0.5) < 5 * std::sqrt(1.0 / 12 / n));
  CHECK(std::abs(squares / n - 1.0 / 3) < 5 * std::sqrt(4.0 / 45 / n));
  CHECK(std::abs(normal_sum / n) < 5 / std::sqrt(n));
  CHECK(std::abs(normal_squares / n - 1) < 5 * std::sqrt(2.0 / n));
}

TEST_CASE("random: below reaches every value and none else") {
  Rng rng(3);
  std::vector<int> seen(7);
  for (int i = 0; i < 7000; ++i) ++seen.at(size_t(rng.below(7)));
  for (const int count : seen) CHECK(std::abs(count - 1000) < 160);  // five standard deviations
}

}  // namespace
}  // namespace ydistill
