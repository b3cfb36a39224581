// SPDX-License-Identifier: MIT
// Every recorded case of the reference through the whole engine. The limit of a tensor is ten times
// the original's own float32 noise, and at least 5e-6 of its largest entry; of a head, box,
// objectness and class columns are each on their own scale.
#include <ydistill/train/trace.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "support/files.h"
#include "support/worst.h"

namespace ydistill {
namespace {

struct Share {
  double worst = 0;  ///< largest difference as a share of its limit
  std::string where;
  int64_t tensors = 0;
};

/// Of a tensor's largest entry.
constexpr double kLimit = 5e-6;
/// Of the noise that was recorded.
constexpr double kTimesNoise = 10;
/// Of the losses of the first two steps of a path.
constexpr double kFirstSteps = 2e-5;

/// A limit that asks for all tensors, of their shapes and finite, and no more.
constexpr double kAnyNumber = 1e30;

/// How paths of eight steps are compared.
struct PathChecks {
  /// Least limit of the end, of a tensor's largest entry. v6's begin with a learning rate that
  /// throws the network about: a pool that chooses the other of two equal pixels moves it by 1e-4.
  double least = kLimit;
  /// Whether distilled paths are compared at their end. Under distillation v6 multiplies a rounding
  /// three- to tenfold a step, the original's own to 4e-3 of a loss: an end in float32 says in
  /// which order sums were taken, not whether they are right. trajectory_test.cpp compares those
  /// paths sharply, the whole of each in float64 and every float32 step by itself.
  bool ends_of_distilled = true;
};

/// Columns [begin, end) of the last axis against their own limit.
void compare_columns(const std::string& name, const Tensor& got, const Tensor& expected,
                     int64_t begin, int64_t end, double noise, double least, Share& share) {
  const int64_t width = std::max<int64_t>(1, expected.rank() > 0 ? expected.size(-1) : 1);
  double scale = 0, worst = 0;
  bool finite = true;
  for (int64_t i = 0; i < expected.numel(); ++i) {
    if (i % width < begin || i % width >= end) continue;
    const double difference = std::abs(got.at(i) - expected.at(i));
    finite = finite && std::isfinite(difference);
    worst = test::worse(worst, difference);
    scale = std::max(scale, std::abs(expected.at(i)));
  }
  const double limit = std::max(kTimesNoise * noise, least * scale);
  const double part = !finite ? INFINITY : worst == 0 ? 0 : worst / limit;
  if (!(part <= share.worst)) {
    share.worst = part;
    share.where = name;
  }
}

bool is_head(const std::string& name) {
  return name.find("head") != std::string::npos || name.find("decoded") != std::string::npos;
}

/// Compares what a trace gave with everything that is recorded under `prefix`.
void compare(const TensorFile& got, const TensorFile& reference, const nlohmann::json& noise,
             const std::string& prefix, Share& share, double least = kLimit) {
  for (const auto& [name, expected] : reference.tensors) {
    if (!name.starts_with(prefix)) continue;
    // The batch file keeps network outputs under their full names.
    const std::string short_name =
        prefix == "student." || prefix == "teacher." ? name : name.substr(prefix.size());
    const Tensor* found = got.find(short_name);
    INFO(name);
    REQUIRE(found != nullptr);
    REQUIRE(found->shape() == expected.shape());
    const double own_noise = noise.value(name, 0.0);
    const int64_t width = expected.rank() > 0 ? expected.size(-1) : 1;
    if (is_head(name)) {
      compare_columns(name, *found, expected, 0, 4, own_noise, least, share);
      compare_columns(name, *found, expected, 4, 5, own_noise, least, share);
      compare_columns(name, *found, expected, 5, width, own_noise, least, share);
    } else {
      compare_columns(name, *found, expected, 0, width, own_noise, least, share);
    }
    ++share.tensors;
  }
}

void check_file(const std::filesystem::path& root, const std::string& batch,
                const std::string& student, const std::string& teacher,
                const PathChecks& paths = {}) {
  const std::filesystem::path file = root / "reference" / batch;
  const TensorFile reference = read_safetensors(file);
  const auto noise = nlohmann::json::parse(reference.metadata.at("noise"));
  const auto cases = nlohmann::json::parse(reference.metadata.at("cases"));
  bool first = true;
  for (const auto& [name, settings] : cases.items()) {
    TraceOptions options;
    options.student = root / "weights" / student;
    options.teacher = root / "weights" / teacher;
    options.batch = file;
    options.case_name = name;
    options.layers = first;
    const TensorFile got = run_trace(options);
    Share share;
    if (first) {
      compare(got, reference, noise, "student.", share);
      Share teacher_share;
      compare(got, reference, noise, "teacher.", teacher_share);
      fmt::print("{:<24} {:<12} {:>4} tensors, largest share of a limit {:.3f} ({})\n", batch,
                 "evaluation", share.tensors, share.worst, share.where);
      CHECK(share.worst <= 1);
      INFO(teacher_share.where);
      CHECK(teacher_share.worst <= 1);
      share = Share();
    }
    const bool is_path = settings.at("steps").get<int>() > 0;
    const bool is_distilled = settings.at("distill") != "none";
    const bool is_chaotic = is_path && is_distilled && !paths.ends_of_distilled;
    compare(got, reference, noise, name + ".", share,
            is_chaotic ? kAnyNumber
            : is_path  ? paths.least
                       : kLimit);
    if (is_path) {
      const Tensor &losses = got.at("losses"), &wanted = reference.at(name + ".losses");
      for (int64_t i = 0; i < 2 * wanted.size(-1); ++i) {  // before anything has grown
        INFO(name << ", loss " << i);
        CHECK(std::abs(losses.at(i) - wanted.at(i)) <= kFirstSteps * std::abs(wanted.at(i)));
      }
    }
    if (is_chaotic) {
      fmt::print("{:<24} {:<12} {:>4} tensors, compared in trajectory_test\n", batch, name,
                 share.tensors);
    } else {
      fmt::print("{:<24} {:<12} {:>4} tensors, largest share of a limit {:.3f} ({})\n", batch, name,
                 share.tensors, share.worst, share.where);
    }
    CHECK(share.tensors > 0);
    CHECK(share.worst <= 1);

    if (settings.at("steps").get<int>() == 0) {  // the losses alone, without any network
      options.heads_from_batch = options.teacher_from_batch = true;
      options.layers = false;
      const TensorFile losses = run_trace(options);
      for (const char* part : {"loss", "distill_terms", "grad_head0", "grad_head1", "grad_head2"}) {
        TensorFile one;
        one.add(part, losses.at(part));
        TensorFile expected;
        expected.add(name + "." + part, reference.at(name + "." + part));
        Share alone;
        compare(one, expected, noise, name + ".", alone);
        CHECK(alone.worst <= 1);
      }
    }
    first = false;
  }
  std::fflush(stdout);
}

TEST_CASE("trace: every case of the v5.0 batch is within its limits", "[reference]") {
  YD_REFERENCE_OR_SKIP(teacher, "weights/yolov5m-v5-voc20.pt");
  const std::filesystem::path root = teacher.parent_path().parent_path();
  check_file(root, "train_s_m.safetensors", "yolov5s-v5-voc20.pt", "yolov5m-v5-voc20.pt");
}

TEST_CASE("trace: every case of the v6 batch is within its limits", "[reference]") {
  YD_REFERENCE_OR_SKIP(batch, "reference/train_n_v6.safetensors");
  const std::filesystem::path root = batch.parent_path().parent_path();
  check_file(root, "train_n_v6.safetensors", "yolov5n-v6-coco.pt", "yolov5n-v6-coco.pt",
             {.least = 5e-4, .ends_of_distilled = false});
}

/// The norm of the difference from the reference as a share of the reference's norm, over all
/// tensors of a case whose name begins with `part`.
double relative_error(const TensorFile& got, const TensorFile& reference, const std::string& prefix,
                      const std::string& part) {
  double difference = 0, total = 0;
  for (const auto& [name, expected] : reference.tensors) {
    if (!name.starts_with(prefix + part)) continue;
    const Tensor* found = got.find(prefix == "student." ? name : name.substr(prefix.size()));
    REQUIRE(found != nullptr);
    for (int64_t i = 0; i < expected.numel(); ++i) {
      difference += std::pow(found->at(i) - expected.at(i), 2);
      total += std::pow(expected.at(i), 2);
    }
  }
  REQUIRE(total > 0);
  return std::sqrt(difference / total);
}

// bfloat16 rounds by up to 2^-8 of a number, 0.4 of that in the mean square over all numbers. Each
// of the 60 blocks rounds twice on the way forward and three times on the way back. Were all
// roundings independent and passed on at their size, the heads would carry sqrt(120) of them, 1.8
// %, and the gradients sqrt(300), 2.8 %. Batch norm's gradient is a difference of sums, so that
// errors grow: 10 % is allowed. An error below 1e-5 would mean that it was not bfloat16 at all.
TEST_CASE("trace: bfloat16 on the CPU keeps to the reference as far as its roundings allow",
          "[reference]") {
  YD_REFERENCE_OR_SKIP(teacher, "weights/yolov5m-v5-voc20.pt");
  const std::filesystem::path root = teacher.parent_path().parent_path();
  TraceOptions options;
  options.student = root / "weights/yolov5s-v5-voc20.pt";
  options.teacher = teacher;
  options.batch = root / "reference/train_s_m.safetensors";
  options.case_name = "l2";
  options.compute.precision = Precision::kBf16;
  const TensorFile reference = read_safetensors(options.batch);
  const TensorFile got = run_trace(options);
  const auto check = [&](const std::string& prefix, const std::string& part, double limit) {
    const double error = relative_error(got, reference, prefix, part);
    fmt::print("bfloat16, {}{}: relative error {:.2e}, limit {:.2e}\n", prefix, part, error, limit);
    CHECK(error <= limit);
    CHECK(error > 1e-5);
  };
  check("student.", "head", 0.018);
  check("l2.", "loss", 0.018);
  check("l2.", "grad_head", 0.1);
  check("l2.", "grad.", 0.1);
}

TEST_CASE("trace: an unknown case is refused with those there are", "[reference]") {
  YD_REFERENCE_OR_SKIP(batch, "reference/train_n_v6.safetensors");
  YD_REFERENCE_OR_SKIP(student, "weights/yolov5n-v6-coco.pt");
  TraceOptions options;
  options.batch = batch;
  options.student = student;
  options.case_name = "l3";
  CHECK_THROWS_WITH_TEXT(run_trace(options), ValueError, "no case \"l3\"; there are");
}

}  // namespace
}  // namespace ydistill
