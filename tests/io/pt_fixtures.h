// SPDX-License-Identifier: MIT
// A small model with what a YOLOv5 checkpoint has: modules in modules, parameters, buffers, half
// and integer storages, class names, a spec.
#pragma once

#include <string>
#include <vector>

#include "io/pickle_writer.h"
#include "io/zip_writer.h"

namespace ydistill::test {

/// Half 1.0, 2.0, 3.0 ... as bits.
inline std::vector<uint16_t> halves() {
  return {0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600};
}

/// A model of one convolution with batch norm and a head; `key` begins its storage keys.
inline std::string tiny_model(const std::string& key = "", const pkl::Entries& attributes = {}) {
  const auto half = [&](const std::string& name, int64_t n) {
    return pkl::storage("HalfStorage", key + name, n);
  };
  const std::string conv = pkl::module(
      "torch.nn.modules.conv", "Conv2d",
      {{"weight", pkl::parameter(pkl::tensor(half("w", 6), 0, {2, 3, 1, 1}, {3, 1, 1, 1}))},
       {"bias", pkl::none()}},
      {}, {}, {{"stride", pkl::integers({1, 1})}});
  const std::string norm = pkl::module(
      "torch.nn.modules.batchnorm", "BatchNorm2d",
      {{"weight", pkl::parameter(pkl::tensor(half("w", 6), 4, {2}, {1}))}},
      {{"running_var", pkl::tensor(half("w", 6), 0, {2}, {3})},
       {"num_batches_tracked", pkl::tensor(pkl::storage("LongStorage", key + "n", 1), 0, {}, {})},
       {"absent", pkl::none()}},
      {});
  const std::string block =
      pkl::module("models.common", "Conv", {}, {}, {{"conv", conv}, {"bn", norm}});
  const std::string head = pkl::module(
      "models.yolo", "Detect", {},
      {{"anchors", pkl::tensor(half("w", 6), 0, {1, 3, 2}, {6, 2, 1})},
       {"grid", pkl::tensor(half("w", 6), 0, {1}, {1})}},
      {},
      {{"_non_persistent_buffers_set",
        pkl::call("__builtin__", "set", pkl::tuple({pkl::list({pkl::text("grid")})}))},
       {"stride", pkl::tensor(pkl::storage("FloatStorage", key + "s", 1), 0, {1}, {1})}});
  const std::string sequence =
      pkl::module("torch.nn.modules.container", "Sequential", {}, {}, {{"0", block}, {"1", head}});
  pkl::Entries all = {
      {"names", pkl::list({pkl::text("cat"), pkl::text("dog")})},
      {"yaml", pkl::dict({{"nc", pkl::integer(2)}, {"head", pkl::list({pkl::text("nc")})}})}};
  all.insert(all.end(), attributes.begin(), attributes.end());
  return pkl::module("models.yolo", "Model", {}, {}, {{"model", sequence}}, all);
}

inline ZipEntries tiny_storages(const std::string& key = "", int64_t batches = 7) {
  return {{key + "w", bytes_of(halves())},
          {key + "n", bytes_of(std::vector<int64_t>{batches})},
          {key + "s", bytes_of(std::vector<float>{8})}};
}

}  // namespace ydistill::test
