// SPDX-License-Identifier: MIT
// The gather against the long way (canvas_sample.h): every byte and every label.
#include <ydistill/data/gather.h>

#include <algorithm>

#include <ydistill/tensor/error.h>

#include "data/canvas_sample.h"
#include "data/random_sample.h"
#include "support/catch.h"

namespace ydistill::test {

TEST_CASE(
    "gather: gives every byte that canvas, warp, colours and flips give one after the other") {
  for (const int64_t side : {64, 33, 1}) {
    const NoisePictures pictures(side);
    std::vector<uint8_t> got(size_t(side * side * 3)), wanted(got.size());
    for (int64_t i = 0; i < 400; ++i) {
      INFO("side " << side << ", case " << i);
      std::fill(got.begin(), got.end(), uint8_t(1));
      std::fill(wanted.begin(), wanted.end(), uint8_t(2));
      const AugmentOptions options = options_of_case(i);
      const SamplePlan plan = plan_training_sample(options, i % 6, pictures.all, pictures.source(),
                                                   side, Rng(uint64_t(i)));
      render_sample(plan, got.data());
      const std::vector<Label> labels = canvas_sample(
          options, i % 6, pictures.all, pictures.source(), side, Rng(uint64_t(i)), wanted.data());
      CHECK(got == wanted);
      CHECK(plan.labels == labels);
    }
  }
}

namespace {

/// The canvas of a layer with its pixels: pieces, then the mirror image where the mask says so.
Image painted(const GatherLayer& layer, const std::vector<uint64_t>& mask, int64_t side) {
  Image canvas = Image::filled(side, side, kPaddingGrey);
  for (int32_t p = 0; p < layer.num_pieces; ++p) {
    const GatherPiece& piece = layer.pieces[p];
    for (int64_t y = piece.top; y < piece.bottom; ++y) {
      for (int64_t x = piece.left; x < piece.right; ++x) {
        const uint8_t* from =
            piece.rgb + ((y + piece.shift_y) * piece.width + x + piece.shift_x) * 3;
        std::copy(from, from + 3, canvas.at(x, y));
      }
    }
  }
  Image result = canvas;
  for (int64_t y = 0; y < side && !mask.empty(); ++y) {
    for (int64_t x = 0; x < side; ++x) {
      if ((mask[size_t(y * ((side + 63) / 64) + x / 64)] >> (x % 64) & 1) == 0) continue;
      const uint8_t* from = canvas.at(side - 1 - x, y);
      std::copy(from, from + 3, result.at(x, y));
    }
  }
  return result;
}

/// A plan's layer made from its painted canvas, without colours.
std::vector<uint8_t> layer_by_paint(const SamplePlan& plan, size_t i, int64_t side) {
  GatherSample sample{};
  const Image canvas = painted(plan.gather.layers[i], plan.layers[i].mask, side);
  sample.num_layers = sample.layers[0].num_pieces = 1;
  sample.layers[0].is_projective = plan.gather.layers[i].is_projective;
  sample.layers[0].pieces[0] = {canvas.rgb.data(), int32_t(side), 0, 0,
                                int32_t(side),     int32_t(side), 0, 0};
  std::vector<uint8_t> out(size_t(plan.width * plan.height * 3));
  const GatherLayerData data{plan.layers[i].steps.data(), nullptr};
  gather(sample, &data, plan.width, plan.height, out.data());
  return out;
}

}  // namespace

TEST_CASE("gather: nine pieces, masks, layers and projective maps are those of painted canvases") {
  int masks = 0, blends = 0;
  for (const int64_t size : {64, 33, 1}) {
    const NoisePictures pictures(size, true);
    for (int64_t i = 0; i < 256; ++i) {
      INFO("size " << size << ", case " << i);
      AugmentOptions options = full_options_of_case(i);
      options.mosaic = 1;
      options.hsv_h = options.hsv_s = options.hsv_v = 0;
      const SamplePlan plan = plan_training_sample(options, i % 6, pictures.all, pictures.source(),
                                                   size, Rng(uint64_t(i)));
      std::vector<uint8_t> got(size_t(size * size * 3));
      render_sample(plan, got.data());
      std::vector<uint8_t> wanted = layer_by_paint(plan, 0, 2 * size);
      masks += plan.layers[0].mask.empty() ? 0 : 1;
      if (plan.gather.num_layers == 2) {
        ++blends;
        const std::vector<uint8_t> second = layer_by_paint(plan, 1, 2 * size);
        const int64_t w = plan.gather.second_weight;
        for (size_t b = 0; b < wanted.size(); ++b) {
          wanted[b] = uint8_t((wanted[b] * (65536 - w) + second[b] * w) / 65536);
        }
      }
      CHECK(got == wanted);
    }
  }
  CHECK(masks > 100);
  CHECK(blends > 100);
}

TEST_CASE("gather: a singular map gives grey in the drawn colours") {
  const Image image = noise(8, 6, 1);
  WarpMap flat;
  flat.m[1][1] = 0;
  CHECK(gather_steps(flat, 8, 6).empty());
  GatherSample nothing{};
  nothing.num_layers = 1;
  nothing.shifts_colours = 1;
  nothing.hsv = hsv_tables(1, 1, 0.5);
  const std::vector<int64_t> steps(2 * (8 + 6));
  std::vector<uint8_t> out(8 * 6 * 3);
  const GatherLayerData data{steps.data(), nullptr};
  gather(nothing, &data, 8, 6, out.data());
  CHECK(out == std::vector<uint8_t>(8 * 6 * 3, 57));
}

TEST_CASE("gather: flips mirror and twice is nothing") {
  for (const int64_t width : {4, 5}) {
    const int64_t height = width + 1;
    const Image image = noise(width, height, 6);
    GatherSample whole{};
    whole.num_layers = whole.layers[0].num_pieces = 1;
    whole.layers[0].pieces[0] = {image.rgb.data(), int32_t(width),  0, 0,
                                 int32_t(width),   int32_t(height), 0, 0};
    for (int which = 0; which < 4; ++which) {
      Flips flips;
      flips.up = which / 2 == 1;
      flips.left = which % 2 == 1;
      Image out = Image::filled(width, height, 0);
      const auto steps = gather_steps(WarpMap(), width, height, flips);
      const GatherLayerData data{steps.data(), nullptr};
      gather(whole, &data, width, height, out.rgb.data());
      for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
          const uint8_t* from =
              image.at(flips.left ? width - 1 - x : x, flips.up ? height - 1 - y : y);
          CHECK(std::equal(from, from + 3, out.at(x, y)));
        }
      }
    }
  }
}

