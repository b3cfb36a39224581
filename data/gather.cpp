// SPDX-License-Identifier: MIT
#include <ydistill/data/gather.h>

#include <algorithm>
#include <cmath>

#include <ydistill/data/gather_kernels.h>
#include <ydistill/data/hsv_kernels.h>

namespace ydistill {
namespace {

/// Converts to 1/1024 pixel. Beyond 2^40 units everything is grey; the bound keeps sums inside
/// int64.
int64_t fixed(double position) {
  constexpr double kBound = 0x1p40;
  return int64_t(std::nearbyint(std::clamp(position * (1 << kWarpBits), -kBound, kBound)));
}

/// Whether float products with the gains reproduce the tables.
bool are_products(const HsvTables& tables, const HsvGains& gains) {
  for (int i = 0; i < 256; ++i) {
    const float h = std::trunc(float(i) * gains.hue);
    if (i < 180 && (h < 180 ? h : h - 180) != float(tables.hue[i])) return false;
    if (std::min(std::trunc(float(i) * gains.saturation), 255.0f) != float(tables.saturation[i]) ||
        std::min(std::trunc(float(i) * gains.value), 255.0f) != float(tables.value[i])) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::vector<int64_t> gather_steps(const WarpMap& map, int64_t width, int64_t height,
                                  const Flips& flips) {
  const auto& m = map.m;
  const double determinant = m[0][0] * m[1][1] - m[0][1] * m[1][0];
  if (!std::isnormal(determinant)) return {};
  const double inverse[2][2] = {{m[1][1] / determinant, -m[0][1] / determinant},
                                {-m[1][0] / determinant, m[0][0] / determinant}};
  const double origin[2] = {-inverse[0][0] * m[0][2] - inverse[0][1] * m[1][2],
                            -inverse[1][0] * m[0][2] - inverse[1][1] * m[1][2]};
  std::vector<int64_t> steps(static_cast<size_t>(2 * (width + height)));
  int64_t* x_of_column = steps.data();
  int64_t* y_of_column = x_of_column + width;
  int64_t* x_of_row = y_of_column + width;
  int64_t* y_of_row = x_of_row + height;
  for (int64_t i = 0; i < width; ++i) {
    const double x = double(flips.left ? width - 1 - i : i);
    x_of_column[i] = fixed(inverse[0][0] * x);
    y_of_column[i] = fixed(inverse[1][0] * x);
  }
  for (int64_t i = 0; i < height; ++i) {
    const double y = double(flips.up ? height - 1 - i : i);
    x_of_row[i] = fixed(inverse[0][1] * y + origin[0]);
    y_of_row[i] = fixed(inverse[1][1] * y + origin[1]);
  }
  return steps;
}

std::vector<int64_t> projective_steps(const WarpMap& map, int64_t width, int64_t height,
                                      const Flips& flips) {
  const auto& m = map.m;
  double inverse[3][3];  // first the adjugate
  for (int r = 0; r < 3; ++r) {
    for (int c = 0; c < 3; ++c) {
      const int r1 = (c + 1) % 3, r2 = (c + 2) % 3, c1 = (r + 1) % 3, c2 = (r + 2) % 3;
      inverse[r][c] = m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1];
    }
  }
  const double determinant =
      m[0][0] * inverse[0][0] + m[0][1] * inverse[1][0] + m[0][2] * inverse[2][0];
  if (!std::isnormal(determinant)) return {};
  std::vector<int64_t> steps(static_cast<size_t>(3 * (width + height)));
  for (int r = 0; r < 3; ++r) {
    // x and y in 1/32 pixel, the divisor unscaled
    const double unit = std::ldexp(r < 2 ? double(1 << kTapBits) : 1.0, kProjectionBits);
    const auto counted = [&](double number) {
      constexpr double kBound = 0x1p51;  // so that the sum of two is exact in a double
      return int64_t(std::nearbyint(std::clamp(number / determinant * unit, -kBound, kBound)));
    };
    int64_t* of_column = steps.data() + r * width;
    int64_t* of_row = steps.data() + 3 * width + r * height;
    for (int64_t i = 0; i < width; ++i) {
      of_column[i] = counted(inverse[r][0] * double(flips.left ? width - 1 - i : i));
    }
    for (int64_t i = 0; i < height; ++i) {
      of_row[i] = counted(inverse[r][1] * double(flips.up ? height - 1 - i : i) + inverse[r][2]);
    }
  }
  return steps;
}

HsvTables hsv_tables(double hue_gain, double saturation_gain, double value_gain) {
  HsvTables tables;
  for (int i = 0; i < 256; ++i) {
    tables.saturation_of[i] = i == 0 ? 0 : int32_t(std::nearbyint(255.0 * 4096 / i));
    tables.hue_of[i] = i == 0 ? 0 : int32_t(std::nearbyint(30.0 * 4096 / i));
    // Truncated, not rounded, as NumPy's astype(uint8).
    tables.hue[i] = uint8_t(std::fmod(i * hue_gain, 180.0));
    tables.saturation[i] = uint8_t(std::clamp(i * saturation_gain, 0.0, 255.0));
    tables.value[i] = uint8_t(std::clamp(i * value_gain, 0.0, 255.0));
  }
  // A float product may round up to a whole number where the double product stays below it.
  const HsvGains gains{float(hue_gain), float(saturation_gain), float(value_gain)};
  tables.gains = are_products(tables, gains) ? gains : HsvGains{0, 0, 0};
  return tables;
}

void gather(const GatherSample& sample, const GatherLayerData* data, int64_t width, int64_t height,
            uint8_t* output) {
  const GatherKernels& kernels = gather_kernels();
  std::vector<uint8_t> second(sample.num_layers > 1 ? size_t(width * 3) : 0);
  for (int64_t y = 0; y < height; ++y, output += width * 3) {
    kernels.gather_row(sample.layers[0], data[0], width, height, y, kPaddingGrey, output);
    if (sample.num_layers > 1) {
      kernels.gather_row(sample.layers[1], data[1], width, height, y, kPaddingGrey, second.data());
      kernels.mix_rows(output, second.data(), width * 3, uint32_t(sample.second_weight));
    }
    if (sample.shifts_colours != 0) hsv_kernels().shift_hsv(output, width, sample.hsv);
  }
}

void warp_image(const Image& image, const WarpMap& map, int64_t out_width, int64_t out_height,
                uint8_t* output) {
  const bool projects = map.projects();
  const std::vector<int64_t> steps = projects ? projective_steps(map, out_width, out_height)
                                              : gather_steps(map, out_width, out_height);
  if (steps.empty() || image.rgb.empty()) {
    std::fill_n(output, out_width * out_height * 3, kPaddingGrey);
    return;
  }
  GatherSample whole{};
  whole.num_layers = 1;
  whole.layers[0].num_pieces = 1;
  whole.layers[0].is_projective = projects ? 1 : 0;
  whole.layers[0].pieces[0] = {image.rgb.data(),     int32_t(image.width),  0, 0,
                               int32_t(image.width), int32_t(image.height), 0, 0};
  const GatherLayerData data{steps.data(), nullptr};
  gather(whole, &data, out_width, out_height, output);
}

void shift_hsv(uint8_t* rgb, int64_t pixels, double hue_gain, double saturation_gain,
               double value_gain) {
  hsv_kernels().shift_hsv(rgb, pixels, hsv_tables(hue_gain, saturation_gain, value_gain));
}

}  // namespace ydistill
