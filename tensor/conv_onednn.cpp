// SPDX-License-Identifier: MIT
// oneDNN convolutions on dense NHWC float32: the one file that knows oneDNN, versions 2.6 and 3.
//
// A plan is built once per geometry and direction and kept under that complete key. Weights are
// handed over in whatever layout the kernel asks for: working copies, reordered from the OHWI
// masters when these have changed. Scratch memory is ours (user mode), so that nothing is allocated
// behind the arena's back. Kernels that oneDNN itself calls "ref" are hundreds of times slower than
// the rest and are refused.
#include <ydistill/tensor/conv_onednn.h>

#include <dnnl.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#include <unordered_map>

#include <ydistill/tensor/arena.h>

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

memory::desc nhwc(const Shape& s) {
  return {{s[0], s[3], s[1], s[2]}, memory::data_type::f32, Tag::nhwc};
}
memory::desc ohwi(const Conv2dGeometry& g) {
  return {{g.out_channels, g.in_channels, g.kernel, g.kernel}, memory::data_type::f32, Tag::ohwi};
}
memory::desc any_weights(const Conv2dGeometry& g) {
  return {{g.out_channels, g.in_channels, g.kernel, g.kernel}, memory::data_type::f32, Tag::any};
}
memory::desc vector_of(int64_t n) {
  return {{n}, memory::data_type::f32, Tag::x};
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
  auto tie() const {
    return std::tuple(g.batch, g.in_height, g.in_width, g.in_channels, g.out_channels, g.kernel,
                      g.options.stride, g.options.padding, direction, bias);
  }
  bool operator<(const Key& other) const { return tie() < other.tie(); }
};

struct Plan {
  std::optional<dnnl::primitive> primitive;  // none: oneDNN has only a reference kernel
  memory::desc weights;                      // the layout of weights (or their gradient)
  memory::desc scratchpad;
  std::string implementation;
};

