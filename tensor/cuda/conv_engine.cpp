// SPDX-License-Identifier: MIT
// Which plan computes a convolution. It is chosen once: as an earlier run did, by the library's
// rules, or by timing all that the libraries offer; kept in a table under everything that it
// depends on, and run with workspace from the arena.
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <limits>
#include <map>
#include <mutex>
#include <tuple>

#include <ydistill/tensor/cuda/conv.h>
#include <ydistill/tensor/cuda/conv_engine.h>
#include <ydistill/tensor/cuda/conv_plan.h>
#include <ydistill/tensor/cuda/device.h>
#include <ydistill/tensor/cuda/runtime.h>
#include <ydistill/tensor/error.h>

namespace ydistill::cuda {
namespace {

bool autotune_plans = false;

/// Of each library's plans, its guess at the fastest first, this many are timed.
constexpr int kTimedPlans = 16;
constexpr int kTimedRuns = 5;

/// In this order where nothing is timed.
const std::array<const ConvLibrary*, 2>& libraries() {
  static const std::array<const ConvLibrary*, 2> all{&cudnn_library(), &cublas_library()};
  return all;
}

int current_device() {
  int device = 0;
  YD_CUDA_CHECK(cudaGetDevice(&device));
  return device;
}

bool is_capturing() {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  YD_CUDA_CHECK(cudaStreamIsCapturing(current_stream(), &status));
  return status != cudaStreamCaptureStatusNone;
}

/// A convolution's plan and where it came from.
struct Choice {
  ConvProblem problem;
  std::unique_ptr<ConvPlan> plan;  // null: no library has one
  const ConvLibrary* library = nullptr;
  std::string reason;               // why there is none
  std::atomic<bool> tuned = false;  // now, or in an earlier run
  std::mutex tuning;
};

using Key = std::tuple<int, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                       DType, ConvDirection, bool, bool>;

Key key_of(const ConvProblem& p, int device) {
  return {device,       p.g.batch,          p.g.in_height,
          p.g.in_width, p.g.in_channels,    p.g.out_channels,
          p.g.kernel,   p.g.options.stride, p.g.options.padding,
          p.dtype,      p.direction,        p.bias_silu,
          p.tf32};
}

struct Table {
  std::mutex mutex;
  std::map<Key, std::shared_ptr<Choice>> choices;
  /// What an earlier run chose, by device and convolution.
  std::map<std::pair<std::string, std::string>, SavedConvPlan> earlier;
};
/// Never destroyed: when the process ends, the libraries may be gone before it.
Table& table() {
  static Table& all = *new Table;
  return all;
}

/// As in the earlier run, if the library still takes that plan.
bool choose_as_before(Choice& choice, const SavedConvPlan& before) {
  if (autotune_plans && !before.is_timed) return false;
  for (const ConvLibrary* library : libraries()) {
    if (library->name() != before.library) continue;
    choice.plan = library->restore(choice.problem, before.plan, choice.reason);
    choice.library = library;
    choice.tuned = choice.plan != nullptr && before.is_timed;
  }
  return choice.plan != nullptr;
}

void choose_by_rules(Choice& choice) {
  for (const ConvLibrary* library : libraries()) {
    std::string reason;
    for (const ConvPlanBuilder& build : library->plans(choice.problem, reason)) {
      choice.plan = build();
      choice.library = library;
      if (choice.plan) return;
    }
    if (choice.reason.empty()) choice.reason = reason.empty() ? "none could be built" : reason;
  }
}

std::shared_ptr<Choice> choice_for(const ConvProblem& p, int device) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  std::shared_ptr<Choice>& slot = t.choices[key_of(p, device)];
  if (slot) return slot;
  if (is_capturing()) {
    throw LibraryError("conv2d: {} must run once before it is captured in a graph", describe(p));
  }
  const auto choice = std::make_shared<Choice>();
  choice->problem = p;
  const auto before =
      t.earlier.empty() ? t.earlier.end() : t.earlier.find({device_info(device).name, describe(p)});
  if (before == t.earlier.end() || !choose_as_before(*choice, before->second)) {
    choice->reason.clear();
    choose_by_rules(*choice);
  }
  return slot = choice;
}

/// A mark in the stream whose time can be read.
class Mark {
 public:
  Mark() { YD_CUDA_CHECK(cudaEventCreate(&event_)); }
  ~Mark() { cudaEventDestroy(event_); }
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;
  void record() { YD_CUDA_CHECK(cudaEventRecord(event_, current_stream())); }
  float milliseconds_since(const Mark& earlier) const {
    float milliseconds = 0;
    YD_CUDA_CHECK(cudaEventSynchronize(event_));
    YD_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, earlier.event_, event_));
    return milliseconds;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

constexpr float kNever = std::numeric_limits<float>::infinity();

/// Milliseconds of one run; kNever where it cannot run.
float time_plan(const ConvPlan& plan, const ConvOperands& operands, int device) {
  const ArenaScope heap(nullptr);  // the step's arena shall not grow for what runs once
  try {
    const auto workspace = allocate_storage(plan.workspace_bytes(), Device::cuda(device));
    plan.run(operands, workspace->data());
    Mark begin, end;
    begin.record();
    for (int i = 0; i < kTimedRuns; ++i) plan.run(operands, workspace->data());
    end.record();
    return end.milliseconds_since(begin) / kTimedRuns;
  } catch (const OutOfMemoryError&) {
    return kNever;
  } catch (const LibraryError&) {
    return kNever;
  }
}

/// Times what the libraries offer on the operands and takes the fastest.
void tune(Choice& choice, const ConvOperands& operands, int device) {
  float shortest = kNever;
  for (const ConvLibrary* library : libraries()) {
    std::string reason;
    int timed = 0;
    for (const ConvPlanBuilder& build : library->plans(choice.problem, reason)) {
      std::unique_ptr<ConvPlan> plan = build();
      if (!plan) continue;
      const float milliseconds = time_plan(*plan, operands, device);
      if (milliseconds < shortest) {
        shortest = milliseconds;
        choice.plan = std::move(plan);
        choice.library = library;
      }
      if (++timed == kTimedPlans) break;
    }
  }
}

}  // namespace

