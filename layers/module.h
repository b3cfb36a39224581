// SPDX-License-Identifier: MIT
// What all layers with parameters have in common.
#pragma once

#include <vector>

#include <ydistill/autograd/var.h>
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
  kInPlace,  ///< into the parameters, which inference is then all that can be done with: half the
             ///< memory
};

/// A layer: declares its parameters in its constructor, computes in forward(). Not thread-safe.
class Module {
 public:
  virtual ~Module() = default;
  /// x and what is returned are [N,H,W,C].
  virtual Var forward(const Var& x, ForwardMode mode) = 0;
  /// Fresh parameters as PyTorch's defaults draw them: convolutions uniform in +-1/sqrt(fan_in),
  /// batch norm 1 and 0.
  virtual void initialise(Rng& rng) = 0;
  /// Folds the current parameters and running statistics for ForwardMode::kInference.
  virtual void prepare_inference(FoldedWeights where) = 0;
};

}  // namespace ydistill
