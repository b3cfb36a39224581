// SPDX-License-Identifier: MIT
#include <ydistill/layers/focus.h>

#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

void check(const Tensor& images, const char* op) {
  if (images.dtype() != DType::kUInt8) {
    throw DTypeError("{}: takes uint8 pictures, got {}", op, images.str());
  }
  if (images.rank() != 4 || images.size(3) != 3) {
    throw ShapeError("{}: takes pictures [N,H,W,3], got {}", op, images.str());
  }
}

void focus_on_cpu(const Tensor& images, const Tensor& out) {
  dispatch_inference(out.dtype(), "focus_input", [&](auto type) {
    using T = decltype(type);
    kernels_for<T>(focus_kernels())
        .focus(images.data<uint8_t>(), images.size(0), images.size(1), images.size(2),
               out.data<T>());
  });
}

void scale_on_cpu(const Tensor& images, const Tensor& out) {
  dispatch_inference(out.dtype(), "scaled_input", [&](auto type) {
    using T = decltype(type);
    kernels_for<T>(focus_kernels()).scale(images.data<uint8_t>(), images.numel(), out.data<T>());
  });
}

/// Copies between [O,2k,2k,3] and [O,k,k,12]; `copy(stem, focus)` gets both flat indices.
template <class Copy>
void for_each_stem_weight(int64_t out_channels, int64_t k, const Copy& copy) {
  for (int64_t o = 0; o < out_channels; ++o) {
    for (int64_t row = 0; row < 2 * k; ++row) {
      for (int64_t col = 0; col < 2 * k; ++col) {
        for (int64_t c = 0; c < 3; ++c) {
          const int64_t slice = row % 2 + 2 * (col % 2);
          copy(((o * 2 * k + row) * 2 * k + col) * 3 + c,
               ((o * k + row / 2) * k + col / 2) * 12 + slice * 3 + c);
        }
      }
    }
  }
}

}  // namespace

Tensor focus_input(const Tensor& images, DType dtype) {
  check(images, "focus_input");
  const int64_t n = images.size(0), h = images.size(1), w = images.size(2);
  if (h % 2 != 0 || w % 2 != 0) {
    throw ShapeError("focus_input: height and width must be even, got {}", images.str());
  }
  const Tensor out = Tensor::empty({n, h / 2, w / 2, 12}, dtype, images.device());
  YD_BACKEND(images.device(), focus_on_cpu(images, out), cuda::focus_input(images, out));
  return out;
}

Tensor scaled_input(const Tensor& images, DType dtype) {
  check(images, "scaled_input");
  const Tensor out = Tensor::empty(images.shape(), dtype, images.device());
  YD_BACKEND(images.device(), scale_on_cpu(images, out), cuda::scaled_input(images, out));
  return out;
}

Tensor stem_weight_to_focus(const Tensor& six) {
  if (six.rank() != 4 || six.shape() != Shape{six.size(0), 6, 6, 3}) {
    throw ShapeError("stem_weight_to_focus: takes [O,6,6,3], got {}", six.str());
  }
  const Tensor focus = Tensor::empty({six.size(0), 3, 3, 12}, six.dtype());
  dispatch_float(six.dtype(), "stem_weight_to_focus", [&](auto type) {
    using T = decltype(type);
    for_each_stem_weight(
        six.size(0), 3,
        [from = six.data<T>(), to = focus.data<T>()](int64_t i, int64_t j) { to[j] = from[i]; });
  });
  return focus;
}

Tensor stem_weight_from_focus(const Tensor& focus) {
  if (focus.rank() != 4 || focus.size(1) != focus.size(2) || focus.size(3) != 12) {
    throw ShapeError("stem_weight_from_focus: takes [O,k,k,12], got {}", focus.str());
  }
  const int64_t k = focus.size(1);
  const Tensor stem = Tensor::empty({focus.size(0), 2 * k, 2 * k, 3}, focus.dtype());
  dispatch_float(focus.dtype(), "stem_weight_from_focus", [&](auto type) {
    using T = decltype(type);
    for_each_stem_weight(
        focus.size(0), k,
        [from = focus.data<T>(), to = stem.data<T>()](int64_t i, int64_t j) { to[i] = from[j]; });
  });
  return stem;
}

}  // namespace ydistill
