// SPDX-License-Identifier: MIT
#include <ydistill/tensor/conv_int8.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/conv_int8_kernels.h>
#include <ydistill/tensor/dry_run.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

constexpr int64_t kFour = 4;
constexpr float kLargestWeight = 127;
constexpr int64_t kMostProducts = std::numeric_limits<int32_t>::max() / (255 * 127);

void check_weights(const std::string& name, const Tensor& weight) {
  const Shape& s = weight.shape();
  if (s.rank() != 4 || s[1] != s[2] || weight.numel() == 0 || s[1] > kMaxDirectKernel) {
    throw ShapeError("int8: {}: takes weights [O,K,K,C] with K from 1 to {}, got {}", name,
                     kMaxDirectKernel, weight.str());
  }
  if (s[3] % kFour != 0) {
    throw ShapeError("int8: {}: {} input channels, a multiple of {} wanted", name, s[3], kFour);
  }
  if (weight.numel() / s[0] > kMostProducts) {
    throw ShapeError("int8: {}: {} weights for each output, at most {} wanted", name,
                     weight.numel() / s[0], kMostProducts);
  }
}

void check_bytes(const std::string& name, const Tensor& t) {
  if (t.dtype() != DType::kUInt8) {
    throw DTypeError("int8: {}: takes uint8, got {}", name, name_of(t.dtype()));
  }
  if (!t.device().is_cpu()) {
    throw DeviceError("int8: {}: runs on the CPU, got a tensor on {}", name, t.device().str());
  }
}

/// The fields that the packed weights depend on; sizes and addresses of x and y are not among them.
DirectConv sizes_of(const Shape& weight, const Conv2dOptions& options, int32_t zero_point) {
  DirectConv conv{};
  conv.x_dtype = conv.y_dtype = DType::kUInt8;
  conv.in_channels = weight[3];
  conv.out_channels = weight[0];
  conv.kernel_height = conv.kernel_width = weight[1];
  conv.stride = options.stride;
  conv.top = conv.left = options.padding;
  conv.zero_point = uint8_t(zero_point);
  return conv;
}

/// How this CPU multiplies bytes: the name of its instruction ("" if none), and the kernels.
struct Way {
  const char* instruction;
  Int8ConvKernels kernels;
};
Way way() {
  if (cpu_amx() != Amx::kNone) {
    return {cpu_amx() == Amx::kTiles ? "AMX" : "", int8_amx_kernels()};
  }
  Int8ConvKernels direct = int8_conv_kernels();
  if (!cpu_has_int8_dots()) return {"", direct};
  direct.run = int8_dot_kernels().run;
  return {cpu_level() == CpuLevel::kAvx512 ? "AVX512_VNNI" : "AVX-VNNI", direct};
}

/// Approximates SiLU from -kSiluEnd to min(high, kSiluEnd) by quadratic pieces. Each interpolates
/// SiLU at the roots of a Chebyshev polynomial; the error is below 3e-4. The first piece covers
/// everything below: there -2.7e-3 <= SiLU < 0, and the piece is a constant, the middle of that.
/// The last piece covers everything above: there SiLU differs from x by as little, or exceeds the
/// largest byte. Returns the middle, from which the pieces are counted.
double set_silu(Int8Scales& scales, double high) {
  constexpr double kSiluEnd = 8;
  constexpr int kLast = kSiluPieces - 1;
  const double end = std::min(high, kSiluEnd), width = (end + kSiluEnd) / (kSiluPieces - 2);
  const double middle = -kSiluEnd + (kSiluPieces / 2 - 1) * width;
  const auto silu = [](double x) { return x / (1 + std::exp(-x)); };
  for (int i = 0; i < kSiluPieces; ++i) {
    double c[3] = {silu(-kSiluEnd) / 2, 0, 0};
    if (i == kLast) {
      c[0] = middle + silu(-end) / 2;
      c[1] = 1;
    } else if (i > 0) {
      const double t = (i + 0.5 - kSiluPieces / 2) * width, x = t + middle;
      const double h = width / 2 * std::sqrt(0.75);
      const double below = silu(x - h), at = silu(x), above = silu(x + h);
      const double slope = (above - below) / (2 * h);
      c[2] = (above - 2 * at + below) / (2 * h * h);
      c[1] = slope - 2 * c[2] * t;
      c[0] = at - slope * t + c[2] * t * t;
    }
    for (int k = 0; k < 3; ++k) scales.silu[k][i] = float(c[k] * scales.y_steps);
    scales.silu[0][i] += scales.y_zero;
  }
  scales.silu_pieces = float(1 / width);
  scales.silu_limit = float(kSiluPieces / 2 * width * (1 - 1e-6));
  return middle;
}

}  // namespace