TEST_CASE("gather: a plan needs no pixels, and is the same as with them") {
  const NoisePictures pictures(64);
  const PictureSource bare = [&](int64_t i) {
    const Image& image = *pictures.images[size_t(i)];
    return LoadedPicture{nullptr, &pictures.labels[size_t(i)], i, {image.width, image.height}};
  };
  for (int64_t i = 0; i < 50; ++i) {
    const AugmentOptions options = options_of_case(i);
    const Rng rng(uint64_t(i) + 7);
    const SamplePlan a = plan_training_sample(options, 2, pictures.all, pictures.source(), 64, rng);
    SamplePlan b = plan_training_sample(options, 2, pictures.all, bare, 64, rng);
    CHECK(a.labels == b.labels);
    REQUIRE(a.gather.num_layers == b.gather.num_layers);
    for (int32_t l = 0; l < b.gather.num_layers; ++l) {
      GatherLayer& layer = b.gather.layers[l];
      REQUIRE(a.gather.layers[l].num_pieces == layer.num_pieces);
      for (int32_t p = 0; p < layer.num_pieces; ++p) {
        const int64_t index = b.layers[size_t(l)].pictures[size_t(p)].index;
        CHECK(a.layers[size_t(l)].pictures[size_t(p)].index == index);
        CHECK(layer.pieces[p].rgb == nullptr);
        layer.pieces[p].rgb = pictures.images[size_t(index)]->rgb.data();
      }
    }
    std::vector<uint8_t> with(64 * 64 * 3), without(with.size(), 1);
    render_sample(a, with.data());
    render_sample(b, without.data());
    CHECK(with == without);
  }
}

