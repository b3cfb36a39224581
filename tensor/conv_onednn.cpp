// SPDX-License-Identifier: MIT
// oneDNN convolutions on dense NHWC float32 and bfloat16: the one file that knows oneDNN, versions
// 2.6 and 3.
//
// A plan is built once per Key (geometry, direction, bias, dtypes, SiLU, threads) and kept as long
// as conv_plans.h says. (oneDNN itself also keeps the code of the 1024 it built last.) Weights are
// passed in the layout and dtype that the kernel asks for: working copies, reordered from the
// float32 OHWI masters when these have changed. Gradients of weights are float32. Scratch memory is
// ours (user mode), so that every allocation goes through the arena. Kernels that oneDNN itself
// calls "ref" are hundreds of times slower than the rest and are refused.
#include <ydistill/tensor/conv_onednn.h>

#include <dnnl.hpp>

#include <algorithm>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/conv_plans.h>
#include <ydistill/tensor/dry_run.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/weight_layouts.h>

namespace ydistill {

struct PackedWeights::Impl {
  struct Copy {
    uint64_t version = 0;
    dnnl::memory::desc layout;
    std::shared_ptr<Storage> storage;
  };
  Copy forward, backward;
};

PackedWeights::PackedWeights() : impl_(std::make_unique<Impl>()) {}
PackedWeights::~PackedWeights() = default;
PackedWeights::PackedWeights(PackedWeights&&) noexcept = default;
PackedWeights& PackedWeights::operator=(PackedWeights&&) noexcept = default;

namespace onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

/// Turns oneDNN's exceptions into ours.
template <class F>
auto checked(const char* what, F&& f) {
  try {
    return f();
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory)
      throw OutOfMemoryError("oneDNN: {}: out of memory", what);
    throw LibraryError("oneDNN: {}: {} (status {})", what, error.what(), int(error.status));
  }
}

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& cpu_stream() {
  thread_local dnnl::stream stream(cpu_engine());
  return stream;
}

using Type = memory::data_type;

Type type_of(DType dtype) {
  return dtype == DType::kBFloat16 ? Type::bf16 : Type::f32;
}
memory::desc nhwc(const Shape& s, Type type) {
  return {{s[0], s[3], s[1], s[2]}, type, Tag::nhwc};
}
memory::desc weights_in(const Conv2dGeometry& g, Type type, Tag tag) {
  return {{g.out_channels, g.in_channels, g.kernel, g.kernel}, type, tag};
}
memory::desc ohwi(const Conv2dGeometry& g) {
  return weights_in(g, Type::f32, Tag::ohwi);
}
memory::desc vector_of(int64_t n) {
  return {{n}, Type::f32, Tag::x};
}

memory view(const memory::desc& layout, const void* data) {
  return memory(layout, cpu_engine(), const_cast<void*>(data));
}

size_t bytes_of(const memory::desc& layout) {
  return layout.get_size();
}

struct Key {
  Conv2dGeometry g;
  ConvDirection direction;
  bool bias;
  Type x, y;                    // of the input and the output, or of their gradients
  bool silu = false;            // forward: of the output
  int threads = num_threads();  // a primitive divides its work when it is created
  auto tie() const {
    return std::tuple(g.batch, g.in_height, g.in_width, g.in_channels, g.out_channels, g.kernel,
                      g.options.stride, g.options.padding, direction, bias, x, y, silu, threads);
  }
  bool operator<(const Key& other) const { return tie() < other.tie(); }
};

struct Plan {
  bool is_optimised = false;                 // else oneDNN has only a reference kernel
  std::optional<dnnl::primitive> primitive;  // set if is_optimised, except in a dry run
  memory::desc weights;                      // the layout of weights (or their gradient)
  memory::desc scratchpad;
  std::string implementation;
};

/// A primitive's description from the arguments that both versions share, in their order. `hint`:
/// empty, or the description of the forward pass that a backward belongs to.
template <class Primitive, class... Hint, class... Args>
auto describe(const dnnl::primitive_attr& attr, const std::tuple<Hint...>& hint, Args&&... args) {
  using Desc = typename Primitive::primitive_desc;
  return std::apply(
      [&](const auto&... forward) {
#if DNNL_VERSION_MAJOR >= 3
        return Desc(cpu_engine(), std::forward<Args>(args)..., forward..., attr);
#else
        return Desc(typename Primitive::desc(std::forward<Args>(args)...), attr, cpu_engine(),
                    forward...);
#endif
      },
      hint);
}

