// SPDX-License-Identifier: MIT
#include <ydistill/distill/feature_loss.h>

#include <algorithm>
#include <cmath>

#include <ydistill/distill/feature_loss_kernels.h>
#include <ydistill/distill/feature_loss_math.h>
#include <ydistill/tensor/channel_chunks.h>
#include <ydistill/tensor/dry_run.h>
#include <ydistill/yolo/scaled_grads.h>

namespace ydistill {
namespace {

const Op kFeatureLoss("feature_loss");

/// All scales have the shapes of the teacher's, and one dtype and device.
void check_maps(const std::vector<Var>& student, const std::vector<Tensor>& teacher) {
  if (student.empty() || student.size() != teacher.size()) {
    throw ShapeError("feature_loss: the student has maps of {} scales, the teacher of {}",
                     student.size(), teacher.size());
  }
  for (size_t k = 0; k < student.size(); ++k) {
    const Tensor &s = student[k].value(), &t = teacher[k];
    const auto names = [](const Tensor& x) { return x.defined() ? x.str() : "undefined"; };
    if (!s.defined() || !t.defined() || s.rank() != 4 || s.shape() != t.shape()) {
      throw ShapeError("feature_loss: scale {}: the student's map is {}, the teacher's {}", k,
                       names(s), names(t));
    }
    if (s.dtype() != t.dtype() || s.dtype() != student[0].dtype()) {
      throw DTypeError("feature_loss: scale {}: the student's map is {}, the teacher's {}", k,
                       s.str(), t.str());
    }
    if (s.device() != t.device() || s.device() != student[0].device()) {
      throw DeviceError("feature_loss: scale {}: the student's map is on {}, the teacher's on {}",
                        k, s.device().str(), t.device().str());
    }
  }
}

/// Returns the sum over channels of 1 - r; writes the gradient if it is wanted.
template <class T, class A = Arithmetic<T>>
double run_scale(const FeatureMaps& maps) {
  const ChannelChunks chunks = channel_chunks(maps.student.shape());
  const T *const s = maps.student.data<T>(), *const t = maps.teacher.data<T>();
  const FeatureKernels<T>& kernels = kernels_for<T>(feature_kernels());
  const std::vector<double> sums = sums_of_chunks(chunks, kNumFeatureSums, [&](double* partial) {
    kernels.sums(s, t, chunks.rows, chunks.channels, chunks.rows_per_chunk, partial);
  });
  const size_t channels = size_t(chunks.channels);
  std::vector<A> mean_s(channels), mean_t(channels), slope_s(channels), slope_t(channels);
  double total = 0;
  for (size_t c = 0; c < channels; ++c) {
    const auto sum = [&](size_t which) { return sums[which * channels + c]; };
    const FeatureDistance d =
        feature_distance({sum(0), sum(1), sum(2), sum(3), sum(4)}, double(chunks.rows));
    total += d.value;
    mean_s[c] = A(d.mean_s + double(A(s[c])));
    mean_t[c] = A(d.mean_t + double(A(t[c])));
    slope_s[c] = A(maps.factor * d.slope_s);
    slope_t[c] = A(maps.factor * d.slope_t);
  }
  if (maps.grad.defined()) {
    kernels.grad(s, t, {mean_s.data(), mean_t.data(), slope_s.data(), slope_t.data()}, chunks.rows,
                 chunks.channels, maps.grad.data<T>());
  }
  return total;
}

void loss_on_cpu(const std::vector<FeatureMaps>& scales, const Tensor& term, const Tensor& total) {
  double sum = 0;
  if (!DryRun::is_on()) {
    for (const FeatureMaps& maps : scales) {
      dispatch_activation(maps.student.dtype(), "feature_loss",
                          [&](auto type) { sum += maps.factor * run_scale<decltype(type)>(maps); });
    }
  }
  term.fill(sum);
  total.fill(sum);
}

}  // namespace

Var feature_loss(const std::vector<Var>& student, const std::vector<Tensor>& teacher, double gain,
                 Tensor& term) {
  check_maps(student, teacher);
  if (!(gain >= 0) || !std::isfinite(gain)) {
    throw ValueError("feature_loss: the gain is {}, must be at least 0", gain);
  }
  const Device device = student[0].device();
  const DType dtype = student[0].dtype();
  std::vector<FeatureMaps> scales;
  std::vector<Tensor> grads;
  for (size_t k = 0; k < student.size(); ++k) {
    FeatureMaps maps;
    maps.student = student[k].value();
    maps.teacher = teacher[k];
    if (is_recording({&student[k]})) {
      maps.grad = Tensor::empty(student[k].shape(), dtype, device);
    }
    const Shape& shape = maps.student.shape();
    maps.factor = gain * double(shape[0]) / double(std::max<int64_t>(shape[-1], 1));
    grads.push_back(maps.grad);
    if (maps.student.numel() > 0) scales.push_back(std::move(maps));
  }
  term = Tensor::empty({1}, DType::kFloat64, device);
  const DType of_total = dtype == DType::kFloat64 ? dtype : DType::kFloat32;
  const Tensor total = Tensor::empty(Shape{}, of_total, device);
  YD_BACKEND(device, loss_on_cpu(scales, term, total), cuda::feature_loss(scales, term, total));
  return record(kFeatureLoss, total, student,
                [grads](const Tensor& grad_out) { return scaled_grads(grads, grad_out); });
}

}  // namespace ydistill
