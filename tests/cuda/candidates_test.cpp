// SPDX-License-Identifier: MIT
// Whether cuDNN has a plan for every convolution of every released graph, asked for an H200 that is
// described in a file, so that it needs no GPU. What conv_cudnn.cpp asks for is then known to be
// something that cuDNN does. Prints how many plans there are.
#include <ydistill/tensor/cuda/conv_cudnn.h>
#include <ydistill/yolo/graph.h>
#include <ydistill/yolo/model.h>

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "support/catch.h"

namespace ydistill {
namespace {

using cuda::ConvCandidates;
using cuda::ConvProblem;

constexpr int64_t kBatch = 16, kSize = 640;

std::string device_description() {
  std::ifstream file(YDISTILL_CUDNN_DEVICE);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Empty, or why cuDNN cannot be asked.
std::string why_not() {
  const ConvProblem any{{1, 8, 8, 8, 8, 3, {1, 1}}, DType::kBFloat16};
  try {
    (void)cuda::conv_candidates(any, device_description(), any.dtype);
  } catch (const LibraryError& error) {
    const std::string text = error.what();
    if (text.find("only available starting 9.8") != std::string::npos) return text;
    throw;
  }
  return "";
}

enum class Precision { kBf16, kTf32, kFp32 };
enum class Use { kForward, kBackwardInput, kBackwardWeight, kInference };

constexpr const char* kPrecisions[] = {"bf16", "tf32", "fp32"};
constexpr const char* kUses[] = {"forward", "backward input", "backward weight",
                                 "forward + bias + silu"};

DType dtype_of(Precision precision) {
  return precision == Precision::kBf16 ? DType::kBFloat16 : DType::kFloat32;
}

struct Graph {
  std::string name;
  std::vector<Conv2dGeometry> convolutions;
  size_t num_heads;
};

const std::vector<Graph>& graphs() {
  static const std::vector<Graph> all = [] {
    std::vector<Graph> list;
    for (const std::string& name : graph_names()) {
      const Model model(graph_by_name(name));
      list.push_back({name, model.convolutions(kBatch, kSize, kSize),
                      size_t(model.spec().anchors.num_heads())});
    }
    return list;
  }();
  return all;
}

/// Every convolution that a training step, or inference, asks of cuDNN in this way.
std::vector<ConvProblem> problems_of(const Graph& graph, Precision precision, Use use) {
  const DType dtype = dtype_of(precision);
  std::vector<Conv2dGeometry> convolutions = graph.convolutions;
  if (use == Use::kInference)
    convolutions.resize(convolutions.size() - graph.num_heads);  // no silu
  REQUIRE(!convolutions.empty());
  if (use == Use::kBackwardInput) convolutions.erase(convolutions.begin());  // nobody wants it
  std::vector<ConvProblem> problems;
  for (const Conv2dGeometry& g : convolutions) {
    ConvProblem problem{cuda::padded(g, dtype), dtype};
    problem.tf32 = precision == Precision::kTf32;
    if (use == Use::kBackwardInput) problem.direction = ConvDirection::kBackwardInput;
    if (use == Use::kBackwardWeight) problem.direction = ConvDirection::kBackwardWeight;
    problem.bias_silu = use == Use::kInference;
    problems.push_back(problem);
  }
  return problems;
}

std::string name_of(const Conv2dGeometry& g) {
  return fmt::format("{}x{} {} -> {}, {}x{} stride {}", g.in_height, g.in_width, g.in_channels,
                     g.out_channels, g.kernel, g.kernel, g.options.stride);
}

struct Answer {
  size_t asked = 0;
  std::set<std::string> without_plan;
};

/// Asks about all graphs and prints a line each: which has the fewest plans and cuDNN's first of
/// them, and the largest workspace of the plans taken.
Answer ask(Precision precision, Use use, DType result) {
  const std::string device = device_description();
  std::map<std::string, ConvCandidates> asked;
  Answer answer;
  for (const Graph& graph : graphs()) {
    std::map<std::string, int64_t> counts;
    int64_t workspace = 0;
    for (const ConvProblem& problem : problems_of(graph, precision, use)) {
      const std::string name = name_of(problem.g);
      const auto [at, is_new] = asked.try_emplace(name);
      if (is_new) at->second = cuda::conv_candidates(problem, device, result);
      counts[name] = at->second.count;
      workspace = std::max(workspace, at->second.workspace_bytes);
      if (at->second.count == 0) answer.without_plan.insert(name + ": " + at->second.reason);
    }
    const auto fewest =
        std::min_element(counts.begin(), counts.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    fmt::print("{:<11} {} {}{}: {} convolutions, at least {} plans ({}: {}), {:.0f} MiB\n",
               graph.name, kPrecisions[int(precision)], kUses[int(use)],
               result == dtype_of(precision) ? "" : ", float32 result", counts.size(),
               fewest->second, fewest->first, asked[fewest->first].first,
               double(workspace) / 1048576.0);
  }
  answer.asked = asked.size();
  return answer;
}

void check_all_have_plans(std::initializer_list<Precision> precisions, Use use) {
  const std::string reason = why_not();
  if (!reason.empty()) YD_SKIP(reason);
  for (const Precision precision : precisions) {
    const Answer answer = ask(precision, use, dtype_of(precision));
    INFO(kPrecisions[int(precision)]);
    for (const std::string& convolution : answer.without_plan) FAIL_CHECK(convolution);
    CHECK(answer.asked > 100);
  }
}

constexpr auto kAll = {Precision::kBf16, Precision::kTf32, Precision::kFp32};

TEST_CASE("cudnn: every forward convolution has a plan") {
  check_all_have_plans(kAll, Use::kForward);
}

TEST_CASE("cudnn: every gradient of an input has a plan") {
  check_all_have_plans(kAll, Use::kBackwardInput);
}

TEST_CASE("cudnn: every gradient of weights has a plan") {
  check_all_have_plans(kAll, Use::kBackwardWeight);
}

TEST_CASE("cudnn: every convolution of inference has a fused plan in bf16") {
  check_all_have_plans({Precision::kBf16}, Use::kInference);
}

// A plan for fp32 is one for tf32 too; asking is slow.
TEST_CASE("cudnn: every convolution of inference has a fused plan in fp32") {
  check_all_have_plans({Precision::kFp32}, Use::kInference);
}

// Why conv_cuda.cu adds a bfloat16 result into the float32 gradient. Where this fails, a newer
// cuDNN can do better, and conv_cuda.cu should ask for it.
TEST_CASE("cudnn: no weight gradient of bf16 operands has a float32 result") {
  const std::string reason = why_not();
  if (!reason.empty()) YD_SKIP(reason);
  const Answer answer = ask(Precision::kBf16, Use::kBackwardWeight, DType::kFloat32);
  CHECK(answer.without_plan.size() == answer.asked);
}

// What plans.json of a run holds.
TEST_CASE("cudnn: a plan is saved in cuDNN's words, with its engine and the device") {
  const std::string reason = why_not();
  if (!reason.empty()) YD_SKIP(reason);
  for (const DType dtype : {DType::kBFloat16, DType::kFloat32}) {
    const ConvProblem problem{{16, 40, 40, 64, 128, 3, {1, 1}}, dtype};
    const ConvCandidates found = cuda::conv_candidates(problem, device_description(), dtype);
    INFO(found.saved);
    CHECK(found.saved.find("\"engineId\":") != std::string::npos);
    CHECK(found.saved.find("\"deviceName\":\"NVIDIA H200\"") != std::string::npos);
  }
}

TEST_CASE("cudnn: a description of no device is refused in one line") {
  const ConvProblem any{{1, 8, 8, 8, 8, 3, {1, 1}}, DType::kBFloat16};
  CHECK_THROWS_WITH_TEXT(cuda::conv_candidates(any, "{}", any.dtype), LibraryError,
                         "reading a device's description");
}

}  // namespace
}  // namespace ydistill
