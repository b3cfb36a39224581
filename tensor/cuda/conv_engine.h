// SPDX-License-Identifier: MIT
// One convolution as the library sees it: channels already padded, all operands in one dtype.
#pragma once

#include <string>
#include <vector>

#include <ydistill/tensor/conv.h>

namespace ydistill::cuda {

struct ConvProblem {
  Conv2dGeometry g;
  DType dtype = DType::kFloat32;  ///< of all operands but the bias; sums are float32
  ConvDirection direction = ConvDirection::kForward;
  bool bias_silu = false;  ///< forward only: silu(convolution + bias)
  bool tf32 = false;       ///< float32 operands may be rounded to TF32
};

/// The geometry with the channels that the library wants: multiples of 8 in bfloat16, of 4 in
/// float32.
inline Conv2dGeometry padded(const Conv2dGeometry& g, DType dtype) {
  const int64_t unit = dtype == DType::kBFloat16 ? 8 : 4;
  Conv2dGeometry wide = g;
  wide.in_channels = (g.in_channels + unit - 1) / unit * unit;
  wide.out_channels = (g.out_channels + unit - 1) / unit * unit;
  return wide;
}

/// Runs the plan that was chosen on the first call (without set_autotune, by the libraries' rules).
/// The host waits for the first run of a plan; if it fails, the next plan is tried.
/// Addresses on the GPU. forward: a = x, b = weights, out = y; backward input: a = grad_y,
/// b = weights, out = grad_x; backward weight: a = grad_y, b = x, out = the weights' gradient,
/// overwritten. bias: [O] float32, only with bias_silu.
/// returns false where no library has a plan that computes exactly this.
/// throws LibraryError naming the convolution if a captured graph would be the first to run it, or
/// if a plan left the GPU unusable; OutOfMemoryError for its workspace.
bool try_conv_engine(const ConvProblem& problem, const void* a, const void* b, const void* bias,
                     void* out);
/// The same, but throws LibraryError with the reason if there is no plan.
void run_conv_engine(const ConvProblem& problem, const void* a, const void* b, const void* bias,
                     void* out);

/// One line per convolution seen so far: its plan, or why it has none.
std::vector<std::string> conv_engine_report();

/// See conv.h.
std::vector<SavedConvPlan> save_conv_plans();
uint64_t conv_plans_revision();
void offer_conv_plans(const std::vector<SavedConvPlan>& plans);
std::vector<std::string> take_conv_notes();

/// "cuDNN 9.19.0"
std::string conv_engine_name();

}  // namespace ydistill::cuda
