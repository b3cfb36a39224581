// SPDX-License-Identifier: MIT
#include <ydistill/data/augment.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

/// A box's fractions of a picture, in pixels of that picture moved by (left, top).
CornerBox corners_of(const Label& label, double width, double height, double left, double top) {
  return {width * (label.cx - label.w / 2) + left, height * (label.cy - label.h / 2) + top,
          width * (label.cx + label.w / 2) + left, height * (label.cy + label.h / 2) + top};
}

/// Copies the part of `image` that starts at (from_x, from_y) to (x, y) of the canvas.
void paste(const Image& image, int64_t from_x, int64_t from_y, Image& canvas, int64_t x, int64_t y,
           int64_t width, int64_t height) {
  for (int64_t row = 0; row < height; ++row) {
    std::memcpy(canvas.at(x, y + row), image.at(from_x, from_y + row), size_t(width * 3));
  }
}

/// Four pictures that meet at a random point of a canvas twice the sample's size, each cut where it
/// leaves the canvas. Reads the random numbers: centre (y, x), three partners, their places.
std::vector<PixelLabel> draw_mosaic(int64_t index, std::span<const int64_t> partners,
                                    const PictureSource& source, int64_t image_size, Rng& rng,
                                    Image& canvas) {
  const int64_t side = 2 * image_size;
  canvas.width = canvas.height = side;
  canvas.rgb.resize(size_t(side * side * 3));
  std::memset(canvas.rgb.data(), kPaddingGrey, canvas.rgb.size());
  const auto centre = [&] {
    return int64_t(rng.uniform(double(image_size / 2), double(side - image_size / 2)));
  };
  const int64_t centre_y = centre();
  const int64_t centre_x = centre();
  std::array<int64_t, 4> indices{index, index, index, index};
  for (size_t i = 1; i < 4; ++i) {
    if (!partners.empty()) indices[i] = partners[size_t(rng.below(int64_t(partners.size())))];
  }
  for (size_t i = 3; i > 0; --i) std::swap(indices[i], indices[size_t(rng.below(int64_t(i) + 1))]);

  std::vector<PixelLabel> labels;
  for (size_t i = 0; i < 4; ++i) {  // top left, top right, bottom left, bottom right
    const bool is_left = i % 2 == 0, is_top = i < 2;
    const LoadedPicture picture = source(indices[i]);
    const Image& image = *picture.image;
    const int64_t width = std::min(image.width, is_left ? centre_x : side - centre_x);
    const int64_t height = std::min(image.height, is_top ? centre_y : side - centre_y);
    const int64_t x = is_left ? centre_x - width : centre_x;
    const int64_t y = is_top ? centre_y - height : centre_y;
    const int64_t from_x = is_left ? image.width - width : 0;
    const int64_t from_y = is_top ? image.height - height : 0;
    paste(image, from_x, from_y, canvas, x, y, width, height);
    for (const Label& label : *picture.labels) {
      const CornerBox box = corners_of(label, double(image.width), double(image.height),
                                       double(x - from_x), double(y - from_y));
      const auto clip = [&](double v) { return std::clamp(v, 0.0, double(side)); };
      labels.push_back({label.class_id, {clip(box.x1), clip(box.y1), clip(box.x2), clip(box.y2)}});
    }
  }
  return labels;
}

/// One picture, letterboxed to a square.
std::vector<PixelLabel> draw_single(int64_t index, const PictureSource& source, int64_t image_size,
                                    Image& canvas) {
  const LoadedPicture picture = source(index);
  const Image& image = *picture.image;
  const Letterbox box =
      validation_letterbox(image.width, image.height, image_size, image_size, image_size);
  canvas.width = canvas.height = image_size;
  canvas.rgb.resize(size_t(image_size * image_size * 3));
  apply_letterbox(image, box, canvas.rgb.data());
  std::vector<PixelLabel> labels;
  for (const Label& label : *picture.labels) {
    labels.push_back({label.class_id, corners_of(label, double(box.inner_width),
                                                 double(box.inner_height), box.pad_x, box.pad_y)});
  }
  return labels;
}

}  // namespace

void check_augment_options(const AugmentOptions& options) {
  const auto check = [](const char* name, double value, double low, double high) {
    if (!(value >= low && value <= high)) {
      throw ValueError("augment.{}: {}, {} to {} wanted", name, value, low, high);
    }
  };
  check("hsv_h", options.hsv_h, 0, 1);
  check("hsv_s", options.hsv_s, 0, 1);
  check("hsv_v", options.hsv_v, 0, 1);
  check("degrees", options.degrees, 0, 180);
  check("translate", options.translate, 0, 1);
  check("scale", options.scale, 0, 0.99);
  check("shear", options.shear, 0, 89);
  check("flipud", options.flipud, 0, 1);
  check("fliplr", options.fliplr, 0, 1);
  check("mosaic", options.mosaic, 0, 1);
}

std::vector<Label> make_training_sample(const AugmentOptions& options, int64_t index,
                                        std::span<const int64_t> partners,
                                        const PictureSource& source, int64_t image_size, Rng rng,
                                        uint8_t* output) {
  // Kept between samples: a megabyte that would be mapped and faulted in each time.
  thread_local Image canvas;
  const bool is_mosaic = rng.uniform() < options.mosaic;
  std::vector<PixelLabel> labels =
      is_mosaic ? draw_mosaic(index, partners, source, image_size, rng, canvas)
                : draw_single(index, source, image_size, canvas);

  const Affine affine =
      draw_affine(options, rng, canvas.width, canvas.height, image_size, image_size);
  warp_affine(canvas, affine, image_size, image_size, output);
  labels = warp_labels(labels, affine, image_size, image_size);

  const auto gain = [&](double range) { return 1 + rng.uniform(-1, 1) * range; };
  const double hue = gain(options.hsv_h);
  const double saturation = gain(options.hsv_s);
  const double value = gain(options.hsv_v);
  if (options.hsv_h > 0 || options.hsv_s > 0 || options.hsv_v > 0) {
    shift_hsv(output, image_size * image_size, hue, saturation, value);
  }
  const bool flips_up = rng.uniform() < options.flipud;
  const bool flips_left = rng.uniform() < options.fliplr;
  if (flips_up) flip_vertical(output, image_size, image_size);
  if (flips_left) flip_horizontal(output, image_size, image_size);

  std::vector<Label> out;
  out.reserve(labels.size());
  for (const PixelLabel& label : labels) {
    Label fractions = fractions_of(label, image_size, image_size);
    if (flips_up) fractions.cy = 1 - fractions.cy;
    if (flips_left) fractions.cx = 1 - fractions.cx;
    out.push_back(fractions);
  }
  return out;
}

Label fractions_of(const PixelLabel& label, int64_t width, int64_t height) {
  constexpr double kInside = 1e-3;  // pixels; keeps the right and lower border below 1
  const double w = double(width), h = double(height);
  const double x1 = std::clamp(label.box.x1, 0.0, w - kInside);
  const double y1 = std::clamp(label.box.y1, 0.0, h - kInside);
  const double x2 = std::clamp(label.box.x2, 0.0, w - kInside);
  const double y2 = std::clamp(label.box.y2, 0.0, h - kInside);
  return {label.class_id, (x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h};
}

}  // namespace ydistill
