// SPDX-License-Identifier: MIT
#include <ydistill/tensor/conv_native.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/conv_amx_kernels.h>
#include <ydistill/tensor/conv_direct_kernels.h>
#include <ydistill/tensor/conv_grad_weight.h>
#include <ydistill/tensor/conv_winograd_kernels.h>
#include <ydistill/tensor/dry_run.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill::native {
namespace {

#ifdef YD_HAVE_ONEDNN
constexpr bool kIsAlone = false;
#else
constexpr bool kIsAlone = true;
#endif

enum class Wish { kFastest, kOwn, kOneDnn };

/// YDISTILL_CONVOLUTIONS: whose kernels to use, for comparisons.
Wish wish() {
  static const Wish wish = [] {
    const char* const name = std::getenv("YDISTILL_CONVOLUTIONS");
    if (name == nullptr || *name == '\0') return Wish::kFastest;
    if (name == std::string_view("own")) return Wish::kOwn;
    if (name == std::string_view("onednn") && !kIsAlone) return Wish::kOneDnn;
    throw ValueError("YDISTILL_CONVOLUTIONS is \"{}\"; this build knows {}", name,
                     kIsAlone ? "own" : "own and onednn");
  }();
  return wish;
}

bool is_for_winograd(const Conv2dGeometry& g) {
  return g.kernel == 3 && g.options.padding == 1 && g.options.stride <= 2 &&
         g.in_channels % 16 == 0 && g.out_channels % 16 == 0;
}

/// Transformed weights are several times as many numbers. If they are made anew for every call,
/// this pays only where many tiles, of 5 x 5 outputs, share them.
bool has_tiles(const Conv2dGeometry& g, int64_t least) {
  constexpr int64_t kSide = 5;
  const int64_t down = (g.out_height() + kSide - 1) / kSide;
  const int64_t across = (g.out_width() + kSide - 1) / kSide;
  return g.batch * down * across >= least;
}
constexpr int64_t kTilesForStride2 = 40;

/// Weights of one tap.
int64_t weights_of_tap(const Conv2dGeometry& g) {
  return g.in_channels * g.out_channels;
}
/// Whether the transformed weights, 36 numbers for each of a tap, stay in a cache.
bool is_cached(const Conv2dGeometry& g) {
  constexpr int64_t kMost = 160 * 1024;
  return weights_of_tap(g) <= kMost;
}

/// For CPUs that multiply bfloat16, twice as fast as float32. Winograd's algorithm in float32 is
/// still faster if there are enough channels to make the transforms cheap by comparison, and few
/// enough that its weights stay in a cache.
bool is_for_winograd_beside_bf16(const Conv2dGeometry& g, bool keeps_weights) {
  constexpr int64_t kLeast = 32 * 32, kMost = 192 * 192, kMostKept = 256 * 256;
  constexpr int64_t kTiles = 64;
  if (!is_for_winograd(g) || g.options.stride != 1 || weights_of_tap(g) < kLeast) return false;
  return keeps_weights ? weights_of_tap(g) <= kMostKept
                       : weights_of_tap(g) <= kMost && has_tiles(g, kTiles);
}

bool has_amx(DType dtype) {
  return dtype == DType::kBFloat16 && cpu_amx() != Amx::kNone;
}

/// Whether our own kernels multiply this dtype by pairs, without widening it to float32.
bool multiplies(DType dtype) {
  return dtype == DType::kBFloat16 && cpu_has_fast_bf16_pairs();
}

/// Stride 1: always. Stride 2: kept weights (inference, teachers) are worth their memory up to a
/// size, whatever the size of the pictures. Float32 training goes forward directly, with half the
/// rounding error.
bool is_for_winograd_forward(const Conv2dGeometry& g, DType dtype, bool keeps_weights) {
  constexpr int64_t kMost = 1 << 17;
  if (has_amx(dtype)) return false;
  if (multiplies(dtype)) return is_for_winograd_beside_bf16(g, keeps_weights);
  if (!is_for_winograd(g) || g.options.stride == 1) return is_for_winograd(g);
  if (keeps_weights) return weights_of_tap(g) <= kMost;
  return dtype == DType::kBFloat16 && has_tiles(g, kTilesForStride2);
}

bool is_for_winograd_backward(const Conv2dGeometry& g, DType dtype) {
  if (has_amx(dtype)) return false;
  if (multiplies(dtype)) return is_for_winograd_beside_bf16(g, /*keeps_weights=*/false);
  return is_for_winograd(g) && (g.options.stride == 1 || has_tiles(g, kTilesForStride2));
}

/// With pairs of bfloat16 it pays only for a medium number of channels. The choice does not depend
/// on the number of tiles, so that a larger batch never needs less memory.
bool is_for_winograd_weight(const Conv2dGeometry& g, DType dtype) {
  constexpr int64_t kLeast = 48 * 48, kMost = 192 * 192;
  if (!is_for_winograd(g) || g.options.stride != 1 || has_amx(dtype)) return false;
  if (!multiplies(dtype)) return is_cached(g);
  return weights_of_tap(g) >= kLeast && weights_of_tap(g) <= kMost;
}

/// Whether our kernels are faster than oneDNN's with AVX-512, as measured on a Zen 5. In float32
/// Winograd's algorithm is up to twice as fast.
bool is_faster_in_float32(ConvDirection direction, const Conv2dGeometry& g, bool keeps_weights) {
  constexpr int64_t kTiles = 24;
  switch (direction) {
    case ConvDirection::kForward:
      if (!is_for_winograd_forward(g, DType::kFloat32, keeps_weights)) return false;
      return keeps_weights || (is_cached(g) && has_tiles(g, kTiles));
    case ConvDirection::kBackwardInput:
      return is_for_winograd_backward(g, DType::kFloat32) && is_cached(g) && has_tiles(g, kTiles);
    case ConvDirection::kBackwardWeight:
      return g.kernel == 3 && (g.options.stride == 2 || weights_of_tap(g) > 256);
  }
  return false;
}

/// The same for CPUs that multiply pairs of bfloat16 fast. Without Winograd's algorithm both sides
/// reach the peak of that instruction. Ours are faster in a 1x1 whose pictures stay in the caches,
/// because SiLU is done in the same pass, and in some gradients of stride 2.
bool is_faster_in_bfloat16(ConvDirection direction, const Conv2dGeometry& g, bool keeps_weights) {
  constexpr int64_t kMostNumbers = 4 << 20, kLeastOf1x1 = 8 * 1024;
  if (direction == ConvDirection::kBackwardWeight) {
    if (g.in_channels % 16 != 0) return false;
    return g.kernel == 1 ? weights_of_tap(g) >= kLeastOf1x1 : g.in_channels >= 32;
  }
  if (is_for_winograd_beside_bf16(g, keeps_weights)) return true;
  if (direction == ConvDirection::kBackwardInput) {
    return g.kernel == 3 && g.options.stride == 2 && g.in_channels >= 64 && g.out_channels <= 384 &&
           g.out_channels % 2 == 0;
  }
  return keeps_weights && g.kernel == 1 && g.in_channels % 2 == 0 &&
         g.input_shape().numel() + g.output_shape().numel() <= kMostNumbers;
}

bool keeps(const PackedWeights* packed, uint64_t version) {
  return packed != nullptr && version != 0;
}

void* data_of(const Tensor& t) {
  return t.defined() ? t.raw() : nullptr;
}
const float* floats_of(const Tensor& t) {
  return t.defined() ? t.data<float>() : nullptr;
}
float* data_of(const std::shared_ptr<Storage>& storage) {
  return storage ? reinterpret_cast<float*>(storage->data()) : nullptr;
}
int64_t bytes_of(int64_t floats) {
  return floats * int64_t(sizeof(float));
}

/// The `floats` numbers that `pack` writes in the layout of these kernels: the copy kept in
/// `packed` if it is up to date, else packed now.
template <class Pack>
std::shared_ptr<Storage> packed_weights(const void* layout, int64_t floats, PackedWeights* packed,
                                        uint64_t version, Pack&& pack) {
  const int64_t bytes = bytes_of(floats);
  const bool keep = keeps(packed, version);
  if (keep && DryRun::is_on()) {
    DryRun::keep(bytes);
    return nullptr;
  }
  std::shared_ptr<Storage> storage;
  if (keep) {
    PackedWeights::NativeCopy& copy = packed->native_copy();
    const bool is_same = copy.weights && copy.layout == layout && copy.weights->nbytes() == bytes;
    if (is_same && copy.version == version) return copy.weights;
    const ArenaScope outside(nullptr);  // kept copies outlive the step
    if (!copy.weights || copy.weights->nbytes() != bytes) copy.weights = allocate_storage(bytes);
    copy.version = version;
    copy.layout = layout;
    storage = copy.weights;
  } else {
    storage = allocate_storage(bytes);
  }
  if (!DryRun::is_on()) pack(data_of(storage));
  return storage;
}

WeightView forward_view(const Conv2dGeometry& g, const Tensor& weight) {
  const int64_t row = g.kernel * g.in_channels;
  return {weight.data<float>(), g.kernel * row, row, g.in_channels, 1};
}

/// The weights for the gradient of the input: taps from (row, column) backwards in steps of `step`,
/// inputs and outputs exchanged.
WeightView backward_view(const Conv2dGeometry& g, const Tensor& weight, int64_t row, int64_t column,
                         int64_t step) {
  const int64_t row_size = g.kernel * g.in_channels;
  return {weight.data<float>() + row * row_size + column * g.in_channels, 1, -step * row_size,
          -step * g.in_channels, g.kernel * row_size};
}

void run_winograd(const WinogradKernels& kernels, WinogradConv conv, const WeightView& weights,
                  PackedWeights* packed, uint64_t version) {
  const auto storage = packed_weights(&kernels, kernels.packed_size(conv), packed, version,
                                      [&](float* to) { kernels.pack(conv, weights, to); });
  const int64_t threads = num_threads();
  const auto scratch = allocate_storage(bytes_of(kernels.scratch_size(conv, threads)));
  if (DryRun::is_on()) return;
  conv.weights = data_of(storage);
  conv.scratch = data_of(scratch);
  kernels.run(conv, threads);
}

struct Part {
  DirectConv conv;
  WeightView weights;
};

/// A set of kernels for direct convolution. layout: identifies the layout of kept packed weights.
struct DirectWay {
  const void* layout;
  int64_t (*packed_size)(const DirectConv& conv);
  void (*pack)(const DirectConv& conv, const WeightView& weights, float* to);
  int64_t (*scratch_size)(const DirectConv& conv, int64_t threads);
  void (*run)(const DirectConv& conv, int64_t threads, float* scratch);
};

/// For kernels that need no scratch memory.
template <const auto& (*kKernels)()>
DirectWay in_place() {
  const auto& kernels = kKernels();
  return {&kernels, kernels.packed_size, kernels.pack,
          [](const DirectConv&, int64_t) -> int64_t { return 0; },
          [](const DirectConv& conv, int64_t, float*) { kKernels().run(conv); }};
}

DirectWay way_of(const DirectConv& conv) {
  const DirectConvKernels& direct = direct_conv_kernels();
  if (conv.x_dtype != DType::kBFloat16) return in_place<direct_conv_kernels>();
  if (has_amx(conv.x_dtype)) {
    const bool has_tiles = cpu_amx() == Amx::kTiles;
    const AmxConvKernels& amx = has_tiles ? amx_conv_kernels() : cpu_base::amx_conv_kernels();
    return {&amx, amx.packed_size, amx.pack, amx.scratch_size, amx.run};
  }
  // By pairs of channels if the CPU multiplies these fast.
  const bool has_pairs =
      conv.in_channels % 2 == 0 && pair_conv_kernels().knows_pairs && cpu_has_fast_bf16_pairs();
  if (has_pairs) return in_place<pair_conv_kernels>();
  const WidenedConvKernels& widened = widened_conv_kernels();
  return {&direct, direct.packed_size, direct.pack, widened.scratch_size, widened.run};
}

void run_direct(std::vector<Part> parts, PackedWeights* packed, uint64_t version) {
  const DirectWay way = way_of(parts[0].conv);  // all parts have the same channels
  const int64_t threads = num_threads();
  int64_t floats = 0, most = 0;
  for (const Part& part : parts) {
    floats += way.packed_size(part.conv);
    most = std::max(most, way.scratch_size(part.conv, threads));
  }
  const auto storage = packed_weights(way.layout, floats, packed, version, [&](float* to) {
    for (const Part& part : parts) {
      way.pack(part.conv, part.weights, to);
      to += way.packed_size(part.conv);
    }
  });
  const auto scratch = most == 0 ? nullptr : allocate_storage(bytes_of(most));
  if (DryRun::is_on()) return;
  const float* weights = data_of(storage);
  for (Part& part : parts) {
    part.conv.weights = weights;
    weights += way.packed_size(part.conv);
    way.run(part.conv, threads, data_of(scratch));
  }
}

/// The rounding error of F(5, 3) is twice that of F(4, 3); rounding to bfloat16 hides it.
const WinogradKernels& stride_1_kernels(DType dtype) {
  const WinogradTable& table = winograd_kernels();
  return dtype == DType::kBFloat16 ? table.wide_stride_1 : table.stride_1;
}

void forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
             bool silu, const Tensor& residual, const ChannelSlice& to, PackedWeights* packed,
             uint64_t version) {
  const Tensor& y = to.whole;
  if (is_for_winograd_forward(g, x.dtype(), keeps(packed, version)) && x.dtype() == y.dtype()) {
    return run_winograd(
        g.options.stride == 1 ? stride_1_kernels(x.dtype()) : winograd_kernels().stride_2,
        {.dtype = x.dtype(),
         .x = data_of(x),
         .batch = g.batch,
         .in_height = g.in_height,
         .in_width = g.in_width,
         .in_channels = g.in_channels,
         .out_height = g.out_height(),
         .out_width = g.out_width(),
         .out_channels = g.out_channels,
         .weights = nullptr,
         .y = data_of(y),
         .bias = floats_of(bias),
         .residual = data_of(residual),
         .silu = silu,
         .scratch = nullptr},
        forward_view(g, weight), packed, version);
  }
  const int64_t width = g.out_width(), height = g.out_height(), channels = y.shape()[3];
  const DirectConv conv{.x_dtype = x.dtype(),
                        .y_dtype = y.dtype(),
                        .x = data_of(x),
                        .batch = g.batch,
                        .in_height = g.in_height,
                        .in_width = g.in_width,
                        .in_channels = g.in_channels,
                        .kernel_height = g.kernel,
                        .kernel_width = g.kernel,
                        .stride = g.options.stride,
                        .top = g.options.padding,
                        .left = g.options.padding,
                        .weights = nullptr,
                        .out_height = height,
                        .out_width = width,
                        .out_channels = g.out_channels,
                        .y = y.raw() + to.first * size_of(y.dtype()),
                        .picture_step = height * width * channels,
                        .row_step = width * channels,
                        .pixel_step = channels,
                        .bias = floats_of(bias),
                        .residual = data_of(residual),
                        .silu = silu};
  run_direct({{conv, forward_view(g, weight)}}, packed, version);
}