TEST_CASE("gather: a picture that is not at load size is refused") {
  const NoisePictures pictures(64);
  AugmentOptions options;
  options.mosaic = 0;
  CHECK_THROWS_WITH_TEXT(
      plan_training_sample(options, 0, pictures.all, pictures.source(), 96, Rng(1)), ShapeError,
      "a picture of 64x48, at image size 96 it has 96x72");
}

// The floats of HsvLevels must be whole numbers, or machines with a fused multiply-add would
// differ.
TEST_CASE("hsv: back to a level is the exact quotient, truncated") {
  int wrong = 0;
  for (int v = 0; v < 256; ++v) {
    for (int s = 0; s < 256; ++s) {
      for (int h = 0; h < 180; h += 1 + (h + s + v) % 7) {  // every hue at some s and v
        const int channel = h % 3;
        const int n = 5 - 2 * channel;
        const int k = (n * 30 + h) % 180;
        const int part = std::clamp(std::min(k, 120 - k), 0, 30);
        const HsvLevels to{float(h), float(s), float(v)};
        const int levels[3] = {to.red(), to.green(), to.blue()};
        wrong += levels[channel] != v * (7650 - s * part) / 7650;
      }
    }
  }
  CHECK(wrong == 0);
}

// Shifted in a row, in every way that pixels are taken together, and pixel by pixel.
void check_shifts(double hue, double saturation, double value) {
  INFO("gains " << hue << ", " << saturation << ", " << value);
  // Every saturation at every value, in all six sectors of the hue; an odd number of pixels.
  const HsvTables tables = hsv_tables(hue, saturation, value);
  for (int turn = 0; turn < 6; ++turn) {
    std::vector<uint8_t> row, expected;
    for (int v = 0; v < 256; ++v) {
      for (int low = 0; low <= v; ++low) {
        uint8_t channels[3] = {uint8_t(v), uint8_t(low), uint8_t(low + (v - low) / 3)};
        if (turn >= 3) std::swap(channels[1], channels[2]);
        std::rotate(channels, channels + turn % 3, channels + 3);
        row.insert(row.end(), channels, channels + 3);
        const Rgb pixel = shift_pixel({channels[0], channels[1], channels[2]}, tables);
        for (const uint8_t level : {pixel.r, pixel.g, pixel.b}) expected.push_back(level);
      }
    }
    row.resize(row.size() - 3);
    expected.resize(row.size());
    shift_hsv(row.data(), int64_t(row.size() / 3), hue, saturation, value);
    CHECK(row == expected);
  }
}

TEST_CASE("gather: colours shifted in rows are those shifted pixel by pixel") {
  check_shifts(1.01, 1.6, 0.7);
  check_shifts(1.9, 0.05, 1.99);
}

TEST_CASE("gather: colours whose gains have no product in float are looked up") {
  // In float this is 1/2, and twice that 1.
  const double below = std::nextafter(0.5, 0.0);
  CHECK(hsv_tables(1, 0.5, 1).gains.saturation == 0.5f);
  CHECK(hsv_tables(1, below, 1).gains.hue == 0);
  CHECK(hsv_tables(3, 1, 1).gains.hue == 0);  // more than one turn of the hue
  check_shifts(1.01, below, 0.7);
  check_shifts(3, 1.6, 0.7);
}

TEST_CASE("gather: rows of any length are shifted to their last pixel and no further") {
  const HsvTables tables = hsv_tables(1.01, 0.7, 1.1);
  for (int64_t pixels = 0; pixels < 40; ++pixels) {
    const Image image = noise(40, 1, uint64_t(pixels));
    std::vector<uint8_t> row = image.rgb, expected = row;
    for (int64_t i = 0; i < 3 * pixels; i += 3) {
      uint8_t* p = expected.data() + i;
      const Rgb pixel = shift_pixel({p[0], p[1], p[2]}, tables);
      p[0] = pixel.r, p[1] = pixel.g, p[2] = pixel.b;
    }
    shift_hsv(row.data(), pixels, 1.01, 0.7, 1.1);
    CHECK(row == expected);
  }
}

}  // namespace ydistill::test
