// SPDX-License-Identifier: MIT
// One thread for 16 bytes of channels of one pixel. The backward pass gathers: each pixel reads the
// windows that contain it and takes the gradients of those in which it is the maximum. So nothing
// is added atomically and the order of a sum is fixed.
#include <ydistill/layers/pyramid_pool.h>
#include <ydistill/tensor/cuda/divider.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

/// Sizes of the map; packs: per pixel of a slice; pitch: numbers per pixel of the whole tensor;
/// radius: of the window.
struct Map {
  int64_t height, width, packs, pitch;
  int radius;
  Divider by_packs, by_width, by_height;
  Map(int64_t h, int64_t w, int64_t n, int64_t p, int64_t r)
      : height(h),
        width(w),
        packs(n),
        pitch(p),
        radius(int(r)),
        by_packs(n),
        by_width(w),
        by_height(h) {}
};

/// Where pack `i` of a slice is located, and its neighbours.
struct Place {
  int64_t height, width, pack, column, row, picture;
  __device__ Place(int64_t i, const Map& map) : height(map.height), width(map.width) {
    const auto pixel = map.by_packs(i);
    const auto line = map.by_width(pixel.quotient);
    const auto image = map.by_height(line.quotient);
    pack = pixel.remainder;
    column = line.remainder;
    row = image.remainder;
    picture = image.quotient;
  }
  __device__ bool has(int dy, int dx) const {
    return row + dy >= 0 && row + dy < height && column + dx >= 0 && column + dx < width;
  }
  __device__ int64_t pixel(int dy, int dx) const {
    return (picture * height + row + dy) * width + column + dx;
  }
};

template <class T, int N>
struct Pool {
  const T* in;
  T* out;
  uint8_t* argmax;  // or null
  Map map;
  __device__ void operator()(int64_t i) const {
    const Place at(i, map);
    const int64_t pitch = map.pitch, packs = map.packs;
    const int radius = map.radius, window = 2 * radius + 1;
    float best[N] = {};
    Pack<uint8_t, N> winner = {};
    bool first = true;
    for (int dy = -radius; dy <= radius; ++dy) {
      for (int dx = -radius; dx <= radius; ++dx) {
        if (!at.has(dy, dx)) continue;
        const auto v = load<T, N>(in + at.pixel(dy, dx) * pitch + at.pack * N);
        const auto code = uint8_t((dy + radius) * window + dx + radius);
        for (int k = 0; k < N; ++k) {
          const float value = float(v.v[k]);
          // A NaN always wins and stays, so that it is not hidden.
          if (first || value > best[k] || value != value) {
            best[k] = value;
            winner.v[k] = code;
          }
        }
        first = false;
      }
    }
    Pack<T, N> result;
    for (int k = 0; k < N; ++k) result.v[k] = T(best[k]);
    const int64_t pixel = at.pixel(0, 0);
    store(out + pixel * pitch + at.pack * N, result);
    if (argmax != nullptr) store(argmax + (pixel * packs + at.pack) * N, winner);
  }
};

template <class T, int N>
struct Unpool {
  const T* grad_out;
  const uint8_t* argmax;
  T* grad_in;  // added to
  Map map;
  __device__ void operator()(int64_t i) const {
    const Place at(i, map);
    const int64_t pitch = map.pitch, packs = map.packs;
    const int radius = map.radius, window = 2 * radius + 1;
    T* const to = grad_in + at.pixel(0, 0) * pitch + at.pack * N;
    const auto before = load<T, N>(to);
    float sum[N];
    for (int k = 0; k < N; ++k) sum[k] = float(before.v[k]);
    for (int dy = -radius; dy <= radius; ++dy) {
      for (int dx = -radius; dx <= radius; ++dx) {
        if (!at.has(dy, dx)) continue;
        // The window centred at offset (dy, dx) has this pixel at (-dy, -dx).
        const auto code = uint8_t((radius - dy) * window + radius - dx);
        const int64_t pixel = at.pixel(dy, dx);
        const auto winner = load<uint8_t, N>(argmax + (pixel * packs + at.pack) * N);
        const auto grad = load<T, N>(grad_out + pixel * pitch + at.pack * N);
        for (int k = 0; k < N; ++k) {
          if (winner.v[k] == code) sum[k] += float(grad.v[k]);
        }
      }
    }
    Pack<T, N> result;
    for (int k = 0; k < N; ++k) result.v[k] = T(sum[k]);
    store(to, result);
  }
};

}  // namespace

void pool_slice(const Tensor& slices, int level, int64_t radius, const Tensor& argmax) {
  const int64_t pitch = slices.size(3), channels = pitch / 4;
  dispatch_rows(slices.dtype(), channels, "pyramid_pool", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    T* const from = slices.device_data<T>() + level * channels;
    uint8_t* const winners = argmax.defined() ? argmax.device_data<uint8_t>() : nullptr;
    for_each(slices.numel() / 4 / N,
             Pool<T, N>{from, from + channels, winners,
                        Map(slices.size(1), slices.size(2), channels / N, pitch, radius)});
  });
}

void unpool_slice(const Tensor& grads, int level, int64_t radius, const Tensor& argmax) {
  const int64_t pitch = grads.size(3), channels = pitch / 4;
  dispatch_rows(grads.dtype(), channels, "pyramid_pool", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    T* const to = grads.device_data<T>() + level * channels;
    for_each(grads.numel() / 4 / N,
             Unpool<T, N>{to + channels, argmax.device_data<uint8_t>(), to,
                          Map(grads.size(1), grads.size(2), channels / N, pitch, radius)});
  });
}

}  // namespace ydistill::cuda
