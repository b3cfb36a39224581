// SPDX-License-Identifier: MIT
// 64-bit FNV-1a (Fowler, Noll, Vo; RFC 9923): not cryptographic, it detects accidental differences
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace ydistill {

class FnvHash {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) value_ = (value_ ^ uint64_t(b)) * 0x100000001b3u;
  }
  /// Adds the bytes of a number.
  template <class T>
  void add(T number) requires std::is_arithmetic_v<T> {
    add(std::as_bytes(std::span(&number, 1)));
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace ydistill
