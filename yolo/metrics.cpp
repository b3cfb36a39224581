// SPDX-License-Identifier: MIT
#include <ydistill/yolo/metrics.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <utility>

#include <ydistill/tensor/error.h>
#include <ydistill/yolo/box_iou_math.h>

namespace ydistill {
namespace {

constexpr int kApPoints = 101;
constexpr double kTiny = 1e-16;  // avoids 0 / 0

/// Point `index` of n equidistant points from 0 to 1.
double grid_point(int index, int n) {
  return index == n - 1 ? 1.0 : double(index) * (1.0 / double(n - 1));
}

/// The piecewise linear curve through (x, y) at `at`; x is non-decreasing. Left of the curve the
/// value is `left`, right of it the last y. Of points with equal x the last counts.
double interpolate(double at, std::span<const double> x, std::span<const double> y, double left) {
  const auto above = std::upper_bound(x.begin(), x.end(), at);
  if (above == x.begin()) return left;
  const size_t i = size_t(above - x.begin()) - 1;
  if (i + 1 == x.size() || x[i] == at) return y[i];
  return (y[i + 1] - y[i]) / (x[i + 1] - x[i]) * (at - x[i]) + y[i];
}

/// Moving mean over 101 of the 1000 points; the end values are repeated.
std::vector<double> smoothed(const std::vector<double>& y) {
  constexpr int kHalf = 50;
  const int n = int(y.size());
  std::vector<double> result(y.size());
  for (int i = 0; i < n; ++i) {
    double sum = 0;
    for (int j = i - kHalf; j <= i + kHalf; ++j) sum += y[size_t(std::clamp(j, 0, n - 1))];
    result[size_t(i)] = sum / (2 * kHalf + 1);
  }
  return result;
}

bool is_finite(float x1, float y1, float x2, float y2) {
  return std::isfinite(x1) && std::isfinite(y1) && std::isfinite(x2) && std::isfinite(y2);
}

}  // namespace

EvalCompat eval_compat_of(const std::string& name) {
  if (name == "v7") return EvalCompat::kV7;
  if (name == "v5") return EvalCompat::kV5;
  throw ValueError("compat: \"{}\" is neither \"v7\" nor \"v5\"", name);
}

std::array<float, kNumIous> iou_thresholds() {
  // Steps from both ends, in float32, as torch.linspace in the original.
  const float first = 0.5f, last = 0.95f, step = (last - first) / float(kNumIous - 1);
  std::array<float, kNumIous> result{};
  for (int i = 0; i < kNumIous; ++i) {
    const bool lower_half = i < kNumIous / 2;
    result[size_t(i)] =
        lower_half ? first + step * float(i) : last - step * float(kNumIous - 1 - i);
  }
  return result;
}

std::vector<Correct> match_detections(const std::vector<Detection>& detections,
                                      const std::vector<TruthBox>& truths, EvalCompat compat) {
  const bool v7 = compat == EvalCompat::kV7;
  const float eps = v7 ? 1e-7f : 0.0f;
  const auto thresholds = iou_thresholds();
  std::vector<Correct> correct(detections.size(), Correct{});
  std::vector<Correct> taken(truths.size(), Correct{});
  for (size_t i = 0; i < detections.size(); ++i) {
    const Detection& d = detections[i];
    size_t best = truths.size();
    float best_iou = -1;
    for (size_t j = 0; j < truths.size(); ++j) {
      const TruthBox& t = truths[j];
      if (t.class_id != d.class_id) continue;
      const float iou = box_iou(d.x1, d.y1, d.x2, d.y2, t.x1, t.y1, t.x2, t.y2, eps);
      if (iou > best_iou) {
        best_iou = iou;
        best = j;
      }
    }
    if (best == truths.size()) continue;
    Correct& used = taken[best];
    if (!v7 && (used[0] || !(best_iou > thresholds[0]))) continue;
    for (size_t k = 0; k < kNumIous; ++k) {
      const bool close = v7 ? best_iou >= thresholds[k] : best_iou > thresholds[k];
      correct[i][k] = close && !used[k];
      used[k] = used[k] || close;
    }
  }
  return correct;
}

ApResult average_precision(const std::vector<double>& recall, const std::vector<double>& precision,
                           EvalCompat compat) {
  if (recall.empty() || recall.size() != precision.size()) {
    throw ValueError("average_precision: {} recalls and {} precisions; both must be there",
                     recall.size(), precision.size());
  }
  ApResult r;
  r.recall.push_back(0.0);
  r.recall.insert(r.recall.end(), recall.begin(), recall.end());
  r.recall.push_back(compat == EvalCompat::kV7 ? 1.0 : recall.back() + 0.01);
  r.precision.push_back(1.0);
  r.precision.insert(r.precision.end(), precision.begin(), precision.end());
  r.precision.push_back(0.0);
  for (size_t i = r.precision.size() - 1; i-- > 0;) {
    r.precision[i] = std::max(r.precision[i], r.precision[i + 1]);
  }
  double before = 0;
  for (int i = 0; i < kApPoints; ++i) {
    const double x = grid_point(i, kApPoints);
    const double y = interpolate(x, r.recall, r.precision, r.precision.front());
    if (i > 0) r.ap += (x - grid_point(i - 1, kApPoints)) * (y + before) / 2;
    before = y;
  }
  return r;
}

void DetectionMetrics::add(std::vector<Detection> detections, const std::vector<TruthBox>& truths) {
  for (const Detection& d : detections) {
    if (!std::isfinite(d.score) || !is_finite(d.x1, d.y1, d.x2, d.y2)) {
      throw NotFiniteError("metrics: picture {} has a detection that is NaN or infinite", images_);
    }
    if (d.class_id < 0) throw ValueError("metrics: a detection has class {}", d.class_id);
  }
  for (const TruthBox& t : truths) {
    if (!is_finite(t.x1, t.y1, t.x2, t.y2)) {
      throw NotFiniteError("metrics: picture {} has a label that is NaN or infinite", images_);
    }
    if (t.class_id < 0) throw ValueError("metrics: a label has class {}", t.class_id);
  }
  std::stable_sort(detections.begin(), detections.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  const std::vector<Correct> correct = match_detections(detections, truths, compat_);
  for (size_t i = 0; i < detections.size(); ++i) {
    detections_.push_back({detections[i].score, detections[i].class_id, correct[i]});
  }

  std::vector<int64_t> classes;
  for (const TruthBox& t : truths) classes.push_back(t.class_id);
  std::sort(classes.begin(), classes.end());
  for (auto first = classes.begin(); first != classes.end();) {
    const auto last = std::upper_bound(first, classes.end(), *first);
    Truths& of_class = truths_of(*first);
    of_class.images += 1;
    of_class.instances += last - first;
    first = last;
  }
  ++images_;
}

DetectionMetrics::Truths& DetectionMetrics::truths_of(int64_t class_id) {
  auto at = std::lower_bound(truths_.begin(), truths_.end(), class_id,
                             [](const Truths& t, int64_t id) { return t.class_id < id; });
  if (at == truths_.end() || at->class_id != class_id) at = truths_.insert(at, {class_id, 0, 0});
  return *at;
}

std::string DetectionMetrics::state() const {
  const std::array<int64_t, 3> sizes{images_, int64_t(detections_.size()), int64_t(truths_.size())};
  std::string bytes(reinterpret_cast<const char*>(sizes.data()), sizeof(sizes));
  bytes.append(reinterpret_cast<const char*>(detections_.data()),
               detections_.size() * sizeof(Scored));
  bytes.append(reinterpret_cast<const char*>(truths_.data()), truths_.size() * sizeof(Truths));
  return bytes;
}

void DetectionMetrics::append(const std::string& state) {
  std::array<int64_t, 3> sizes{};
  const auto refuse = [&state] {
    throw ValueError("metrics: {} bytes are no state of a validation", state.size());
  };
  if (state.size() < sizeof(sizes)) refuse();
  std::memcpy(sizes.data(), state.data(), sizeof(sizes));
  const auto [images, num_detections, num_truths] = sizes;
  const int64_t most = int64_t(state.size());  // prevents overflow of the products below
  if (num_detections < 0 || num_detections > most || num_truths < 0 || num_truths > most ||
      state.size() != sizeof(sizes) + size_t(num_detections) * sizeof(Scored) +
                          size_t(num_truths) * sizeof(Truths)) {
    refuse();
  }
  images_ += images;
  const char* at = state.data() + sizeof(sizes);
  const size_t before = detections_.size();
  detections_.resize(before + size_t(num_detections));
  if (num_detections > 0) {
    std::memcpy(&detections_[before], at, size_t(num_detections) * sizeof(Scored));
  }
  at += size_t(num_detections) * sizeof(Scored);
  for (int64_t i = 0; i < num_truths; ++i, at += sizeof(Truths)) {
    Truths added;
    std::memcpy(&added, at, sizeof(added));
    Truths& of_class = truths_of(added.class_id);
    of_class.images += added.images;
    of_class.instances += added.instances;
  }
}

MetricsResult DetectionMetrics::compute(const std::vector<std::string>& names) const {
  MetricsResult result;
  result.images = images_;
  std::vector<Scored> sorted = detections_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Scored& a, const Scored& b) { return a.score > b.score; });