bool is_without_avx512() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
    case dnnl::cpu_isa::avx:
    case dnnl::cpu_isa::avx2:
    case dnnl::cpu_isa::avx2_vnni:
#if DNNL_VERSION_MAJOR >= 3
    case dnnl::cpu_isa::avx2_vnni_2:
#endif
      return true;
    default:
      return false;
  }
}

/// The sizes and strides of a plan as oneDNN takes them.
struct Operands {
  explicit Operands(const Key& key)
      : x(nhwc(key.g.input_shape(), key.x)),
        weights(weights_in(key.g, key.x, Tag::any)),
        grad_weights(weights_in(key.g, Type::f32, Tag::any)),
        bias(vector_of(key.g.out_channels)),
        y(nhwc(key.g.output_shape(), key.y)),
        strides{key.g.options.stride, key.g.options.stride},
        padding{key.g.options.padding, key.g.options.padding} {}
  memory::desc x, weights, grad_weights, bias, y;
  memory::dims strides, padding;
};

constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;

dnnl::convolution_forward::primitive_desc forward_desc(const Key& key,
                                                       const dnnl::primitive_attr& attr) {
  using Forward = dnnl::convolution_forward;
  const Operands o(key);
  const auto kind = dnnl::prop_kind::forward_training;
  return key.bias ? describe<Forward>(attr, std::tuple(), kind, kAlgorithm, o.x, o.weights, o.bias,
                                      o.y, o.strides, o.padding, o.padding)
                  : describe<Forward>(attr, std::tuple(), kind, kAlgorithm, o.x, o.weights, o.y,
                                      o.strides, o.padding, o.padding);
}

dnnl::convolution_backward_data::primitive_desc backward_input_desc(
    const Key& key, const dnnl::primitive_attr& attr) {
  const Operands o(key);
  return describe<dnnl::convolution_backward_data>(attr, std::tuple(forward_desc(key, {})),
                                                   kAlgorithm, o.x, o.weights, o.y, o.strides,
                                                   o.padding, o.padding);
}

dnnl::convolution_backward_weights::primitive_desc backward_weight_desc(
    const Key& key, const dnnl::primitive_attr& attr) {
  using Backward = dnnl::convolution_backward_weights;
  const Operands o(key);
  const std::tuple hint(forward_desc(key, {}));
  return key.bias ? describe<Backward>(attr, hint, kAlgorithm, o.x, o.grad_weights, o.bias, o.y,
                                       o.strides, o.padding, o.padding)
                  : describe<Backward>(attr, hint, kAlgorithm, o.x, o.grad_weights, o.y, o.strides,
                                       o.padding, o.padding);
}

template <class Primitive, class PrimitiveDesc>
Plan finish(const PrimitiveDesc& desc, const memory::desc& weights) {
  Plan plan;
  plan.weights = weights;
  plan.scratchpad = desc.scratchpad_desc();
  plan.implementation = desc.impl_info_str();
  plan.is_optimised = plan.implementation.find("ref") == std::string::npos;
  if (plan.is_optimised && !DryRun::is_on()) plan.primitive = Primitive(desc);
  return plan;
}

dnnl::post_ops silu_after() {
  dnnl::post_ops ops;
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(dnnl::algorithm::eltwise_swish, 1.0f, 0.0f);
#else
  ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_swish, 1.0f, 0.0f);
#endif
  return ops;
}

Plan build_plan(const Key& key) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (key.silu) attr.set_post_ops(silu_after());
  switch (key.direction) {
    case ConvDirection::kForward: {
      const auto desc = forward_desc(key, attr);
      return finish<dnnl::convolution_forward>(desc, desc.weights_desc());
    }
    case ConvDirection::kBackwardInput: {
      const auto desc = backward_input_desc(key, attr);
      return finish<dnnl::convolution_backward_data>(desc, desc.weights_desc());
    }
    case ConvDirection::kBackwardWeight: {
      const auto desc = backward_weight_desc(key, attr);
      return finish<dnnl::convolution_backward_weights>(desc, desc.diff_weights_desc());
    }
  }
  throw ValueError("conv2d: unknown direction");
}

