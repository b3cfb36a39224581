// SPDX-License-Identifier: MIT
// Conversion of convolution weights between our float32 [O,K,K,C] and the layouts of oneDNN's
// AVX-512 kernels. It runs in every training step, in passes that move whole rows.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/dtype.h>

namespace ydistill {

/// taps = K K. Sizes are multiples of the blocks named.
struct WeightLayoutKernels {
  /// To bfloat16 [O/block][taps][C/2][block][2 of C]; block 32 or 64, C a multiple of 16.
  void (*pack_pairs_of_inputs)(const float* weights, int64_t out_channels, int64_t taps,
                               int64_t in_channels, int64_t block, BFloat16* to);
  /// To bfloat16 blocks of 16 x 16, [taps][8][16 of C][2 of O] each; blocks in the order
  /// [O/16][C/16] or, where `inputs_first`, [C/16][O/16].
  void (*pack_pairs_of_outputs)(const float* weights, int64_t out_channels, int64_t taps,
                                int64_t in_channels, bool inputs_first, BFloat16* to);
  /// Adds float32 [O/16][C/16][taps][16 of C][16 of O] to [O,K,K,C].
  void (*add_unpacked)(const float* blocks, int64_t out_channels, int64_t taps, int64_t in_channels,
                       float* to);
};
YD_DECLARE_CPU_KERNELS(WeightLayoutKernels, weight_layout_kernels);

}  // namespace ydistill
