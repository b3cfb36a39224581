// SPDX-License-Identifier: MIT
#include <ydistill/data/gather_cuda.h>
#include <ydistill/data/gather_math.h>
#include <ydistill/data/letterbox.h>
#include <ydistill/tensor/cuda/divider.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

constexpr int64_t kPixels = 4;  // of a thread: side by side they are three words of 32 bits

struct Gather {
  const uint8_t* packed;
  int64_t packed_bytes;
  uint8_t* images;
  int64_t size;
  Divider by_groups, by_size;

  __device__ Rgb pixel(const GatherSample& sample, const int64_t* steps, int64_t x,
                       int64_t y) const {
    const int64_t* of_row = steps + 2 * size;
    const Rgb rgb = gather_pixel(sample, steps[x] + of_row[y], steps[size + x] + of_row[size + y],
                                 kPaddingGrey);
    return sample.shifts_colours != 0 ? shift_pixel(rgb, sample.hsv) : rgb;
  }

  __device__ void operator()(int64_t i) const {
    const auto [line, group] = by_groups(i);
    const auto [n, y] = by_size(line);
    const uint8_t* plan = packed + n * packed_bytes;
    const auto& sample = *reinterpret_cast<const GatherSample*>(plan);
    const auto* steps = reinterpret_cast<const int64_t*>(plan + sizeof(GatherSample));
    const int64_t x = group * kPixels;
    uint8_t* to = images + (line * size + x) * 3;
    if (size % kPixels != 0) {  // rows begin anywhere
      for (int64_t j = 0; j < kPixels && x + j < size; ++j, to += 3) {
        const Rgb rgb = pixel(sample, steps, x + j, y);
        to[0] = rgb.r;
        to[1] = rgb.g;
        to[2] = rgb.b;
      }
      return;
    }
    uint32_t levels[kPixels];
    YD_UNROLL
    for (int j = 0; j < kPixels; ++j) {
      const Rgb rgb = pixel(sample, steps, x + j, y);
      levels[j] = uint32_t(rgb.r) | uint32_t(rgb.g) << 8 | uint32_t(rgb.b) << 16;
    }
    auto* words = reinterpret_cast<uint32_t*>(to);
    words[0] = levels[0] | levels[1] << 24;
    words[1] = levels[1] >> 8 | levels[2] << 16;
    words[2] = levels[2] >> 16 | levels[3] << 8;
  }
};

}  // namespace

void gather_samples(const Tensor& packed, const Tensor& images) {
  const int64_t size = images.size(1);
  const int64_t groups = (size + kPixels - 1) / kPixels;
  for_each(images.size(0) * size * groups,
           Gather{packed.device_data<uint8_t>(), packed.size(1), images.device_data<uint8_t>(),
                  size, Divider(groups), Divider(size)});
}

}  // namespace ydistill::cuda
