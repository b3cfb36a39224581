// SPDX-License-Identifier: MIT
#include <ydistill/data/video_kernels.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kBlock = 64;  // pixels whose planes stay in the first cache

struct Planes {
  alignas(64) uint8_t red[kBlock], green[kBlock], blue[kBlock];
};

uint8_t to_level(int32_t value) {
  const int32_t level = value >> 16;
  return uint8_t(level < 0 ? 0 : level > 255 ? 255 : level);
}

/// n: up to kBlock. cb, cr: one per pixel.
void rgb_planes(const uint8_t* luma, const uint8_t* cb, const uint8_t* cr, int64_t n,
                const ColourScales& s, Planes& planes) {
  for (int64_t i = 0; i < n; ++i) {
    const int32_t half = 1 << 15, light = (luma[i] - s.black) * s.luma + half;
    const int32_t u = cb[i] - 128, v = cr[i] - 128;
    planes.red[i] = to_level(light + s.red_cr * v);
    planes.green[i] = to_level(light + s.green_cb * u + s.green_cr * v);
    planes.blue[i] = to_level(light + s.blue_cb * u);
  }
}

/// [n] three times into [n,3].
void interleave(const Planes& planes, int64_t n, uint8_t* rgb) {
  int64_t i = 0;
#ifdef __AVX2__
  // 16 pixels are 48 bytes: each third gets its bytes from every plane by one shuffle.
  const auto load = [](const uint8_t* from) {
    return _mm_load_si128(reinterpret_cast<const __m128i*>(from));
  };
  const auto third = [&](__m128i r, __m128i g, __m128i b, __m128i of_r, __m128i of_g,
                         __m128i of_b) {
    return _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(r, of_r), _mm_shuffle_epi8(g, of_g)),
                        _mm_shuffle_epi8(b, of_b));
  };
  constexpr char o = -1;
  for (; i + 16 <= n; i += 16) {
    const __m128i r = load(planes.red + i), g = load(planes.green + i), b = load(planes.blue + i);
    __m128i* const to = reinterpret_cast<__m128i*>(rgb + 3 * i);
    _mm_storeu_si128(to,
                     third(r, g, b, _mm_setr_epi8(0, o, o, 1, o, o, 2, o, o, 3, o, o, 4, o, o, 5),
                           _mm_setr_epi8(o, 0, o, o, 1, o, o, 2, o, o, 3, o, o, 4, o, o),
                           _mm_setr_epi8(o, o, 0, o, o, 1, o, o, 2, o, o, 3, o, o, 4, o)));
    _mm_storeu_si128(to + 1,
                     third(r, g, b, _mm_setr_epi8(o, o, 6, o, o, 7, o, o, 8, o, o, 9, o, o, 10, o),
                           _mm_setr_epi8(5, o, o, 6, o, o, 7, o, o, 8, o, o, 9, o, o, 10),
                           _mm_setr_epi8(o, 5, o, o, 6, o, o, 7, o, o, 8, o, o, 9, o, o)));
    _mm_storeu_si128(
        to + 2, third(r, g, b, _mm_setr_epi8(o, 11, o, o, 12, o, o, 13, o, o, 14, o, o, 15, o, o),
                      _mm_setr_epi8(o, o, 11, o, o, 12, o, o, 13, o, o, 14, o, o, 15, o),
                      _mm_setr_epi8(10, o, o, 11, o, o, 12, o, o, 13, o, o, 14, o, o, 15)));
  }
#endif
  for (; i < n; ++i) {
    rgb[3 * i] = planes.red[i];
    rgb[3 * i + 1] = planes.green[i];
    rgb[3 * i + 2] = planes.blue[i];
  }
}

void rgb_row(const uint8_t* luma, const uint8_t* cb, const uint8_t* cr, int64_t shared,
             int64_t pixels, const ColourScales& scales, uint8_t* rgb) {
  Planes planes;
  alignas(64) uint8_t twice[2][kBlock];
  for (int64_t x = 0; x < pixels; x += kBlock) {
    const int64_t n = pixels - x < kBlock ? pixels - x : kBlock;
    if (shared == 1) {
      rgb_planes(luma + x, cb + x, cr + x, n, scales, planes);
    } else {
      for (int64_t i = 0; i < (n + 1) / 2; ++i) {
        twice[0][2 * i] = twice[0][2 * i + 1] = cb[x / 2 + i];
        twice[1][2 * i] = twice[1][2 * i + 1] = cr[x / 2 + i];
      }
      rgb_planes(luma + x, twice[0], twice[1], n, scales, planes);
    }
    interleave(planes, n, rgb + 3 * x);
  }
}

}  // namespace

const VideoKernels& video_kernels() {
  static constexpr VideoKernels kKernels{rgb_row};
  return kKernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
