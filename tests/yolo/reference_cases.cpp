// SPDX-License-Identifier: MIT
#include "yolo/reference_cases.h"
#include "support/worst.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace ydistill::test {
namespace {

LossGains gains_of(const nlohmann::json& j) {
  return {j.at("box"), j.at("obj"), j.at("cls")};
}

/// 0: box, 1: objectness, 2: classes; all one group but in heads and decoded boxes.
int group_of(const Tensor& t, int64_t i) {
  if (t.rank() != 5 && t.rank() != 3) return 0;
  const int64_t column = i % t.size(-1);
  return column < 4 ? 0 : column == 4 ? 1 : 2;
}

}  // namespace

Tensor our_layout(const Tensor& recorded) {
  const int64_t n = recorded.size(0), a = recorded.size(1), h = recorded.size(2);
  const int64_t w = recorded.size(3), width = recorded.size(4);
  const Tensor ours = Tensor::empty({n, h, w, a, width}, recorded.dtype());
  const float* from = recorded.data<float>();
  for (int64_t box = 0; box < n * a * h * w; ++box, from += width) {
    const int64_t x = box % w, y = box / w % h, k = box / (w * h) % a, picture = box / (w * h * a);
    std::copy_n(from, width, ours.data<float>() + (((picture * h + y) * w + x) * a + k) * width);
  }
  return ours;
}

std::vector<Tensor> recorded_heads(const TensorFile& file, const std::string& name) {
  const Tensor thin = our_layout(file.at(name + ".head0"));
  const Tensor middle = our_layout(file.at(name + ".head1"));
  const Tensor full = Tensor::full(
      {1, 2 * middle.size(1), 2 * middle.size(2), middle.size(3), middle.size(4)}, -20);
  const int64_t cell = middle.size(3) * middle.size(4);
  for (int64_t y = 0; y < thin.size(1); ++y) {
    for (int64_t x = 0; x < thin.size(2); ++x) {
      std::copy_n(thin.data<float>() + (y * thin.size(2) + x) * cell, cell,
                  full.data<float>() + (4 * y * full.size(2) + 4 * x) * cell);
    }
  }
  return {full, middle, our_layout(file.at(name + ".head2"))};
}

Reference::Reference(const std::filesystem::path& path) : file(read_safetensors(path)) {
  const auto recorded_cases = nlohmann::json::parse(file.metadata.at("cases"));
  for (const auto& [name, j] : recorded_cases.items()) {
    ReferenceCase c;
    c.name = name;
    c.distill = j.at("distill");
    c.temperature = j.at("temperature");
    c.detection = j.at("detection");
    c.other_anchors = j.at("anchors");
    c.with_targets = j.at("targets");
    c.steps = j.at("steps");
    c.gains = gains_of(j.at("gains"));
    c.distill_gains = gains_of(j.at("distill_gains"));
    cases.push_back(c);
  }
  const auto recorded_noise = nlohmann::json::parse(file.metadata.at("noise"));
  for (const auto& [name, value] : recorded_noise.items()) noise[name] = value;
}

std::vector<Tensor> Reference::heads(const std::string& prefix) const {
  std::vector<Tensor> result;
  for (const char* k : {"0", "1", "2"}) result.push_back(our_layout(file.at(prefix + k)));
  return result;
}

Anchors Reference::anchors(const std::string& name) const {
  const Tensor& grid = file.at(name);
  Anchors anchors{{8, 16, 32}, {}};
  for (int64_t k = 0; k < 3; ++k) {
    anchors.wh_px.emplace_back();
    const double stride = anchors.strides[size_t(k)];
    for (int64_t a = 0; a < 3; ++a) {
      const int64_t i = (k * 3 + a) * 2;
      anchors.wh_px.back().push_back({grid.at(i) * stride, grid.at(i + 1) * stride});
    }
  }
  return anchors;
}

Tensor Reference::targets(const ReferenceCase& c) const {
  return c.with_targets ? file.at("targets") : Tensor::zeros({0, 6});
}

double Reference::share_of_limit(const Tensor& ours, const std::string& name) const {
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor* recorded = file.find(name);
  if (recorded == nullptr || noise.count(name) == 0) return infinity;
  const Tensor expected = recorded->rank() == 5 ? our_layout(*recorded) : *recorded;
  if (expected.shape() != ours.shape()) return infinity;
  double largest[3] = {}, worst[3] = {};
  for (int64_t i = 0; i < ours.numel(); ++i) {
    const int group = group_of(ours, i);
    if (!std::isfinite(ours.at(i)) || !std::isfinite(expected.at(i))) return infinity;
    largest[group] = std::max(largest[group], std::abs(expected.at(i)));
    worst[group] = test::worse(worst[group], std::abs(expected.at(i) - ours.at(i)));
  }
  double share = 0;
  for (int group = 0; group < 3; ++group) {
    if (worst[group] == 0) continue;
    share = std::max(share, worst[group] / std::max(10 * noise.at(name), 5e-6 * largest[group]));
  }
  return share;
}

}  // namespace ydistill::test
