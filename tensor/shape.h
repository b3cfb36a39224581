// SPDX-License-Identifier: MIT
// The sizes of a tensor, outermost first.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace ydistill {

/// Up to 6 sizes, each >= 0; rank 0 is a scalar. Never allocates.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}
  /// throws ShapeError for a negative size, more than kMaxRank sizes, or more than 2^59 elements.
  explicit Shape(std::span<const int64_t> sizes);

  int rank() const { return rank_; }
  int64_t numel() const { return numel_; }
  /// Size of one axis; negative axes count from the end. throws ShapeError outside the rank.
  int64_t operator[](int axis) const;
  std::span<const int64_t> sizes() const { return {sizes_.data(), size_t(rank_)}; }
  /// "[2,3,160,160]"
  std::string str() const;

  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
  int64_t numel_ = 1;
};

}  // namespace ydistill
