// SPDX-License-Identifier: MIT
// The only file that uses cuDNN: its graph API through the cudnn-frontend headers.
#include <cudnn_frontend.h>

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ydistill/tensor/cuda/conv_cudnn.h>
#include <ydistill/tensor/cuda/conv_plan.h>
#include <ydistill/tensor/cuda/runtime.h>
#include <ydistill/tensor/error.h>

namespace ydistill::cuda {
namespace {

namespace fe = cudnn_frontend;

/// Plans that need more are not taken. It is about the most that a layer's activations need.
constexpr int64_t kMaxWorkspaceBytes = int64_t(1) << 30;
/// Names of the tensors in a graph, the same in every direction.
enum Uid : int64_t { kA = 1, kB = 2, kBias = 3, kOut = 4 };

/// cuDNN's error texts have many lines; the first one says what is wrong.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

void check(fe::error_t status, const char* step, const ConvProblem& problem) {
  if (status.is_bad()) {
    throw LibraryError("cudnn: {} ({}) for {}", first_line(status.get_message()), step,
                       describe(problem));
  }
}

/// A graph that gives access to its list of candidates, a protected member of the base.
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

/// The graph without plans: the problem as cuDNN is given it.
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

/// Excludes candidates that must not be used. Must be called after create_execution_plans:
/// excluding by notes marks entries of the list of candidates.
void restrict_candidates(ConvGraph& graph, const ConvProblem& p) {
  graph.deselect_workspace_greater_than(kMaxWorkspaceBytes);
  // The same bits every time, and sums in float32.
  graph.deselect_numeric_notes(
      {fe::NumericalNote_t::NONDETERMINISTIC, fe::NumericalNote_t::REDUCED_PRECISION_REDUCTION});
  if (p.dtype == DType::kFloat32 && !p.tf32) {
    // Transforms of large tiles lose a digit or more of float32.
    graph.deselect_numeric_notes(
        {fe::NumericalNote_t::TENSOR_CORE, fe::NumericalNote_t::DOWN_CONVERT_INPUTS,
         fe::NumericalNote_t::WINOGRAD_TILE_6x6, fe::NumericalNote_t::WINOGRAD_TILE_13x13,
         fe::NumericalNote_t::FFT});
  }
}

/// Runs `steps` and returns cuDNN's error in one line; empty if there is none.
template <class F>
std::string complaint(F&& steps) {
  try {
    fe::error_t status = steps();
    return status.is_bad() ? first_line(status.get_message()) : "";
  } catch (const fe::cudnnException& error) {
    return first_line(error.what());
  }
}

#define YD_CUDNN_TRY(expression)                                        \
  if (const fe::error_t yd_status = (expression); yd_status.is_bad()) { \
    return yd_status;                                                   \
  }

/// The handle may be null if the graph has the properties of a device.
fe::error_t make_operations(ConvGraph& graph, cudnnHandle_t handle) {
  YD_CUDNN_TRY(graph.validate());
  return handle != nullptr ? graph.build_operation_graph(handle) : graph.build_operation_graph();
}

/// Asks cuDNN which engines could run the problem. False, with the reason, if none.
bool find_candidates(ConvGraph& graph, const ConvProblem& p, cudnnHandle_t handle,
                     std::string& reason) {
  reason = complaint([&]() -> fe::error_t {
    YD_CUDNN_TRY(make_operations(graph, handle));
    YD_CUDNN_TRY(graph.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}));
    restrict_candidates(graph, p);
    return graph.check_support();
  });
  return reason.empty();
}

void check_status(cudnnStatus_t status, const char* call) {
  if (status != CUDNN_STATUS_SUCCESS) {
    throw LibraryError("cudnn: {} in {}", cudnnGetErrorString(status), call);
  }
}

/// Handles that no thread is using, by device. They are never destroyed: at the end of a thread or
/// the process, what cudnnDestroy uses may be gone, and it has crashed in other programs
/// (pytorch/pytorch#17658, davisking/dlib#2186).
class HandlePool {
 public:
  cudnnHandle_t take(int device) {
    {
      const std::lock_guard lock(mutex_);
      std::vector<cudnnHandle_t>& free = free_[device];
      if (!free.empty()) {
        const cudnnHandle_t taken = free.back();
        free.pop_back();
        return taken;
      }
    }
    // cudnnCreate allocates memory, and this thread may just be capturing a graph.
    const AllocationScope scope;
    cudnnHandle_t made = nullptr;
    check_status(cudnnCreate(&made), "cudnnCreate");
    return made;
  }
  void give_back(int device, cudnnHandle_t handle) {
    const std::lock_guard lock(mutex_);
    free_[device].push_back(handle);
  }
  static HandlePool& get() {
    static HandlePool& pool = *new HandlePool;
    return pool;
  }

 private:
  std::mutex mutex_;
  std::map<int, std::vector<cudnnHandle_t>> free_;
};

