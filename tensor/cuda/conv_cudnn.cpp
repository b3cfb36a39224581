// SPDX-License-Identifier: MIT
// The one file that knows cuDNN: its graph API through the cudnn-frontend headers. A convolution's
// plan is chosen once (by cuDNN's rules, or timed where asked for), kept in a table under
// everything that it depends on, and run with workspace from the arena.
#include <cudnn_frontend.h>

#include <fmt/format.h>

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

/// Names of the tensors in a graph, the same in every direction.
enum Uid : int64_t { kA = 1, kB = 2, kBias = 3, kOut = 4 };

std::string describe(const ConvProblem& p) {
  static constexpr const char* kDirections[] = {"forward", "backward input", "backward weight"};
  return fmt::format("{} {} -> {}, {}x{} stride {} padding {}, {}{}", name_of(p.dtype),
                     p.g.input_shape().str(), p.g.output_shape().str(), p.g.kernel, p.g.kernel,
                     p.g.options.stride, p.g.options.padding, kDirections[int(p.direction)],
                     p.bias_silu ? " + bias + silu" : "");
}

void check(fe::error_t status, const char* step, const ConvProblem& problem) {
  if (status.is_bad()) {
    throw LibraryError("cudnn: {} ({}) for {}", status.get_message(), step, describe(problem));
  }
}

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

/// The graph before any plan: what cuDNN is asked for.
std::shared_ptr<fe::graph::Graph> make_graph(const ConvProblem& p) {
  const auto type = p.dtype == DType::kBFloat16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::FLOAT;
  auto graph = std::make_shared<fe::graph::Graph>();
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
        const auto bias = nhwc(*graph, "bias", kBias, Shape{1, 1, 1, p.g.out_channels}, type);
        auto add = fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD);
        const auto sum = graph->pointwise(out, bias, add);
        sum->set_data_type(fe::DataType_t::FLOAT);
        auto swish = fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::SWISH_FWD);
        out = graph->pointwise(sum, swish);
      }
      make_output(out, y, type);
      break;
    }
    case ConvDirection::kBackwardInput: {
      const auto a = nhwc(*graph, "grad_y", kA, y, type), b = nhwc(*graph, "w", kB, w, type);
      const auto out =
          graph->conv_dgrad(a, b, spatial<fe::graph::Conv_dgrad_attributes>(p.g.options));
      make_output(out, x, type);
      break;
    }
    case ConvDirection::kBackwardWeight: {
      const auto a = nhwc(*graph, "grad_y", kA, y, type), b = nhwc(*graph, "x", kB, x, type);
      const auto out =
          graph->conv_wgrad(a, b, spatial<fe::graph::Conv_wgrad_attributes>(p.g.options));
      make_output(out, w, type);
      break;
    }
  }
  return graph;
}

/// Plans that must not be taken: those that round float32 where that is not allowed.
void restrict_plans(fe::graph::Graph& graph, const ConvProblem& p) {
  if (p.dtype == DType::kFloat32 && !p.tf32) {
    graph.deselect_numeric_notes({fe::NumericalNote_t::TENSOR_CORE});
  }
}

/// Asks cuDNN which engines could run the problem. False, with the reason, if none.
bool find_candidates(fe::graph::Graph& graph, const ConvProblem& p, cudnnHandle_t handle,
                     std::string& reason) {
  fe::error_t status = graph.validate();
  if (status.is_good()) {
    status =
        handle != nullptr ? graph.build_operation_graph(handle) : graph.build_operation_graph();
  }
  if (status.is_good()) {
    status = graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK});
  }
  if (status.is_bad()) reason = status.get_message();
  restrict_plans(graph, p);
  return status.is_good();
}

/// One handle a thread, on the thread's stream.
cudnnHandle_t handle() {
  struct Handle {
    cudnnHandle_t handle = nullptr;
    Handle() {
      const cudnnStatus_t status = cudnnCreate(&handle);
      if (status != CUDNN_STATUS_SUCCESS) {
        throw LibraryError("cudnn: {} in cudnnCreate", cudnnGetErrorString(status));
      }
    }
    ~Handle() { cudnnDestroy(handle); }
  };
  thread_local const Handle own;
  const cudnnStatus_t status = cudnnSetStream(own.handle, current_stream());
  if (status != CUDNN_STATUS_SUCCESS) {
    throw LibraryError("cudnn: {} in cudnnSetStream", cudnnGetErrorString(status));
  }
  return own.handle;
}

