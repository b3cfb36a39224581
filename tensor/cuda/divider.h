// SPDX-License-Identifier: MIT
// Division by a number that is the same for all threads. A GPU has no instruction for division, and
// a 64-bit division costs more than reading the data whose index it computes.
#pragma once

#include <bit>
#include <cstdint>

#include <ydistill/tensor/host_device.h>

namespace ydistill::cuda {

/// n / d as (n m) >> s, exact for n below 2^31 with m = ceil(2^s / d), s = 31 + ceil(log2 d)
/// (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994). Larger n
/// are divided directly.
class Divider {
 public:
  /// 1 <= d < 2^31
  explicit Divider(int64_t d) : divisor_(uint32_t(d)) {
    const int log = d <= 1 ? 0 : 64 - std::countl_zero(uint64_t(d - 1));
    shift_ = 31 + log;
    factor_ = ((uint64_t(1) << shift_) + divisor_ - 1) / divisor_;
  }

  struct Result {
    int64_t quotient, remainder;
  };
  YD_HOST_DEVICE Result operator()(int64_t n) const {
    if (n >= int64_t(1) << 31) return {n / divisor_, n % divisor_};
    // factor < 2^32 and n < 2^31: the product fits.
    const auto quotient = uint32_t((uint64_t(n) * factor_) >> shift_);
    return {int64_t(quotient), int64_t(uint32_t(n) - quotient * divisor_)};
  }

 private:
  uint64_t factor_;
  uint32_t divisor_;
  int shift_;
};

}  // namespace ydistill::cuda
