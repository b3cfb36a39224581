// SPDX-License-Identifier: MIT
// The JSON header of a safetensors file, fully validated.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <ydistill/tensor/shape.h>

namespace ydistill {

/// Element types of the format that can be read.
enum class StoredType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU32,
  kU16,
  kU8,
  kBool
};

/// Bytes of one element.
int64_t size_of(StoredType type);

struct StoredTensor {
  std::string name;
  StoredType type = StoredType::kF32;
  Shape shape;
  int64_t begin = 0;  ///< bytes from the start of the data
  int64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;  ///< in the order of the header
  std::map<std::string, std::string> metadata;
};

/// data_bytes: size of the data after the header; the tensors must cover it exactly once.
/// throws FileError naming `source` and the fault.
SafetensorsHeader parse_safetensors_header(std::string_view json, int64_t data_bytes,
                                           const std::string& source);

}  // namespace ydistill