/// One handle per thread, device and stream, so that work that overlaps never shares one.
cudnnHandle_t handle() {
  struct ThreadHandles {
    std::map<std::pair<int, cudaStream_t>, cudnnHandle_t> of_stream;
    ~ThreadHandles() {
      for (const auto& [key, handle] : of_stream) HandlePool::get().give_back(key.first, handle);
    }
  };
  thread_local ThreadHandles own;
  int device = 0;
  YD_CUDA_CHECK(cudaGetDevice(&device));
  const cudaStream_t stream = current_stream();
  const std::pair key(device, stream);
  auto found = own.of_stream.find(key);
  if (found == own.of_stream.end()) {
    found = own.of_stream.emplace(key, HandlePool::get().take(device)).first;
  }
  // Set every time: a new stream may have the address of a destroyed one.
  check_status(cudnnSetStream(found->second, stream), "cudnnSetStream");
  return found->second;
}

/// cuDNN's own description of a plan; empty where it has none.
std::string words_of(const fe::ExecutionPlan& plan) {
  try {
    return plan.getJsonRepresentation();
  } catch (const fe::cudnnException&) {
    return "";
  }
}

class CudnnPlan : public ConvPlan {
 public:
  CudnnPlan(std::shared_ptr<ConvGraph> graph, int64_t index, std::string name,
            const ConvProblem& problem)
      : graph_(std::move(graph)), index_(index), name_(std::move(name)), problem_(problem) {}
  ~CudnnPlan() override { built().reset(); }  // other plans of the graph remain

  std::string name() const override { return name_; }
  int64_t workspace_bytes() const override {
    return graph_->get_workspace_size_plan_at_index(index_);
  }
  void run(const ConvOperands& operands, void* workspace) const override {
    std::unordered_map<int64_t, void*> addresses{{kA, const_cast<void*>(operands.a)},
                                                 {kB, const_cast<void*>(operands.b)},
                                                 {kOut, operands.out}};
    if (problem_.bias_silu) addresses.emplace(kBias, const_cast<void*>(operands.bias));
    check(graph_->execute_plan_at_index(handle(), addresses, workspace, index_), "running",
          problem_);
  }
  std::string saved() const override { return words_of(*built()); }

 private:
  std::shared_ptr<fe::ExecutionPlan>& built() const {
    return graph_->candidates().execution_plans[size_t(index_)];
  }

  std::shared_ptr<ConvGraph> graph_;
  int64_t index_;
  std::string name_;
  ConvProblem problem_;
};

std::vector<ConvPlanBuilder> plans(const ConvProblem& problem, std::string& reason) {
  std::vector<ConvPlanBuilder> builders;
  const auto graph = make_graph(problem, problem.dtype);
  if (!find_candidates(*graph, problem, handle(), reason)) return builders;
  for (int64_t i = 0; i < graph->get_execution_plan_count(); ++i) {
    builders.push_back([graph, i, problem]() -> std::unique_ptr<ConvPlan> {
      if (!complaint([&] { return graph->build_plan_at_index(i); }).empty()) return nullptr;
      std::string name;
      (void)graph->get_plan_name_at_index(i, name);
      return std::make_unique<CudnnPlan>(graph, i, name, problem);
    });
  }
  return builders;
}

std::unique_ptr<ConvPlan> restore(const ConvProblem& problem, const std::string& saved,
                                  std::string& reason) {
  const auto graph = make_graph(problem, problem.dtype);
  reason = complaint([&]() -> fe::error_t {
    YD_CUDNN_TRY(make_operations(*graph, handle()));
    return graph->candidates().build_plans(handle(), saved);
  });
  if (!reason.empty()) return nullptr;
  return std::make_unique<CudnnPlan>(graph, 0, graph->candidates().execution_plans[0]->getTag(),
                                     problem);
}

std::string name() {
  const size_t v = cudnnGetVersion();
  return fmt::format("cuDNN {}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

}  // namespace

const ConvLibrary& cudnn_library() {
  static constexpr ConvLibrary kLibrary{"cuDNN", name, plans, restore};
  return kLibrary;
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
  // Fused plans are compiled when they are built, which takes a second and needs a driver.
  if (!problem.bias_silu) {
    fe::error_t status = graph->build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE);
    if (status.is_bad()) {
      found.reason = first_line(status.get_message());
      return found;
    }
    found.workspace_bytes = graph->get_workspace_size();
    const auto& candidates = graph->candidates();
    found.saved = words_of(*candidates.execution_plans[size_t(candidates.candidate)]);
  }
  for (int64_t i = 0; i < graph->get_execution_plan_count(); ++i) {
    if (graph->candidates().check_support_at_index(i).is_bad()) continue;
    if (found.count == 0) (void)graph->get_plan_name_at_index(i, found.first);
    ++found.count;
  }
  return found;
}

}  // namespace ydistill::cuda
