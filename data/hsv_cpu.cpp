// SPDX-License-Identifier: MIT
// The HSV shift of a row, in blocks with one plane per channel, so that the arithmetic runs over
// plain arrays. Levels, hues and all sums are whole numbers below 2^24: they are exact in float, so
// float is used for divisions, products and comparisons.
#include <ydistill/data/hsv_kernels.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kBlock = 256;

/// Truncates; x in [0, 2^31).
inline float whole(float x) {
#ifdef __SSE4_1__
  return __builtin_truncf(x);  // one instruction instead of two
#else
  return float(int32_t(x));
#endif
}

struct Planes {
  float first[kBlock], second[kBlock], third[kBlock];
};

/// Both loops below process eight pixels as two halves of 16 bytes, of which 12 are used: the next
/// two pixels must exist.
[[maybe_unused]] constexpr int64_t kStep = 8, kTouched = 10;

void split(const uint8_t* rgb, int64_t count, Planes& planes) {
  int64_t i = 0;
#ifdef __AVX2__
  const __m128i first = _mm_setr_epi8(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1);
  const __m256i red = _mm256_broadcastsi128_si256(first);
  const __m256i green = _mm256_add_epi8(red, _mm256_set1_epi32(1));
  const __m256i blue = _mm256_add_epi8(red, _mm256_set1_epi32(2));
  const auto channel = [](__m256i pixels, __m256i which, float* out) {
    _mm256_storeu_ps(out, _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, which)));
  };
  for (; i + kTouched <= count; i += kStep) {
    const auto half = [&](int64_t at) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rgb + 3 * at));
    };
    const __m256i pixels = _mm256_set_m128i(half(i + 4), half(i));
    channel(pixels, red, planes.first + i);
    channel(pixels, green, planes.second + i);
    channel(pixels, blue, planes.third + i);
  }
#endif
  for (; i < count; ++i) {
    planes.first[i] = rgb[3 * i];
    planes.second[i] = rgb[3 * i + 1];
    planes.third[i] = rgb[3 * i + 2];
  }
}

struct Levels {
  int32_t red[kBlock], green[kBlock], blue[kBlock];
};

void join(const Levels& levels, int64_t count, uint8_t* rgb) {
  int64_t i = 0;
#ifdef __AVX2__
  const __m256i drop_fourth = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
  const auto channel = [](const int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  };
  for (; i + kTouched <= count; i += kStep) {
    const __m256i green = _mm256_slli_epi32(channel(levels.green + i), 8);
    const __m256i blue = _mm256_slli_epi32(channel(levels.blue + i), 16);
    const __m256i pixels = _mm256_shuffle_epi8(
        _mm256_or_si256(_mm256_or_si256(channel(levels.red + i), green), blue), drop_fourth);
    const auto store = [&](int64_t at, __m128i half) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(rgb + 3 * at), half);
    };
    store(i, _mm256_castsi256_si128(pixels));
    store(i + 4, _mm256_extracti128_si256(pixels, 1));
  }
#endif
  for (; i < count; ++i) {
    rgb[3 * i] = uint8_t(levels.red[i]);
    rgb[3 * i + 1] = uint8_t(levels.green[i]);
    rgb[3 * i + 2] = uint8_t(levels.blue[i]);
  }
}

/// rgb_to_hsv of a block in place.
void to_hsv(Planes& planes, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float r = planes.first[i], g = planes.second[i], b = planes.third[i];
    const float max_rg = r > g ? r : g, min_rg = r < g ? r : g;
    const float v = max_rg > b ? max_rg : b;
    const float d = v - (min_rg < b ? min_rg : b);
    const float saturation_of = whole(255.0f * 4096.0f / (v > 1.0f ? v : 1.0f) + 0.5f);
    const float hue_of = whole(30.0f * 4096.0f / (d > 1.0f ? d : 1.0f) + 0.5f);
    const float sixth = v == r ? g - b : (v == g ? b - r + 2.0f * d : r - g + 4.0f * d);
    // Plus a full turn, so that nothing is negative.
    const float h = whole((sixth * hue_of + (2048.0f + 180.0f * 4096.0f)) * (1.0f / 4096.0f));
    planes.first[i] = h < 180.0f ? h : h - 180.0f;
    planes.second[i] = whole((d * saturation_of + 2048.0f) * (1.0f / 4096.0f));
    planes.third[i] = v;
  }
}

void multiply(Planes& planes, int64_t count, const HsvGains& gains) {
  for (int64_t i = 0; i < count; ++i) {
    const float h = whole(planes.first[i] * gains.hue);
    const float s = whole(planes.second[i] * gains.saturation);
    const float v = whole(planes.third[i] * gains.value);
    planes.first[i] = h < 180.0f ? h : h - 180.0f;
    planes.second[i] = s < 255.0f ? s : 255.0f;
    planes.third[i] = v < 255.0f ? v : 255.0f;
  }
}

void look_up(Planes& planes, int64_t count, const HsvTables& tables) {
  for (int64_t i = 0; i < count; ++i) {
    planes.first[i] = tables.hue[int32_t(planes.first[i])];
    planes.second[i] = tables.saturation[int32_t(planes.second[i])];
    planes.third[i] = tables.value[int32_t(planes.third[i])];
  }
}

/// hsv_channel of a block.
void to_rgb(const Planes& planes, int64_t count, Levels& levels) {
  for (int64_t i = 0; i < count; ++i) {
    const HsvLevels level(planes.first[i], planes.second[i], planes.third[i]);
    levels.red[i] = level.red();
    levels.green[i] = level.green();
    levels.blue[i] = level.blue();
  }
}

void shift_hsv(uint8_t* rgb, int64_t pixels, const HsvTables& tables) {
  Planes planes;
  Levels levels;
  for (int64_t begin = 0; begin < pixels; begin += kBlock) {
    const int64_t count = pixels - begin < kBlock ? pixels - begin : kBlock;
    split(rgb + 3 * begin, count, planes);
    to_hsv(planes, count);
    if (tables.gains.hue > 0.0f) {
      multiply(planes, count, tables.gains);
    } else {
      look_up(planes, count, tables);
    }
    to_rgb(planes, count, levels);
    join(levels, count, rgb + 3 * begin);
  }
}

}  // namespace

const HsvKernels& hsv_kernels() {
  static const HsvKernels kernels{shift_hsv};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
