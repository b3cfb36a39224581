// SPDX-License-Identifier: MIT
// 2-D convolution in three directions, behind one interface.
//
//   y[n,i,j,o] = bias[o] + sum_{p,q,c} x[n, i s + p - pad, j s + q - pad, c] w[o,p,q,c]
//
// Tensors are dense NHWC, weights OHWI, kernels square. Activations are float32 or bfloat16;
// weights, biases and their gradients float32, sums too. On the CPU our own kernels (conv_native.h)
// do the work where they are the faster ones or alone, else oneDNN, on a GPU cuDNN. float64 (for
// gradient checks, weights included) and everything else goes to the plain loops of
// conv_reference.h, which are the definition.
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

/// The working copies of one layer's weights in the layouts the library wants. Whoever changes the
/// weights changes `version`; a copy made at another version is made anew before its next use.
/// Not to be shared between threads.
class PackedWeights {
 public:
  PackedWeights();
  ~PackedWeights();
  PackedWeights(PackedWeights&&) noexcept;
  PackedWeights& operator=(PackedWeights&&) noexcept;
  struct Impl;
  Impl& impl() { return *impl_; }
  /// The GPU's copy: the weights in the activations' dtype, channels padded; see conv_cuda.cu. Or
  /// where ParameterStore keeps them in bfloat16.
  struct DeviceCopy {
    Tensor weights;
    uint64_t version = 0;
  };
  DeviceCopy& device_copy() { return device_copy_; }
  /// The copy of conv_native.h.
  struct NativeCopy {
    std::shared_ptr<Storage> weights;
    uint64_t version = 0;
    const void* layout = nullptr;  ///< the kernels that laid them out
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

/// y [N,OH,OW,O]. bias [O] or undefined. packed may be null: then the weights are packed each time.
/// y has the dtype of x, but float32 where x is bfloat16 and there is a bias: the heads' logits.
/// throws ShapeError, DTypeError, DeviceError.
Tensor conv2d_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Conv2dOptions& options, PackedWeights* packed = nullptr,
                      uint64_t version = 0);

/// The same with y in a dtype of the caller's choice: a float32 x gives float32, a bfloat16 x
/// either.
Tensor conv2d_forward_as(DType y_dtype, const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dOptions& options, PackedWeights* packed, uint64_t version);

/// silu(convolution + bias) + residual, for inference, by a kernel that does it in one pass; an
/// undefined tensor where none does. x [N,H,W,C], weight [O,K,K,C], bias [O]; residual [N,OH,OW,O]
/// or undefined. packed may be null. throws ShapeError, DTypeError, DeviceError.
Tensor conv2d_bias_silu_in_one_pass(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const Tensor& residual, const Conv2dOptions& options,
                                    PackedWeights* packed, uint64_t version);

/// Channels [first, first + O) of a tensor [N,OH,OW,C].
struct ChannelSlice {
  Tensor whole;
  int64_t first = 0;
};
/// throws ShapeError where an output of that shape does not fit there.
void check_slice(const ChannelSlice& to, const Shape& output);
/// The same into a slice of x's dtype; false, and nothing is done, where no kernel does that.
/// throws ShapeError where y does not fit, DTypeError, DeviceError.
bool conv2d_bias_silu_in_one_pass(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                  const Tensor& residual, const Conv2dOptions& options,
                                  PackedWeights* packed, uint64_t version, const ChannelSlice& to);

/// The gradient of x, of shape x_shape and dtype x_dtype, from grad_y [N,OH,OW,O].
Tensor conv2d_backward_input(const Tensor& grad_y, const Tensor& weight, const Shape& x_shape,
                             DType x_dtype, const Conv2dOptions& options,
                             PackedWeights* packed = nullptr, uint64_t version = 0);

/// ADDS the weight's gradient to grad_weight [O,K,K,C] and, where defined, the bias's to
/// grad_bias [O].
void conv2d_backward_weight(const Tensor& grad_y, const Tensor& x, const Conv2dOptions& options,
                            const Tensor& grad_weight, const Tensor& grad_bias);

enum class ConvDirection { kForward, kBackwardInput, kBackwardWeight };

/// One line a plan built so far: geometry, direction and the library's name of the kernel. Our own
/// kernels have no plans.
std::vector<std::string> conv_plan_report(Device device = {});

/// A choice of a GPU's library in words that outlive the process.
struct SavedConvPlan {
  std::string device;       ///< "NVIDIA H200"
  std::string convolution;  ///< geometry, dtype and direction
  std::string library;      ///< "cuDNN 9.19.0"; no other version reads the plan
  std::string plan;         ///< the library's own description
  bool is_timed = false;    ///< taken because it was the fastest, not by rules
  bool operator==(const SavedConvPlan&) const = default;
};
/// The choices so far, less those that their library has no words for, and what was offered beyond
/// them. On the CPU there are none.
std::vector<SavedConvPlan> save_conv_plans(Device device);
/// Rises whenever save_conv_plans has something new.
uint64_t conv_plans_revision(Device device);
/// Convolutions that come from now on take these; one whose device or library is another now, or
/// that the library refuses, is chosen anew, and so is one that was not timed where it is to be.
void offer_conv_plans(Device device, const std::vector<SavedConvPlan>& plans);
/// A line each for what went otherwise than asked: offered plans that were not taken, a library
/// that could not be timed. Each is told once.
std::vector<std::string> take_conv_notes(Device device);

/// What computes convolutions on the device: "oneDNN 2.6.3", "cuDNN 9.19.0", "own kernels at the
/// level avx2, oneDNN 2.6.3", "own kernels at the level avx512, plain loops"
std::string conv_backend_name(Device device = {});

}  // namespace ydistill
