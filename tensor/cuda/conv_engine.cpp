// SPDX-License-Identifier: MIT
// Which plan computes a convolution. It is chosen once: as an earlier run did, by the library's
// rules, or by timing all that the libraries offer. It is kept in a table under everything that it
// depends on, and run with workspace from the arena. The host waits for its first run: if a plan's
// code fails to load or to start, the next plan replaces it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <mutex>
#include <set>
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

thread_local bool autotune_plans = false;

/// Timing. Per library this many plans are timed, those first that it expects to be fastest. A
/// graph repeats the run until a launch takes about kTimedMs; the shortest of some launches counts.
constexpr int kTimedPlans = 16;
constexpr int kTimedLaunches = 3;
constexpr int kMostTimedRuns = 20;
constexpr float kTimedMs = 0.5f;

/// In this order if nothing is timed.
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
  bool has_run = false;   // on this GPU, without an error
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

/// `mutex` guards all members; values are copied out, no reference to them leaves.
struct Table {
  struct Entry {
    ConvProblem problem;
    Choice choice;
    std::set<std::string> failed;  // names of plans that could not run
  };
  std::mutex mutex;
  std::map<Key, Entry> entries;
  uint64_t revision = 0;
  std::map<int, std::string> device_names;
  /// What an earlier run chose, by device and convolution.
  std::map<std::pair<std::string, std::string>, SavedConvPlan> earlier;
  /// Why plans of an earlier run were not taken, and how many.
  std::map<std::string, int> refusals;
  std::string no_products;            // why 1x1 convolutions could not be timed as products
  std::vector<std::string> failures;  // messages about plans that could not run

  const std::string& device_name(int device) {
    std::string& name = device_names[device];
    if (name.empty()) name = device_info(device).name;
    return name;
  }
};
/// Never destroyed: at the end of the process the libraries may be unloaded before it.
Table& table() {
  static Table& all = *new Table;
  return all;
}

/// The plan of the earlier run if the library still takes it; else no plan, and the reason.
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

/// The first plan that can be built and is not named in `failed`.
Choice choose_by_rules(const ConvProblem& problem, const std::set<std::string>& failed = {}) {
  Choice choice;
  for (const ConvLibrary* library : libraries()) {
    std::string reason;
    for (const ConvPlanBuilder& build : library->plans(problem, reason)) {
      choice.plan = build();
      choice.library = library;
      if (choice.plan && !failed.contains(choice.plan->name())) return choice;
      choice.plan = nullptr;
    }
    if (choice.reason.empty()) choice.reason = reason.empty() ? "none could be built" : reason;
  }
  return choice;
}

/// The choice for a convolution that is seen for the first time.
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
  t.entries.emplace(key, Table::Entry{problem, choice, {}});
  ++t.revision;
  return choice;
}

/// A point in the stream whose time can be read.
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

/// After a plan has failed: throws LibraryError if the GPU refuses all further work of this
/// process, as after an illegal address. Otherwise the next plan would be blamed.
void check_gpu_goes_on(const ConvPlan& plan, const ConvProblem& problem, const char* what) {
  (void)cudaGetLastError();
  const cudaError_t status = cudaStreamSynchronize(current_stream());
  if (status == cudaSuccess) return;
  throw LibraryError("conv2d: {} broke down while it computed {}: {}; {}", plan.name(),
                     describe(problem), what, cudaGetErrorString(status));
}

/// Milliseconds of one run; kNever if it cannot run. Replayed from a graph, as in training: a small
/// convolution takes the GPU less time than the host needs to start it.
float time_plan(const ConvPlan& plan, const ConvProblem& problem, const ConvOperands& operands,
                int device) {
  const ArenaScope heap(nullptr);  // what runs once must not enlarge the step's arena
  try {
    const auto workspace = allocate_storage(plan.workspace_bytes(), Device::cuda(device));
    const auto run = [&] { plan.run(operands, workspace->data()); };
    run();  // what must be loaded is loaded outside the graph
    std::array<Mark, kTimedLaunches + 1> marks;
    marks[0].record();
    run();
    marks[1].record();
    const float once = std::max(marks[1].milliseconds_since(marks[0]), 1e-3f);
    const int runs = std::clamp(int(kTimedMs / once), 2, kMostTimedRuns);
    Graph graph;
    graph.capture([&] {
      for (int i = 0; i < runs; ++i) run();
    });
    // The first launch uploads the graph; the others are queued before it ends.
    graph.launch();
    marks[0].record();
    for (int i = 1; i <= kTimedLaunches; ++i) {
      graph.launch();
      marks[size_t(i)].record();
    }
    float least = kNever;
    for (size_t i = 1; i < marks.size(); ++i) {
      least = std::min(least, marks[i].milliseconds_since(marks[i - 1]));
    }
    return least / float(runs);
  } catch (const OutOfMemoryError&) {
    return kNever;
  } catch (const LibraryError& error) {
    check_gpu_goes_on(plan, problem, error.what());
    return kNever;
  }
}

