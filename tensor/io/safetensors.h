// SPDX-License-Identifier: MIT
// safetensors: header length in 8 bytes (little-endian), a JSON header, the numbers.
// https://github.com/huggingface/safetensors#format
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

struct TensorFile {
  std::vector<std::pair<std::string, Tensor>> tensors;  ///< in the order of the header
  std::map<std::string, std::string> metadata;

  void add(std::string name, Tensor tensor);
  /// Null if there is none of this name.
  const Tensor* find(std::string_view name) const;
  /// throws ValueError if there is none of this name.
  const Tensor& at(std::string_view name) const;
};

/// Reads all tensors. F32, F64, BF16, U8 and I64 keep their type; F16 becomes float32; I8, I16,
/// I32, U16 and U32 become int64; BOOL becomes uint8.
/// throws FileError in one line for a file that is missing, truncated, or has an invalid header:
/// longer than the file or 100 MB, not JSON of the format's form, a duplicate name, an unknown
/// dtype, negative or huge sizes, offsets outside the data, that overlap, leave gaps or do not
/// match the shape, metadata that is not text.
TensorFile read_safetensors(const std::filesystem::path& path);

/// Writes atomically (AtomicFile). The numbers start at a multiple of 8 bytes and are stored by
/// decreasing element size, so that every tensor is aligned; the header keeps the given order.
/// throws FileError; ValueError for a name that is duplicate, reserved or not UTF-8, metadata that
/// is not UTF-8, or an undefined tensor.
void write_safetensors(const std::filesystem::path& path, const TensorFile& file);

}  // namespace ydistill
