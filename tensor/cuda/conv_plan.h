// SPDX-License-Identifier: MIT
// Ways to compute one convolution, as a library offers them. conv_engine.cpp chooses between them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ydistill/tensor/cuda/conv_engine.h>

namespace ydistill::cuda {

/// Addresses on the GPU, as run_conv_engine takes them.
struct ConvOperands {
  const void* a;
  const void* b;
  const void* bias;
  void* out;
};

/// One of the library's kernels, ready to run. Its destructor frees what the library keeps for it.
class ConvPlan {
 public:
  ConvPlan() = default;
  virtual ~ConvPlan() = default;
  ConvPlan(const ConvPlan&) = delete;
  ConvPlan& operator=(const ConvPlan&) = delete;

  /// The library's name of the kernel.
  virtual std::string name() const = 0;
  virtual int64_t workspace_bytes() const = 0;
  /// On the thread's stream. throws LibraryError.
  virtual void run(const ConvOperands& operands, void* workspace) const = 0;
  /// A text from which ConvLibrary::restore makes the same plan; empty if the library has none.
  virtual std::string saved() const = 0;
};

/// Returns null if the library finds that the plan cannot run after all.
using ConvPlanBuilder = std::function<std::unique_ptr<ConvPlan>()>;

/// What a library has to provide.
struct ConvLibrary {
  const char* brand;  ///< "cuDNN"
  /// With its version: "cuDNN 9.19.0".
  std::string (*name)();
  /// Plans that compute exactly the problem, with the same bits every time and sums in float32;
  /// first those that the library expects to be fastest. If there is none, `reason` says why.
  /// Operands are aligned to 16 bytes.
  std::vector<ConvPlanBuilder> (*plans)(const ConvProblem& problem, std::string& reason);
  /// A plan that was saved; null, and the reason, if the library does not take it.
  std::unique_ptr<ConvPlan> (*restore)(const ConvProblem& problem, const std::string& saved,
                                       std::string& reason);
};

/// All convolutions.
const ConvLibrary& cudnn_library();
/// Only those that are products of matrices: 1x1 with stride 1. Loaded on first use.
const ConvLibrary& cublas_library();

/// "bfloat16 [8,40,40,64] -> [8,40,40,128], 1x1 stride 1 padding 0, forward": everything that a
/// plan depends on, except the device.
std::string describe(const ConvProblem& problem);

}  // namespace ydistill::cuda