/// Along one axis: the taps that reach the input pixels at offset `place` of the stride's grid, the
/// last one first. Tap last - t stride of output pixel a + first + t reaches input pixel
/// a stride + place.
struct Taps {
  int64_t count, last, first;
};

Taps taps_of(const Conv2dGeometry& g, int64_t place) {
  const int64_t stride = g.options.stride, reach = place + g.options.padding;
  const int64_t smallest = reach % stride;
  const int64_t count = (g.kernel - smallest + stride - 1) / stride;
  const int64_t last = smallest + (count - 1) * stride;
  return {count, last, (reach - last) / stride};
}

}  // namespace

bool takes(ConvDirection direction, const Conv2dGeometry& g, DType dtype, bool keeps_weights) {
  const bool is_bf16 = dtype == DType::kBFloat16;
  if ((!is_bf16 && dtype != DType::kFloat32) || wish() == Wish::kOneDnn) return false;
  const bool is_weight = direction == ConvDirection::kBackwardWeight;
  if (!is_weight && (g.kernel > kMaxDirectKernel || g.kernel < g.options.stride)) return false;
  // If the CPU does not multiply bfloat16 fast, oneDNN has no fast kernels for it either.
  if (kIsAlone || wish() == Wish::kOwn || (is_bf16 && !cpu_has_fast_bf16())) return true;
  if (has_amx(dtype)) return true;
  if (is_bf16) return is_faster_in_bfloat16(direction, g, keeps_weights);
  if (cpu_level() == CpuLevel::kAvx512) return is_faster_in_float32(direction, g, keeps_weights);
  // oneDNN's 1x1 is as fast as it can be, and oneDNN is better with the few channels of a stem.
  return is_weight || (g.kernel > 1 && g.in_channels >= 16 && g.out_channels >= 16);
}

