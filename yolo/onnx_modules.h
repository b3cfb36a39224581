// SPDX-License-Identifier: MIT
// YOLOv5's modules as ONNX operators.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/io/onnx_graph.h>
#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

/// A value [N,C,rows,columns]; rows and columns are 0 where they are known only at run time.
struct OnnxFeatureMap {
  std::string name;
  int64_t rows = 0, columns = 0;
};

/// Adds modules to a graph. Every value is called after the module that gives it, as the
/// checkpoint's weights are: "model.2.cv1.silu".
class OnnxModules {
 public:
  /// weights: as export_weights gives them; outlive this. precision: of constants and what is
  /// between them. calibration: for kInt8, where weights are bytes, and outputs of convolutions are
  /// rounded to 256 numbers (QuantizeLinear) and are floats again (DequantizeLinear); outlives
  /// this.
  OnnxModules(OnnxGraph& graph, const NamedTensors& weights, OnnxType precision,
              const NetworkCalibration& calibration);

  /// The numbers of a picture, 0 to 1, as convolutions read them: in 8 bits rounded to 1 / 255.
  std::string add_picture(const std::string& x);

  /// A module of a network but Detect; `name`: "model.2". inputs: as many as layer.from.
  /// throws ValueError for inputs whose sizes do not fit.
  OnnxFeatureMap add(const std::string& name, const LayerSpec& layer,
                     const std::vector<OnnxFeatureMap>& inputs);
  /// A convolution with `name`.weight and `name`.bias: one of Detect's.
  OnnxFeatureMap add_head(const std::string& name, const OnnxFeatureMap& x);

 private:
  /// x: name of the input. All return the name of the output.
  std::string add_operators(const std::string& name, const LayerSpec& layer,
                            const std::vector<std::string>& inputs);
  const Tensor& weight(const std::string& name) const;
  /// name: of the convolution in the calibration. values: what the names of what is added begin
  /// with.
  std::string conv(const std::string& name, const std::string& values, const std::string& x,
                   const Tensor& weight_oihw, const Tensor& bias, Conv2dOptions options);
  /// Weights and bias as constants.
  std::pair<std::string, std::string> float_weights(const std::string& values,
                                                    const Tensor& weight_oihw, const Tensor& bias);
  std::pair<std::string, std::string> int8_weights(const std::string& name,
                                                   const std::string& values,
                                                   const Tensor& weight_oihw, const Tensor& bias);
  /// To 256 numbers and back; nothing where not in 8 bits.
  std::string rounded(const std::string& name, const std::string& x, const Quantization& to);
  /// What a convolution gives, to its 256 numbers.
  std::string rounded_output(const std::string& conv, const std::string& x);
  /// Convolution, folded batch norm, SiLU, without rounding.
  std::string conv_silu_exact(const std::string& name, const std::string& x,
                              Conv2dOptions options = {});
  std::string conv_silu(const std::string& name, const std::string& x, Conv2dOptions options = {});
  std::string folded_conv_silu(const std::string& name, const std::string& x,
                               const Tensor& weight_oihw, Conv2dOptions options);
  std::string focus(const std::string& name, const std::string& x);
  std::string bottleneck(const std::string& name, const std::string& x, bool shortcut);
  std::string c3(const std::string& name, const std::string& x, const LayerSpec& layer);
  std::string spp(const std::string& name, const std::string& x, int64_t window);
  std::string concat(const std::string& name, const std::vector<std::string>& inputs);
  std::string upsample(const std::string& name, const std::string& x);

  OnnxGraph& graph_;
  std::unordered_map<std::string, const Tensor*> weights_;
  OnnxType precision_;
  const NetworkCalibration& calibration_;
};

}  // namespace ydistill
