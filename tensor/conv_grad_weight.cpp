// SPDX-License-Identifier: MIT
// How the work is divided, and the memory that it needs.
#include <ydistill/tensor/conv_grad_weight.h>

#include <algorithm>
#include <memory>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/conv_amx_kernels.h>
#include <ydistill/tensor/dry_run.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

using Task = ConvGradWeightTask;

// Sizes in numbers of 4 bytes, tuned on a Zen 3 (32 KiB of L1, 512 KiB of L2 cache); those for
// pairs on a Zen 5 (48 and 1024 KiB). A panel may be larger than the L1 cache, but what a thread
// packs for a chunk has to stay in the L2 cache.
int64_t panel_floats(bool has_pairs) {
  return (has_pairs ? 80 : 40) * 1024 / 4;
}
int64_t scratch_floats(bool has_pairs) {
  return (has_pairs ? 700 : 360) * 1024 / 4;
}
// Most outputs of a chunk: more would not make loading and storing the sums cheaper.
constexpr int64_t kChunkOutputs = 256;
// 1x1 convolutions with at most this many channels (input + output) are faster without packing.
constexpr int64_t kDirectChannels = 160, kDirectFloats = 24 * 1024 / 4;
// Limits for the sums of groups: floats, and number of groups.
constexpr int64_t kGroupFloats = 256 * 1024, kMaxGroups = 16;

constexpr int64_t kLineFloats = 64 / sizeof(float);

// A rough cost model, in cycles. Per output channel, in the product of a block of output channels
// by a block of inputs: one output; loading and storing the sums. Per row. Packing one pixel of a
// block (input, gradient).
constexpr double kCyclesOfProduct = 1, kCyclesOfSums = 7, kCyclesOfRow = 3;
constexpr double kCyclesOfInput = 4, kCyclesOfGrad = 3;

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// The next shorter length that cuts n into more, nearly equal parts; 0 after the last.
int64_t shorter(int64_t n, int64_t length) {
  return length <= 1 ? 0 : divide_up(n, divide_up(n, length - 1));
}

struct Chunk {
  int64_t pictures, rows, cols;
  int64_t outputs(const Task& t) const { return pictures * rows * t.steps_of(cols); }
  /// Pixels (or pairs of pixels) of the input that these outputs read.
  int64_t pixels(const Task& t) const {
    const int64_t step = t.is_folded ? 1 : t.stride;
    const int64_t in_row = t.has_pairs ? t.taps * t.steps_of(cols) : (cols - 1) * step + t.taps;
    return pictures * ((rows - 1) * step + t.taps) * in_row;
  }
};

/// Estimated cycles of a tile of `ins` by `outs` blocks, for one chunk.
double cycles_of(const Task& t, const Chunk& c, int64_t ins, int64_t outs) {
  const double once =
      double(t.out_block) * (double(c.outputs(t)) * kCyclesOfProduct + kCyclesOfSums) +
      double(c.pictures * c.rows) * kCyclesOfRow;
  return double(ins * outs * t.taps * t.taps) * once + double(ins * c.pixels(t)) * kCyclesOfInput +
         double(outs * c.outputs(t)) * kCyclesOfGrad;
}

Chunk best_chunk(const Task& t, int64_t in_block) {
  Chunk best{1, 1, 1};
  double least = 0;
  const auto consider = [&](const Chunk& c) {
    const int64_t floats =
        t.is_direct ? c.outputs(t) * (t.in_channels + t.out_channels) : c.pixels(t) * in_block;
    if (floats > (t.is_direct ? kDirectFloats : panel_floats(t.has_pairs))) return;
    if (c.outputs(t) > kChunkOutputs) return;
    const double cycles = cycles_of(t, c, 1, t.out_blocks) *
                          double(divide_up(t.pictures_per_group, c.pictures) *
                                 divide_up(t.out_height, c.rows) * divide_up(t.out_width, c.cols));
    if (least == 0 || cycles < least) {
      least = cycles;
      best = c;
    }
  };
  for (int64_t rows = t.out_height; rows > 0; rows = shorter(t.out_height, rows)) {
    for (int64_t cols = t.out_width; cols > 0; cols = shorter(t.out_width, cols)) {
      consider({1, rows, cols});
    }
  }
  for (int64_t n = t.pictures_per_group; n > 1; n = shorter(t.pictures_per_group, n)) {
    consider({n, t.out_height, t.out_width});
  }
  return best;
}