/// A plan that is not optimised if oneDNN has no kernel for this CPU (bfloat16 on an old one).
Plan build(const Key& key) {
  try {
    return build_plan(key);
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) throw;
    return {};
  }
}

/// The plans of the process: at most kMaxConvPlans, plus any that the steps in flight use.
class Table {
 public:
  /// Null where there is none.
  std::shared_ptr<const Plan> find(const Key& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : found->second.plan;
  }

  std::shared_ptr<const Plan> use(const Key& key) {
    const std::lock_guard lock(mutex_);
    const uint64_t now = ++uses_;
    auto found = entries_.find(key);
    if (found == entries_.end()) {
      auto plan = std::make_shared<const Plan>(build(key));
      make_room();
      found = entries_.emplace(key, Entry{std::move(plan), now, {}}).first;
      found->second.place = by_use_.insert(by_use_.end(), &found->first);
    } else {
      found->second.last_use = now;
      by_use_.splice(by_use_.end(), by_use_, found->second.place);
    }
    return found->second.plan;
  }

  uint64_t begin_step() {
    const std::lock_guard lock(mutex_);
    steps_.insert(uses_);
    return uses_;
  }
  void end_step(uint64_t began) {
    const std::lock_guard lock(mutex_);
    steps_.erase(steps_.find(began));
  }

  template <class F>
  void for_each(F&& f) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, entry] : entries_) f(key, *entry.plan);
  }

 private:
  struct Entry {
    std::shared_ptr<const Plan> plan;
    uint64_t last_use;
    std::list<const Key*>::iterator place;  // in by_use_
  };

  /// Drops the least recently used plans until there is room for one more.
  void make_room() {
    const uint64_t kept_from = steps_.empty() ? uses_ : *steps_.begin() + 1;
    while (int64_t(entries_.size()) >= kMaxConvPlans) {
      const auto oldest = entries_.find(*by_use_.front());
      if (oldest->second.last_use >= kept_from) return;
      by_use_.pop_front();
      entries_.erase(oldest);
    }
  }

  mutable std::mutex mutex_;
  std::map<Key, Entry> entries_;
  std::list<const Key*> by_use_;  // least recently used first
  uint64_t uses_ = 0;
  std::multiset<uint64_t> steps_;  // uses before each that is in flight
};
Table& table() {
  static Table plans;
  return plans;
}

std::shared_ptr<const Plan> plan_for(const Key& key) {
  return checked("planning a convolution", [&] {
    if (!DryRun::is_on()) return table().use(key);
    // The description is enough: what takes time is generating the code.
    DryRun::plan();
    auto known = table().find(key);
    return known ? known : std::make_shared<const Plan>(build(key));
  });
}

/// Reorders from one layout into another; with `add`, adds to what `to` holds.
void reorder(const memory& from, const memory& to, bool add) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (add) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attr.set_post_ops(sum);
  }
  const dnnl::reorder::primitive_desc desc(from, to, attr);
  const auto scratch = allocate_storage(int64_t(bytes_of(desc.scratchpad_desc())));
  if (DryRun::is_on()) return;
  dnnl::reorder(desc).execute(
      cpu_stream(), {{DNNL_ARG_FROM, from},
                     {DNNL_ARG_TO, to},
                     {DNNL_ARG_SCRATCHPAD, view(desc.scratchpad_desc(), scratch->data())}});
}

/// Converts OHWI to a plan's layout (the next function: back) by our own kernels if they know the
/// layout; returns whether they did. oneDNN's reorders do all others.
bool pack_by_hand(const Conv2dGeometry& g, const memory::desc& layout, const float* from,
                  std::byte* to) {
  const int64_t taps = g.kernel * g.kernel;
  if (g.in_channels % 16 != 0) return false;
  const auto is = [&](Tag tag) { return layout == weights_in(g, Type::bf16, tag); };
  const WeightLayoutKernels& kernels = weight_layout_kernels();
  BFloat16* const out = reinterpret_cast<BFloat16*>(to);
  for (const auto& [block, tag] : {std::pair(64, Tag::AcdB64a2b), std::pair(32, Tag::AcdB32a2b)}) {
    if (g.out_channels % block != 0 || !is(tag)) continue;
    kernels.pack_pairs_of_inputs(from, g.out_channels, taps, g.in_channels, block, out);
    return true;
  }
  if (g.out_channels % 16 != 0) return false;
  const bool inputs_first = is(Tag::BAcd8a16b2a);
  if (!inputs_first && !is(Tag::ABcd8a16b2a)) return false;
  kernels.pack_pairs_of_outputs(from, g.out_channels, taps, g.in_channels, inputs_first, out);
  return true;
}

