// SPDX-License-Identifier: MIT
// The one file that knows cuDNN: its graph API through the cudnn-frontend headers. A convolution's
// plan is chosen once (by cuDNN's rules, or timed where asked for), kept in a table under
// everything that it depends on, and run with workspace from the arena.
#include <cudnn_frontend.h>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <mutex>
#include <tuple>
#include <unordered_map>

#include <ydistill/tensor/cuda/conv.h>
#include <ydistill/tensor/cuda/conv_cudnn.h>
#include <ydistill/tensor/cuda/conv_engine.h>
#include <ydistill/tensor/cuda/runtime.h>
#include <ydistill/tensor/error.h>

namespace ydistill::cuda {
namespace {

namespace fe = cudnn_frontend;

bool autotune_plans = false;

/// Plans that want more are not taken: what a layer's activations need at most, not a second model.
constexpr int64_t kMaxWorkspaceBytes = int64_t(1) << 30;
/// Of the plans, cuDNN's guess at the fastest first, this many are timed.
constexpr int kTimedPlans = 16;
constexpr int kTimedRuns = 5;

/// Names of the tensors in a graph, the same in every direction.
enum Uid : int64_t { kA = 1, kB = 2, kBias = 3, kOut = 4 };

std::string describe(const ConvProblem& p) {
  static constexpr const char* kDirections[] = {"forward", "backward input", "backward weight"};
  return fmt::format("{} {} -> {}, {}x{} stride {} padding {}, {}{}", name_of(p.dtype),
                     p.g.input_shape().str(), p.g.output_shape().str(), p.g.kernel, p.g.kernel,
                     p.g.options.stride, p.g.options.padding, kDirections[int(p.direction)],
                     p.bias_silu ? " + bias + silu" : "");
}

/// cuDNN's texts go on over many lines; the first says what is wrong.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

void check(fe::error_t status, const char* step, const ConvProblem& problem) {
  if (status.is_bad()) {
    throw LibraryError("cudnn: {} ({}) for {}", first_line(status.get_message()), step,
                       describe(problem));
  }
}

/// A graph that shows the list of its candidates, which the base has but keeps to itself.
class ConvGraph : public fe::graph::Graph {
 public:
  fe::graph::Execution_plan_list& candidates() { return plans; }
};

/// NHWC sizes as cuDNN wants them: N, C, H, W with strides.
std::shared_ptr<fe::graph::Tensor_attributes> nhwc(fe::graph::Graph& graph, const char* name,
                                                   Uid uid, const Shape& s, fe::DataType_t type) {
  return graph.tensor(fe::graph::Tensor_attributes()
                          .set_name(name)
                          .set_uid(uid)
                          .set_dim({s[0], s[3], s[1], s[2]})
                          .set_stride({s[1] * s[2] * s[3], 1, s[2] * s[3], s[3]})
                          .set_data_type(type));
}

void make_output(const std::shared_ptr<fe::graph::Tensor_attributes>& t, const Shape& s,
                 fe::DataType_t type) {
  t->set_output(true)
      .set_uid(kOut)
      .set_dim({s[0], s[3], s[1], s[2]})
      .set_stride({s[1] * s[2] * s[3], 1, s[2] * s[3], s[3]})
      .set_data_type(type);
}

template <class Attributes>
Attributes spatial(const Conv2dOptions& o) {
  Attributes attributes;
  attributes.set_padding({o.padding, o.padding}).set_stride({o.stride, o.stride});
  attributes.set_dilation({1, 1});
  return attributes;
}

fe::DataType_t type_of(DType dtype) {
  return dtype == DType::kBFloat16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::FLOAT;
}

/// The graph before any plan: what cuDNN is asked for.
std::shared_ptr<ConvGraph> make_graph(const ConvProblem& p, DType result) {
  const fe::DataType_t type = type_of(p.dtype), out_type = type_of(result);
  auto graph = std::make_shared<ConvGraph>();
  graph->set_io_data_type(type)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  const Shape x = p.g.input_shape(), y = p.g.output_shape(), w = p.g.weight_shape();
  switch (p.direction) {
    case ConvDirection::kForward: {
      const auto a = nhwc(*graph, "x", kA, x, type), b = nhwc(*graph, "w", kB, w, type);
      auto out = graph->conv_fprop(a, b, spatial<fe::graph::Conv_fprop_attributes>(p.g.options));
      if (p.bias_silu) {
        out->set_data_type(fe::DataType_t::FLOAT);
        const auto bias =
            nhwc(*graph, "bias", kBias, Shape{1, 1, 1, p.g.out_channels}, fe::DataType_t::FLOAT);
        auto add = fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD);
        const auto sum = graph->pointwise(out, bias, add);
        sum->set_data_type(fe::DataType_t::FLOAT);
        auto swish = fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::SWISH_FWD);
        out = graph->pointwise(sum, swish);
      }
      make_output(out, y, out_type);
      break;
    }
    case ConvDirection::kBackwardInput: {
      const auto a = nhwc(*graph, "grad_y", kA, y, type), b = nhwc(*graph, "w", kB, w, type);
      const auto out =
          graph->conv_dgrad(a, b, spatial<fe::graph::Conv_dgrad_attributes>(p.g.options));
      make_output(out, x, out_type);
      break;
    }
    case ConvDirection::kBackwardWeight: {
      const auto a = nhwc(*graph, "grad_y", kA, y, type), b = nhwc(*graph, "x", kB, x, type);
      const auto out =
          graph->conv_wgrad(a, b, spatial<fe::graph::Conv_wgrad_attributes>(p.g.options));
      make_output(out, w, out_type);
      break;
    }
  }
  return graph;
}

