// SPDX-License-Identifier: MIT
#include <ydistill/yolo/byte_weights.h>

#include <cmath>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <ydistill/tensor/conv_int8.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

constexpr std::string_view kBytes = ".bytes", kScales = ".scales";
constexpr int kZero = 128;

bool is_weight(const Tensor& tensor) {
  return tensor.rank() == 4 && tensor.dtype() == DType::kFloat32 && tensor.numel() > 0;
}

Tensor weight_of(const std::string& name, const Tensor& bytes, const Tensor* scales) {
  if (bytes.rank() != 4 || bytes.dtype() != DType::kUInt8 || bytes.numel() == 0) {
    throw ValueError("{}{}: {}, must be uint8 [O,I,K,K]", printable(name), kBytes, bytes.str());
  }
  if (scales == nullptr || scales->dtype() != DType::kFloat32 ||
      scales->shape() != Shape{bytes.size(0)}) {
    throw ValueError("{}{}: {}, must be float32 [{}]", printable(name), kScales,
                     scales == nullptr ? "missing" : scales->str(), bytes.size(0));
  }
  for (const float scale : scales->span<float>()) {
    if (std::isfinite(scale) && scale >= 0) continue;
    throw ValueError("{}{}: a scale is {}, must be at least 0", printable(name), kScales, scale);
  }
  const Tensor weight = Tensor::empty(bytes.shape());
  const int64_t inputs = bytes.numel() / bytes.size(0);
  for (int64_t i = 0; i < bytes.numel(); ++i) {
    const int q = int(bytes.data<uint8_t>()[i]) - kZero;
    if (q == -kZero) throw ValueError("{}{}: a byte is 0, must be 1..255", printable(name), kBytes);
    weight.data<float>()[i] = float(q) * scales->data<float>()[i / inputs];
  }
  return weight;
}

}  // namespace

NamedTensors weights_to_bytes(const NamedTensors& tensors) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) {
    if (!is_weight(tensor)) {
      result.emplace_back(name, tensor);
      continue;
    }
    const Int8Weights rounded = quantize_weights(name, tensor, {});
    const Tensor bytes = Tensor::empty(tensor.shape(), DType::kUInt8);
    for (int64_t i = 0; i < bytes.numel(); ++i) {
      bytes.data<uint8_t>()[i] = uint8_t(int(rounded.bytes[size_t(i)]) + kZero);
    }
    result.emplace_back(name + std::string(kBytes), bytes);
    result.emplace_back(name + std::string(kScales),
                        Tensor::of<float>({tensor.size(0)}, rounded.scales));
  }
  return result;
}

NamedTensors weights_from_bytes(NamedTensors tensors) {
  std::unordered_map<std::string, const Tensor*> scales;  // of each weight; null if there are none
  const auto weight_name = [](const std::string& name, std::string_view ending) {
    return name.substr(0, name.size() - ending.size());
  };
  for (const auto& [name, tensor] : tensors) {
    if (name.ends_with(kBytes)) scales[weight_name(name, kBytes)] = nullptr;
  }
  if (scales.empty()) return tensors;
  for (const auto& [name, tensor] : tensors) {
    if (!name.ends_with(kScales)) continue;
    const auto found = scales.find(weight_name(name, kScales));
    if (found != scales.end()) found->second = &tensor;
  }
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) {
    if (scales.contains(name)) {
      throw ValueError("{}: is there twice, as {} too", printable(name), kBytes);
    }
    if (name.ends_with(kScales) && scales.contains(weight_name(name, kScales))) continue;
    if (name.ends_with(kBytes)) {
      const std::string weight = weight_name(name, kBytes);
      result.emplace_back(weight, weight_of(weight, tensor, scales.at(weight)));
    } else {
      result.emplace_back(name, tensor);
    }
  }
  return result;
}

}  // namespace ydistill
