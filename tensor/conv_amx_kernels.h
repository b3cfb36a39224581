// SPDX-License-Identifier: MIT
// The products of conv_direct_kernels.h and conv_grad_weight.h by AMX, for bfloat16 on a CPU with
// AMX (cpu_amx()): sums are float32. Bytes are multiplied forward in the same way, with sums of 32
// bits (conv_int8_kernels.h).
//
// A multiplication of tiles takes rows that lie a fixed number of bytes apart. So that the windows
// of neighbouring outputs do, a chunk of the picture is copied with its border of zeros (of bytes:
// the zero point), the rows of a stride's phase one after another, and outputs are counted through
// the ends of rows: those that lie in the border are multiplied for nothing. A row of a window is
// summed up in as few equal steps as there may be, of at most 64 bytes and a multiple of 4. Where a
// 1x1's steps are just a pixel, the picture is read where it lies. A product is 32 outputs by 32
// channels, two tiles by two, whose sums are finished (bias, SiLU, residual, rounding) while they
// lie in the L1 cache. Where steps are more than a row, what lies behind it is multiplied by zeros:
// beside an infinite bfloat16 there may then be NaN.
#pragma once

#include <cstdint>

#include <ydistill/tensor/conv_direct_kernels.h>
#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/host_device.h>

namespace ydistill {

struct AmxConvKernels {
  /// Floats that pack() writes.
  int64_t (*packed_size)(const DirectConv& conv);
  /// weights -> bfloat16 [panels of 32 channels][kernel_height][steps][2][pairs of a step's inputs]
  /// [16 channels][2]; zeros fill up panels and rows.
  void (*pack)(const DirectConv& conv, const WeightView& weights, float* to);
  /// Floats of scratch memory that run() needs with that many threads.
  int64_t (*scratch_size)(const DirectConv& conv, int64_t threads);
  /// For an x of bfloat16; at the level avx512 on a CPU with AMX only, else emulated.
  void (*run)(const DirectConv& conv, int64_t threads, float* scratch);
};
YD_DECLARE_CPU_KERNELS(AmxConvKernels, amx_conv_kernels);

/// Outputs that are counted for a row of out_width, `stride` pixels of a row with its border apart:
/// what a window in one row reaches beyond its end is the border of zeros in front of the next.
YD_HOST_DEVICE int64_t counted_width(int64_t in_width, int64_t out_width, int64_t kernel,
                                     int64_t stride, int64_t left) {
  const int64_t right = (out_width - 1) * stride + kernel - left - in_width;
  const int64_t between = right > left ? right : left > 0 ? left : 0;
  const int64_t width = (in_width + between + stride - 1) / stride;
  return width > out_width ? width : out_width;
}

/// The gradient of weights: for a tap (p, q) the product [O, outputs] x [outputs, C] of 32 outputs
/// a step. Of a chunk of rows, or of whole small pictures, grad_y is packed with its outputs side
/// by side, zeros in the border, and x in pairs of neighbouring pixels, once for taps that begin at
/// even places and once for odd ones; a stride's phases lie apart.
struct AmxGradTask {
  int64_t batch, in_height, in_width, in_channels;
  int64_t out_height, out_width, out_channels;
  int64_t kernel, stride, padding;
  // What plan() decides:
  int64_t in_pixels = 0, out_pixels = 0;  // of a picture; its last row may be shorter
  int64_t chunk_pictures = 0, chunk_rows = 0, chunks = 0;
  int64_t groups = 0;                 // of chunks, summed on their own, then added
  int64_t width = 0;                  // outputs counted for a row
  int64_t steps = 0;                  // of a picture of a chunk
  int64_t copies = 0;                 // of x: phases of rows and columns, even and odd
  int64_t pairs = 0;                  // of a picture's copy
  int64_t in_tile = 0, out_tile = 0;  // channels that are packed at a time, multiples of 32
  int64_t scratch = 0;                // floats of one thread

  YD_HOST_DEVICE int64_t num_in_tiles() const { return (in_channels + in_tile - 1) / in_tile; }
  YD_HOST_DEVICE int64_t num_out_tiles() const { return (out_channels + out_tile - 1) / out_tile; }
  /// Pieces of work that do not depend on each other.
  YD_HOST_DEVICE int64_t num_units() const { return groups * num_in_tiles() * num_out_tiles(); }
};

struct AmxGradKernels {
  /// Sizes from `sizes`, the rest of the task. The sums do not depend on the threads.
  AmxGradTask (*plan)(const AmxGradTask& sizes, int64_t threads);
  /// As ConvGradWeightKernels::run_units, for bfloat16; emulated as above.
  void (*run_units)(const AmxGradTask& task, const BFloat16* x, const BFloat16* grad_y,
                    int64_t first, int64_t last, float* scratch, float* grad_weight,
                    float* grad_bias, int64_t group_step);
};
YD_DECLARE_CPU_KERNELS(AmxGradKernels, amx_grad_kernels);

}  // namespace ydistill