Int8Weights quantize_weights(const std::string& name, const Tensor& weight, const Tensor& bias,
                             std::span<const float> input_means) {
  if (weight.rank() != 4 || weight.numel() == 0) {
    throw ShapeError("int8: {}: takes weights [O,K,K,C], got {}", name, weight.str());
  }
  const int64_t channels = weight.size(0), inputs = weight.size(3);
  const int64_t window = weight.numel() / channels;
  if (bias.defined() && bias.shape() != Shape{channels}) {
    throw ShapeError("int8: {}: bias is {}, {} output channels need [{}]", name, bias.str(),
                     channels, channels);
  }
  if (!input_means.empty() && int64_t(input_means.size()) != inputs) {
    throw ShapeError("int8: {}: {} means of input channels, {} wanted", name, input_means.size(),
                     inputs);
  }
  if (!all_finite(weight)) throw NotFiniteError("int8: {}: a weight is NaN or infinity", name);
  Int8Weights rounded{std::vector<int8_t>(size_t(weight.numel())),
                      std::vector<float>(size_t(channels)), std::vector<float>(size_t(channels))};
  const float* const weights = weight.data<float>();
  const float* const biases = bias.defined() ? bias.data<float>() : nullptr;
  parallel_for(channels, 1, [&](int64_t o) {
    const float* const from = weights + o * window;
    int8_t* const to = rounded.bytes.data() + o * window;
    float largest = 0;
    for (int64_t k = 0; k < window; ++k) largest = std::max(largest, std::abs(from[k]));
    const float scale = largest / kLargestWeight;
    double lost = 0;
    for (int64_t k = 0; k < window && scale > 0; ++k) {
      const float steps = std::clamp(from[k] / scale, -kLargestWeight, kLargestWeight);
      to[k] = int8_t(std::lround(steps));
      if (input_means.empty()) continue;
      lost += (double(from[k]) - double(scale) * to[k]) * input_means[size_t(k % inputs)];
    }
    rounded.scales[size_t(o)] = scale;
    rounded.biases[size_t(o)] = float((biases == nullptr ? 0 : biases[o]) + lost);
  });
  for (const float number : rounded.biases) {
    if (std::isfinite(number)) continue;
    throw NotFiniteError("int8: {}: a bias or the mean of an input is NaN or infinity", name);
  }
  return rounded;
}

std::vector<float> round_to_bytes(const std::string& name, const Tensor& weight,
                                  std::span<const float> input_means) {
  Int8Weights rounded = quantize_weights(name, weight, {}, input_means);
  const int64_t window = weight.numel() / weight.size(0);
  float* const weights = weight.data<float>();
  for (int64_t i = 0; i < weight.numel(); ++i) {
    weights[i] = rounded.scales[size_t(i / window)] * float(rounded.bytes[size_t(i)]);
  }
  return std::move(rounded.biases);
}

/// The scales and the arrays that they point to; copies of a convolution share them.
struct Int8Conv::Ending {
  std::vector<float> multipliers, biases, silu_biases;  // of all panels
  Int8Scales scales{};
};

