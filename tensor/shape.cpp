// SPDX-License-Identifier: MIT
#include <ydistill/tensor/shape.h>

#include <fmt/ranges.h>

#include <ydistill/tensor/error.h>

namespace ydistill {

Shape::Shape(std::span<const int64_t> sizes) : rank_(int(sizes.size())) {
  if (sizes.size() > size_t(kMaxRank)) {
    throw ShapeError("shape: at most {} sizes, got {}", kMaxRank, sizes.size());
  }
  bool has_zero = false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0) {
      throw ShapeError("shape: sizes are >= 0, got [{}]", fmt::join(sizes, ","));
    }
    has_zero = has_zero || sizes[i] == 0;
    sizes_[i] = sizes[i];
  }
  if (has_zero) {
    numel_ = 0;
    return;
  }
  for (const int64_t size : sizes) {
    if (numel_ > (int64_t(1) << 59) / size) {  // 2^62 bytes at most
      throw ShapeError("shape: [{}] has more than 2^59 elements", fmt::join(sizes, ","));
    }
    numel_ *= size;
  }
}

int64_t Shape::operator[](int axis) const {
  const int at = axis < 0 ? axis + rank_ : axis;
  if (at < 0 || at >= rank_) throw ShapeError("shape: {} has no axis {}", str(), axis);
  return sizes_[size_t(at)];
}

std::string Shape::str() const {
  return fmt::format("[{}]", fmt::join(sizes(), ","));
}

}  // namespace ydistill