/// Chooses the tiles with which this many threads finish soonest.
void choose_tiles(Task& t, const Chunk& c, int threads) {
  const auto floats = [&](int64_t ins, int64_t outs) {
    if (t.is_direct) return int64_t(0);
    return (t.is_folded ? c.outputs(t) * t.pixel_pitch : ins * t.in_panel) + outs * t.out_panel;
  };
  double least = 0;
  for (int64_t ins = t.in_blocks; ins > 0; ins = t.is_folded ? 0 : shorter(t.in_blocks, ins)) {
    for (int64_t outs = t.out_blocks; outs > 0; outs = shorter(t.out_blocks, outs)) {
      const bool is_smallest = outs == 1 && (ins == 1 || t.is_folded);
      if (floats(ins, outs) > scratch_floats(t.has_pairs) && !is_smallest) continue;
      const int64_t units = t.groups * divide_up(t.in_blocks, ins) * divide_up(t.out_blocks, outs);
      const double cycles = cycles_of(t, c, ins, outs) * double(divide_up(units, threads));
      if (least != 0 && cycles >= least) continue;
      least = cycles;
      t.in_tile = ins;
      t.out_tile = outs;
    }
  }
  t.out_panels_at = floats(t.in_tile, 0);
  t.scratch = floats(t.in_tile, t.out_tile);
}

/// Whether to treat all numbers of a window as channels. This is worth it if it saves more unused
/// channels of a block than packing each number kernel^2 times costs.
bool is_worth_folding(const Task& t, int64_t in_block) {
  constexpr int64_t kMostChannels = 256;
  const int64_t window = t.kernel * t.kernel * t.in_channels;
  if (t.kernel == 1 || window > kMostChannels) return false;
  const int64_t apart = t.kernel * t.kernel * divide_up(t.in_channels, in_block);
  return divide_up(window, in_block) * (t.out_channels + t.out_block) < apart * t.out_channels;
}

int64_t most_groups(const Task& t) {
  return std::min(t.batch, std::clamp<int64_t>(kGroupFloats / t.num_weights(), 1, kMaxGroups));
}

std::shared_ptr<Storage> allocate_floats(int64_t n) {
  return allocate_storage(n * int64_t(sizeof(float)));
}

}  // namespace

ConvGradWeightTask plan_conv_grad_weight(const Conv2dGeometry& g, int64_t in_block, int threads,
                                         DType dtype, bool has_pairs) {
  Task t{};
  t.dtype = dtype;
  t.has_pairs = has_pairs;
  t.out_block = has_pairs ? Task::kOutBlockOfPairs : Task::kOutBlock;
  t.batch = g.batch;
  t.in_height = g.in_height;
  t.in_width = g.in_width;
  t.in_channels = g.in_channels;
  t.out_height = g.out_height();
  t.out_width = g.out_width();
  t.out_channels = g.out_channels;
  t.kernel = g.kernel;
  t.stride = g.options.stride;
  t.padding = g.options.padding;
  if (t.kernel == 1 && t.stride == 1 && t.padding == 0) {  // a picture is one long row
    t.in_width = t.out_width = t.in_height * t.in_width;
    t.in_height = t.out_height = 1;
    t.is_direct = dtype == DType::kFloat32 && t.in_channels % in_block == 0 &&
                  t.in_channels + t.out_channels <= kDirectChannels;
  }
  t.is_folded = !has_pairs && is_worth_folding(t, in_block);
  t.taps = t.is_folded ? 1 : t.kernel;
  t.channels = t.is_folded ? t.kernel * t.kernel * t.in_channels : t.in_channels;
  t.in_blocks = divide_up(t.channels, in_block);
  t.out_blocks = divide_up(t.out_channels, t.out_block);
  t.least_outs = t.out_channels / t.out_blocks;
  t.blocks_with_more = t.out_channels % t.out_blocks;

  t.pictures_per_group = divide_up(t.batch, most_groups(t));
  t.groups = divide_up(t.batch, t.pictures_per_group);

  const Chunk chunk = best_chunk(t, in_block);
  t.chunk_pictures = chunk.pictures;
  t.chunk_rows = chunk.rows;
  t.chunk_cols = chunk.cols;
  // An odd number of blocks or cache lines from one to the next, so that data used together is not
  // mapped to the same few sets of a cache.
  t.out_pitch = t.is_direct   ? t.out_channels
                : t.has_pairs ? Task::kOutPitchOfPairs
                              : Task::kOutPitch;
  t.pixel_pitch = t.is_direct   ? t.in_channels
                  : t.is_folded ? (t.in_blocks | 1) * in_block
                                : in_block;
  t.in_panel = t.is_folded || t.is_direct ? in_block : (chunk.pixels(t) | 1) * in_block;
  t.out_panel = (divide_up(chunk.outputs(t) * t.out_pitch, kLineFloats) | 1) * kLineFloats;
  choose_tiles(t, chunk, threads);
  return t;
}