/// Leaves out what must not be taken. For the notes this comes after the list of candidates is
/// there: it marks entries of that list.
void restrict_candidates(ConvGraph& graph, const ConvProblem& p) {
  graph.deselect_workspace_greater_than(kMaxWorkspaceBytes);
  // The same bits every time, and sums in float32.
  graph.deselect_numeric_notes(
      {fe::NumericalNote_t::NONDETERMINISTIC, fe::NumericalNote_t::REDUCED_PRECISION_REDUCTION});
  if (p.dtype == DType::kFloat32 && !p.tf32) {
    graph.deselect_numeric_notes(
        {fe::NumericalNote_t::TENSOR_CORE, fe::NumericalNote_t::DOWN_CONVERT_INPUTS});
  }
}

/// Asks cuDNN which engines could run the problem. False, with the reason, if none. The handle may
/// be null where the graph has the properties of a device.
bool find_candidates(ConvGraph& graph, const ConvProblem& p, cudnnHandle_t handle,
                     std::string& reason) {
  try {
    fe::error_t status = graph.validate();
    if (status.is_good()) {
      status =
          handle != nullptr ? graph.build_operation_graph(handle) : graph.build_operation_graph();
    }
    if (status.is_good()) {
      status = graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
    }
    if (status.is_good()) {
      restrict_candidates(graph, p);
      status = graph.check_support();
    }
    if (status.is_bad()) reason = first_line(status.get_message());
    return status.is_good();
  } catch (const fe::cudnnException& error) {
    reason = first_line(error.what());
    return false;
  }
}

/// One handle a thread, device and stream, so that none is shared by work that overlaps.
cudnnHandle_t handle(int device) {
  struct Handle {
    cudnnHandle_t handle = nullptr;
    Handle() = default;
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() {
      if (handle != nullptr) cudnnDestroy(handle);
    }
  };
  const auto check_status = [](cudnnStatus_t status, const char* call) {
    if (status != CUDNN_STATUS_SUCCESS) {
      throw LibraryError("cudnn: {} in {}", cudnnGetErrorString(status), call);
    }
  };
  thread_local std::map<std::pair<int, cudaStream_t>, Handle> own;
  Handle& found = own[{device, current_stream()}];
  if (found.handle == nullptr) check_status(cudnnCreate(&found.handle), "cudnnCreate");
  // Again each time: a stream's address may have been given to another since.
  check_status(cudnnSetStream(found.handle, current_stream()), "cudnnSetStream");
  return found.handle;
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

struct Plan {
  std::shared_ptr<ConvGraph> graph;  // null: cuDNN has none
  int64_t workspace = 0;
  std::string engine;
  std::string reason;  // why there is none
  std::atomic<bool> tuned = false;
  std::mutex tuning;

  /// Names what the graph runs from now on.
  void take() {
    workspace = graph->get_workspace_size();
    (void)graph->get_plan_name(engine);
  }
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
  std::map<Key, std::pair<ConvProblem, std::shared_ptr<Plan>>> plans;
};
/// Never destroyed: when the process ends, cuDNN may be gone before it.
Table& table() {
  static Table& plans = *new Table;
  return plans;
}

std::shared_ptr<Plan> build(const ConvProblem& p, int device) {
  auto plan = std::make_shared<Plan>();
  const auto graph = make_graph(p, p.dtype);
  if (!find_candidates(*graph, p, handle(device), plan->reason)) return plan;
  fe::error_t status = graph->build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE);
  if (status.is_bad()) {
    plan->reason = first_line(status.get_message());
    return plan;
  }
  plan->graph = graph;
  plan->take();
  return plan;
}

std::shared_ptr<Plan> plan_for(const ConvProblem& p, int device) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  auto& slot = t.plans[key_of(p, device)];
  if (!slot.second) {
    if (is_capturing()) {
      throw LibraryError("cudnn: {} must run once before it is captured in a graph", describe(p));
    }
    slot = {p, build(p, device)};
  }
  return slot.second;
}

using Operands = std::unordered_map<int64_t, void*>;

