// SPDX-License-Identifier: MIT
#include <ydistill/detect/test_time_augmentation.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include <ydistill/data/letterbox.h>
#include <ydistill/data/resize.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

struct Augmentation {
  double scale;
  bool mirrored;
};
constexpr Augmentation kLooks[] = {{1, false}, {0.83, true}, {0.67, false}};

Image mirrored(const ImageView& image) {
  Image result{image.width, image.height, std::vector<uint8_t>(image.rgb.size())};
  for (int64_t y = 0; y < image.height; ++y) {
    const uint8_t* from = image.rgb.data() + y * image.width * 3;
    uint8_t* to = result.rgb.data() + (y + 1) * image.width * 3;
    for (int64_t x = 0; x < image.width; ++x, from += 3) {
      to -= 3;
      std::memcpy(to, from, 3);
    }
  }
  return result;
}

/// What the network sees of `images`, on the CPU, in this look.
Tensor seen(const Tensor& images, const Augmentation& look, int64_t stride) {
  const int64_t height = images.size(1), width = images.size(2);
  const auto padded = [&](int64_t side) {
    return int64_t(std::ceil(double(side) * look.scale / double(stride))) * stride;
  };
  Letterbox plan;
  plan.width = padded(width);
  plan.height = padded(height);
  plan.inner_width = std::max<int64_t>(int64_t(double(width) * look.scale), 1);
  plan.inner_height = std::max<int64_t>(int64_t(double(height) * look.scale), 1);
  Tensor result = Tensor::empty({images.size(0), plan.height, plan.width, 3}, DType::kUInt8);
  const uint8_t* const from = images.data<uint8_t>();
  uint8_t* const to = result.data<uint8_t>();
  parallel_for(images.size(0), 1, [&](int64_t i) {
    const int64_t bytes = height * width * 3;
    const ImageView whole(width, height, {from + i * bytes, size_t(bytes)});
    const Image turned = look.mirrored ? mirrored(whole) : Image();
    const Image small = resize(look.mirrored ? ImageView(turned) : whole, plan.inner_width,
                               plan.inner_height, Interpolation::kBilinear);
    place_in_letterbox(small, plan, to + i * plan.height * plan.width * 3);
  });
  return result;
}

/// All heads but the first or the last.
template <class T>
void leave_out(std::vector<T>& of_heads, bool first) {
  of_heads.erase(first ? of_heads.begin() : std::prev(of_heads.end()));
}

}  // namespace

std::vector<std::vector<Detection>> nms_of_looks(const Network& network, const Tensor& images,
                                                 int64_t stride, const Anchors& anchors,
                                                 const NmsOptions& options) {
  const Tensor pictures = images.to(Device::cpu());
  std::vector<std::vector<Detection>> all(size_t(images.size(0)));
  for (const Augmentation& look : kLooks) {
    const bool is_first = &look == std::begin(kLooks), is_last = &look + 1 == std::end(kLooks);
    std::vector<Tensor> heads = network(is_first ? images : seen(pictures, look, stride));
    Anchors of_look = anchors;
    if (heads.size() > 1 && (is_first || is_last)) {
      leave_out(heads, is_last);
      leave_out(of_look.strides, is_last);
      leave_out(of_look.wh_px, is_last);
    }
    const Look back{look.scale, look.mirrored ? double(images.size(2)) : 0};
    const auto found = nms_candidates(heads, of_look, options, back);
    for (size_t i = 0; i < all.size(); ++i) {
      all[i].insert(all[i].end(), found[i].begin(), found[i].end());
    }
  }
  return suppress(all, options);
}

}  // namespace ydistill
