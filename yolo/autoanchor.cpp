// SPDX-License-Identifier: MIT
#include <ydistill/yolo/autoanchor.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/random.h>

namespace ydistill {
namespace {

constexpr size_t kMostBoxes = 100000;
constexpr double kLeastSide = 2;  // px, of boxes and anchors
constexpr int kKmeansRounds = 30;
constexpr uint32_t kKmeansStream = 0x6b6d6e73, kEvolveStream = 0x6b65766f;

double ratio_of(const BoxSize& box, const BoxSize& anchor) {
  const double w = box[0] / anchor[0], h = box[1] / anchor[1];
  return std::min({w, 1 / w, h, 1 / h});
}

AnchorFit fit_of(const std::vector<BoxSize>& anchors, std::span<const BoxSize> boxes,
                 double anchor_t) {
  AnchorFit fit;
  for (const BoxSize& box : boxes) {
    double best = 0;
    for (const BoxSize& anchor : anchors) {
      const double ratio = ratio_of(box, anchor);
      best = std::max(best, ratio);
      fit.matches += ratio > 1 / anchor_t ? 1 : 0;
    }
    if (best > 1 / anchor_t) {
      fit.recall += 1;
      fit.fitness += best;
    }
  }
  const double n = double(std::max<size_t>(boxes.size(), 1));
  return {fit.recall / n, fit.matches / n, fit.fitness / n};
}

std::vector<BoxSize> flat(const Anchors& anchors) {
  std::vector<BoxSize> all;
  for (const auto& head : anchors.wh_px) all.insert(all.end(), head.begin(), head.end());
  return all;
}

void sort_by_area(std::vector<BoxSize>& sizes) {
  std::stable_sort(sizes.begin(), sizes.end(),
                   [](const BoxSize& a, const BoxSize& b) { return a[0] * a[1] < b[0] * b[1]; });
}

std::vector<BoxSize> selected(std::span<const BoxSize> boxes) {
  std::vector<BoxSize> kept;
  for (const BoxSize& box : boxes) {
    if (box[0] >= kLeastSide || box[1] >= kLeastSide) kept.push_back(box);
  }
  if (kept.size() <= kMostBoxes) return kept;
  std::vector<BoxSize> some(kMostBoxes);
  for (size_t i = 0; i < kMostBoxes; ++i) some[i] = kept[i * kept.size() / kMostBoxes];
  return some;
}

double square_distance(const BoxSize& a, const BoxSize& b, const BoxSize& spread) {
  const double w = (a[0] - b[0]) / spread[0], h = (a[1] - b[1]) / spread[1];
  return w * w + h * h;
}

BoxSize spread_of(const std::vector<BoxSize>& boxes) {
  BoxSize spread{};
  for (size_t side = 0; side < 2; ++side) {
    double sum = 0, squares = 0;
    for (const BoxSize& box : boxes) sum += box[side];
    const double mean = sum / double(boxes.size());
    for (const BoxSize& box : boxes) squares += (box[side] - mean) * (box[side] - mean);
    spread[side] = std::sqrt(squares / double(boxes.size()));
    if (!(spread[side] > 0)) spread[side] = 1;  // all boxes equal
  }
  return spread;
}

/// k-means: k-means++ seeds (Arthur and Vassilvitskii 2007), then Lloyd's iterations.
std::vector<BoxSize> kmeans(const std::vector<BoxSize>& boxes, size_t k, Rng rng) {
  const BoxSize spread = spread_of(boxes);
  std::vector<BoxSize> centres{boxes[size_t(rng.below(int64_t(boxes.size())))]};
  std::vector<double> nearest(boxes.size(), std::numeric_limits<double>::infinity());
  while (centres.size() < k) {
    double total = 0;
    for (size_t i = 0; i < boxes.size(); ++i) {
      nearest[i] = std::min(nearest[i], square_distance(boxes[i], centres.back(), spread));
      total += nearest[i];
    }
    double place = rng.uniform() * total;
    size_t chosen = 0;
    while (chosen + 1 < boxes.size() && place >= nearest[chosen]) place -= nearest[chosen++];
    centres.push_back(boxes[chosen]);
  }
  for (int round = 0; round < kKmeansRounds; ++round) {
    std::vector<BoxSize> sums(k, BoxSize{});
    std::vector<double> counts(k);
    for (const BoxSize& box : boxes) {
      size_t best = 0;
      for (size_t c = 1; c < k; ++c) {
        if (square_distance(box, centres[c], spread) < square_distance(box, centres[best], spread))
          best = c;
      }
      sums[best][0] += box[0];
      sums[best][1] += box[1];
      counts[best] += 1;
    }
    for (size_t c = 0; c < k; ++c) {
      if (counts[c] > 0) centres[c] = {sums[c][0] / counts[c], sums[c][1] / counts[c]};
    }
  }
  return centres;
}

/// Initial anchors by k-means of the box sizes, as in YOLOv5.
std::vector<BoxSize> centres(const std::vector<BoxSize>& boxes, size_t k, uint64_t seed) {
  std::vector<BoxSize> found = kmeans(boxes, k, Rng(seed, 0, 0, kKmeansStream));
  for (BoxSize& anchor : found) {
    for (double& side : anchor) side = std::max(side, kLeastSide);
  }
  sort_by_area(found);
  return found;
}

/// Initial anchors by k-means of the logarithms: the fitness uses ratios, so small and large boxes
/// have the same weight.
std::vector<BoxSize> centres_of_logs(const std::vector<BoxSize>& boxes, size_t k, uint64_t seed) {
  std::vector<BoxSize> logs;
  for (const BoxSize& box : boxes) logs.push_back({std::log(box[0]), std::log(box[1])});
  std::vector<BoxSize> found = kmeans(logs, k, Rng(seed, 0, 1, kKmeansStream));
  for (BoxSize& anchor : found) {
    for (double& side : anchor) side = std::max(std::exp(side), kLeastSide);
  }
  sort_by_area(found);
  return found;
}

/// One generation's factors: each side changes with probability 0.9, all by a common random amount.
std::vector<BoxSize> changed(const std::vector<BoxSize>& anchors, Rng& rng) {
  constexpr double kProbability = 0.9, kSigma = 0.1, kLow = 0.3, kHigh = 3;
  std::vector<BoxSize> result = anchors;
  bool has_changed = false;
  while (!has_changed) {
    const double amount = rng.uniform();
    for (size_t i = 0; i < anchors.size(); ++i) {
      for (size_t side = 0; side < 2; ++side) {
        const bool changes = rng.uniform() < kProbability;
        const double factor =
            changes ? std::clamp(1 + amount * rng.normal() * kSigma, kLow, kHigh) : 1.0;
        result[i][side] = std::max(anchors[i][side] * factor, kLeastSide);
        has_changed = has_changed || factor != 1;
      }
    }
  }
  return result;
}

}  // namespace

AnchorFit fit_of(const Anchors& anchors, std::span<const BoxSize> boxes, double anchor_t) {
  return fit_of(flat(anchors), boxes, anchor_t);
}

Anchors fitted_anchors(const Anchors& like, std::span<const BoxSize> boxes,
                       const AutoanchorOptions& options) {
  const std::vector<BoxSize> used = selected(boxes);
  const size_t count = size_t(like.num_heads() * like.per_head());
  if (used.size() < count) {
    throw ValueError("autoanchor: {} boxes of {} px or more, at least {} wanted, one an anchor",
                     used.size(), kLeastSide, count);
  }
  std::vector<BoxSize> best;
  double fitness = -1;
  for (std::vector<BoxSize>& start :
       std::array{centres(used, count, options.seed), centres_of_logs(used, count, options.seed)}) {
    const double reached = fit_of(start, used, options.anchor_t).fitness;
    if (reached <= fitness) continue;
    fitness = reached;
    best = std::move(start);
  }
  Rng rng(options.seed, 0, 0, kEvolveStream);
  for (int64_t generation = 0; generation < options.generations; ++generation) {
    std::vector<BoxSize> candidate = changed(best, rng);
    const double reached = fit_of(candidate, used, options.anchor_t).fitness;
    if (reached <= fitness) continue;
    fitness = reached;
    best = std::move(candidate);
    sort_by_area(best);
  }
  Anchors result = like;
  std::vector<size_t> heads(like.strides.size());
  for (size_t i = 0; i < heads.size(); ++i) heads[i] = i;
  std::stable_sort(heads.begin(), heads.end(),
                   [&](size_t a, size_t b) { return like.strides[a] < like.strides[b]; });
  size_t next = 0;
  for (const size_t head : heads) {
    for (auto& anchor : result.wh_px[head]) anchor = best[next++];
  }
  return result;
}

}  // namespace ydistill
