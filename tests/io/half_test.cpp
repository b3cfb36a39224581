// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/half.h>

#include <cmath>

#include "support/catch.h"

using ydistill::float_to_half;
using ydistill::half_to_float;

TEST_CASE("half: known values") {
  CHECK(half_to_float(0x3c00) == 1.0f);
  CHECK(half_to_float(0xc000) == -2.0f);
  CHECK(half_to_float(0x7bff) == 65504.0f);     // largest
  CHECK(half_to_float(0x0400) == 0x1p-14f);     // smallest normal
  CHECK(half_to_float(0x0001) == 0x1p-24f);     // smallest
  CHECK(half_to_float(0x83ff) == -0x3ffp-24f);  // largest subnormal, negative
  CHECK(std::isinf(half_to_float(0x7c00)));
  CHECK(std::isnan(half_to_float(0x7e00)));
  CHECK(std::signbit(half_to_float(0x8000)));
}

TEST_CASE("half: every finite value is sign times mantissa times a power of two") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = int(bits >> 10 & 31);
    const int mantissa = int(bits & 1023);
    if (exponent == 31) continue;
    // IEEE 754: (1 + m / 1024) 2^(e - 15), and m / 1024 2^-14 for e = 0
    const float magnitude = exponent == 0 ? std::ldexp(float(mantissa), -24)
                                          : std::ldexp(float(1024 + mantissa), exponent - 25);
    const float expected = (bits & 0x8000) != 0 ? -magnitude : magnitude;
    if (half_to_float(uint16_t(bits)) != expected) FAIL("half " << bits);
  }
}

TEST_CASE("half: a half comes back from its float") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits >> 10 & 31) == 31 && (bits & 1023) != 0) {  // NaN, of some payload
      CHECK(std::isnan(half_to_float(float_to_half(half_to_float(uint16_t(bits))))));
    } else if (float_to_half(half_to_float(uint16_t(bits))) != bits) {
      FAIL("half " << bits);
    }
  }
}

TEST_CASE("half: a float goes to the nearest half, of two as near to the even one") {
  for (uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = half_to_float(bits), high = half_to_float(uint16_t(bits + 1));
    const float middle = (low + high) / 2;  // exact: a half's mantissa and one bit
    const uint16_t even = bits % 2 == 0 ? bits : uint16_t(bits + 1);
    const bool right = float_to_half(middle) == even &&
                       float_to_half(std::nextafter(middle, 0.0f)) == bits &&
                       float_to_half(std::nextafter(middle, 1e6f)) == bits + 1 &&
                       float_to_half(-middle) == (even | 0x8000);
    if (!right) FAIL("between halves " << bits << " and " << bits + 1);
  }
  CHECK(float_to_half(65519.996f) == 0x7bff);
  CHECK(float_to_half(65520) == 0x7c00);
  CHECK(float_to_half(-1e30f) == 0xfc00);
}
