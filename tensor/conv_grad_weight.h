// SPDX-License-Identifier: MIT
// The gradient of a convolution's weights by our own kernels on the CPU, added up in
// float32.
//
//   grad_weight[o,p,q,c] += sum over n,i,j of grad_y[n,i,j,o] x[n, i s + p - pad, j s + q - pad, c]
//
// For each tap (p,q) this is a product of two matrices, [O, outputs] x [outputs, C], whose inner
// index runs over the outputs n,i,j, in chunks. For each chunk, a tile of input channels and a tile
// of output channels are packed into panels, the input with its border of zeros so that no tap
// needs a bounds check; then a product of up to 6 output channels by one block of input channels
// keeps its sums in registers over the whole chunk, for each tap over the same panels. Between
// products the next chunk is prefetched, a few lines at a time.
// With few input channels most of a block would be empty: the window of an output, K K C numbers,
// is then packed as if it were the channels of a 1x1 convolution ("folded"). A 1x1 convolution with
// few channels does too little work per number to be worth packing ("direct"). On a CPU that
// multiplies bfloat16 fast, two neighbouring outputs form one element of a panel ("pairs"), because
// its instruction adds two products. Each tap of a row then has its own pixels in the panel.
//
// Each number of grad_weight is summed over the chunks in order, independently of the threads,
// which divide the tiles. With few weights, groups of pictures are summed separately and then
// added, so that there is work for many threads; the number of groups depends only on the sizes.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/dtype.h>

namespace ydistill {

struct Conv2dGeometry;
class Tensor;

/// One call's sizes, as the kernels want them: a block is `in_block` input channels or up to
/// `out_block` output channels; lengths of panels are in numbers, floats or pairs of bfloat16.
struct ConvGradWeightTask {
  static constexpr int64_t kOutBlock = 6, kOutBlockOfPairs = 12;
  /// Numbers an output channel block takes in a panel for each output pixel or pair of them.
  static constexpr int64_t kOutPitch = 8, kOutPitchOfPairs = 16;

  int64_t batch, in_height, in_width, in_channels;
  int64_t out_height, out_width, out_channels;
  int64_t kernel, stride, padding;
  DType dtype;  ///< of x and grad_y: float32, or bfloat16, which packing widens
  bool is_folded;
  bool is_direct;    ///< nothing is packed
  bool has_pairs;    ///< of outputs along a row, the last one maybe with nothing
  int64_t taps;      ///< along one side: kernel, or 1 where folded
  int64_t channels;  ///< of a tap: in_channels, or kernel kernel in_channels where folded
  int64_t in_blocks, out_blocks, out_block;
  int64_t least_outs, blocks_with_more;  ///< output channels of a block; the first have one more
  int64_t groups, pictures_per_group;
  int64_t chunk_pictures, chunk_rows, chunk_cols;  ///< of the output
  int64_t in_tile, out_tile;                       ///< in blocks
  int64_t pixel_pitch;                             ///< from pixel to pixel of a panel of x
  int64_t out_pitch;                               ///< the same of grad_y
  int64_t in_panel, out_panel;                     ///< from block to block
  int64_t out_panels_at;                           ///< where they begin in a thread's scratch
  int64_t scratch;                                 ///< of one thread

  /// Numbers that so many outputs of a row are.
  int64_t steps_of(int64_t cols) const { return has_pairs ? (cols + 1) / 2 : cols; }
  int64_t num_in_tiles() const { return (in_blocks + in_tile - 1) / in_tile; }
  int64_t num_out_tiles() const { return (out_blocks + out_tile - 1) / out_tile; }
  /// Pieces of work that do not depend on each other.
  int64_t num_units() const { return groups * num_in_tiles() * num_out_tiles(); }
  int64_t num_weights() const { return out_channels * kernel * kernel * in_channels; }
};

/// What to do for g on so many threads. in_block: of the kernels that will do it. has_pairs: only
/// for bfloat16 and multiples of 16 input channels.
ConvGradWeightTask plan_conv_grad_weight(const Conv2dGeometry& g, int64_t in_block, int threads,
                                         DType dtype = DType::kFloat32, bool has_pairs = false);

struct ConvGradWeightKernels {
  int64_t in_block;
  bool knows_pairs;  ///< on a CPU for which cpu_has_fast_bf16_pairs()
  /// Does units [first, last) on this thread. x [N,H,W,C], grad_y [N,OH,OW,O]; grad_weight and
  /// grad_bias (or null): added to where there is one group, else written, one after another with
  /// `group_step` floats between them.
  void (*run_units)(const ConvGradWeightTask& task, const void* x, const void* grad_y,
                    int64_t first, int64_t last, float* scratch, float* grad_weight,
                    float* grad_bias, int64_t group_step);
  /// to[i] += the sum over the groups of from[group group_step + i]
  void (*add_groups)(const float* from, int64_t groups, int64_t group_step, int64_t n, float* to);
};
YD_DECLARE_CPU_KERNELS(ConvGradWeightKernels, conv_grad_weight_kernels);

/// Adds to grad_weight [O,K,K,C] and, where defined, to grad_bias [O]. x and grad_y are both
/// float32 or both bfloat16, on the CPU, of the shapes g says.
void conv2d_backward_weight_direct(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                                   const Tensor& grad_weight, const Tensor& grad_bias);

}  // namespace ydistill
