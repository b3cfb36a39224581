// SPDX-License-Identifier: MIT
#include <ydistill/layers/parameters.h>

namespace ydistill {
namespace {

constexpr int64_t kAlignBytes = 64;

int64_t aligned(int64_t elements, DType dtype) {
  const int64_t unit = kAlignBytes / size_of(dtype);
  return (elements + unit - 1) / unit * unit;
}

Tensor view(const Tensor& flat, int64_t begin, const Shape& shape) {
  return flat.slice(begin, begin + shape.numel()).reshape(shape);
}

}  // namespace

void ParameterStore::declare(const std::string& name) {
  if (values_.defined()) throw ValueError("parameters: {} declared after allocate()", name);
  if (!names_.insert(name).second) throw ValueError("parameters: {} declared twice", name);
}

int ParameterStore::append(std::string name, const Shape& shape, ParameterGroup group,
                           bool is_auxiliary) {
  declare(name);
  const auto packed = shape.rank() == 4 ? std::make_shared<PackedWeights>() : nullptr;
  parameters_.push_back({std::move(name), shape, group, is_auxiliary, {}, packed});
  return num_parameters() - 1;
}

int ParameterStore::add(std::string name, const Shape& shape, ParameterGroup group) {
  if (frozen_ && frozen_(name)) group = ParameterGroup::kFrozen;
  return append(std::move(name), shape, group, false);
}

int ParameterStore::add_auxiliary(std::string name, const Shape& shape, ParameterGroup group) {
  return append(std::move(name), shape, group, true);
}

int ParameterStore::add_statistic(std::string name, const Shape& shape, double initial_value) {
  declare(name);
  statistics_.push_back({std::move(name), shape, initial_value, {}});
  return num_statistics() - 1;
}

void ParameterStore::allocate() {
  if (values_.defined()) throw ValueError("parameters: allocate() called twice");
  const ArenaScope heap(nullptr);  // parameters outlive any step
  int64_t total = 0;
  std::vector<int64_t> begins(parameters_.size());
  for (int group = 0; group <= kNumParameterGroups; ++group) {
    const int64_t begin = total;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      if (int(parameters_[i].group) != group) continue;
      begins[i] = total;
      total += aligned(parameters_[i].shape.numel(), dtype_);
    }
    ranges_[size_t(group)] = {begin, total};
  }
  values_ = Tensor::zeros({total}, dtype_, device_);
  grads_ = Tensor::zeros({total}, dtype_, device_);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Entry& p = parameters_[i];
    p.var =
        Var::parameter(p.name, view(values_, begins[i], p.shape), view(grads_, begins[i], p.shape));
  }

  int64_t statistics_total = 0;
  for (const Statistic& s : statistics_) statistics_total += aligned(s.shape.numel(), dtype_);
  statistics_flat_ = Tensor::zeros({statistics_total}, dtype_, device_);
  int64_t begin = 0;
  for (Statistic& s : statistics_) {
    s.value = view(statistics_flat_, begin, s.shape);
    s.value.fill(s.initial);
    begin += aligned(s.shape.numel(), dtype_);
  }
}

void ParameterStore::keep_rounded() {
  if (rounded_.defined()) return;
  const ArenaScope heap(nullptr);  // outlives any step
  rounded_ = Tensor::zeros(values_.shape(), DType::kBFloat16, device_);
  for (const Entry& p : parameters_) {
    if (!p.packed) continue;
    const int64_t begin = p.var.value().raw() - values_.raw();
    p.packed->device_copy() = {view(rounded_, begin / size_of(dtype_), p.shape), /*version=*/0};
  }
  refresh_rounded();
}

void ParameterStore::refresh_rounded() {
  if (!rounded_.defined() || rounded_version_ == version_) return;
  const ArenaScope heap(nullptr);
  rounded_.copy_from(values_.to(DType::kBFloat16));
  mark_rounded();
}

void ParameterStore::mark_rounded() {
  if (!rounded_.defined()) return;
  rounded_version_ = version_;
  for (const Entry& p : parameters_) {
    if (!p.packed) continue;
    // A convolution that pads its weights has stored a copy of its own there.
    PackedWeights::DeviceCopy& copy = p.packed->device_copy();
    const std::byte* const begin = rounded_.raw();
    const bool is_view =
        copy.weights.raw() >= begin && copy.weights.raw() < begin + rounded_.nbytes();
    if (is_view) copy.version = version_;
  }
}

void ParameterStore::mark_statistics_changed() {
  const bool was_rounded = rounded_version_ == version_;
  mark_changed();
  if (was_rounded) mark_rounded();
}

int64_t ParameterStore::num_elements() const {
  int64_t sum = 0;
  for (const Entry& p : parameters_) sum += p.is_auxiliary ? 0 : p.shape.numel();
  return sum;
}

void ParameterStore::release() {
  values_ = grads_ = statistics_flat_ = rounded_ = {};
  for (Entry& entry : parameters_) {
    entry.var = {};
    entry.packed.reset();
  }
  for (Statistic& statistic : statistics_) statistic.value = {};
}

}  // namespace ydistill