bool add_unpacked_by_hand(const Conv2dGeometry& g, const memory::desc& layout, const void* from,
                          float* to) {
  if (g.in_channels % 16 != 0 || g.out_channels % 16 != 0) return false;
  if (layout != weights_in(g, Type::f32, Tag::ABcd16b16a)) return false;
  weight_layout_kernels().add_unpacked(static_cast<const float*>(from), g.out_channels,
                                       g.kernel * g.kernel, g.in_channels, to);
  return true;
}

/// Null in a dry run, where it is never read.
void* data_of(const std::shared_ptr<Storage>& storage) {
  return storage ? storage->data() : nullptr;
}

/// The weights in the plan's layout: `copy` if it is up to date, else packed now.
std::shared_ptr<Storage> pack(const Conv2dGeometry& g, const Plan& plan, const Tensor& weight,
                              PackedWeights::Impl::Copy* copy, uint64_t version) {
  const bool keep = copy != nullptr && version != 0;
  if (keep && DryRun::is_on()) {
    DryRun::keep(int64_t(bytes_of(plan.weights)));
    if (!pack_by_hand(g, plan.weights, weight.data<float>(), nullptr)) {
      reorder(view(ohwi(g), weight.raw()), view(plan.weights, nullptr), false);
    }
    return nullptr;
  }
  if (keep && copy->storage && copy->version == version && copy->layout == plan.weights) {
    return copy->storage;
  }
  std::shared_ptr<Storage> storage;
  if (keep && copy->storage && copy->storage->nbytes() == int64_t(bytes_of(plan.weights))) {
    storage = copy->storage;
  } else {
    std::optional<ArenaScope> outside;  // kept copies outlive the step
    if (keep) outside.emplace(nullptr);
    storage = allocate_storage(int64_t(bytes_of(plan.weights)));
  }
  if (!pack_by_hand(g, plan.weights, weight.data<float>(), storage->data())) {
    reorder(view(ohwi(g), weight.raw()), view(plan.weights, storage->data()), false);
  }
  if (keep) *copy = {version, plan.weights, storage};
  return storage;
}

void execute(const Plan& plan, std::unordered_map<int, memory> args) {
  const auto scratch = allocate_storage(int64_t(bytes_of(plan.scratchpad)));
  if (DryRun::is_on()) return;
  args.emplace(DNNL_ARG_SCRATCHPAD, view(plan.scratchpad, scratch->data()));
  plan.primitive->execute(cpu_stream(), args);
  cpu_stream().wait();
}

bool is_supported(const Tensor& t) {
  return t.dtype() == DType::kFloat32 || t.dtype() == DType::kBFloat16;
}

memory view(const memory::desc& layout, const Tensor& t) {
  return view(layout, t.raw());
}

}  // namespace

namespace {

bool forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
             bool silu, const Tensor& y, PackedWeights* packed, uint64_t version) {
  if (!is_supported(x)) return false;
  const Key key{.g = g,
                .direction = ConvDirection::kForward,
                .bias = bias.defined(),
                .x = type_of(x.dtype()),
                .y = type_of(y.dtype()),
                .silu = silu};
  const auto plan = plan_for(key);
  if (!plan->is_optimised) return false;
  checked("conv2d forward", [&] {
    const auto weights =
        pack(g, *plan, weight, packed ? &packed->impl().forward : nullptr, version);
    std::unordered_map<int, memory> args{{DNNL_ARG_SRC, view(nhwc(g.input_shape(), key.x), x)},
                                         {DNNL_ARG_WEIGHTS, view(plan->weights, data_of(weights))},
                                         {DNNL_ARG_DST, view(nhwc(g.output_shape(), key.y), y)}};
    if (key.bias) args.emplace(DNNL_ARG_BIAS, view(vector_of(g.out_channels), bias));
    execute(*plan, std::move(args));
  });
  return true;
}

}  // namespace

