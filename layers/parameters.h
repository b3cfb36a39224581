// SPDX-License-Identifier: MIT
// The parameters of a model, in flat buffers.
//
// Layers declare parameters by name and shape while the model is built; allocate() then lays them
// out in one buffer of values and one of gradients, grouped as the optimizer treats them:
//
//   | convolution weights (decay) | batch-norm weights | biases | frozen |   each 64-byte aligned
//
// Optimizer, EMA, clipping, exchange and checkpoints are each one pass over a buffer. The running
// statistics of batch norm form a buffer of their own: averaged by the EMA, never trained.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <ydistill/autograd/var.h>
#include <ydistill/tensor/conv.h>

namespace ydistill {

/// kFrozen: a parameter of any kind that is not trained.
enum class ParameterGroup : uint8_t { kDecay, kNoDecay, kBias, kFrozen };
inline constexpr int kNumParameterGroups = 3;  ///< of those that are trained

class ParameterStore {
 public:
  /// Parameters, gradients and statistics live on `device`; on a GPU they are float32.
  explicit ParameterStore(DType dtype = DType::kFloat32, Device device = {})
      : dtype_(dtype), device_(device) {}
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  /// Parameters declared from now on become kFrozen if `names` returns true for their name.
  void freeze(std::function<bool(const std::string&)> names) { frozen_ = std::move(names); }
  /// Declares a parameter and returns its index. throws ValueError for a name that is taken, or
  /// after allocate().
  int add(std::string name, const Shape& shape, ParameterGroup group);
  /// The same for a parameter beside the network, which only training needs. It is updated, summed
  /// over processes and resumed like the others, and its gradient counts in the norm that is
  /// clipped; but it is none of the weights that are kept, and never frozen.
  int add_auxiliary(std::string name, const Shape& shape, ParameterGroup group);
  /// Declares a running statistic and returns its index.
  int add_statistic(std::string name, const Shape& shape, double initial_value);
  /// Lays out the buffers; values and gradients are zero, statistics at their initial values.
  void allocate();

  /// Frees values, gradients and statistics; names, shapes and groups stay. For a network whose
  /// weights are stored elsewhere from then on.
  void release();

  int num_parameters() const { return int(parameters_.size()); }
  int num_statistics() const { return int(statistics_.size()); }
  const std::string& name(int parameter) const { return at(parameters_, parameter).name; }
  const std::string& statistic_name(int i) const { return at(statistics_, i).name; }
  ParameterGroup group(int parameter) const { return at(parameters_, parameter).group; }
  bool is_auxiliary(int parameter) const { return at(parameters_, parameter).is_auxiliary; }
  /// The parameter as a leaf of the graph; its value and gradient are views of the flat buffers.
  const Var& var(int parameter) const { return at(parameters_, parameter).var; }
  const Tensor& statistic(int i) const { return at(statistics_, i).value; }
  /// The working copies of a convolution's weights [O,K,K,C], valid for version().
  const std::shared_ptr<PackedWeights>& packed(int parameter) const {
    return at(parameters_, parameter).packed;
  }
  /// Elements of the network, without the padding between parameters.
  int64_t num_elements() const;

  /// The whole buffers, one-dimensional, padding (always zero) included.
  const Tensor& values() const { return values_; }
  const Tensor& grads() const { return grads_; }
  const Tensor& statistics() const { return statistics_flat_; }
  /// [begin, end) of a group in the flat buffers.
  std::pair<int64_t, int64_t> range(ParameterGroup group) const { return ranges_[size_t(group)]; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }

  /// Changes whenever the values may have changed; working copies are then made again.
  uint64_t version() const { return version_; }
  void mark_changed() { ++version_; }
  /// The same if only statistics have changed: rounded() stays valid.
  void mark_statistics_changed();

  /// Also keeps the values rounded to bfloat16, in a buffer of the same layout. Convolutions on a
  /// GPU that need no padding read their weights there instead of each rounding a copy, as long as
  /// whoever changes the values also updates this buffer and calls mark_rounded().
  void keep_rounded();
  const Tensor& rounded() const { return rounded_; }  ///< undefined unless kept
  /// Rounds all values if they have changed since.
  void refresh_rounded();
  /// Declares that rounded() matches the values; does nothing if none is kept.
  void mark_rounded();

 private:
  struct Entry {
    std::string name;
    Shape shape;
    ParameterGroup group;
    bool is_auxiliary;
    Var var;
    std::shared_ptr<PackedWeights> packed;
  };
  struct Statistic {
    std::string name;
    Shape shape;
    double initial;
    Tensor value;
  };
  template <class T>
  static const T& at(const std::vector<T>& list, int i) {
    return list.at(size_t(i));
  }
  void declare(const std::string& name);
  int append(std::string name, const Shape& shape, ParameterGroup group, bool is_auxiliary);

  DType dtype_;
  Device device_;
  std::function<bool(const std::string&)> frozen_;
  std::vector<Entry> parameters_;
  std::vector<Statistic> statistics_;
  std::unordered_set<std::string> names_;  // of both
  Tensor values_, grads_, statistics_flat_, rounded_;
  std::array<std::pair<int64_t, int64_t>, kNumParameterGroups + 1> ranges_{};
  uint64_t version_ = 1, rounded_version_ = 0;
};

}  // namespace ydistill
