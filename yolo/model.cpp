// SPDX-License-Identifier: MIT
#include <ydistill/yolo/model.h>

#include <algorithm>

#include <ydistill/layers/c3.h>
#include <ydistill/layers/concat.h>
#include <ydistill/layers/focus.h>
#include <ydistill/layers/spp.h>
#include <ydistill/layers/upsample.h>
#include <ydistill/yolo/freeze.h>

namespace ydistill {
namespace {

std::string module_name(size_t i) {
  return "model." + std::to_string(i);
}

std::unique_ptr<Module> make_module(ParameterStore& store, size_t i, const LayerSpec& layer,
                                    bool stem_6x6) {
  const std::string name = module_name(i);
  const int64_t in = layer.in_channels[0], out = layer.out_channels;
  switch (layer.type) {
    case LayerType::kConv:
      if (stem_6x6) {
        return std::make_unique<ConvBnSilu>(
            store, name, ConvBnSiluOptions{.in_channels = 12, .out_channels = out, .kernel = 3});
      }
      return std::make_unique<ConvBnSilu>(
          store, name, ConvBnSiluOptions{in, out, layer.kernel, layer.stride, layer.padding});
    case LayerType::kFocus:
      return std::make_unique<ConvBnSilu>(
          store, name + ".conv",
          ConvBnSiluOptions{.in_channels = 12, .out_channels = out, .kernel = layer.kernel});
    case LayerType::kBottleneck:
      return std::make_unique<Bottleneck>(store, name, in, out, out / 2, layer.shortcut);
    case LayerType::kC3:
      return std::make_unique<C3>(store, name, C3Options{in, out, layer.repeats, layer.shortcut});
    case LayerType::kSpp:
      return std::make_unique<Spp>(store, name, in, out, layer.kernel);
    case LayerType::kUpsample:
    case LayerType::kConcat:
    case LayerType::kDetect:
      return nullptr;
  }
  return nullptr;
}

/// Checks that every name matches a parameter and that some parameter is left to train.
void check_frozen(const ParameterStore& store, const std::vector<std::string>& frozen) {
  bool trains = false;
  for (int i = 0; i < store.num_parameters(); ++i) {
    trains = trains || store.group(i) != ParameterGroup::kFrozen;
  }
  if (!trains) throw ValueError("every layer is frozen, nothing is left to train");
  for (const std::string& layer : frozen) {
    const auto means = layer_filter({layer});
    bool found = false;
    for (int i = 0; i < store.num_parameters(); ++i) found = found || means(store.name(i));
    if (!found) {
      throw ValueError("{}: no layer of the network, its parameters are called {} to {}", layer,
                       store.name(0), store.name(store.num_parameters() - 1));
    }
  }
}

}  // namespace

Model::Model(GraphSpec spec, DType dtype, const TrainedParts& parts)
    : Model(std::move(spec), std::make_unique<ParameterStore>(dtype), dtype, parts) {}

Model::Model(GraphSpec spec, const Compute& compute, const TrainedParts& parts)
    : Model(std::move(spec), std::make_unique<ParameterStore>(DType::kFloat32, compute.device),
            compute.activations(), parts) {}

Model::Model(GraphSpec spec, std::unique_ptr<ParameterStore> store, DType activations,
             const TrainedParts& parts)
    : spec_(std::move(spec)), store_(std::move(store)), activations_(activations) {
  if (!parts.frozen.empty()) store_->freeze(layer_filter(parts.frozen));
  const LayerSpec& first = spec_.layers.at(0);
  stem_6x6_ = first.type == LayerType::kConv && first.kernel == 6 && first.stride == 2 &&
              first.padding == 2;
  focus_ = stem_6x6_ || first.type == LayerType::kFocus;
  last_use_.assign(spec_.layers.size(), -1);
  for (size_t i = 0; i < spec_.layers.size(); ++i) {
    const LayerSpec& layer = spec_.layers[i];
    for (const int from : layer.from) {
      if (from >= 0) last_use_[size_t(from)] = int(i);
    }
    modules_.push_back(make_module(*store_, i, layer, stem_6x6_ && i == 0));
    if (layer.type == LayerType::kDetect) {
      detect_ = std::make_unique<DetectHead>(*store_, module_name(i), layer.in_channels,
                                             spec_.anchors_per_head(), spec_.num_classes);
    }
  }
  check_frozen(*store_, parts.frozen);
  if (!parts.feature_channels.empty()) {
    projections_ = std::make_unique<Projections>(*store_, "projection", spec_.detect().in_channels,
                                                 parts.feature_channels);
  }
  store_->allocate();
}

Tensor Model::network_input(const Tensor& images) const {
  const int64_t stride = spec_.max_stride();
  if (images.rank() != 4 || images.size(3) != 3 || images.size(1) % stride != 0 ||
      images.size(2) % stride != 0 || images.numel() == 0) {
    throw ShapeError(
        "model {}: takes pictures uint8 [N,H,W,3] with H and W multiples of {}, got {}", spec_.name,
        stride, images.str());
  }
  const Tensor here = images.to(device());
  return focus_ ? focus_input(here, activations_) : scaled_input(here, activations_);
}

std::vector<Var> Model::forward(const Tensor& images, ForwardMode mode, const Observer& observe,
                                std::vector<Var>* features) {
  if (mode == ForwardMode::kTrain) {
    check_has_parameters("training");
    check_is_not_int8("training");
  }
  Var x(network_input(images));
  std::vector<Var> outputs(spec_.layers.size());
  for (size_t i = 0; i < spec_.layers.size(); ++i) {
    const LayerSpec& layer = spec_.layers[i];
    std::vector<Var> inputs;
    for (const int from : layer.from) inputs.push_back(from < 0 ? x : outputs[size_t(from)]);
    x = Var();
    if (layer.type == LayerType::kDetect) {
      if (features != nullptr) *features = projections_ ? projections_->forward(inputs) : inputs;
      return detect_->forward(inputs);
    }
    switch (layer.type) {
      case LayerType::kConcat:
        outputs[i] = concat(inputs);
        break;
      case LayerType::kUpsample:
        outputs[i] = upsample2x(inputs[0]);
        break;
      default:
        outputs[i] = modules_[i]->forward(inputs[0], mode);
    }
    inputs.clear();
    if (observe) observe(int(i), outputs[i].value());
    for (const int from : layer.from) {  // frees outputs after their last use
      if (from >= 0 && last_use_[size_t(from)] == int(i)) outputs[size_t(from)] = Var();
    }
  }
  throw ValueError("model {}: the graph has no Detect", spec_.name);
}

void Model::initialise(uint64_t seed) {
  for (size_t i = 0; i < modules_.size(); ++i) {
    Rng rng(seed, 0, i, /*purpose=*/0x1417);
    if (modules_[i]) modules_[i]->initialise(rng);
    if (spec_.layers[i].type == LayerType::kDetect) {
      detect_->initialise(rng, spec_.anchors.strides);
    }
  }
  if (projections_) {
    Rng rng(seed, 0, modules_.size(), /*purpose=*/0x1417);
    projections_->initialise(rng);
  }
  store_->mark_changed();
}

void Model::prepare_inference(FoldedWeights where) {
  check_has_parameters("prepare_inference");
  check_is_not_int8("prepare_inference");
  for (const auto& module : modules_) {
    if (module) module->prepare_inference(where);
  }
  folded_in_place_ = where == FoldedWeights::kInPlace;
}

void Model::prepare_int8(const NetworkCalibration& calibration) {
  if (!device().is_cpu()) {
    throw DeviceError("model {}: int8 runs on the CPU, the model is on {}", spec_.name,
                      device().str());
  }
  check_is_not_int8("prepare_int8");
  try {
    prepare_int8_layers(calibration);
  } catch (...) {
    for_each_conv([](ConvBnSilu& conv) { conv.forget_int8(); });
    detect_->forget_int8();
    throw;
  }
  activations_ = DType::kUInt8;
  if (!folded_in_place_) return;
  for_each_conv([](ConvBnSilu& conv) { conv.keep_int8_alone(); });
  store_->release();
}

void Model::prepare_int8_layers(const NetworkCalibration& calibration) {
  std::vector<Quantization> outputs(spec_.layers.size());
  for (size_t i = 0; i < spec_.layers.size(); ++i) {
    const LayerSpec& layer = spec_.layers[i];
    std::vector<Quantization> inputs;
    for (const int from : layer.from) {
      inputs.push_back(from < 0 ? kPictureQuantization : outputs[size_t(from)]);
    }
    if (layer.type == LayerType::kDetect) {
      detect_->prepare_int8(inputs, calibration);
      return;
    }
    const bool agree = std::all_of(inputs.begin(), inputs.end(),
                                   [&](const Quantization& q) { return q == inputs[0]; });
    if (!agree) {
      throw ValueError("int8: what {} reads as one tensor has several ranges", module_name(i));
    }
    outputs[i] = modules_[i] ? modules_[i]->prepare_int8(inputs[0], calibration) : inputs[0];
  }
}

void Model::round_to_bytes(const NetworkCalibration& calibration) {
  check_has_parameters("round_to_bytes");
  check_is_not_int8("round_to_bytes");
  if (!device().is_cpu()) {
    throw DeviceError("model {}: round_to_bytes is the CPU's, the model is on {}", spec_.name,
                      device().str());
  }
  for_each_conv([&](ConvBnSilu& conv) { (void)calibration_of(calibration, conv.name()); });
  for (const std::string& head : head_convs()) (void)calibration_of(calibration, head);
  for_each_conv([&](ConvBnSilu& conv) { conv.round_to_bytes(calibration); });
  detect_->round_to_bytes(calibration);
  store_->mark_changed();
}

void Model::check_is_not_int8(const char* what) const {
  if (activations_ != DType::kUInt8) return;
  throw ValueError("model {}: {}: it was prepared for int8, it can only infer", spec_.name, what);
}

std::vector<std::string> Model::head_convs() const {
  std::vector<std::string> names;
  for (size_t k = 0; k < detect_->num_scales(); ++k) names.push_back(detect_->name_of(k));
  return names;
}

int64_t Model::int8_bytes() {
  int64_t sum = detect_->int8_bytes();
  for_each_conv([&](ConvBnSilu& conv) { sum += conv.int8_bytes(); });
  return sum;
}

void Model::for_each_conv(const std::function<void(ConvBnSilu&)>& visit) {
  for (const auto& module : modules_) {
    if (module) module->for_each_conv(visit);
  }
}

std::vector<std::vector<std::string>> Model::groups_by_reader() {
  std::vector<std::vector<std::string>> groups;
  const auto group_of = [&](const std::string& conv) {
    return std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return std::find(group.begin(), group.end(), conv) != group.end();
    });
  };
  const auto tie = [&](ConvBnSilu& a, ConvBnSilu& b) {
    const auto one = group_of(a.name()), other = group_of(b.name());
    if (one == other) return;
    one->insert(one->end(), other->begin(), other->end());
    groups.erase(other);
  };
  // The convolutions that give each layer's output.
  std::vector<std::vector<ConvBnSilu*>> givers(spec_.layers.size());
  for (size_t i = 0; i < spec_.layers.size(); ++i) {
    if (modules_[i]) {
      modules_[i]->for_each_conv([&](ConvBnSilu& conv) { groups.push_back({conv.name()}); });
      modules_[i]->for_each_tie(tie);
      givers[i] = {&modules_[i]->last_conv()};
      continue;
    }
    if (spec_.layers[i].type == LayerType::kDetect) break;
    for (const int from : spec_.layers[i].from) {
      if (from < 0) continue;
      for (ConvBnSilu* giver : givers[size_t(from)]) givers[i].push_back(giver);
    }
    for (ConvBnSilu* giver : givers[i]) tie(*givers[i][0], *giver);
  }
  return groups;
}

