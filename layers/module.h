// SPDX-License-Identifier: MIT
// What all layers with parameters have in common.
#pragma once

#include <functional>
#include <vector>

#include <ydistill/autograd/var.h>
#include <ydistill/layers/conv_calibration.h>
#include <ydistill/layers/parameters.h>
#include <ydistill/tensor/random.h>

namespace ydistill {

enum class ForwardMode : uint8_t {
  kTrain,      ///< batch statistics, on the tape; running statistics are updated
  kInference,  ///< convolution and batch norm folded (prepare_inference() first), no tape
};

/// Where the weights for ForwardMode::kInference go.
enum class FoldedWeights : uint8_t {
  kBeside,   ///< into copies; the parameters stay as they are
  kInPlace,  ///< into the parameters, which then serve inference only: half
             ///< the memory
};

class ConvBnSilu;

/// A layer of convolutions: declares its parameters in its constructor, computes in forward(). Not
/// thread-safe.
class Module {
 public:
  virtual ~Module() = default;
  /// x and the result are [N,H,W,C].
  virtual Var forward(const Var& x, ForwardMode mode) = 0;
  /// Prepares ForwardMode::kInference for bytes, after prepare_inference(). x: how the input bytes
  /// are to be read. Returns how the output bytes are. throws ValueError, ShapeError.
  virtual Quantization prepare_int8(const Quantization& x,
                                    const NetworkCalibration& calibration) = 0;
  /// Every convolution, in a fixed order.
  virtual void for_each_conv(const std::function<void(ConvBnSilu&)>& visit) = 0;
  /// The convolution whose output is the module's.
  virtual ConvBnSilu& last_conv() = 0;
  /// Calls visit for every pair of convolutions whose outputs are read as one tensor.
  virtual void for_each_tie(const std::function<void(ConvBnSilu&, ConvBnSilu&)>& /*visit*/) {}

  /// Fresh parameters as PyTorch's defaults draw them: convolutions uniform in +-1/sqrt(fan_in),
  /// batch norm 1 and 0.
  void initialise(Rng& rng);
  /// Folds the current parameters and running statistics for ForwardMode::kInference: weight gamma
  /// / sqrt(var + eps) and beta - mean gamma / sqrt(var + eps), computed in double.
  void prepare_inference(FoldedWeights where);
};

}  // namespace ydistill
