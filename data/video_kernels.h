// SPDX-License-Identifier: MIT
// Inner loop of video_stream.cpp.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

/// Factors from samples to levels of red, green and blue, in 1/65536 level.
struct ColourScales {
  int32_t black;                                ///< the Y sample of black, 0 or 16
  int32_t luma;                                 ///< factor of Y - black
  int32_t red_cr, green_cb, green_cr, blue_cb;  ///< factors of Cb - 128 and Cr - 128
};

struct VideoKernels {
  /// A row of pixels as interleaved RGB, rounded to the nearest level. cb and cr hold one sample
  /// per `shared` pixels, 1 or 2.
  void (*rgb_row)(const uint8_t* luma, const uint8_t* cb, const uint8_t* cr, int64_t shared,
                  int64_t pixels, const ColourScales& scales, uint8_t* rgb);
};
YD_DECLARE_CPU_KERNELS(VideoKernels, video_kernels);

}  // namespace ydistill
