// SPDX-License-Identifier: MIT
#include <ydistill/data/augment.h>

#include <algorithm>
#include <array>
#include <utility>

#include <ydistill/data/gather.h>
#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

/// A box's fractions of a picture, in pixels of that picture moved by (left, top).
CornerBox corners_of(const Label& label, double width, double height, double left, double top) {
  return {width * (label.cx - label.w / 2) + left, height * (label.cy - label.h / 2) + top,
          width * (label.cx + label.w / 2) + left, height * (label.cy + label.h / 2) + top};
}

PictureSize size_of(const LoadedPicture& picture) {
  if (!picture.image) return picture.size;
  return {picture.image->width, picture.image->height};
}

/// Lays the part of a picture that starts at (from_x, from_y) to (x, y) of the canvas.
void add_piece(SamplePlan& plan, const LoadedPicture& picture, int64_t from_x, int64_t from_y,
               int64_t x, int64_t y, int64_t width, int64_t height) {
  const int32_t i = plan.gather.num_pieces++;
  plan.pictures[size_t(i)] = {picture.index, picture.image};
  plan.gather.pieces[i] = {picture.image ? picture.image->rgb.data() : nullptr,
                           int32_t(size_of(picture).width),
                           int32_t(x),
                           int32_t(y),
                           int32_t(x + width),
                           int32_t(y + height),
                           int32_t(from_x - x),
                           int32_t(from_y - y)};
}

/// Four pictures that meet at a random point of a canvas twice the sample's size, each cut where it
/// leaves the canvas. Reads the random numbers: centre (y, x), three partners, their places.
std::vector<PixelLabel> draw_mosaic(int64_t index, std::span<const int64_t> partners,
                                    const PictureSource& source, Rng& rng, SamplePlan& plan) {
  const int64_t side = 2 * plan.image_size;
  const auto centre = [&] {
    return int64_t(rng.uniform(double(plan.image_size / 2), double(side - plan.image_size / 2)));
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
    const PictureSize size = size_of(picture);
    const int64_t width = std::min(size.width, is_left ? centre_x : side - centre_x);
    const int64_t height = std::min(size.height, is_top ? centre_y : side - centre_y);
    const int64_t x = is_left ? centre_x - width : centre_x;
    const int64_t y = is_top ? centre_y - height : centre_y;
    const int64_t from_x = is_left ? size.width - width : 0;
    const int64_t from_y = is_top ? size.height - height : 0;
    add_piece(plan, picture, from_x, from_y, x, y, width, height);
    for (const Label& label : *picture.labels) {
      const CornerBox box = corners_of(label, double(size.width), double(size.height),
                                       double(x - from_x), double(y - from_y));
      const auto clip = [&](double v) { return std::clamp(v, 0.0, double(side)); };
      labels.push_back({label.class_id, {clip(box.x1), clip(box.y1), clip(box.x2), clip(box.y2)}});
    }
  }
  return labels;
}

/// One picture, letterboxed to a square.
std::vector<PixelLabel> draw_single(int64_t index, const PictureSource& source, SamplePlan& plan) {
  const LoadedPicture picture = source(index);
  const PictureSize size = size_of(picture);
  const int64_t side = plan.image_size;
  const Letterbox box = validation_letterbox(size.width, size.height, side, side, side);
  if (box.inner_width != size.width || box.inner_height != size.height) {
    throw ShapeError("plan_training_sample: a picture of {}x{}, at image size {} it has {}x{}",
                     size.width, size.height, side, box.inner_width, box.inner_height);
  }
  add_piece(plan, picture, 0, 0, box.left, box.top, size.width, size.height);
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

SamplePlan plan_training_sample(const AugmentOptions& options, int64_t index,
                                std::span<const int64_t> partners, const PictureSource& source,
                                int64_t image_size, Rng rng) {
  SamplePlan plan;
  plan.image_size = image_size;
  const bool is_mosaic = rng.uniform() < options.mosaic;
  std::vector<PixelLabel> labels = is_mosaic ? draw_mosaic(index, partners, source, rng, plan)
                                             : draw_single(index, source, plan);
  const int64_t side = is_mosaic ? 2 * image_size : image_size;
  const Affine affine = draw_affine(options, rng, side, side, image_size, image_size);
  labels = warp_labels(labels, affine, image_size, image_size);

  const auto gain = [&](double range) { return 1 + rng.uniform(-1, 1) * range; };
  const double hue = gain(options.hsv_h);
  const double saturation = gain(options.hsv_s);
  const double value = gain(options.hsv_v);
  if (options.hsv_h > 0 || options.hsv_s > 0 || options.hsv_v > 0) {
    plan.gather.shifts_colours = 1;
    plan.gather.hsv = hsv_tables(hue, saturation, value);
  }
  Flips flips;
  flips.up = rng.uniform() < options.flipud;
  flips.left = rng.uniform() < options.fliplr;
  plan.steps = gather_steps(affine, image_size, image_size, flips);
  if (plan.steps.empty()) {  // a singular map: all is grey
    plan.steps.resize(size_t(4 * image_size));
    plan.gather.num_pieces = 0;
  }

  plan.labels.reserve(labels.size());
  for (const PixelLabel& label : labels) {
    Label fractions = fractions_of(label, image_size, image_size);
    if (flips.up) fractions.cy = 1 - fractions.cy;
    if (flips.left) fractions.cx = 1 - fractions.cx;
    plan.labels.push_back(fractions);
  }
  return plan;
}

void render_sample(const SamplePlan& plan, uint8_t* output) {
  gather(plan.gather, plan.steps.data(), plan.image_size, plan.image_size, output);
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