namespace {

/// What run_job() needs to know of either kind of task.
struct Job {
  int64_t groups, most_groups, num_units, scratch_step;
  int64_t num_weights, out_channels;
};

/// Calls run_units(first, last, scratch of the thread, weights, biases, group_step) on all threads.
template <class RunUnits>
void run_job(const Job& job, const Tensor& grad_weight, const Tensor& grad_bias,
             const RunUnits& run_units) {
  const int64_t per_thread = divide_up(job.num_units, num_threads());
  // Each group has its weights, followed by its biases.
  const int64_t group_step = job.num_weights + job.out_channels;
  const bool has_groups = job.groups > 1;
  // A larger batch may have fewer groups and smaller tiles. The memory requested here never
  // shrinks as the batch grows, which the search for a batch that fits relies on.
  const auto scratch = allocate_floats(num_threads() * job.scratch_step);
  const auto sums = has_groups ? allocate_floats(job.most_groups * group_step) : nullptr;
  if (DryRun::is_on()) return;

  const auto floats = [](const auto& storage) { return reinterpret_cast<float*>(storage->data()); };
  float* const weight = grad_weight.data<float>();
  float* const bias = grad_bias.defined() ? grad_bias.data<float>() : nullptr;
  float* const weight_sums = has_groups ? floats(sums) : weight;
  float* const bias_sums = !bias ? nullptr : has_groups ? floats(sums) + job.num_weights : bias;
  float* const work = floats(scratch);
  parallel_ranges(job.num_units, per_thread, [&](int64_t first, int64_t last) {
    run_units(first, last, work + first / per_thread * job.scratch_step, weight_sums, bias_sums,
              group_step);
  });
  if (!has_groups) return;
  const auto add_groups = conv_grad_weight_kernels().add_groups;
  parallel_ranges(job.num_weights, 4096, [&](int64_t first, int64_t last) {
    add_groups(weight_sums + first, job.groups, group_step, last - first, weight + first);
  });
  if (bias) add_groups(bias_sums, job.groups, group_step, job.out_channels, bias);
}

void backward_weight_by_amx(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                            const Tensor& grad_weight, const Tensor& grad_bias) {
  const bool has_tiles = cpu_amx() == Amx::kTiles;
  const AmxGradKernels& kernels = has_tiles ? amx_grad_kernels() : cpu_base::amx_grad_kernels();
  const AmxGradTask task = kernels.plan({.batch = g.batch,
                                         .in_height = g.in_height,
                                         .in_width = g.in_width,
                                         .in_channels = g.in_channels,
                                         .out_height = g.out_height(),
                                         .out_width = g.out_width(),
                                         .out_channels = g.out_channels,
                                         .kernel = g.kernel,
                                         .stride = g.options.stride,
                                         .padding = g.options.padding},
                                        num_threads());
  const auto *from = x.data<BFloat16>(), *grads = grad_y.data<BFloat16>();
  run_job({.groups = task.groups,
           .most_groups = task.groups,
           .num_units = task.num_units(),
           .scratch_step = task.scratch,
           .num_weights = g.weight_shape().numel(),
           .out_channels = g.out_channels},
          grad_weight, grad_bias,
          [&](int64_t first, int64_t last, float* scratch, float* weight, float* bias,
              int64_t group_step) {
            kernels.run_units(task, from, grads, first, last, scratch, weight, bias, group_step);
          });
}

}  // namespace

void conv2d_backward_weight_direct(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                                   const Tensor& grad_weight, const Tensor& grad_bias) {
  if (x.dtype() == DType::kBFloat16 && cpu_amx() != Amx::kNone) {
    return backward_weight_by_amx(g, grad_y, x, grad_weight, grad_bias);
  }
  const ConvGradWeightKernels& kernels = conv_grad_weight_kernels();
  const bool has_pairs = x.dtype() == DType::kBFloat16 && g.in_channels % 16 == 0 &&
                         kernels.knows_pairs && cpu_has_fast_bf16_pairs();
  const Task task = plan_conv_grad_weight(g, kernels.in_block, num_threads(), x.dtype(), has_pairs);
  const void *from = x.raw(), *grads = grad_y.raw();
  run_job({.groups = task.groups,
           .most_groups = most_groups(task),
           .num_units = task.num_units(),
           .scratch_step = task.is_direct ? 1 : std::max(task.scratch, scratch_floats(has_pairs)),
           .num_weights = task.num_weights(),
           .out_channels = g.out_channels},
          grad_weight, grad_bias,
          [&](int64_t first, int64_t last, float* scratch, float* weight, float* bias,
              int64_t group_step) {
            kernels.run_units(task, from, grads, first, last, scratch, weight, bias, group_step);
          });
}

}  // namespace ydistill