#if DNNL_VERSION_MAJOR >= 3
dnnl::convolution_forward::primitive_desc forward_desc(const Key& key,
                                                       const dnnl::primitive_attr& attr) {
  const Conv2dGeometry& g = key.g;
  const memory::dims s{g.options.stride, g.options.stride}, p{g.options.padding, g.options.padding};
  const auto prop = dnnl::prop_kind::forward_training;
  const auto algo = dnnl::algorithm::convolution_direct;
  if (key.bias) {
    return {cpu_engine(),
            prop,
            algo,
            nhwc(g.input_shape()),
            any_weights(g),
            vector_of(g.out_channels),
            nhwc(g.output_shape()),
            s,
            p,
            p,
            attr};
  }
  return {cpu_engine(),
          prop,
          algo,
          nhwc(g.input_shape()),
          any_weights(g),
          nhwc(g.output_shape()),
          s,
          p,
          p,
          attr};
}
dnnl::convolution_backward_data::primitive_desc backward_input_desc(
    const Key& key, const dnnl::primitive_attr& attr) {
  const Conv2dGeometry& g = key.g;
  const memory::dims s{g.options.stride, g.options.stride}, p{g.options.padding, g.options.padding};
  return {cpu_engine(),
          dnnl::algorithm::convolution_direct,
          nhwc(g.input_shape()),
          any_weights(g),
          nhwc(g.output_shape()),
          s,
          p,
          p,
          forward_desc({g, ConvDirection::kForward, false}, {}),
          attr};
}
dnnl::convolution_backward_weights::primitive_desc backward_weight_desc(
    const Key& key, const dnnl::primitive_attr& attr) {
  const Conv2dGeometry& g = key.g;
  const memory::dims s{g.options.stride, g.options.stride}, p{g.options.padding, g.options.padding};
  const auto hint = forward_desc({g, ConvDirection::kForward, key.bias}, {});
  const auto algo = dnnl::algorithm::convolution_direct;
  if (key.bias) {
    return {cpu_engine(),
            algo,
            nhwc(g.input_shape()),
            any_weights(g),
            vector_of(g.out_channels),
            nhwc(g.output_shape()),
            s,
            p,
            p,
            hint,
            attr};
  }
  return {
      cpu_engine(), algo, nhwc(g.input_shape()), any_weights(g), nhwc(g.output_shape()), s, p, p,
      hint,         attr};
}
#else
dnnl::convolution_forward::primitive_desc forward_desc(const Key& key,
                                                       const dnnl::primitive_attr& attr) {
  const Conv2dGeometry& g = key.g;
  const memory::dims s{g.options.stride, g.options.stride}, p{g.options.padding, g.options.padding};
  const auto prop = dnnl::prop_kind::forward_training;
  const auto algo = dnnl::algorithm::convolution_direct;
  using Desc = dnnl::convolution_forward::desc;
  const Desc desc = key.bias ? Desc(prop, algo, nhwc(g.input_shape()), any_weights(g),
                                    vector_of(g.out_channels), nhwc(g.output_shape()), s, p, p)
                             : Desc(prop, algo, nhwc(g.input_shape()), any_weights(g),
                                    nhwc(g.output_shape()), s, p, p);
  return {desc, attr, cpu_engine()};
}
dnnl::convolution_backward_data::primitive_desc backward_input_desc(
    const Key& key, const dnnl::primitive_attr& attr) {
  const Conv2dGeometry& g = key.g;
  const memory::dims s{g.options.stride, g.options.stride}, p{g.options.padding, g.options.padding};
  const dnnl::convolution_backward_data::desc desc(dnnl::algorithm::convolution_direct,
                                                   nhwc(g.input_shape()), any_weights(g),
                                                   nhwc(g.output_shape()), s, p, p);
  return {desc, attr, cpu_engine(), forward_desc({g, ConvDirection::kForward, false}, {})};
}
dnnl::convolution_backward_weights::primitive_desc backward_weight_desc(
    const Key& key, const dnnl::primitive_attr& attr) {
  const Conv2dGeometry& g = key.g;
  const memory::dims s{g.options.stride, g.options.stride}, p{g.options.padding, g.options.padding};
  const auto algo = dnnl::algorithm::convolution_direct;
  using Desc = dnnl::convolution_backward_weights::desc;
  const Desc desc =
      key.bias ? Desc(algo, nhwc(g.input_shape()), any_weights(g), vector_of(g.out_channels),
                      nhwc(g.output_shape()), s, p, p)
               : Desc(algo, nhwc(g.input_shape()), any_weights(g), nhwc(g.output_shape()), s, p, p);
  return {desc, attr, cpu_engine(), forward_desc({g, ConvDirection::kForward, key.bias}, {})};
}
#endif

template <class Primitive, class PrimitiveDesc>
Plan finish(const PrimitiveDesc& desc, const memory::desc& weights) {
  Plan plan;
  plan.weights = weights;
  plan.scratchpad = desc.scratchpad_desc();
  plan.implementation = desc.impl_info_str();
  const bool is_reference = plan.implementation.find("ref") != std::string::npos;
  if (!is_reference) plan.primitive = Primitive(desc);
  return plan;
}

Plan build(const Key& key) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
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

struct Table {
  std::mutex mutex;
  std::map<Key, std::shared_ptr<const Plan>> plans;
};
Table& table() {
  static Table plans;
  return plans;
}

std::shared_ptr<const Plan> plan_for(const Key& key) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  auto& slot = t.plans[key];
  if (!slot) {
    slot =
        checked("planning a convolution", [&] { return std::make_shared<const Plan>(build(key)); });
  }
  return slot;
}

/// Reorder from one layout into another; with `add`, onto what is there.
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
  dnnl::reorder(desc).execute(
      cpu_stream(), {{DNNL_ARG_FROM, from},
                     {DNNL_ARG_TO, to},
                     {DNNL_ARG_SCRATCHPAD, view(desc.scratchpad_desc(), scratch->data())}});
}

/// The weights in the plan's layout: `copy` where it is up to date, else made now.
std::shared_ptr<Storage> pack(const Conv2dGeometry& g, const Plan& plan, const float* weight,
                              PackedWeights::Impl::Copy* copy, uint64_t version) {
  const bool keep = copy != nullptr && version != 0;
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
  reorder(view(ohwi(g), weight), view(plan.weights, storage->data()), false);
  if (keep) *copy = {version, plan.weights, storage};
  return storage;
}