Int8Conv::Int8Conv(const std::string& name, const Tensor& weight, const Tensor& bias,
                   const Conv2dOptions& options, const Int8Edges& edges,
                   std::span<const float> input_means)
    : name_(name), weight_shape_(weight.shape()), options_(options), edges_(edges) {
  check_weights(name, weight);
  const Int8Weights rounded = quantize_weights(name, weight, bias, input_means);
  const Int8ConvKernels kernels = way().kernels;
  const DirectConv conv = sizes_of(weight.shape(), options, edges.x.zero_point);
  const int64_t channels = weight.size(0), window = weight.numel() / channels;
  const size_t padded = size_t(kernels.padded_channels(conv));
  const auto ending = std::make_shared<Ending>();
  ending->multipliers.assign(padded, 0);
  ending->biases.assign(padded, 0);
  std::copy(rounded.biases.begin(), rounded.biases.end(), ending->biases.begin());
  double most = 0;  // of the outputs, in steps
  for (int64_t o = 0; o < channels; ++o) {
    const int8_t* const from = rounded.bytes.data() + o * window;
    first_sums_.push_back(-edges.x.zero_point * std::accumulate(from, from + window, int32_t(0)));
    const float multiplier = edges.x.scale * rounded.scales[size_t(o)];
    ending->multipliers[size_t(o)] = multiplier;
    const double sum = std::abs(double(rounded.biases[size_t(o)])) +
                       double(multiplier) * 255 * kLargestWeight * double(window);
    most = std::max(most, sum / edges.y.scale + 255.0 * edges.residual.scale / edges.y.scale);
  }
  Int8Scales& scales = ending->scales;
  scales.multipliers = ending->multipliers.data();
  scales.biases = ending->biases.data();
  scales.y_steps = 1 / edges.y.scale;
  scales.y_zero = float(edges.y.zero_point);
  scales.residual_steps = edges.residual.scale / edges.y.scale;
  scales.residual_zero = float(edges.residual.zero_point);
  scales.fits_32_bits = most < double(1 << 30);
  // Values of SiLU above the largest output minus the smallest residual are clipped, so they need
  // no piece. SiLU is at most 0.28 below x.
  const double middle =
      set_silu(scales, 0.3 + edges.y.real(255) - std::min(0.0f, edges.residual.real(0)));
  ending->silu_biases = ending->biases;
  for (float& bias : ending->silu_biases) bias -= float(middle);
  scales.silu_biases = ending->silu_biases.data();
  ending_ = ending;
  const ArenaScope outside(nullptr);  // outlives any step
  packed_ = allocate_storage(kernels.packed_size(conv));
  if (DryRun::is_on()) return;
  kernels.pack(conv, rounded.bytes.data(), reinterpret_cast<float*>(packed_->data()));
}

int64_t Int8Conv::packed_bytes() const {
  return way().kernels.packed_size(sizes_of(weight_shape_, options_, edges_.x.zero_point));
}

Conv2dGeometry Int8Conv::check(const Tensor& x, const Tensor& residual) const {
  check_bytes(name_, x);
  const Conv2dGeometry g = conv2d_geometry(x.shape(), weight_shape_, options_);
  if (residual.defined()) {
    check_bytes(name_, residual);
    if (residual.shape() != g.output_shape()) {
      throw ShapeError("int8: {}: residual {} beside an output {}", name_, residual.str(),
                       g.output_shape().str());
    }
  }
  return g;
}

void Int8Conv::run(const Conv2dGeometry& g, const Tensor& x, const Tensor& residual, bool silu,
                   const ChannelSlice& to) const {
  if (g.output_shape().numel() == 0) return;
  const int64_t width = g.out_width(), height = g.out_height(), channels = to.whole.size(3);
  DirectConv conv = sizes_of(weight_shape_, options_, edges_.x.zero_point);
  conv.y_dtype = to.whole.dtype();
  conv.x = x.raw();
  conv.batch = g.batch;
  conv.in_height = g.in_height;
  conv.in_width = g.in_width;
  conv.weights = reinterpret_cast<const float*>(packed_->data());
  conv.out_height = height;
  conv.out_width = width;
  conv.y = to.whole.raw() + to.first * size_of(to.whole.dtype());
  conv.picture_step = height * width * channels;
  conv.row_step = width * channels;
  conv.pixel_step = channels;
  conv.bias = reinterpret_cast<const float*>(first_sums_.data());
  conv.residual = residual.defined() ? residual.raw() : nullptr;
  conv.silu = silu;
  conv.scales = &ending_->scales;
  const Int8ConvKernels kernels = way().kernels;
  const int64_t threads = num_threads(), floats = kernels.scratch_size(conv, threads);
  const auto scratch = floats == 0 ? nullptr : allocate_storage(floats * int64_t(sizeof(float)));
  if (DryRun::is_on()) return;
  kernels.run(conv, threads, scratch ? reinterpret_cast<float*>(scratch->data()) : nullptr);
}

Tensor Int8Conv::bias_silu(const Tensor& x, const Tensor& residual) const {
  const Conv2dGeometry g = check(x, residual);
  const Tensor y = Tensor::empty(g.output_shape(), DType::kUInt8);
  run(g, x, residual, /*silu=*/true, {y, 0});
  return y;
}

void Int8Conv::bias_silu(const ChannelSlice& to, const Tensor& x, const Tensor& residual) const {
  const Conv2dGeometry g = check(x, residual);
  check_bytes(name_, to.whole);
  check_slice(to, g.output_shape());
  run(g, x, residual, /*silu=*/true, to);
}

Tensor Int8Conv::logits(const Tensor& x) const {
  const Conv2dGeometry g = check(x, {});
  const Tensor y = Tensor::empty(g.output_shape());
  run(g, x, {}, /*silu=*/false, {y, 0});
  return y;
}

const char* int8_instruction() {
  return way().instruction;
}

}  // namespace ydistill
