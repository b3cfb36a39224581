// SPDX-License-Identifier: MIT
#include <ydistill/data/letterbox.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

/// Rounds halves to even, as Python's round() does.
int64_t round_even(double x) {
  return int64_t(std::nearbyint(x));
}

/// Centres the inner picture: boxes are shifted by half the padding, pixels by round(half - 0.1),
/// so that an odd pixel of padding is on the right or at the bottom.
void centre(Letterbox& box) {
  box.pad_x = double(box.width - box.inner_width) / 2;
  box.pad_y = double(box.height - box.inner_height) / 2;
  box.left = round_even(box.pad_x - 0.1);
  box.top = round_even(box.pad_y - 0.1);
}

void check_sizes(const char* what, int64_t width, int64_t height, int64_t image_size) {
  if (width < 1 || height < 1 || image_size < 1) {
    throw ValueError("{}: a picture of {}x{} at image size {}, all wanted at least 1", what, width,
                     height, image_size);
  }
}

}  // namespace

PictureSize load_size(int64_t width, int64_t height, int64_t image_size) {
  check_sizes("load_size", width, height, image_size);
  const double ratio = double(image_size) / double(std::max(width, height));
  // A rounding error of the product could make the longer side image_size + 1.
  const auto scaled = [&](int64_t side) {
    return std::clamp<int64_t>(int64_t(std::ceil(double(side) * ratio)), 1, image_size);
  };
  return {scaled(width), scaled(height)};
}

Letterbox detection_letterbox(int64_t width, int64_t height, int64_t image_size, int64_t stride) {
  check_sizes("detection_letterbox", width, height, image_size);
  if (stride < 1 || image_size % stride != 0) {
    throw ValueError("detection_letterbox: image size {} is no multiple of stride {}", image_size,
                     stride);
  }
  const double ratio = double(image_size) / double(std::max(width, height));
  Letterbox box;
  box.picture_width = width;
  box.picture_height = height;
  box.inner_width = std::max<int64_t>(1, round_even(double(width) * ratio));
  box.inner_height = std::max<int64_t>(1, round_even(double(height) * ratio));
  box.width = (box.inner_width + stride - 1) / stride * stride;
  box.height = (box.inner_height + stride - 1) / stride * stride;
  box.ratio_x = double(box.inner_width) / double(width);
  box.ratio_y = double(box.inner_height) / double(height);
  centre(box);
  return box;
}

Letterbox validation_letterbox(int64_t width, int64_t height, int64_t image_size,
                               int64_t input_width, int64_t input_height) {
  const PictureSize inner = load_size(width, height, image_size);
  if (inner.width > input_width || inner.height > input_height) {
    throw ValueError("validation_letterbox: {}x{} at image size {} does not fit into {}x{}", width,
                     height, image_size, input_width, input_height);
  }
  Letterbox box;
  box.picture_width = width;
  box.picture_height = height;
  box.inner_width = inner.width;
  box.inner_height = inner.height;
  box.width = input_width;
  box.height = input_height;
  box.ratio_x = double(inner.width) / double(width);
  box.ratio_y = double(inner.height) / double(height);
  box.interpolation =
      std::max(width, height) > image_size ? Interpolation::kArea : Interpolation::kBilinear;
  centre(box);
  return box;
}

void apply_letterbox(const ImageView& image, const Letterbox& box, uint8_t* input) {
  if (image.width != box.picture_width || image.height != box.picture_height) {
    throw ShapeError("apply_letterbox: a picture of {}x{}, the plan is for {}x{}", image.width,
                     image.height, box.picture_width, box.picture_height);
  }
  if (image.width == box.inner_width && image.height == box.inner_height) {
    place_in_letterbox(image, box, input);
  } else {
    place_in_letterbox(resize(image, box.inner_width, box.inner_height, box.interpolation), box,
                       input);
  }
}

void place_in_letterbox(const ImageView& inner, const Letterbox& box, uint8_t* input) {
  if (inner.width != box.inner_width || inner.height != box.inner_height) {
    throw ShapeError("place_in_letterbox: a picture of {}x{}, the plan is for {}x{}", inner.width,
                     inner.height, box.inner_width, box.inner_height);
  }
  const size_t row_bytes = size_t(box.width * 3);
  const size_t left_bytes = size_t(box.left * 3), inner_bytes = size_t(box.inner_width * 3);
  for (int64_t y = 0; y < box.height; ++y, input += row_bytes) {
    const int64_t inner_y = y - box.top;
    if (inner_y < 0 || inner_y >= box.inner_height) {
      std::memset(input, kPaddingGrey, row_bytes);
      continue;
    }
    std::memset(input, kPaddingGrey, left_bytes);
    std::memcpy(input + left_bytes, inner.at(0, inner_y), inner_bytes);
    std::memset(input + left_bytes + inner_bytes, kPaddingGrey,
                row_bytes - left_bytes - inner_bytes);
  }
}

CornerBox to_input(const Letterbox& letterbox, const CornerBox& box) {
  return {
      box.x1 * letterbox.ratio_x + letterbox.pad_x, box.y1 * letterbox.ratio_y + letterbox.pad_y,
      box.x2 * letterbox.ratio_x + letterbox.pad_x, box.y2 * letterbox.ratio_y + letterbox.pad_y};
}

CornerBox to_picture(const Letterbox& letterbox, const CornerBox& box) {
  const auto x = [&](double v) {
    return std::clamp((v - letterbox.pad_x) / letterbox.ratio_x, 0.0,
                      double(letterbox.picture_width));
  };
  const auto y = [&](double v) {
    return std::clamp((v - letterbox.pad_y) / letterbox.ratio_y, 0.0,
                      double(letterbox.picture_height));
  };
  return {x(box.x1), y(box.y1), x(box.x2), y(box.y2)};
}

}  // namespace ydistill