void execute(const Plan& plan, std::unordered_map<int, memory> args) {
  const auto scratch = allocate_storage(int64_t(bytes_of(plan.scratchpad)));
  args.emplace(DNNL_ARG_SCRATCHPAD, view(plan.scratchpad, scratch->data()));
  plan.primitive->execute(cpu_stream(), args);
  cpu_stream().wait();
}

}  // namespace

bool conv2d_forward(const Conv2dGeometry& g, const float* x, const float* weight, const float* bias,
                    float* y, PackedWeights* packed, uint64_t version) {
  const auto plan = plan_for({g, ConvDirection::kForward, bias != nullptr});
  if (!plan->primitive) return false;
  checked("conv2d forward", [&] {
    const auto weights =
        pack(g, *plan, weight, packed ? &packed->impl().forward : nullptr, version);
    std::unordered_map<int, memory> args{{DNNL_ARG_SRC, view(nhwc(g.input_shape()), x)},
                                         {DNNL_ARG_WEIGHTS, view(plan->weights, weights->data())},
                                         {DNNL_ARG_DST, view(nhwc(g.output_shape()), y)}};
    if (bias != nullptr) args.emplace(DNNL_ARG_BIAS, view(vector_of(g.out_channels), bias));
    execute(*plan, std::move(args));
  });
  return true;
}

bool conv2d_backward_input(const Conv2dGeometry& g, const float* grad_y, const float* weight,
                           float* grad_x, PackedWeights* packed, uint64_t version) {
  const auto plan = plan_for({g, ConvDirection::kBackwardInput, false});
  if (!plan->primitive) return false;
  checked("conv2d backward input", [&] {
    const auto weights =
        pack(g, *plan, weight, packed ? &packed->impl().backward : nullptr, version);
    execute(*plan, {{DNNL_ARG_DIFF_DST, view(nhwc(g.output_shape()), grad_y)},
                    {DNNL_ARG_WEIGHTS, view(plan->weights, weights->data())},
                    {DNNL_ARG_DIFF_SRC, view(nhwc(g.input_shape()), grad_x)}});
  });
  return true;
}

bool conv2d_backward_weight(const Conv2dGeometry& g, const float* grad_y, const float* x,
                            float* grad_weight, float* grad_bias) {
  const auto plan = plan_for({g, ConvDirection::kBackwardWeight, grad_bias != nullptr});
  if (!plan->primitive) return false;
  checked("conv2d backward weight", [&] {
    const auto packed = allocate_storage(int64_t(bytes_of(plan->weights)));
    const auto bias = allocate_storage(g.out_channels * int64_t(sizeof(float)));
    std::unordered_map<int, memory> args{
        {DNNL_ARG_DIFF_DST, view(nhwc(g.output_shape()), grad_y)},
        {DNNL_ARG_SRC, view(nhwc(g.input_shape()), x)},
        {DNNL_ARG_DIFF_WEIGHTS, view(plan->weights, packed->data())}};
    if (grad_bias != nullptr) {
      args.emplace(DNNL_ARG_DIFF_BIAS, view(vector_of(g.out_channels), bias->data()));
    }
    execute(*plan, std::move(args));
    reorder(view(plan->weights, packed->data()), view(ohwi(g), grad_weight), true);
    cpu_stream().wait();
    if (grad_bias != nullptr) {
      const float* sum = reinterpret_cast<const float*>(bias->data());
      for (int64_t o = 0; o < g.out_channels; ++o) grad_bias[o] += sum[o];
    }
  });
  return true;
}

std::vector<std::string> plan_report() {
  static constexpr const char* kDirections[] = {"forward", "backward input", "backward weight"};
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  std::vector<std::string> lines;
  for (const auto& [key, plan] : t.plans) {
    lines.push_back(fmt::format("{} -> {}, {}x{} stride {}, {}: {}", key.g.input_shape().str(),
                                key.g.output_shape().str(), key.g.kernel, key.g.kernel,
                                key.g.options.stride, kDirections[int(key.direction)],
                                plan->primitive ? plan->implementation : "plain loops"));
  }
  return lines;
}

std::string name() {
  const dnnl_version_t* v = dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", v->major, v->minor, v->patch);
}

}  // namespace onednn
}  // namespace ydistill
