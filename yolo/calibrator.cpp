// SPDX-License-Identifier: MIT
#include <ydistill/yolo/calibrator.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <unordered_map>

#include <ydistill/tensor/parallel.h>
#include <ydistill/yolo/inference.h>

namespace ydistill {
namespace {

/// Histogram of numbers, in bins of equal width around 0.
class Histogram {
 public:
  void add(std::span<const float> numbers) {
    float low = 0, high = 0;
    for (const float x : numbers) {
      low = std::min(low, x);
      high = std::max(high, x);
    }
    low_ = std::min(low_, double(low));
    high_ = std::max(high_, double(high));
    widen(std::max(double(high), -double(low)));
    std::mutex mutex;
    const float per_width = float(1 / width_);
    parallel_ranges(int64_t(numbers.size()), 1 << 16, [&](int64_t begin, int64_t end) {
      std::vector<int64_t> counts(kBins);
      for (int64_t i = begin; i < end; ++i) {
        const auto bin = int64_t(std::floor(numbers[size_t(i)] * per_width)) + kBins / 2;
        ++counts[size_t(std::clamp<int64_t>(bin, 0, kBins - 1))];
      }
      const std::lock_guard lock(mutex);
      for (size_t b = 0; b < kBins; ++b) counts_[b] += counts[b];
    });
  }

  void add(const Histogram& other) {
    Histogram like = other;
    low_ = std::min(low_, other.low_);
    high_ = std::max(high_, other.high_);
    widen(like.width_ * kBins / 2);
    like.widen(width_ * kBins / 2);
    for (size_t b = 0; b < kBins; ++b) counts_[b] += like.counts_[b];
  }

  /// The minimum, and the upper end of the range.
  std::pair<double, double> best_range() const {
    constexpr int kCandidates = 256;
    if (low_ == 0 && high_ == 0) return {0, 1};  // any range is valid
    size_t last = kBins;
    while (last > 0 && counts_[last - 1] == 0) --last;
    const double most = width_ * (double(last) - kBins / 2.0);
    double best = most, least = std::numeric_limits<double>::infinity();
    for (int i = kCandidates; i > kCandidates / 8; --i) {
      const double high = most * i / kCandidates;
      const double off = mean_square_off(high);
      if (off < least) {
        least = off;
        best = high;
      }
    }
    return {low_, best};
  }

 private:
  static constexpr int64_t kBins = 8192;

  /// Sum of square errors: s^2 / 12 per number for rounding to steps of s, plus the square of the
  /// clipped distance.
  double mean_square_off(double high) const {
    const double step = (high - low_) / 255, rounding = step * step / 12;
    double sum = 0;
    for (size_t b = 0; b < kBins; ++b) {
      const double beyond = std::max(0.0, width_ * (double(b) + 0.5 - kBins / 2.0) - high);
      sum += double(counts_[b]) * (rounding + beyond * beyond);
    }
    return sum;
  }

  /// Doubles the bin width until the bins cover +-limit.
  void widen(double limit) {
    while (limit > width_ * kBins / 2) {
      std::vector<int64_t> wider(kBins);
      for (int64_t b = 0; b < kBins; ++b) {
        wider[size_t(kBins / 4 + b / 2)] += counts_[size_t(b)];
      }
      counts_ = std::move(wider);
      width_ *= 2;
    }
  }

  double low_ = 0, high_ = 0, width_ = 0x1p-33;  // width_ grows with the data
  std::vector<int64_t> counts_ = std::vector<int64_t>(kBins);
};

}  // namespace

struct Calibrator::State {
  struct Conv {
    Histogram outputs;
    std::vector<double> input_sums;
    int64_t pixels = 0;
  };

  explicit State(Model& of) : model(of), inference(of) {}

  void see(const std::string& name, const Tensor& x, const Tensor& y) {
    if (!all_finite(y)) throw NotFiniteError("calibration: {} gives NaN or infinity", name);
    Conv& conv = convs[name];
    const int64_t channels = x.size(3);
    conv.input_sums.resize(size_t(channels));
    conv.pixels += x.numel() / channels;
    const float* const from = x.data<float>();
    for (int64_t i = 0; i < x.numel(); i += channels) {
      for (int64_t c = 0; c < channels; ++c) conv.input_sums[size_t(c)] += double(from[i + c]);
    }
    conv.outputs.add(y.span<float>());
  }

  Model& model;
  Inference inference;
  std::unordered_map<std::string, Conv> convs;
};

Calibrator::Calibrator(Model& model) {
  if (!model.device().is_cpu() || model.activations() != DType::kFloat32) {
    throw ValueError("calibration: takes a model in float32 on the CPU, got {} on {}",
                     name_of(model.activations()), model.device().str());
  }
  state_ = std::make_unique<State>(model);
  model.observe_convs([state = state_.get()](const std::string& conv, const Tensor& x,
                                             const Tensor& y) { state->see(conv, x, y); });
}

Calibrator::~Calibrator() {
  state_->model.observe_convs({});
}

void Calibrator::add(const Tensor& images) {
  state_->inference.logits(images);
}

NetworkCalibration Calibrator::result() const {
  if (state_->convs.empty()) throw ValueError("calibration: no picture was added");
  NetworkCalibration result;
  for (const auto& [name, conv] : state_->convs) {
    for (const double sum : conv.input_sums) {
      result[name].input_means.push_back(float(sum / double(conv.pixels)));
    }
  }
  for (const std::vector<std::string>& group : state_->model.groups_by_reader()) {
    Histogram all;
    for (const std::string& conv : group) all.add(state_->convs.at(conv).outputs);
    const auto [low, high] = all.best_range();
    for (const std::string& conv : group) {
      result[conv].low = low;
      result[conv].high = high;
    }
  }
  return result;
}

void check_runs_in_int8(const Checkpoint& checkpoint) {
  const auto model = build_inference_model(checkpoint, {});
  NetworkCalibration any;
  for (const auto& group : model->groups_by_reader()) {
    for (const std::string& conv : group) any[conv] = {0, 1};
  }
  for (const std::string& head : model->head_convs()) any[head] = {};
  model->prepare_int8(any);
}

}  // namespace ydistill
