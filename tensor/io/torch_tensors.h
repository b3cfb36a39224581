// SPDX-License-Identifier: MIT
// Tensors as torch.save writes them: a pickled call of a rebuilder, with the numbers in a separate
// archive entry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ydistill/tensor/io/pickle.h>
#include <ydistill/tensor/io/zip_archive.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

class TorchTensors {
 public:
  /// `folder` is the archive's first folder with its slash: storages are `folder` + "data/KEY".
  /// Both references must outlive this object.
  TorchTensors(const PickleDocument& document, ZipArchive& archive, std::string folder)
      : document_(document), archive_(archive), folder_(std::move(folder)) {}

  /// True for a call of a tensor or parameter rebuilder.
  bool is_tensor(PickleRef ref) const;

  /// The numbers, gathered by offset and strides into a dense tensor. half, bfloat16, float ->
  /// float32; double -> float64; integers and bool -> int64.
  /// throws FileError naming the archive and `name` for anything that is no tensor, a storage that
  /// is missing or has another length than stated, a view that exceeds its storage, or tensors that
  /// together are far larger than their storages.
  Tensor read(PickleRef ref, std::string_view name);

 private:
  struct View;

  [[noreturn]] void fail(std::string_view name, const std::string& what) const;
  PickleRef unwrap(PickleRef ref) const;
  View view_of(PickleRef ref, std::string_view name) const;
  std::vector<int64_t> sizes_of(PickleRef ref, std::string_view what, std::string_view name) const;
  void read_storage_id(PickleRef ref, std::string_view name, View& view) const;
  void check_view(const View& view, std::string_view name) const;
  void account(const View& view, std::string_view name);
  const std::vector<std::byte>& storage(const View& view, std::string_view name);

  const PickleDocument& document_;
  ZipArchive& archive_;
  std::string folder_;
  std::unordered_map<std::string, std::vector<std::byte>> storages_;
  int64_t stored_bytes_ = 0;    // of all storages read
  int64_t gathered_bytes_ = 0;  // of all tensors, counted as stored
};

}  // namespace ydistill