/// Times the plans of all libraries on the operands. Returns the fastest, or `choice` if none runs.
Choice time_all(Choice choice, const ConvProblem& problem, const ConvOperands& operands, int device,
                std::string& no_products) {
  float shortest = kNever;
  for (const ConvLibrary* library : libraries()) {
    std::string reason;
    int timed = 0;
    for (const ConvPlanBuilder& build : library->plans(problem, reason)) {
      std::shared_ptr<const ConvPlan> plan = build();
      if (!plan) continue;
      const float milliseconds = time_plan(*plan, problem, operands, device);
      if (milliseconds < shortest) {
        shortest = milliseconds;
        choice.plan = std::move(plan);
        choice.library = library;
        choice.has_run = true;
      }
      if (++timed == kTimedPlans) break;
    }
    if (library == &cublas_library() && is_matmul(problem)) no_products = reason;
  }
  choice.is_timed = true;
  return choice;
}

/// The choice by timing; for one convolution at a time, even if several threads ask.
Choice tuned(const ConvProblem& problem, const ConvOperands& operands, int device) {
  static std::mutex tuning;
  const std::lock_guard one(tuning);
  Choice choice = choice_for(problem, device);
  if (choice.is_timed) return choice;  // by another thread in the meantime
  std::string no_products;
  if (problem.bias_silu) {
    // Building these means compiling; the five or six of a convolution take 16 s: keep the first.
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

/// Runs a plan that has not run yet on this GPU, and waits for it. Returns what went wrong, empty
/// if nothing did.
std::string run_first(const ConvPlan& plan, const ConvProblem& problem,
                      const ConvOperands& operands, void* workspace) {
  try {
    plan.run(operands, workspace);
    synchronize();
    return "";
  } catch (const OutOfMemoryError&) {
    throw;
  } catch (const LibraryError& error) {
    check_gpu_goes_on(plan, problem, error.what());
    return error.what();
  }
}

/// Records the result of a plan's first run; after a failure, the next plan by the rules replaces
/// it.
void remember_first_run(const ConvProblem& problem, const Choice& choice, int device,
                        const std::string& trouble) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  Table::Entry& entry = t.entries.at(key_of(problem, device));
  if (entry.choice.plan != choice.plan) return;  // by another thread in the meantime
  if (trouble.empty()) {
    entry.choice.has_run = true;
    return;
  }
  entry.failed.insert(choice.plan->name());
  entry.choice = choose_by_rules(problem, entry.failed);
  entry.choice.is_timed = choice.is_timed;
  if (!entry.choice.plan) entry.choice.reason = trouble;
  ++t.revision;
  t.failures.push_back(fmt::format("{} cannot compute {} here ({}); {}", choice.plan->name(),
                                   describe(problem), trouble,
                                   entry.choice.plan ? entry.choice.plan->name() + " does"
                                                     : std::string("no other plan is left")));
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

bool try_conv_engine(const ConvProblem& problem, const void* a, const void* b, const void* bias,
                     void* out) {
  const int device = current_device();
  const ConvOperands operands{a, b, bias, out};
  for (;;) {
    Choice choice = choice_for(problem, device);
    if (!choice.plan) return false;
    if (autotune_plans && !choice.is_timed && !is_capturing()) {
      choice = tuned(problem, operands, device);
    }
    const auto workspace = allocate_storage(choice.plan->workspace_bytes(), Device::cuda(device));
    if (choice.has_run || is_capturing()) {
      choice.plan->run(operands, workspace->data());
      return true;
    }
    const std::string trouble = run_first(*choice.plan, problem, operands, workspace->data());
    remember_first_run(problem, choice, device, trouble);
    if (trouble.empty()) return true;
  }
}

void run_conv_engine(const ConvProblem& problem, const void* a, const void* b, const void* bias,
                     void* out) {
  if (try_conv_engine(problem, a, b, bias, out)) return;
  throw LibraryError("conv2d: no plan for {}: {}", describe(problem),
                     choice_for(problem, current_device()).reason);
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
  auto saved = t.earlier;  // entries not replaced below remain: other sizes, other devices
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
  std::vector<std::string> notes = std::exchange(t.failures, {});
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