bool conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Tensor& y, PackedWeights* packed, uint64_t version) {
  return forward(g, x, weight, bias, /*silu=*/false, y, packed, version);
}

bool fuses_silu(DType dtype) {
  return dtype == DType::kFloat32 && is_without_avx512();
}

bool conv2d_bias_silu(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                      const Tensor& bias, const Tensor& y, PackedWeights* packed,
                      uint64_t version) {
  return forward(g, x, weight, bias, /*silu=*/true, y, packed, version);
}

bool conv2d_backward_input(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& weight,
                           const Tensor& grad_x, PackedWeights* packed, uint64_t version) {
  if (!is_supported(grad_y)) return false;
  const Type type = type_of(grad_y.dtype());
  const auto plan = plan_for({g, ConvDirection::kBackwardInput, false, type, type});
  if (!plan->is_optimised) return false;
  checked("conv2d backward input", [&] {
    const auto weights =
        pack(g, *plan, weight, packed ? &packed->impl().backward : nullptr, version);
    execute(*plan, {{DNNL_ARG_DIFF_DST, view(nhwc(g.output_shape(), type), grad_y)},
                    {DNNL_ARG_WEIGHTS, view(plan->weights, data_of(weights))},
                    {DNNL_ARG_DIFF_SRC, view(nhwc(g.input_shape(), type), grad_x)}});
  });
  return true;
}

bool conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                            const Tensor& grad_weight, const Tensor& grad_bias) {
  if (!is_supported(x)) return false;
  const Type type = type_of(x.dtype());
  const auto plan = plan_for({g, ConvDirection::kBackwardWeight, grad_bias.defined(), type, type});
  if (!plan->is_optimised) return false;
  checked("conv2d backward weight", [&] {
    const auto packed = allocate_storage(int64_t(bytes_of(plan->weights)));
    const auto bias = allocate_storage(g.out_channels * int64_t(sizeof(float)));
    std::unordered_map<int, memory> args{
        {DNNL_ARG_DIFF_DST, view(nhwc(g.output_shape(), type), grad_y)},
        {DNNL_ARG_SRC, view(nhwc(g.input_shape(), type), x)},
        {DNNL_ARG_DIFF_WEIGHTS, view(plan->weights, packed->data())}};
    if (grad_bias.defined()) {
      args.emplace(DNNL_ARG_DIFF_BIAS, view(vector_of(g.out_channels), bias->data()));
    }
    execute(*plan, std::move(args));
    if (!add_unpacked_by_hand(g, plan->weights, data_of(packed), grad_weight.data<float>())) {
      reorder(view(plan->weights, data_of(packed)), view(ohwi(g), grad_weight), true);
      cpu_stream().wait();
    }
    if (DryRun::is_on()) return;
    if (grad_bias.defined()) {
      const float* sum = reinterpret_cast<const float*>(bias->data());
      float* const total = grad_bias.data<float>();
      for (int64_t o = 0; o < g.out_channels; ++o) total[o] += sum[o];
    }
  });
  return true;
}

std::vector<std::string> plan_report() {
  static constexpr const char* kDirections[] = {"forward", "backward input", "backward weight"};
  std::vector<std::string> lines;
  table().for_each([&](const Key& key, const Plan& plan) {
    lines.push_back(fmt::format("{} -> {}, {}x{} stride {}{}, {}: {}", key.g.input_shape().str(),
                                key.g.output_shape().str(), key.g.kernel, key.g.kernel,
                                key.g.options.stride, key.x == Type::bf16 ? " in bfloat16" : "",
                                kDirections[int(key.direction)],
                                plan.is_optimised ? plan.implementation : "plain loops"));
  });
  return lines;
}

uint64_t begin_step() {
  return table().begin_step();
}

void end_step(uint64_t began) {
  table().end_step(began);
}

std::string name() {
  const dnnl_version_t* v = dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", v->major, v->minor, v->patch);
}

}  // namespace onednn
}  // namespace ydistill
