// SPDX-License-Identifier: MIT
// Which plan computes a convolution. It is chosen once: as an earlier run did, by the library's
// rules, or by timing all that the libraries offer; kept in a table under everything that it
// depends on, and run with workspace from the arena.
#include <fmt/format.h>

#include <array>
#include <limits>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include <ydistill/tensor/cuda/conv.h>
#include <ydistill/tensor/cuda/conv_engine.h>
#include <ydistill/tensor/cuda/conv_matmul.h>
#include <ydistill/tensor/cuda/conv_plan.h>
#include <ydistill/tensor/cuda/device.h>
#include <ydistill/tensor/cuda/graph.h>
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

/// What computes a convolution.
struct Choice {
  std::shared_ptr<const ConvPlan> plan;  // null: no library has one
  const ConvLibrary* library = nullptr;
  std::string reason;     // why there is none
  bool is_timed = false;  // now, or in an earlier run
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

/// Behind `mutex` everything; what is in it is copied out, never referred to.
struct Table {
  struct Entry {
    ConvProblem problem;
    Choice choice;
  };
  std::mutex mutex;
  std::map<Key, Entry> entries;
  uint64_t revision = 0;
  std::map<int, std::string> device_names;
  /// What an earlier run chose, by device and convolution.
  std::map<std::pair<std::string, std::string>, SavedConvPlan> earlier;
  /// Why plans of an earlier run were not taken, and how many.
  std::map<std::string, int> refusals;
  std::string no_products;  // why 1x1 convolutions could not be timed as products

