// SPDX-License-Identifier: MIT
#include <ydistill/yolo/select_classes.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace ydistill {
namespace {

constexpr int64_t kBoxChannels = 5;  // tx, ty, tw, th, objectness; the classes follow

const Tensor* find_tensor(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [known, tensor] : tensors) {
    if (known == name) return &tensor;
  }
  return nullptr;
}

/// A head's convolution, [anchors * (5 + classes), ...], with the rows of the selected classes.
struct HeadRows {
  int64_t anchors = 0, num_classes = 0;
  const std::vector<int64_t>& classes;

  /// value: fills a row of kNoClass, unless of_unknown has the shape of the result.
  Tensor select(const std::string& name, const Tensor& rows, float value,
                const Tensor* of_unknown) const {
    const int64_t width = kBoxChannels + num_classes;
    if (rows.dtype() != DType::kFloat32 || rows.rank() < 1 || rows.size(0) != anchors * width) {
      throw ValueError("select_classes: {} is {}, must be float32 with {} rows", name, rows.str(),
                       anchors * width);
    }
    const int64_t selected = kBoxChannels + int64_t(classes.size());
    std::vector<int64_t> sizes{anchors * selected};
    for (int axis = 1; axis < rows.rank(); ++axis) sizes.push_back(rows.size(axis));
    const Shape shape(sizes);
    const bool has_unknown = of_unknown != nullptr && of_unknown->shape() == shape;
    const Tensor result = has_unknown ? of_unknown->to(DType::kFloat32).clone()
                                      : Tensor::full(shape, value, DType::kFloat32);
    const int64_t length = rows.numel() / rows.size(0);
    const auto copy = [&](int64_t to_row, int64_t from_row) {
      std::memcpy(result.data<float>() + to_row * length, rows.data<float>() + from_row * length,
                  size_t(length) * sizeof(float));
    };
    for (int64_t a = 0; a < anchors; ++a) {
      for (int64_t c = 0; c < kBoxChannels; ++c) copy(a * selected + c, a * width + c);
      for (size_t c = 0; c < classes.size(); ++c) {
        if (classes[c] == kNoClass) continue;
        copy(a * selected + kBoxChannels + int64_t(c), a * width + kBoxChannels + classes[c]);
      }
    }
    return result;
  }
};

}  // namespace

Checkpoint select_classes(const Checkpoint& checkpoint, const std::vector<int64_t>& classes,
                          const std::vector<std::string>& names, const NamedTensors& of_unknown) {
  const int64_t known = checkpoint.spec.num_classes;
  if (classes.empty() || names.size() != classes.size()) {
    throw ValueError("select_classes: {} names for {} classes, as many wanted and at least one",
                     names.size(), classes.size());
  }
  for (const int64_t c : classes) {
    if (c != kNoClass && (c < 0 || c >= known)) {
      throw ValueError("select_classes: class {} is none of the {} that the network knows", c,
                       known);
    }
  }
  Checkpoint result = checkpoint;
  result.spec = checkpoint.spec.with_classes(int64_t(classes.size()));
  result.class_names = names;
  result.metadata.clear();
  const std::string head = fmt::format("model.{}.m.", checkpoint.spec.layers.size() - 1);
  const HeadRows rows{checkpoint.spec.anchors_per_head(), known, classes};
  for (auto& [name, tensor] : result.tensors) {
    if (!name.starts_with(head)) continue;
    const bool is_bias = name.ends_with(".bias");
    tensor = rows.select(name, tensor, is_bias ? kNeverLogit : 0, find_tensor(of_unknown, name));
  }
  return result;
}

std::vector<int64_t> classes_by_name(const std::vector<std::string>& wanted,
                                     const std::vector<std::string>& known) {
  std::vector<int64_t> classes;
  for (const std::string& name : wanted) {
    const auto found = std::find(known.begin(), known.end(), name);
    const bool is_one = !is_stand_in_name(name) && found != known.end() &&
                        std::find(found + 1, known.end(), name) == known.end();
    classes.push_back(is_one ? found - known.begin() : kNoClass);
  }
  return classes;
}

bool is_stand_in_name(const std::string& name) {
  constexpr std::string_view kPrefix = "class";
  return name.size() > kPrefix.size() && name.starts_with(kPrefix) &&
         std::all_of(name.begin() + kPrefix.size(), name.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace ydistill
