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
  bool mirror;
};
constexpr Augmentation kAugmentations[] = {{1, false}, {0.83, true}, {0.67, false}};

void check_images(const Tensor& images, int64_t stride) {
  if (!images.defined() || images.rank() != 4 || images.size(3) != 3 || stride < 1 ||
      images.size(1) % stride != 0 || images.size(2) % stride != 0 || images.numel() == 0) {
    throw ShapeError("tta: pictures are {}, must be [N,H,W,3] with H and W multiples of {}",
                     images.defined() ? images.str() : "undefined", stride);
  }
  if (images.dtype() != DType::kUInt8) {
    throw DTypeError("tta: pictures are {}, must be uint8", images.str());
  }
}

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

/// One view of `images`, which are on the CPU, as the network's input.
Tensor augmented(const Tensor& images, const Augmentation& how, int64_t stride) {
  const int64_t height = images.size(1), width = images.size(2);
  const auto padded = [&](int64_t side) {
    return int64_t(std::ceil(double(side) * how.scale / double(stride))) * stride;
  };
  Letterbox plan;
  plan.width = padded(width);
  plan.height = padded(height);
  plan.inner_width = std::max<int64_t>(int64_t(double(width) * how.scale), 1);
  plan.inner_height = std::max<int64_t>(int64_t(double(height) * how.scale), 1);
  Tensor result = Tensor::empty({images.size(0), plan.height, plan.width, 3}, DType::kUInt8);
  const uint8_t* const from = images.data<uint8_t>();
  uint8_t* const to = result.data<uint8_t>();
  parallel_for(images.size(0), 1, [&](int64_t i) {
    const int64_t bytes = height * width * 3;
    const ImageView whole(width, height, {from + i * bytes, size_t(bytes)});
    const Image turned = how.mirror ? mirrored(whole) : Image();
    const Image small = resize(how.mirror ? ImageView(turned) : whole, plan.inner_width,
                               plan.inner_height, Interpolation::kBilinear);
    place_in_letterbox(small, plan, to + i * plan.height * plan.width * 3);
  });
  return result;
}

template <class T>
void leave_out(std::vector<T>& of_heads, bool first) {
  of_heads.erase(first ? of_heads.begin() : std::prev(of_heads.end()));
}

}  // namespace

std::vector<std::vector<Detection>> nms_with_tta(const Network& network, const Tensor& images,
                                                 int64_t stride, const Anchors& anchors,
                                                 const NmsOptions& options) {
  check_images(images, stride);
  const Tensor pictures = images.to(Device::cpu());
  std::vector<std::vector<Detection>> all(size_t(images.size(0)));
  for (const Augmentation& how : kAugmentations) {
    const bool is_first = &how == std::begin(kAugmentations);
    const bool is_last = &how + 1 == std::end(kAugmentations);
    std::vector<Tensor> heads = network(is_first ? images : augmented(pictures, how, stride));
    check_heads("tta", heads, anchors);
    Anchors of_heads = anchors;
    if (heads.size() > 1 && (is_first || is_last)) {
      leave_out(heads, is_last);
      leave_out(of_heads.strides, is_last);
      leave_out(of_heads.wh_px, is_last);
    }
    const AugmentedView view{how.scale, how.mirror ? double(images.size(2)) : 0};
    const auto found = nms_candidates(heads, of_heads, options, view);
    for (size_t i = 0; i < all.size(); ++i) {
      all[i].insert(all[i].end(), found[i].begin(), found[i].end());
    }
  }
  return nms_of_candidates(all, options);
}

}  // namespace ydistill
