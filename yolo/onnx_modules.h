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

/// A value [N,C,rows,columns]; rows and columns are 0 if they are known only at run time.
struct OnnxFeatureMap {
  std::string name;
  int64_t rows = 0, columns = 0;
};

/// Adds modules to a graph. Every value is named after its module, like the checkpoint's weights:
/// "model.2.cv1.silu".
class OnnxModules {
 public:
  /// weights: as from export_weights; must outlive this. precision: of constants and intermediate
  /// values. calibration: for kInt8, where weights are bytes and outputs of convolutions are
  /// quantized to 256 numbers (QuantizeLinear) and converted back (DequantizeLinear); must outlive
  /// this.
  OnnxModules(OnnxGraph& graph, const NamedTensors& weights, OnnxType precision,
              const NetworkCalibration& calibration);

  /// A picture's values, 0 to 1, as the convolutions read them: in int8 rounded to multiples of
  /// 1/255.
  std::string add_picture(const std::string& x);

  /// Adds any module except Detect; `name`: "model.2". inputs: as many as layer.from.
  /// throws ValueError for inputs whose sizes do not agree.
  OnnxFeatureMap add(const std::string& name, const LayerSpec& layer,
                     const std::vector<OnnxFeatureMap>& inputs);
  /// Adds one of Detect's convolutions, with `name`.weight and `name`.bias.
  OnnxFeatureMap add_head(const std::string& name, const OnnxFeatureMap& x);

 private:
  /// x: name of the input. All return the name of the output.
  std::string add_operators(const std::string& name, const LayerSpec& layer,
                            const std::vector<std::string>& inputs);
  const Tensor& weight(const std::string& name) const;
  /// name: of the convolution in the calibration. values: prefix of the names of added values.
  std::string conv(const std::string& name, const std::string& values, const std::string& x,
                   const Tensor& weight_oihw, const Tensor& bias, Conv2dOptions options);
  /// Weights and bias as constants.
  std::pair<std::string, std::string> float_weights(const std::string& values,
                                                    const Tensor& weight_oihw, const Tensor& bias);
  std::pair<std::string, std::string> int8_weights(const std::string& name,
                                                   const std::string& values,
                                                   const Tensor& weight_oihw, const Tensor& bias);
  /// Quantizes to 256 numbers and back; in other precisions returns x.
  std::string rounded(const std::string& name, const std::string& x, const Quantization& to);
  /// The same for a convolution's output, by its own calibration.
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
