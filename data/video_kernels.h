// SPDX-License-Identifier: MIT
// Inner loop of video_stream.cpp.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

/// How samples become grey levels of red, green and blue, in 1/65536 of a level.
struct ColourScales {
  int32_t black;                                ///< Y of black as a sample, 0 or 16
  int32_t luma;                                 ///< by a sample of Y
  int32_t red_cr, green_cb, green_cr, blue_cb;  ///< by a sample of Cb or Cr, from 128 on
};

struct VideoKernels {
  /// A row of pixels as interleaved RGB, to the nearest level. cb and cr hold one sample for
  /// `shared` pixels each, 1 or 2.
  void (*rgb_row)(const uint8_t* luma, const uint8_t* cb, const uint8_t* cr, int64_t shared,
                  int64_t pixels, const ColourScales& scales, uint8_t* rgb);
};
YD_DECLARE_CPU_KERNELS(VideoKernels, video_kernels);

}  // namespace ydistill