  const std::string& device_name(int device) {
    std::string& name = device_names[device];
    if (name.empty()) name = device_info(device).name;
    return name;
  }
};
/// Never destroyed: when the process ends, the libraries may be gone before it.
Table& table() {
  static Table& all = *new Table;
  return all;
}

/// As in the earlier run, if the library still takes that plan; else without a plan, and why.
Choice choose_as_before(const ConvProblem& problem, const SavedConvPlan& before) {
  Choice choice;
  choice.is_timed = before.is_timed;
  for (const ConvLibrary* library : libraries()) {
    if (!before.library.starts_with(library->brand)) continue;
    choice.library = library;
    if (const std::string name = library->name(); name != before.library) {
      choice.reason = fmt::format("they are {}'s, this is {}", before.library, name);
    } else {
      choice.plan = library->restore(problem, before.plan, choice.reason);
    }
    return choice;
  }
  choice.reason = fmt::format("they are {}'s, which is not known", before.library);
  return choice;
}

Choice choose_by_rules(const ConvProblem& problem) {
  Choice choice;
  for (const ConvLibrary* library : libraries()) {
    std::string reason;
    for (const ConvPlanBuilder& build : library->plans(problem, reason)) {
      choice.plan = build();
      choice.library = library;
      if (choice.plan) return choice;
    }
    if (choice.reason.empty()) choice.reason = reason.empty() ? "none could be built" : reason;
  }
  return choice;
}

/// The choice for a convolution that comes for the first time.
Choice choose(Table& t, const ConvProblem& problem, int device) {
  if (!t.earlier.empty()) {
    const auto before = t.earlier.find({t.device_name(device), describe(problem)});
    if (before != t.earlier.end() && (before->second.is_timed || !autotune_plans)) {
      const Choice choice = choose_as_before(problem, before->second);
      if (choice.plan) return choice;
      ++t.refusals[choice.reason];
    }
  }
  return choose_by_rules(problem);
}

Choice choice_for(const ConvProblem& problem, int device) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  const Key key = key_of(problem, device);
  const auto found = t.entries.find(key);
  if (found != t.entries.end()) return found->second.choice;
  if (is_capturing()) {
    throw LibraryError("conv2d: {} must run once before it is captured in a graph",
                       describe(problem));
  }
  const Choice choice = choose(t, problem, device);
  t.entries.emplace(key, Table::Entry{problem, choice});
  ++t.revision;
  return choice;
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

/// Milliseconds of one run; kNever where it cannot run. Replayed from a graph, as it will be from
/// then on: a small convolution takes the GPU less time than the host takes to start it.
float time_plan(const ConvPlan& plan, const ConvOperands& operands, int device) {
  const ArenaScope heap(nullptr);  // the step's arena shall not grow for what runs once
  try {
    const auto workspace = allocate_storage(plan.workspace_bytes(), Device::cuda(device));
    plan.run(operands, workspace->data());  // what must be loaded is loaded outside the graph
    Graph graph;
    graph.capture([&] {
      for (int i = 0; i < kTimedRuns; ++i) plan.run(operands, workspace->data());
    });
    graph.launch();  // the first start of a graph sends it to the GPU
    Mark begin, end;
    begin.record();
    graph.launch();
    end.record();
    return end.milliseconds_since(begin) / kTimedRuns;
  } catch (const OutOfMemoryError&) {
    return kNever;
  } catch (const LibraryError&) {
    return kNever;
  }
}

/// Times what the libraries offer on the operands; the fastest, or `choice` where none runs.
Choice time_all(Choice choice, const ConvProblem& problem, const ConvOperands& operands, int device,
                std::string& no_products) {
  float shortest = kNever;
  for (const ConvLibrary* library : libraries()) {
    std::string reason;
    int timed = 0;
    for (const ConvPlanBuilder& build : library->plans(problem, reason)) {
      std::shared_ptr<const ConvPlan> plan = build();
      if (!plan) continue;
      const float milliseconds = time_plan(*plan, operands, device);
      if (milliseconds < shortest) {
        shortest = milliseconds;
        choice.plan = std::move(plan);
        choice.library = library;
      }
      if (++timed == kTimedPlans) break;
    }
    if (library == &cublas_library() && is_matmul(problem)) no_products = reason;
  }
  choice.is_timed = true;
  return choice;
}

/// The choice by timing; one convolution after the other, whichever threads ask.
Choice tuned(const ConvProblem& problem, const ConvOperands& operands, int device) {
  static std::mutex tuning;
  const std::lock_guard one(tuning);
  Choice choice = choice_for(problem, device);
  if (choice.is_timed) return choice;  // by another thread in the meantime
  std::string no_products;
  if (problem.bias_silu) {
    // Compiled when they are built, all five or six of one convolution in 16 s: the first stays.
    choice.is_timed = true;
  } else {
    choice = time_all(choice, problem, operands, device, no_products);
  }
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  t.entries.at(key_of(problem, device)).choice = choice;
  ++t.revision;
  if (!no_products.empty()) t.no_products = no_products;
  return choice;
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
  return choice_for(problem, current_device()).plan != nullptr;
}

void run_conv_engine(const ConvProblem& problem, const void* a, const void* b, const void* bias,
                     void* out) {
  const int device = current_device();
  Choice choice = choice_for(problem, device);
  if (!choice.plan) {
    throw LibraryError("conv2d: no plan for {}: {}", describe(problem), choice.reason);
  }
  const ConvOperands operands{a, b, bias, out};
  if (autotune_plans && !choice.is_timed && !is_capturing()) {
    choice = tuned(problem, operands, device);
  }
  const auto workspace = allocate_storage(choice.plan->workspace_bytes(), Device::cuda(device));
  choice.plan->run(operands, workspace->data());
}

std::vector<std::string> conv_engine_report() {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  std::vector<std::string> lines;
  for (const auto& [key, entry] : t.entries) {
    const ConvPlan* const plan = entry.choice.plan.get();
    lines.push_back(fmt::format("{}: {}", describe(entry.problem),
                                plan != nullptr
                                    ? fmt::format("{}, workspace {:.1f} MiB", plan->name(),
                                                  double(plan->workspace_bytes()) / 1048576.0)
                                    : "none (" + entry.choice.reason + ")"));
  }
  return lines;
}

std::vector<SavedConvPlan> save_conv_plans() {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  auto saved = t.earlier;  // less what comes now: other sizes, other devices
  for (const auto& [key, entry] : t.entries) {
    const Choice& choice = entry.choice;
    const std::string words = choice.plan ? choice.plan->saved() : "";
    if (words.empty()) continue;
    const std::string& device = t.device_name(std::get<0>(key));
    const std::string convolution = describe(entry.problem);
    saved[{device, convolution}] = {device, convolution, choice.library->name(), words,
                                    choice.is_timed};
  }
  std::vector<SavedConvPlan> plans;
  for (auto& [key, plan] : saved) plans.push_back(std::move(plan));
  return plans;
}

uint64_t conv_plans_revision() {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  return t.revision;
}

void offer_conv_plans(const std::vector<SavedConvPlan>& plans) {
  const int device = current_device();
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  const std::string& name = t.device_name(device);
  for (const SavedConvPlan& plan : plans) {
    if (plan.device != name) {
      ++t.refusals[fmt::format("they are for {}, this is {}", plan.device, name)];
    }
    t.earlier[{plan.device, plan.convolution}] = plan;
  }
}

std::vector<std::string> take_conv_notes() {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  std::vector<std::string> notes;
  for (const auto& [reason, count] : std::exchange(t.refusals, {})) {
    notes.push_back(
        fmt::format("kept plans that are not taken: {} ({}); chosen anew", count, reason));
  }
  if (const std::string reason = std::exchange(t.no_products, ""); !reason.empty()) {
    notes.push_back(fmt::format("1x1 were not timed as products of matrices: {}", reason));
  }
  return notes;
}

std::string conv_engine_name() {
  return cudnn_library().name();
}

}  // namespace ydistill::cuda
