// SPDX-License-Identifier: MIT
#include <ydistill/data/augment.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <ydistill/data/canvas.h>
#include <ydistill/data/gather.h>
#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

/// A canvas and the map from it to the sample.
struct Cut {
  SampleCanvas canvas;
  WarpMap map;
};

/// The cut's objects in pixels of the frame.
std::vector<PixelLabel> labels_of(const Cut& cut, const PictureSize& frame) {
  return warp_labels(cut.canvas.labels, cut.map, frame.width, frame.height);
}

Cut draw_mosaic(const AugmentOptions& options, int64_t index, std::span<const int64_t> partners,
                const PictureSource& source, const SampleFrame& frame, Rng& rng) {
  const bool is_nine = options.mosaic9 > 0 && rng.uniform() < options.mosaic9;
  Cut cut;
  cut.canvas =
      (is_nine ? mosaic_of_nine : mosaic_of_four)(index, partners, source, frame.image_size, rng);
  if (options.copy_paste > 0) copy_paste(cut.canvas, options.copy_paste, rng);
  cut.map = draw_warp_map(options, rng, cut.canvas.width, cut.canvas.height, frame.frame.width,
                          frame.frame.height);
  return cut;
}

Cut draw_single(const AugmentOptions& options, int64_t index, const PictureSource& source,
                const SampleFrame& frame, Rng& rng) {
  Cut cut;
  cut.canvas = single_canvas(index, source, frame.image_size, frame.frame);
  cut.map = draw_warp_map(options, rng, cut.canvas.width, cut.canvas.height, frame.frame.width,
                          frame.frame.height);
  return cut;
}

void add_layer(SamplePlan& plan, Cut cut, const SampleFrame& frame, const Flips& flips) {
  WarpMap map = cut.map;
  if (plan.width != frame.frame.width || plan.height != frame.frame.height) {
    map = stretched(map, double(plan.width) / double(frame.frame.width),
                    double(plan.height) / double(frame.frame.height));
  }
  const size_t i = size_t(plan.gather.num_layers++);
  GatherLayer& layer = plan.gather.layers[i];
  layer = cut.canvas.layer;
  layer.is_projective = plan.room.is_projective ? 1 : 0;
  plan.layers[i].pictures = std::move(cut.canvas.pictures);
  plan.layers[i].mask = std::move(cut.canvas.mask);
  std::vector<int64_t>& steps = plan.layers[i].steps;
  steps = (plan.room.is_projective ? projective_steps : gather_steps)(map, plan.width, plan.height,
                                                                      flips);
  if (steps.empty()) {  // a singular map: the sample is grey
    steps.resize(size_t((plan.room.is_projective ? 3 : 2) * (plan.width + plan.height)));
    layer.num_pieces = 0;
  }
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
  check("perspective", options.perspective, 0, 0.001);
  check("flipud", options.flipud, 0, 1);
  check("fliplr", options.fliplr, 0, 1);
  check("mosaic", options.mosaic, 0, 1);
  check("mosaic9", options.mosaic9, 0, 1);
  check("copy_paste", options.copy_paste, 0, 1);
  check("mixup", options.mixup, 0, 1);
}

PlanRoom plan_room(const AugmentOptions& options, int64_t image_size) {
  return {options.mixup > 0 ? 2 : 1, options.perspective > 0, options.copy_paste > 0, image_size};
}

double draw_mixup_share(Rng& rng) {
  std::array<double, 63> numbers;
  for (double& number : numbers) number = rng.uniform();
  std::nth_element(numbers.begin(), numbers.begin() + 31, numbers.end());
  return numbers[31];
}

SamplePlan plan_training_sample(const AugmentOptions& options, int64_t index,
                                std::span<const int64_t> partners, const PictureSource& source,
                                const SampleFrame& frame, Rng rng) {
  if (options.mosaic > 0 &&
      (frame.frame.width != frame.image_size || frame.frame.height != frame.image_size)) {
    throw ShapeError("plan_training_sample: a mosaic in a frame of {}x{}, {}x{} wanted",
                     frame.frame.width, frame.frame.height, frame.image_size, frame.image_size);
  }
  SamplePlan plan;
  plan.width = frame.output.width;
  plan.height = frame.output.height;
  plan.room = plan_room(options, frame.image_size);
  std::array<Cut, kMaxLayers> cuts;
  int num_cuts = 1;
  const bool is_mosaic = rng.uniform() < options.mosaic;
  cuts[0] = is_mosaic ? draw_mosaic(options, index, partners, source, frame, rng)
                      : draw_single(options, index, source, frame, rng);
  std::vector<PixelLabel> labels = labels_of(cuts[0], frame.frame);
  if (is_mosaic && options.mixup > 0 && rng.uniform() < options.mixup) {
    num_cuts = 2;
    const int64_t other =
        partners.empty() ? index : partners[size_t(rng.below(int64_t(partners.size())))];
    cuts[1] = draw_mosaic(options, other, partners, source, frame, rng);
    for (PixelLabel& label : labels_of(cuts[1], frame.frame)) labels.push_back(std::move(label));
    plan.gather.second_weight =
        int32_t(std::nearbyint((1 - draw_mixup_share(rng)) * (1 << kWeightBits)));
  }

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
  for (int i = 0; i < num_cuts; ++i) add_layer(plan, std::move(cuts[size_t(i)]), frame, flips);

  plan.labels.reserve(labels.size());
  for (const PixelLabel& label : labels) {
    Label fractions = fractions_of(label, frame.frame.width, frame.frame.height);
    if (flips.up) fractions.cy = 1 - fractions.cy;
    if (flips.left) fractions.cx = 1 - fractions.cx;
    plan.labels.push_back(fractions);
  }
  return plan;
}

void render_sample(const SamplePlan& plan, uint8_t* output) {
  std::array<GatherLayerData, kMaxLayers> data{};
  for (int32_t i = 0; i < plan.gather.num_layers; ++i) {
    const SamplePlan::Layer& layer = plan.layers[size_t(i)];
    data[size_t(i)] = {layer.steps.data(), layer.mask.empty() ? nullptr : layer.mask.data()};
  }
  gather(plan.gather, data.data(), plan.width, plan.height, output);
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