void Model::observe_convs(const ConvObserver& observer) {
  detect_->observe(observer);
  for_each_conv([&](ConvBnSilu& conv) { conv.observe(observer); });
}

void Model::check_has_parameters(const char* what) const {
  if (!folded_in_place_) return;
  throw ValueError("model {}: {}: its parameters were folded in place, it can only infer",
                   spec_.name, what);
}

std::vector<Conv2dGeometry> Model::convolutions(int64_t batch, int64_t height,
                                                int64_t width) const {
  std::vector<Conv2dGeometry> all;
  for (size_t i = 0; i < spec_.layers.size(); ++i) {
    const LayerSpec& layer = spec_.layers[i];
    // Size of the module's output; the convolutions in it have that size, except the strided one,
    // whose input is larger.
    const auto at = [&](double reduction, int64_t in, int64_t out, int64_t kernel, int64_t stride,
                        int64_t padding) {
      const int64_t h = int64_t(double(height) / reduction), w = int64_t(double(width) / reduction);
      all.push_back({batch,
                     h * stride,
                     w * stride,
                     in,
                     out,
                     kernel,
                     {stride, padding >= 0 ? padding : kernel / 2}});
    };
    const double r = layer.reduction;
    const int64_t in = layer.in_channels[0], out = layer.out_channels;
    switch (layer.type) {
      case LayerType::kConv:
        if (i == 0 && stem_6x6_) {
          at(r, 12, out, 3, 1, -1);
        } else {
          at(r, in, out, layer.kernel, layer.stride, layer.padding);
        }
        break;
      case LayerType::kFocus:
        at(r, 12, out, layer.kernel, 1, -1);
        break;
      case LayerType::kBottleneck:
        at(r, in, out / 2, 1, 1, -1);
        at(r, out / 2, out, 3, 1, -1);
        break;
      case LayerType::kC3: {
        const int64_t hidden = out / 2;
        at(r, in, hidden, 1, 1, -1);
        for (int64_t b = 0; b < layer.repeats; ++b) {
          at(r, hidden, hidden, 1, 1, -1);
          at(r, hidden, hidden, 3, 1, -1);
        }
        at(r, in, hidden, 1, 1, -1);
        at(r, 2 * hidden, out, 1, 1, -1);
        break;
      }
      case LayerType::kSpp:
        at(r, in, in / 2, 1, 1, -1);
        at(r, in / 2 * 4, out, 1, 1, -1);
        break;
      case LayerType::kDetect:
        for (size_t k = 0; k < layer.from.size(); ++k) {
          at(spec_.anchors.strides[k], layer.in_channels[k],
             spec_.anchors_per_head() * (5 + spec_.num_classes), 1, 1, -1);
        }
        break;
      case LayerType::kUpsample:
      case LayerType::kConcat:
        break;
    }
  }
  return all;
}

double Model::gflops(int64_t height, int64_t width) const {
  double macs = 0;
  for (const Conv2dGeometry& g : convolutions(1, height, width)) macs += double(g.macs());
  return 2e-9 * macs;
}

}  // namespace ydistill