  std::vector<double> mean_f1(kCurvePoints, 0.0);
  for (const Truths& truths : truths_) {
    ClassMetrics c;
    c.class_id = truths.class_id;
    const bool named = truths.class_id < int64_t(names.size());
    c.name = named ? names[size_t(truths.class_id)] : std::to_string(truths.class_id);
    c.images = truths.images;
    c.instances = truths.instances;
    result.instances += truths.instances;

    std::vector<double> falling_score;  // negated, so that it rises
    std::array<std::vector<double>, kNumIous> recall, precision;
    std::array<int64_t, kNumIous> hits{};
    for (const Scored& d : sorted) {
      if (d.class_id != c.class_id) continue;
      falling_score.push_back(-double(d.score));
      for (size_t k = 0; k < kNumIous; ++k) {
        hits[k] += d.correct[k] ? 1 : 0;
        recall[k].push_back(double(hits[k]) / (double(c.instances) + kTiny));
        precision[k].push_back(double(hits[k]) / double(falling_score.size()));
      }
    }
    c.detections = int64_t(falling_score.size());
    if (c.detections > 0) {
      for (size_t k = 0; k < kNumIous; ++k) {
        const ApResult r = average_precision(recall[k], precision[k], compat_);
        c.ap[k] = r.ap;
        for (int i = 0; k == 0 && i < kCurvePoints; ++i) {
          const double at = grid_point(i, kCurvePoints);
          c.precision_by_recall.push_back(
              interpolate(at, r.recall, r.precision, r.precision.front()));
        }
      }
      for (int i = 0; i < kCurvePoints; ++i) {
        const double at = -grid_point(i, kCurvePoints);
        const double p = interpolate(at, falling_score, precision[0], 1);
        const double r = interpolate(at, falling_score, recall[0], 0);
        c.precision_by_score.push_back(p);
        c.recall_by_score.push_back(r);
        mean_f1[size_t(i)] += 2 * p * r / (p + r + kTiny) / double(truths_.size());
      }
    }
    c.map50 = c.ap[0];
    c.map = std::accumulate(c.ap.begin(), c.ap.end(), 0.0) / kNumIous;
    result.per_class.push_back(std::move(c));
  }
  if (result.per_class.empty()) return result;

  if (compat_ == EvalCompat::kV7) mean_f1 = smoothed(mean_f1);
  const size_t best = size_t(std::max_element(mean_f1.begin(), mean_f1.end()) - mean_f1.begin());
  result.best_score = grid_point(int(best), kCurvePoints);
  const double count = double(result.per_class.size());
  for (ClassMetrics& c : result.per_class) {
    if (c.detections > 0) {
      c.precision = c.precision_by_score[best];
      c.recall = c.recall_by_score[best];
      c.f1 = 2 * c.precision * c.recall / (c.precision + c.recall + kTiny);
    }
    result.precision += c.precision / count;
    result.recall += c.recall / count;
    result.map50 += c.map50 / count;
    result.map += c.map / count;
  }
  return result;
}

}  // namespace ydistill
