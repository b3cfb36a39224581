// SPDX-License-Identifier: MIT
// 2-D convolution: forward, gradient of the input and gradient of the weights.
//
//   y[n,i,j,o] = bias[o] + sum_{p,q,c} x[n, i s + p - pad, j s + q - pad, c] w[o,p,q,c]
//
// Tensors are dense NHWC, weights OHWI, kernels square. Activations are float32 or bfloat16;
// weights, biases, their gradients and sums are float32. On the CPU, our own kernels
// (conv_native.h) are used where they are faster than oneDNN or the only ones, else oneDNN; on a
// GPU cuDNN. float64 (for gradient checks, weights included) and everything else uses the plain
// loops of conv_reference.h, which are the definition.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

struct Conv2dOptions {
  int64_t stride = 1;   ///< pixels, both axes
  int64_t padding = 0;  ///< zeros on every side
  bool operator==(const Conv2dOptions&) const = default;
};

/// All sizes of one convolution.
struct Conv2dGeometry {
  int64_t batch, in_height, in_width, in_channels, out_channels, kernel;
  Conv2dOptions options;

  int64_t out_height() const {
    return (in_height + 2 * options.padding - kernel) / options.stride + 1;
  }
  int64_t out_width() const {
    return (in_width + 2 * options.padding - kernel) / options.stride + 1;
  }
  Shape input_shape() const { return {batch, in_height, in_width, in_channels}; }
  Shape output_shape() const { return {batch, out_height(), out_width(), out_channels}; }
  Shape weight_shape() const { return {out_channels, kernel, kernel, in_channels}; }
  /// Multiply-adds of one direction.
  int64_t macs() const { return output_shape().numel() * kernel * kernel * in_channels; }
  bool operator==(const Conv2dGeometry&) const = default;
};

/// Copies of one layer's weights in the layouts that the libraries need. Code that changes the
/// weights must change `version`; a copy of another version is rebuilt before its next use.
/// Not thread-safe.
class PackedWeights {
 public:
  PackedWeights();
  ~PackedWeights();
  PackedWeights(PackedWeights&&) noexcept;
  PackedWeights& operator=(PackedWeights&&) noexcept;
  struct Impl;
  Impl& impl() { return *impl_; }
  /// The GPU's copy: the weights in the activations' dtype, channels padded (conv_cuda.cu); or the
  /// bfloat16 weights that ParameterStore keeps.
  struct DeviceCopy {
    Tensor weights;
    uint64_t version = 0;
  };
  DeviceCopy& device_copy() { return device_copy_; }
  /// The copy of conv_native.h.
  struct NativeCopy {
    std::shared_ptr<Storage> weights;
    uint64_t version = 0;
    const void* layout = nullptr;  ///< identifies the kernels that packed them
  };
  NativeCopy& native_copy() { return native_copy_; }

 private:
  std::unique_ptr<Impl> impl_;
  DeviceCopy device_copy_;
  NativeCopy native_copy_;
};

/// Checks shapes and gives the geometry. x [N,H,W,C], weight [O,K,K,C].
/// throws ShapeError naming both shapes.
Conv2dGeometry conv2d_geometry(const Shape& x, const Shape& weight, const Conv2dOptions& options);

/// y [N,OH,OW,O]. bias [O] or undefined. packed may be null: the weights are then packed every
/// time. y has the dtype of x, except float32 if x is bfloat16 and there is a bias: the heads'
/// logits.
/// throws ShapeError, DTypeError, DeviceError.
Tensor conv2d_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Conv2dOptions& options, PackedWeights* packed = nullptr,
                      uint64_t version = 0);

/// The same with a given dtype of y: float32 for a float32 x, float32 or bfloat16 for a bfloat16 x.
Tensor conv2d_forward_as(DType y_dtype, const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dOptions& options, PackedWeights* packed, uint64_t version);

/// silu(convolution + bias) + residual, for inference, by a fused kernel; an undefined tensor if
/// there is none for these operands. x [N,H,W,C], weight [O,K,K,C], bias [O]; residual [N,OH,OW,O]
/// or undefined. packed may be null. throws ShapeError, DTypeError, DeviceError.
Tensor conv2d_bias_silu_in_one_pass(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const Tensor& residual, const Conv2dOptions& options,
                                    PackedWeights* packed, uint64_t version);

/// Channels [first, first + O) of a tensor [N,OH,OW,C].
struct ChannelSlice {
  Tensor whole;
  int64_t first = 0;
};
/// throws ShapeError if an output of that shape does not fit the slice.
void check_slice(const ChannelSlice& to, const Shape& output);
/// The same into a slice of x's dtype; returns false, without effect, if there is no such kernel.
/// throws ShapeError if y does not fit, DTypeError, DeviceError.
bool conv2d_bias_silu_in_one_pass(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                  const Tensor& residual, const Conv2dOptions& options,
                                  PackedWeights* packed, uint64_t version, const ChannelSlice& to);

/// The gradient of x, with shape x_shape and dtype x_dtype, from grad_y [N,OH,OW,O].
Tensor conv2d_backward_input(const Tensor& grad_y, const Tensor& weight, const Shape& x_shape,
                             DType x_dtype, const Conv2dOptions& options,
                             PackedWeights* packed = nullptr, uint64_t version = 0);

/// ADDS the weight's gradient to grad_weight [O,K,K,C] and the bias's to grad_bias [O] if that is
/// defined.
void conv2d_backward_weight(const Tensor& grad_y, const Tensor& x, const Conv2dOptions& options,
                            const Tensor& grad_weight, const Tensor& grad_bias);

enum class ConvDirection { kForward, kBackwardInput, kBackwardWeight };

/// One line per plan built so far: geometry, direction and the library's name of the kernel. Our
/// own kernels have no plans.
std::vector<std::string> conv_plan_report(Device device = {});

/// A GPU library's choice of kernel, as text that can be stored between processes.
struct SavedConvPlan {
  std::string device;       ///< "NVIDIA H200"
  std::string convolution;  ///< geometry, dtype and direction
  std::string library;      ///< "cuDNN 9.19.0"; no other version reads the plan
  std::string plan;         ///< the library's own serialised form
  bool is_timed = false;    ///< chosen by timing, not by heuristics
  bool operator==(const SavedConvPlan&) const = default;
};
/// The choices so far, except those that the library cannot serialise, and the offered plans that
/// were not used yet. On the CPU there are none.
std::vector<SavedConvPlan> save_conv_plans(Device device);
/// A counter that rises whenever save_conv_plans has something new.
uint64_t conv_plans_revision(Device device);
/// New convolutions use these plans. A plan of another device or library version, one that the
/// library rejects, or one that was not timed although autotune is on, is chosen anew.
void offer_conv_plans(Device device, const std::vector<SavedConvPlan>& plans);
/// One line per deviation from what was requested: offered plans that were not used, a library that
/// could not be timed. Each is reported once.
std::vector<std::string> take_conv_notes(Device device);

/// The library that computes convolutions on the device: "oneDNN 2.6.3", "cuDNN 9.19.0", "own
/// kernels at the level avx2, oneDNN 2.6.3", "own kernels at the level avx512, plain loops"
std::string conv_backend_name(Device device = {});

}  // namespace ydistill
