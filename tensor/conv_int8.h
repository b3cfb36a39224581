// SPDX-License-Identifier: MIT
// Convolution in 8 bits, for inference on the CPU: bytes in, signed bytes of weights with a scale
// for each output channel, exact sums of 32 bits, bytes or float32 out.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/quantization.h>

namespace ydistill {

/// How the bytes around a convolution are to be read.
struct Int8Edges {
  Quantization x, y, residual;
};

/// The weights of one convolution in 8 bits.
struct Int8Weights {
  std::vector<int8_t> bytes;  ///< [O,K,K,C], -127..127
  std::vector<float> scales;  ///< [O]: max|weight[o]| / 127; 0 for a channel of zeros
  std::vector<float> biases;  ///< [O]
};
/// name: for messages. weight float32 [O,K,K,C], bias float32 [O] or undefined, on the CPU.
/// input_means: of each input channel [C], or empty. By what rounding the weights takes from
/// outputs of such a mean input, the bias is corrected (Nagel et al., arXiv 1906.04721, 4.2).
/// throws ShapeError, DTypeError, DeviceError; NotFiniteError where a weight, bias or mean is no
/// finite number.
Int8Weights quantize_weights(const std::string& name, const Tensor& weight, const Tensor& bias,
                             std::span<const float> input_means = {});

/// Weights [O,K,K,C], float32 on the CPU, become bytes times their scales, as above. Returns what
/// the bias [O] has to be corrected by. throws as quantize_weights().
std::vector<float> round_to_bytes(const std::string& name, const Tensor& weight,
                                  std::span<const float> input_means);

/// A convolution whose weights are laid out for the CPU's kernels once and for all.
class Int8Conv {
 public:
  /// As quantize_weights() takes them; C a multiple of 4, K at most 6, so few weights for an output
  /// that sums of 32 bits are exact. throws what that throws.
  Int8Conv(const std::string& name, const Tensor& weight, const Tensor& bias,
           const Conv2dOptions& options, const Int8Edges& edges,
           std::span<const float> input_means = {});

  /// silu(convolution + bias) + residual: x uint8 [N,H,W,C]; residual uint8 [N,OH,OW,O] or
  /// undefined -> uint8 [N,OH,OW,O]. throws ShapeError, DTypeError, DeviceError.
  Tensor bias_silu(const Tensor& x, const Tensor& residual = {}) const;
  /// The same into channels of a tensor.
  void bias_silu(const ChannelSlice& to, const Tensor& x, const Tensor& residual = {}) const;
  /// convolution + bias: float32 [N,OH,OW,O].
  Tensor logits(const Tensor& x) const;

  /// Bytes of the weights as they are laid out.
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
  std::vector<int32_t> first_sums_;       // [O], where sums begin
  std::shared_ptr<const Ending> ending_;  // from sums to outputs
};

/// Which instruction multiplies bytes here: "AMX", "AVX512_VNNI", "AVX-VNNI" or "" for none of its
/// own.
const char* int8_instruction();

}  // namespace ydistill