std::string describe(const ConvProblem& p) {
  static constexpr const char* kDirections[] = {"forward", "backward input", "backward weight"};
  return fmt::format(
      "{} {} -> {}, {}x{} stride {} padding {}, {}{}", p.tf32 ? "tf32" : name_of(p.dtype),
      p.g.input_shape().str(), p.g.output_shape().str(), p.g.kernel, p.g.kernel, p.g.options.stride,
      p.g.options.padding, kDirections[int(p.direction)], p.bias_silu ? " + bias + silu" : "");
}

void set_autotune(bool autotune) {
  autotune_plans = autotune;
}

bool has_conv_engine(const ConvProblem& problem) {
  return choice_for(problem, current_device())->plan != nullptr;
}

void run_conv_engine(const ConvProblem& problem, const void* a, const void* b, const void* bias,
                     void* out) {
  const int device = current_device();
  const std::shared_ptr<Choice> choice = choice_for(problem, device);
  if (!choice->plan) {
    throw LibraryError("conv2d: no plan for {}: {}", describe(problem), choice->reason);
  }
  const ConvOperands operands{a, b, bias, out};
  if (autotune_plans && !choice->tuned && !is_capturing()) {
    const std::lock_guard lock(choice->tuning);
    if (!choice->tuned) tune(*choice, operands, device);
    choice->tuned = true;
  }
  const auto workspace = allocate_storage(choice->plan->workspace_bytes(), Device::cuda(device));
  choice->plan->run(operands, workspace->data());
}

std::vector<std::string> conv_engine_report() {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  std::vector<std::string> lines;
  for (const auto& [key, choice] : t.choices) {
    const ConvPlan* const plan = choice->plan.get();
    lines.push_back(fmt::format("{}: {}", describe(choice->problem),
                                plan != nullptr
                                    ? fmt::format("{}, workspace {:.1f} MiB", plan->name(),
                                                  double(plan->workspace_bytes()) / 1048576.0)
                                    : "none (" + choice->reason + ")"));
  }
  return lines;
}

std::vector<SavedConvPlan> save_conv_plans() {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  std::vector<SavedConvPlan> saved;
  for (const auto& [key, choice] : t.choices) {
    const std::string text = choice->plan ? choice->plan->saved() : "";
    if (text.empty()) continue;
    saved.push_back({device_info(std::get<0>(key)).name, describe(choice->problem),
                     choice->library->name(), text, choice->tuned});
  }
  return saved;
}

void offer_conv_plans(const std::vector<SavedConvPlan>& plans) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  for (const SavedConvPlan& plan : plans) t.earlier[{plan.device, plan.convolution}] = plan;
}

std::string conv_engine_name() {
  return cudnn_library().name();
}

}  // namespace ydistill::cuda
