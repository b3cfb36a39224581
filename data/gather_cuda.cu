// SPDX-License-Identifier: MIT
#include <ydistill/data/gather_cuda.h>
#include <ydistill/data/gather_math.h>
#include <ydistill/data/letterbox.h>
#include <ydistill/tensor/cuda/divider.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

constexpr int64_t kPixels = 4;  // per thread: together three words of 32 bits

/// kPlain: one layer, affine, without a mask, as the default recipe has it; the other forms would
/// only cost registers there.
template <bool kPlain>
struct Gather {
  const uint8_t* packed;
  int64_t packed_bytes;
  uint8_t* images;
  int64_t width, height;
  Divider by_groups, by_height;

  __device__ Rgb pixel(const uint8_t* plan, const PackedPlan& header, int64_t x, int64_t y) const {
    const GatherSample& sample = header.sample;
    if constexpr (kPlain) {
      const int64_t* steps = packed_layer(plan, header, 0).steps;
      const int64_t* of_row = steps + 2 * width;
      const Rgb rgb = gather_pixel(
          sample.layers[0], taps_at(steps[x] + of_row[y], steps[width + x] + of_row[height + y]),
          kPaddingGrey);
      return sample.shifts_colours != 0 ? shift_pixel(rgb, sample.hsv) : rgb;
    }
    Rgb rgb = layer_pixel(sample.layers[0], packed_layer(plan, header, 0), width, height, x, y,
                          kPaddingGrey);
    if (sample.num_layers > 1) {
      const Rgb second = layer_pixel(sample.layers[1], packed_layer(plan, header, 1), width, height,
                                     x, y, kPaddingGrey);
      rgb = mix(rgb, second, uint32_t(sample.second_weight));
    }
    return sample.shifts_colours != 0 ? shift_pixel(rgb, sample.hsv) : rgb;
  }

  __device__ void operator()(int64_t i) const {
    const auto [line, group] = by_groups(i);
    const auto [n, y] = by_height(line);
    const uint8_t* plan = packed + n * packed_bytes;
    const auto& header = *reinterpret_cast<const PackedPlan*>(plan);
    const int64_t x = group * kPixels;
    uint8_t* to = images + (line * width + x) * 3;
    if (width % kPixels != 0) {  // rows are not aligned
      for (int64_t j = 0; j < kPixels && x + j < width; ++j, to += 3) {
        const Rgb rgb = pixel(plan, header, x + j, y);
        to[0] = rgb.r;
        to[1] = rgb.g;
        to[2] = rgb.b;
      }
      return;
    }
    uint32_t levels[kPixels];
    YD_UNROLL
    for (int j = 0; j < kPixels; ++j) {
      const Rgb rgb = pixel(plan, header, x + j, y);
      levels[j] = uint32_t(rgb.r) | uint32_t(rgb.g) << 8 | uint32_t(rgb.b) << 16;
    }
    auto* words = reinterpret_cast<uint32_t*>(to);
    words[0] = levels[0] | levels[1] << 24;
    words[1] = levels[1] >> 8 | levels[2] << 16;
    words[2] = levels[2] >> 16 | levels[3] << 8;
  }
};

template <bool kPlain>
void run(const Tensor& packed, const Tensor& images) {
  const int64_t height = images.size(1), width = images.size(2);
  const int64_t groups = (width + kPixels - 1) / kPixels;
  for_each(
      images.size(0) * height * groups,
      Gather<kPlain>{packed.device_data<uint8_t>(), packed.size(1), images.device_data<uint8_t>(),
                     width, height, Divider(groups), Divider(height)});
}

}  // namespace

void gather_samples(const Tensor& packed, const PlanRoom& room, const Tensor& images) {
  const bool is_plain = room.layers == 1 && !room.is_projective && !room.has_mask;
  (is_plain ? run<true> : run<false>)(packed, images);
}

}  // namespace ydistill::cuda