/// Milliseconds of one run of candidate `index`, which is built; infinity where it cannot run.
float time_candidate(const ConvGraph& graph, int64_t index, Operands& operands, int device) {
  struct Event {
    cudaEvent_t event = nullptr;
    Event() { YD_CUDA_CHECK(cudaEventCreate(&event)); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event() { cudaEventDestroy(event); }
  };
  constexpr float kNever = std::numeric_limits<float>::infinity();
  const ArenaScope heap(nullptr);  // the step's arena shall not grow for what runs once
  std::shared_ptr<Storage> workspace;
  try {
    workspace =
        allocate_storage(graph.get_workspace_size_plan_at_index(index), Device::cuda(device));
  } catch (const OutOfMemoryError&) {
    return kNever;
  }
  const auto run = [&] {
    return graph.execute_plan_at_index(handle(device), operands, workspace->data(), index)
        .is_good();
  };
  if (!run()) return kNever;
  const Event begin, end;
  YD_CUDA_CHECK(cudaEventRecord(begin.event, current_stream()));
  for (int i = 0; i < kTimedRuns; ++i) {
    if (!run()) return kNever;
  }
  YD_CUDA_CHECK(cudaEventRecord(end.event, current_stream()));
  YD_CUDA_CHECK(cudaEventSynchronize(end.event));
  float milliseconds = 0;
  YD_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, begin.event, end.event));
  return milliseconds / kTimedRuns;
}

/// Times the candidates on the operands and takes the fastest. cudnn-frontend's own autotune()
/// looks into every candidate, also into those that were left out or did not build.
void tune(Plan& plan, const ConvProblem& p, Operands& operands, int device) {
  ConvGraph& graph = *plan.graph;
  auto& built = graph.candidates().execution_plans;
  int64_t best = graph.candidates().candidate;
  float shortest = std::numeric_limits<float>::infinity();
  int timed = 0;
  for (int64_t i = 0; i < int64_t(built.size()) && timed < kTimedPlans; ++i) {
    if (graph.build_plan_at_index(i).is_bad()) continue;
    ++timed;
    const float milliseconds = time_candidate(graph, i, operands, device);
    if (milliseconds < shortest) {
      shortest = milliseconds;
      best = i;
    }
  }
  check(graph.build_plan_at_index(best), "taking the fastest plan", p);
  for (int64_t i = 0; i < int64_t(built.size()); ++i) {
    if (i != best) built[size_t(i)].reset();
  }
  plan.take();
}

}  // namespace

void set_autotune(bool autotune) {
  autotune_plans = autotune;
}

bool has_conv_engine(const ConvProblem& problem) {
  return plan_for(problem, current_device())->graph != nullptr;
}

void run_conv_engine(const ConvProblem& problem, const void* a, const void* b, const void* bias,
                     void* out) {
  const int device = current_device();
  const std::shared_ptr<Plan> plan = plan_for(problem, device);
  if (!plan->graph) {
    throw LibraryError("cudnn: no engine for {}: {}", describe(problem), plan->reason);
  }
  Operands operands{{kA, const_cast<void*>(a)}, {kB, const_cast<void*>(b)}, {kOut, out}};
  if (problem.bias_silu) operands.emplace(kBias, const_cast<void*>(bias));
  if (autotune_plans && !plan->tuned && !is_capturing()) {
    const std::lock_guard lock(plan->tuning);
    if (!plan->tuned) tune(*plan, problem, operands, device);
    plan->tuned = true;
  }
  const auto workspace = allocate_storage(plan->workspace, Device::cuda(device));
  check(plan->graph->execute(handle(device), operands, workspace->data()), "running", problem);
}

std::vector<std::string> conv_engine_report() {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  std::vector<std::string> lines;
  for (const auto& [key, entry] : t.plans) {
    const auto& [problem, plan] = entry;
    lines.push_back(fmt::format("{}: {}", describe(problem),
                                plan->graph ? fmt::format("{}, workspace {:.1f} MiB", plan->engine,
                                                          double(plan->workspace) / 1048576.0)
                                            : "none (" + plan->reason + ")"));
  }
  return lines;
}

std::string conv_engine_name() {
  const size_t v = cudnnGetVersion();
  return fmt::format("cuDNN {}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

ConvCandidates conv_candidates(const ConvProblem& problem, const std::string& device_description,
                               DType result) {
  const auto device = std::make_shared<fe::DeviceProperties>();
  const std::vector<uint8_t> bytes(device_description.begin(), device_description.end());
  check(device->deserialize(bytes), "reading a device's description", problem);
  const auto graph = make_graph(problem, result);
  graph->set_device_properties(device);
  ConvCandidates found;
  if (!find_candidates(*graph, problem, nullptr, found.reason)) return found;
  // Fused plans are compiled when they are built, which takes a second and at its end a driver.
  if (!problem.bias_silu) {
    fe::error_t status = graph->build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE);
    if (status.is_bad()) {
      found.reason = first_line(status.get_message());
      return found;
    }
    found.workspace_bytes = graph->get_workspace_size();
  }
  for (int64_t i = 0; i < graph->get_execution_plan_count(); ++i) {
    if (graph->candidates().check_support_at_index(i).is_bad()) continue;
    if (found.count == 0) (void)graph->get_plan_name_at_index(i, found.first);
    ++found.count;
  }
  return found;
}

}  // namespace ydistill::cuda
