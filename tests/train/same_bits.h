// SPDX-License-Identifier: MIT
// Checkpoints that are to be the same.
#pragma once

#include <cstring>
#include <filesystem>

#include <ydistill/tensor/io/safetensors.h>

#include "support/catch.h"

namespace ydistill::test {

/// The same tensors under the same names, bit for bit.
inline void check_same_bits(const std::filesystem::path& a, const std::filesystem::path& b) {
  const TensorFile x = read_safetensors(a), y = read_safetensors(b);
  REQUIRE(x.tensors.size() == y.tensors.size());
  for (const auto& [name, tensor] : x.tensors) {
    INFO(name);
    const Tensor& other = y.at(name);
    REQUIRE(tensor.nbytes() == other.nbytes());
    CHECK(std::memcmp(tensor.raw(), other.raw(), size_t(tensor.nbytes())) == 0);
  }
}

}  // namespace ydistill::test
