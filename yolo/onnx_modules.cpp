// SPDX-License-Identifier: MIT
#include <ydistill/yolo/onnx_modules.h>

#include <algorithm>
#include <cmath>

#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/layers/focus.h>
#include <ydistill/tensor/conv_int8.h>
#include <ydistill/yolo/oihw.h>

namespace ydistill {
namespace {

using Ints = std::vector<int64_t>;

Ints sizes_of(const Tensor& t) {
  return {t.shape().sizes().begin(), t.shape().sizes().end()};
}

/// Cells along a side of a convolution's output.
int64_t side_after_conv(const std::string& name, int64_t side, int64_t kernel,
                        Conv2dOptions options) {
  const int64_t padded = side + 2 * options.padding;
  if (padded < kernel) {
    throw ValueError("ONNX: {}: a kernel of {} on {} cells: the picture is too small", name, kernel,
                     side);
  }
  return (padded - kernel) / options.stride + 1;
}

/// The sizes of a module's output, without a name.
OnnxFeatureMap size_after(const std::string& name, const LayerSpec& layer,
                          const std::vector<OnnxFeatureMap>& inputs) {
  const int64_t rows = inputs.at(0).rows, columns = inputs.at(0).columns;
  if (rows == 0) return {};
  const auto conv = [&](int64_t side) {
    return side_after_conv(name, side, layer.kernel, {layer.stride, layer.conv_padding()});
  };
  switch (layer.type) {
    case LayerType::kConv:
      return {"", conv(rows), conv(columns)};
    case LayerType::kFocus:
      return {"", conv(rows / 2), conv(columns / 2)};
    case LayerType::kUpsample:
      return {"", 2 * rows, 2 * columns};
    default:
      break;
  }
  for (const OnnxFeatureMap& input : inputs) {
    if (input.rows != rows || input.columns != columns) {
      throw ValueError("ONNX: {}: its inputs have {} x {} and {} x {} cells for such a picture",
                       name, rows, columns, input.rows, input.columns);
    }
  }
  return {"", rows, columns};
}

}  // namespace

OnnxModules::OnnxModules(OnnxGraph& graph, const NamedTensors& weights, OnnxType precision,
                         const NetworkCalibration& calibration)
    : graph_(graph), precision_(precision), calibration_(calibration) {
  for (const auto& [name, tensor] : weights) weights_.emplace(name, &tensor);
}

const Tensor& OnnxModules::weight(const std::string& name) const {
  const auto found = weights_.find(name);
  if (found == weights_.end()) throw ValueError("ONNX: {} is missing", name);
  return *found->second;
}

std::pair<std::string, std::string> OnnxModules::float_weights(const std::string& values,
                                                               const Tensor& weight_oihw,
                                                               const Tensor& bias) {
  return {graph_.add_constant(values + ".weight", sizes_of(weight_oihw), weight_oihw.span<float>(),
                              precision_),
          graph_.add_constant(values + ".bias", sizes_of(bias), bias.span<float>(), precision_)};
}

std::pair<std::string, std::string> OnnxModules::int8_weights(const std::string& name,
                                                              const std::string& values,
                                                              const Tensor& weight_oihw,
                                                              const Tensor& bias) {
  // For the convolution that reads the picture, the calibration's channels are those of Focus.
  const std::vector<float>& means = calibration_of(calibration_, name).input_means;
  const Tensor ohwi = ohwi_from_oihw(weight_oihw);
  const bool is_stem = ohwi.size(3) == 3 && means.size() == 12;
  const Tensor weight = is_stem ? stem_weight_to_focus(ohwi) : ohwi;
  Int8Weights rounded = quantize_weights(name, weight, bias, means);
  for (float& scale : rounded.scales) scale = scale > 0 ? scale : 1;
  const Tensor floats = Tensor::empty(weight.shape());
  std::copy(rounded.bytes.begin(), rounded.bytes.end(), floats.data<float>());
  const Tensor oihw = oihw_from_ohwi(is_stem ? stem_weight_from_focus(floats) : floats);
  const std::span<float> numbers = oihw.span<float>();
  const std::vector<int8_t> bytes(numbers.begin(), numbers.end());
  const std::vector<int8_t> zeros(rounded.scales.size());
  const Ints channels{int64_t(zeros.size())};
  const std::string w = graph_.add_node(
      values + ".weight", "DequantizeLinear",
      {graph_.add_constant(values + ".weight.bytes", sizes_of(weight_oihw),
                           std::span<const int8_t>(bytes)),
       graph_.add_constant(values + ".weight.scale", channels, rounded.scales),
       graph_.add_constant(values + ".weight.zero", channels, std::span<const int8_t>(zeros))},
      {{"axis", int64_t(0)}});
  return {w, graph_.add_constant(values + ".bias", channels, rounded.biases)};
}

std::string OnnxModules::conv(const std::string& name, const std::string& values,
                              const std::string& x, const Tensor& weight_oihw, const Tensor& bias,
                              Conv2dOptions options) {
  const auto [w, b] = precision_ == OnnxType::kInt8 ? int8_weights(name, values, weight_oihw, bias)
                                                    : float_weights(values, weight_oihw, bias);
  const int64_t k = weight_oihw.size(2), s = options.stride, p = options.padding;
  return graph_.add_node(
      values, "Conv", {x, w, b},
      {{"kernel_shape", Ints{k, k}}, {"strides", Ints{s, s}}, {"pads", Ints{p, p, p, p}}});
}

std::string OnnxModules::rounded(const std::string& name, const std::string& x,
                                 const Quantization& to) {
  if (precision_ != OnnxType::kInt8) return x;
  const float scale[] = {to.scale};
  const uint8_t zero[] = {uint8_t(to.zero_point)};
  const std::string s = graph_.add_constant(name + ".scale", {}, scale);
  const std::string z = graph_.add_constant(name + ".zero", {}, std::span<const uint8_t>(zero));
  const std::string bytes = graph_.add_node(name + ".bytes", "QuantizeLinear", {x, s, z});
  return graph_.add_node(name + ".rounded", "DequantizeLinear", {bytes, s, z});
}

std::string OnnxModules::rounded_output(const std::string& conv, const std::string& x) {
  if (precision_ != OnnxType::kInt8) return x;
  return rounded(conv, x, output_quantization(calibration_, conv));
}

std::string OnnxModules::add_picture(const std::string& x) {
  return rounded("images", x, kPictureQuantization);
}

OnnxFeatureMap OnnxModules::add_head(const std::string& name, const OnnxFeatureMap& x) {
  return {conv(name, name, x.name, weight(name + ".weight"), weight(name + ".bias"), {}), x.rows,
          x.columns};
}

// BN(W x) = (s W) x + (beta - s mean),  s = gamma / sqrt(var + eps)
std::string OnnxModules::folded_conv_silu(const std::string& name, const std::string& x,
                                          const Tensor& weight_oihw, Conv2dOptions options) {
  const Tensor& gamma = weight(name + ".bn.weight");
  const Tensor& beta = weight(name + ".bn.bias");
  const Tensor& mean = weight(name + ".bn.running_mean");
  const Tensor& var = weight(name + ".bn.running_var");
  const int64_t out = weight_oihw.size(0), per_channel = weight_oihw.numel() / out;
  const Tensor folded = Tensor::empty(weight_oihw.shape()), bias = Tensor::empty({out});
  for (int64_t o = 0; o < out; ++o) {
    const double scale = gamma.at(o) / std::sqrt(var.at(o) + BatchNormOptions{}.eps);
    bias.data<float>()[o] = float(beta.at(o) - mean.at(o) * scale);
    for (int64_t i = o * per_channel; i < (o + 1) * per_channel; ++i) {
      folded.data<float>()[i] = float(weight_oihw.at(i) * scale);
    }
  }
  const std::string y = conv(name, name + ".conv", x, folded, bias, options);
  return graph_.add_node(name + ".silu", "Mul",
                         {y, graph_.add_node(name + ".sigmoid", "Sigmoid", {y})});
}

std::string OnnxModules::conv_silu_exact(const std::string& name, const std::string& x,
                                         Conv2dOptions options) {
  return folded_conv_silu(name, x, weight(name + ".conv.weight"), options);
}

std::string OnnxModules::conv_silu(const std::string& name, const std::string& x,
                                   Conv2dOptions options) {
  return rounded_output(name, conv_silu_exact(name, x, options));
}

/// Focus and its convolution as one convolution on the picture, see stem_weight_from_focus.
std::string OnnxModules::focus(const std::string& name, const std::string& x) {
  const Tensor stem =
      stem_weight_from_focus(ohwi_from_oihw(weight(name + ".conv.conv.weight")));  // [O,2k,2k,3]
  const std::string conv = name + ".conv";
  return rounded_output(conv,
                        folded_conv_silu(conv, x, oihw_from_ohwi(stem), {2, stem.size(1) / 4 * 2}));
}

std::string OnnxModules::bottleneck(const std::string& name, const std::string& x, bool shortcut) {
  const std::string inner = conv_silu(name + ".cv1", x);
  const std::string y = conv_silu_exact(name + ".cv2", inner, {.padding = 1});
  return rounded_output(name + ".cv2",
                        shortcut ? graph_.add_node(name + ".add", "Add", {x, y}) : y);
}

std::string OnnxModules::c3(const std::string& name, const std::string& x, const LayerSpec& layer) {
  std::string inner = conv_silu(name + ".cv1", x);
  for (int64_t i = 0; i < layer.repeats; ++i) {
    inner = bottleneck(name + ".m." + std::to_string(i), inner, layer.shortcut);
  }
  const std::string both = concat(name + ".concat", {inner, conv_silu(name + ".cv2", x)});
  return conv_silu(name + ".cv3", both);
}

// Pooling twice with window k equals window 2k - 1, three times 3k - 2: SPP and SPPF are the same.
std::string OnnxModules::spp(const std::string& name, const std::string& x, int64_t window) {
  const int64_t pad = window / 2;
  std::vector<std::string> levels{conv_silu(name + ".cv1", x)};
  for (int i = 0; i < 3; ++i) {
    levels.push_back(graph_.add_node(name + ".pool" + std::to_string(i), "MaxPool", {levels.back()},
                                     {{"kernel_shape", Ints{window, window}},
                                      {"strides", Ints{1, 1}},
                                      {"pads", Ints{pad, pad, pad, pad}}}));
  }
  return conv_silu(name + ".cv2", concat(name + ".concat", levels));
}

std::string OnnxModules::concat(const std::string& name, const std::vector<std::string>& inputs) {
  return graph_.add_node(name, "Concat", inputs, {{"axis", int64_t(1)}});
}

std::string OnnxModules::upsample(const std::string& name, const std::string& x) {
  using Floats = std::vector<float>;
  // Operator set 12 requires the region (roi), which this mode ignores.
  const std::string region =
      graph_.add_constant(name + ".region", {8}, Floats{0, 0, 0, 0, 1, 1, 1, 1});
  const std::string scales = graph_.add_constant(name + ".scales", {4}, Floats{1, 1, 2, 2});
  return graph_.add_node(name, "Resize", {x, region, scales},
                         {{"mode", "nearest"},
                          {"coordinate_transformation_mode", "asymmetric"},
                          {"nearest_mode", "floor"}});
}

OnnxFeatureMap OnnxModules::add(const std::string& name, const LayerSpec& layer,
                                const std::vector<OnnxFeatureMap>& inputs) {
  OnnxFeatureMap out = size_after(name, layer, inputs);
  std::vector<std::string> names;
  for (const OnnxFeatureMap& input : inputs) names.push_back(input.name);
  out.name = add_operators(name, layer, names);
  return out;
}

std::string OnnxModules::add_operators(const std::string& name, const LayerSpec& layer,
                                       const std::vector<std::string>& inputs) {
  const std::string& x = inputs.at(0);
  switch (layer.type) {
    case LayerType::kConv:
      return conv_silu(name, x, {layer.stride, layer.conv_padding()});
    case LayerType::kFocus:
      return focus(name, x);
    case LayerType::kBottleneck:
      return bottleneck(name, x, layer.shortcut && layer.in_channels[0] == layer.out_channels);
    case LayerType::kC3:
      return c3(name, x, layer);
    case LayerType::kSpp:
      return spp(name, x, layer.kernel);
    case LayerType::kUpsample:
      return upsample(name, x);
    case LayerType::kConcat:
      return concat(name, inputs);
    case LayerType::kDetect:
      break;
  }
  throw ValueError("ONNX: {}: {} is no module of its own", name, layer.type_name);
}

}  // namespace ydistill