struct Plan {
  std::shared_ptr<fe::graph::Graph> graph;  // null: cuDNN has none
  int64_t workspace = 0;
  std::string engine;
  std::string reason;  // why there is none
  bool tuned = false;
};

using Key = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                       DType, ConvDirection, bool, bool>;

Key key_of(const ConvProblem& p) {
  return {p.g.batch,        p.g.in_height, p.g.in_width,       p.g.in_channels,
          p.g.out_channels, p.g.kernel,    p.g.options.stride, p.g.options.padding,
          p.dtype,          p.direction,   p.bias_silu,        p.tf32};
}

struct Table {
  std::mutex mutex;
  std::map<Key, std::pair<ConvProblem, std::shared_ptr<Plan>>> plans;
};
Table& table() {
  static Table plans;
  return plans;
}

Plan build(const ConvProblem& p) {
  Plan plan;
  const auto graph = make_graph(p);
  if (!find_candidates(*graph, p, handle(), plan.reason)) return plan;
  fe::error_t status = graph->check_support();
  if (status.is_good()) {
    status = graph->build_plans(autotune_plans ? fe::BuildPlanPolicy_t::ALL
                                               : fe::BuildPlanPolicy_t::HEURISTICS_CHOICE);
  }
  if (status.is_bad()) {
    plan.reason = status.get_message();
    return plan;
  }
  plan.graph = graph;
  plan.workspace =
      autotune_plans ? graph->get_autotune_workspace_size() : graph->get_workspace_size();
  (void)graph->get_plan_name(plan.engine);
  return plan;
}

std::shared_ptr<Plan> plan_for(const ConvProblem& p) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  auto& slot = t.plans[key_of(p)];
  if (!slot.second) slot = {p, std::make_shared<Plan>(build(p))};
  return slot.second;
}

}  // namespace

void set_autotune(bool autotune) {
  autotune_plans = autotune;
}

bool has_conv_engine(const ConvProblem& problem) {
  return plan_for(problem)->graph != nullptr;
}

void run_conv_engine(const ConvProblem& problem, const void* a, const void* b, const void* bias,
                     void* out) {
  const std::shared_ptr<Plan> plan = plan_for(problem);
  if (!plan->graph) {
    throw LibraryError("cudnn: no engine for {}: {}", describe(problem), plan->reason);
  }
  int device = 0;
  YD_CUDA_CHECK(cudaGetDevice(&device));
  const auto workspace = allocate_storage(plan->workspace, Device::cuda(device));
  std::unordered_map<int64_t, void*> operands{
      {kA, const_cast<void*>(a)}, {kB, const_cast<void*>(b)}, {kOut, out}};
  if (problem.bias_silu) operands.emplace(kBias, const_cast<void*>(bias));
  if (autotune_plans && !plan->tuned) {
    check(plan->graph->autotune(handle(), operands, workspace->data()), "timing plans", problem);
    plan->tuned = true;
    plan->workspace = plan->graph->get_workspace_size();
    (void)plan->graph->get_plan_name(plan->engine);
  }
  check(plan->graph->execute(handle(), operands, workspace->data()), "running", problem);
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

int64_t count_conv_candidates(const ConvProblem& problem, const std::string& device_description,
                              std::string& reason) {
  const auto device = std::make_shared<fe::DeviceProperties>();
  const std::vector<uint8_t> bytes(device_description.begin(), device_description.end());
  check(device->deserialize(bytes), "reading a device's description", problem);
  const auto graph = make_graph(problem);
  graph->set_device_properties(device);
  if (!find_candidates(*graph, problem, nullptr, reason)) return 0;
  return graph->get_execution_plan_count();
}

}  // namespace ydistill::cuda