std::string name() {
  if (wish() == Wish::kOneDnn) return "";
  const char* const amx = cpu_amx() == Amx::kNone    ? ""
                          : cpu_amx() == Amx::kTiles ? ", bfloat16 by AMX"
                                                     : ", bfloat16 by emulated AMX";
  return std::string("own kernels at the level ") + name_of(cpu_level()) + amx;
}

void conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Tensor& y) {
  forward(g, x, weight, bias, /*silu=*/false, {}, {y, 0}, nullptr, 0);
}

void conv2d_bias_silu(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                      const Tensor& bias, const Tensor& residual, const ChannelSlice& y,
                      PackedWeights* packed, uint64_t version) {
  forward(g, x, weight, bias, /*silu=*/true, residual, y, packed, version);
}

bool writes_slices(DType dtype) {
  return has_amx(dtype);
}

void conv2d_backward_input(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& weight,
                           const Tensor& grad_x) {
  if (is_for_winograd_backward(g, grad_y.dtype())) {
    return run_winograd(g.options.stride == 1 ? stride_1_kernels(grad_y.dtype())
                                              : winograd_kernels().stride_2_backward,
                        {.dtype = grad_y.dtype(),
                         .x = data_of(grad_y),
                         .batch = g.batch,
                         .in_height = g.out_height(),
                         .in_width = g.out_width(),
                         .in_channels = g.out_channels,
                         .out_height = g.in_height,
                         .out_width = g.in_width,
                         .out_channels = g.in_channels,
                         .weights = nullptr,
                         .y = data_of(grad_x),
                         .bias = nullptr,
                         .residual = nullptr,
                         .silu = false,
                         .scratch = nullptr},
                        backward_view(g, weight, 2, 2, 1), nullptr, 0);
  }
  // One convolution per offset of a pixel in the stride's grid, with the taps that reach it.
  const int64_t stride = g.options.stride;
  std::vector<Part> parts;
  for (int64_t down = 0; down < stride && down < g.in_height; ++down) {
    for (int64_t right = 0; right < stride && right < g.in_width; ++right) {
      const Taps rows = taps_of(g, down), columns = taps_of(g, right);
      const int64_t pixel = (down * g.in_width + right) * g.in_channels;
      const DirectConv conv{.x_dtype = grad_y.dtype(),
                            .y_dtype = grad_x.dtype(),
                            .x = data_of(grad_y),
                            .batch = g.batch,
                            .in_height = g.out_height(),
                            .in_width = g.out_width(),
                            .in_channels = g.out_channels,
                            .kernel_height = rows.count,
                            .kernel_width = columns.count,
                            .stride = 1,
                            .top = -rows.first,
                            .left = -columns.first,
                            .weights = nullptr,
                            .out_height = (g.in_height - down + stride - 1) / stride,
                            .out_width = (g.in_width - right + stride - 1) / stride,
                            .out_channels = g.in_channels,
                            .y = grad_x.raw() + pixel * size_of(grad_x.dtype()),
                            .picture_step = g.in_height * g.in_width * g.in_channels,
                            .row_step = stride * g.in_width * g.in_channels,
                            .pixel_step = stride * g.in_channels,
                            .bias = nullptr,
                            .residual = nullptr,
                            .silu = false};
      parts.push_back({conv, backward_view(g, weight, rows.last, columns.last, stride)});
    }
  }
  run_direct(std::move(parts), nullptr, 0);
}

void conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                            const Tensor& grad_weight, const Tensor& grad_bias) {
  if (!is_for_winograd_weight(g, x.dtype()) || grad_bias.defined()) {
    return conv2d_backward_weight_direct(g, grad_y, x, grad_weight, grad_bias);
  }
  const WinogradGradKernels& kernels = winograd_grad_kernels();
  WinogradGrad grad{.dtype = x.dtype(),
                    .x = data_of(x),
                    .batch = g.batch,
                    .height = g.in_height,
                    .width = g.in_width,
                    .in_channels = g.in_channels,
                    .out_channels = g.out_channels,
                    .grad_y = data_of(grad_y),
                    .grad_weights = grad_weight.data<float>(),
                    .scratch = nullptr};
  const auto scratch = allocate_storage(bytes_of(kernels.scratch_size(grad)));
  if (DryRun::is_on()) return;
  grad.scratch = data_of(scratch);
  kernels.run(grad);
}

}  // namespace ydistill::native
