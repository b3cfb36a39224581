// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <numeric>

#include <ydistill/data/canvas.h>
#include <ydistill/data/fill_outline.h>

namespace ydistill {
namespace {

constexpr double kMostCovered = 0.3;

/// The share of `box` that the other covers.
double covered_share(const CornerBox& box, const CornerBox& other) {
  constexpr double kTiny = 1e-7;
  const double w = std::min(box.x2, other.x2) - std::max(box.x1, other.x1);
  const double h = std::min(box.y2, other.y2) - std::max(box.y1, other.y1);
  return std::max(w, 0.0) * std::max(h, 0.0) / ((box.x2 - box.x1) * (box.y2 - box.y1) + kTiny);
}

PixelLabel mirrored(const PixelLabel& label, double width) {
  PixelLabel result = label;
  result.box.x1 = width - label.box.x2;
  result.box.x2 = width - label.box.x1;
  for (PixelPoint& point : result.outline) point[0] = width - point[0];
  return result;
}

}  // namespace

void copy_paste(SampleCanvas& canvas, double share, Rng& rng) {
  std::vector<size_t> outlined;
  for (size_t i = 0; i < canvas.labels.size(); ++i) {
    if (!canvas.labels[i].outline.empty()) outlined.push_back(i);
  }
  // Rounds halves to even, as Python does.
  const size_t count = size_t(std::nearbyint(share * double(outlined.size())));
  for (size_t n = 0; n < count; ++n) {
    std::swap(outlined[n], outlined[n + size_t(rng.below(int64_t(outlined.size() - n)))]);
    const PixelLabel pasted = mirrored(canvas.labels[outlined[n]], double(canvas.width));
    const bool hides =
        std::any_of(canvas.labels.begin(), canvas.labels.end(), [&](const PixelLabel& label) {
          return covered_share(label.box, pasted.box) >= kMostCovered;
        });
    if (hides) continue;
    if (canvas.mask.empty()) {
      canvas.layer.mirrored_width = int32_t(canvas.width);
      canvas.layer.mirrored_height = int32_t(canvas.height);
      canvas.mask.resize(size_t(canvas.height * mask_words(canvas.width)));
    }
    fill_outline(
        canvas.labels[outlined[n]].outline, canvas.width, canvas.height, [&](int64_t x, int64_t y) {
          const int64_t to = canvas.width - 1 - x;
          canvas.mask[size_t(y * mask_words(canvas.width) + to / 64)] |= uint64_t(1) << (to % 64);
        });
    canvas.labels.push_back(pasted);
  }
}

}  // namespace ydistill
