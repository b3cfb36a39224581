// SPDX-License-Identifier: MIT
// int8 convolution for inference on the CPU: uint8 input, int8 weights with a scale per output
// channel, exact int32 sums, uint8 or float32 output.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/quantization.h>

namespace ydistill {

/// Quantization of a convolution's input x, output y and residual.
struct Int8Edges {
  Quantization x, y, residual;
};

/// The weights of one convolution in int8.
struct Int8Weights {
  std::vector<int8_t> bytes;  ///< [O,K,K,C], -127..127
  std::vector<float> scales;  ///< [O]: max|weight[o]| / 127; 0 for a channel of zeros
  std::vector<float> biases;  ///< [O]
};
/// name: for messages. weight float32 [O,K,K,C], bias float32 [O] or undefined, on the CPU.
/// input_means: of each input channel [C], or empty. The bias is corrected by the change of the
/// mean output that rounding the weights causes (Nagel et al., arXiv 1906.04721, 4.2).
/// throws ShapeError, DTypeError, DeviceError; NotFiniteError if a weight, bias or mean is not
/// finite.
Int8Weights quantize_weights(const std::string& name, const Tensor& weight, const Tensor& bias,
                             std::span<const float> input_means = {});

/// Rounds weights [O,K,K,C], float32 on the CPU, in place to bytes times scales, as above. Returns
/// the correction of the bias [O]. throws as quantize_weights().
std::vector<float> round_to_bytes(const std::string& name, const Tensor& weight,
                                  std::span<const float> input_means);

/// A convolution whose weights are packed once for the CPU's kernels.
class Int8Conv {
 public:
  /// Arguments as of quantize_weights(); C a multiple of 4, K at most 6, and K K C small enough
  /// that int32 sums cannot overflow. throws as quantize_weights().
  Int8Conv(const std::string& name, const Tensor& weight, const Tensor& bias,
           const Conv2dOptions& options, const Int8Edges& edges,
           std::span<const float> input_means = {});

  /// silu(convolution + bias) + residual: x uint8 [N,H,W,C]; residual uint8 [N,OH,OW,O] or
  /// undefined -> uint8 [N,OH,OW,O]. throws ShapeError, DTypeError, DeviceError.
  Tensor bias_silu(const Tensor& x, const Tensor& residual = {}) const;
  /// The same into a channel slice.
  void bias_silu(const ChannelSlice& to, const Tensor& x, const Tensor& residual = {}) const;
  /// convolution + bias: float32 [N,OH,OW,O].
  Tensor logits(const Tensor& x) const;

  /// Bytes of the packed weights.
  int64_t packed_bytes() const;

 private:
  Conv2dGeometry check(const Tensor& x, const Tensor& residual) const;
  void run(const Conv2dGeometry& g, const Tensor& x, const Tensor& residual, bool silu,
           const ChannelSlice& to) const;

  std::string name_;
  Shape weight_shape_;
  Conv2dOptions options_;
  Int8Edges edges_;
  std::shared_ptr<Storage> packed_;
  struct Ending;
  std::vector<int32_t> first_sums_;       // [O], initial values of the sums
  std::shared_ptr<const Ending> ending_;  // from sums to outputs
};

/// The CPU instruction that is used to multiply bytes: "AMX", "AVX512_VNNI", "AVX-VNNI", or "" if
/// there is none.
const char* int8_instruction();

}  // namespace ydistill
