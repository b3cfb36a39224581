// SPDX-License-Identifier: MIT
#include <ydistill/yolo/checkpoint.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include <ydistill/layers/focus.h>
#include <ydistill/tensor/io/safetensors.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/yolo/byte_weights.h>
#include <ydistill/yolo/calibration_json.h>
#include <ydistill/yolo/graph_guess.h>
#include <ydistill/yolo/oihw.h>

namespace ydistill {
namespace {

constexpr const char* kFormat = "ydistill-1";

const Tensor* find(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [key, tensor] : tensors) {
    if (key == name) return &tensor;
  }
  return nullptr;
}

/// The file's anchor tensors take precedence over its description, because autoanchor changes them.
void take_anchors(Checkpoint& checkpoint) {
  const std::string name = fmt::format("model.{}.anchors", checkpoint.spec.layers.size() - 1);
  const Tensor* grid = find(checkpoint.tensors, name);
  Anchors anchors = checkpoint.spec.anchors;
  const int64_t heads = int64_t(anchors.strides.size());
  if (grid == nullptr || grid->numel() != heads * checkpoint.spec.anchors_per_head() * 2) return;
  bool differ = false;
  for (int64_t k = 0; k < heads; ++k) {
    for (int64_t a = 0; a < checkpoint.spec.anchors_per_head(); ++a) {
      for (int64_t d = 0; d < 2; ++d) {
        const double px = grid->at((k * checkpoint.spec.anchors_per_head() + a) * 2 + d) *
                          anchors.strides[size_t(k)];
        double& known = anchors.wh_px[size_t(k)][size_t(a)][size_t(d)];
        // Files may store them in half precision: within its rounding error the description's are
        // used.
        if (std::abs(px - known) > 1e-3 * known) {
          known = px;
          differ = true;
        }
      }
    }
  }
  if (differ) checkpoint.spec = checkpoint.spec.with_anchors(anchors);
}

/// Number of weights of a network's convolutions.
double num_weights(const GraphSpec& spec) {
  double sum = 0;
  for (const LayerSpec& layer : spec.layers) {
    const double out = double(layer.out_channels), hidden = std::floor(out / 2);
    const double taps = double(layer.kernel * layer.kernel), repeats = double(layer.repeats);
    double in = 0;
    for (const int64_t channels : layer.in_channels) in += double(channels);
    switch (layer.type) {
      case LayerType::kConv:
        sum += in * out * taps;
        break;
      case LayerType::kFocus:
        sum += 4 * in * out * taps;
        break;
      case LayerType::kBottleneck:
        sum += in * hidden + 9 * hidden * out;
        break;
      case LayerType::kC3:
        sum += 2 * in * hidden + 2 * hidden * out + repeats * 10 * hidden * hidden;
        break;
      case LayerType::kSpp:
        sum += in / 2 * (in + 4 * out);
        break;
      case LayerType::kDetect:
        sum += in * double(spec.anchors_per_head() * (5 + spec.num_classes));
        break;
      case LayerType::kUpsample:
      case LayerType::kConcat:
        break;
    }
  }
  return sum;
}

/// A description of a few bytes can define a network of terabytes. Some weights may be missing,
/// such as the heads of pretrained weights.
void check_size(const std::string& path, const Checkpoint& checkpoint) {
  constexpr double kMayBeMissing = 1 << 26;
  double held = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) held += double(tensor.numel());
  const double wanted = num_weights(checkpoint.spec);
  if (wanted > held + kMayBeMissing) {
    throw FileError("{}: describes a network of {:.0f} weights and holds {:.0f} numbers", path,
                    wanted, held);
  }
}

void finish(const std::string& path, Checkpoint& checkpoint) {
  check_size(path, checkpoint);
  for (auto& [name, tensor] : checkpoint.tensors) {
    if (tensor.dtype() != DType::kInt64 && tensor.dtype() != DType::kUInt8) {
      tensor = tensor.to(DType::kFloat32);
      if (!all_finite(tensor)) {
        throw FileError("{}: {} holds NaN or infinity", path, printable(name, 120));
      }
    }
  }
  try {
    take_anchors(checkpoint);
  } catch (const ValueError& error) {
    throw FileError("{}: {}", path, error.what());
  }
  std::vector<std::string>& names = checkpoint.class_names;
  if (names.empty()) {
    for (int64_t c = 0; c < checkpoint.spec.num_classes; ++c)
      names.push_back(fmt::format("class{}", c));
  }
  if (int64_t(names.size()) != checkpoint.spec.num_classes) {
    throw FileError("{}: {} class names for {} classes", path, names.size(),
                    checkpoint.spec.num_classes);
  }
}

Checkpoint from_pt(const std::filesystem::path& path, PtWeights prefer) {
  PtCheckpoint pt = read_pt(path, prefer);
  Checkpoint checkpoint;
  checkpoint.source = pt.source;
  checkpoint.class_names = std::move(pt.class_names);
  checkpoint.tensors = std::move(pt.tensors);
  try {
    checkpoint.spec =
        pt.spec_json.empty() ? guess_graph(checkpoint.tensors) : graph_from_json(pt.spec_json);
    // The weights determine the number of classes, not the description.
    const int64_t classes = guess_num_classes(checkpoint.tensors, checkpoint.spec);
    if (classes != checkpoint.spec.num_classes) {
      checkpoint.spec = checkpoint.spec.with_classes(classes);
    }
  } catch (const ValueError& error) {
    throw FileError("{}: {}", printable(path.string()), error.what());
  }
  return checkpoint;
}

constexpr const char* kCalibration = "calibration";
constexpr const char *kWeights = "weights", *kBytes = "bytes";

Checkpoint from_safetensors(const std::filesystem::path& path) {
  TensorFile file = read_safetensors(path);
  Checkpoint checkpoint;
  checkpoint.source = "safetensors";
  checkpoint.metadata = std::move(file.metadata);
  try {
    const auto weights = checkpoint.metadata.find(kWeights);
    const bool in_bytes = weights != checkpoint.metadata.end() && weights->second == kBytes;
    checkpoint.tensors =
        in_bytes ? weights_from_bytes(std::move(file.tensors)) : std::move(file.tensors);
    const auto graph = checkpoint.metadata.find("graph");
    checkpoint.spec = graph != checkpoint.metadata.end() ? graph_from_json(graph->second)
                                                         : guess_graph(checkpoint.tensors);
  } catch (const ValueError& error) {
    throw FileError("{}: {}", printable(path.string()), error.what());
  }
  const auto calibration = checkpoint.metadata.find(kCalibration);
  if (calibration != checkpoint.metadata.end()) {
    try {
      checkpoint.calibration = calibration_from_json(calibration->second);
    } catch (const ValueError& error) {
      throw FileError("{}: metadata `{}`: {}", printable(path.string()), kCalibration,
                      error.what());
    }
  }
  const auto names = checkpoint.metadata.find("names");
  if (names != checkpoint.metadata.end()) {
    const auto list = nlohmann::json::parse(names->second, nullptr, false);
    if (!list.is_array() ||
        !std::all_of(list.begin(), list.end(), [](const auto& name) { return name.is_string(); })) {
      throw FileError("{}: metadata `names` is not a list of class names",
                      printable(path.string()));
    }
    checkpoint.class_names = list.get<std::vector<std::string>>();
  }
  return checkpoint;
}

enum class Form { kZip, kSafetensors, kUnknown };

/// By the first bytes: a zip archive's, or the length of a JSON header and its brace.
Form form_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  unsigned char bytes[9] = {};
  in.read(reinterpret_cast<char*>(bytes), sizeof(bytes));
  if (in.gcount() >= 2 && bytes[0] == 'P' && bytes[1] == 'K' && bytes[8] != '{') {
    return Form::kZip;
  }
  if (in.gcount() < std::streamsize(sizeof(bytes)) || bytes[8] != '{') return Form::kUnknown;
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | bytes[i];
  std::error_code error;
  return length < std::filesystem::file_size(path, error) ? Form::kSafetensors : Form::kUnknown;
}

constexpr const char* kStemWeight = "model.0.conv.weight";

/// Converts a parameter to the file's layout.
Tensor to_file(const Model& model, const std::string& name, const Tensor& value) {
  if (model.has_stem_6x6() && name == kStemWeight) {
    return oihw_from_ohwi(stem_weight_from_focus(value));
  }
  return oihw_from_ohwi(value);
}

/// The shape a parameter has in a file.
Shape file_shape(const Model& model, const std::string& name, const Shape& s) {
  if (s.rank() != 4) return s;
  if (model.has_stem_6x6() && name == kStemWeight) return {s[0], 3, 6, 6};
  return {s[0], s[3], s[1], s[2]};
}

/// Copies a file's tensor (of file_shape) into a parameter.
void from_file(const Model& model, const std::string& name, const Tensor& tensor,
               const Tensor& value) {
  const Tensor ohwi = ohwi_from_oihw(tensor.to(value.dtype()));
  value.copy_from(model.has_stem_6x6() && name == kStemWeight ? stem_weight_to_focus(ohwi) : ohwi);
}

/// The part of `flat` that holds parameter i.
Tensor part(const ParameterStore& store, int i, const Tensor& flat) {
  const Tensor& own = store.var(i).value();
  const int64_t begin = (own.raw() - store.values().raw()) / size_of(own.dtype());
  return flat.slice(begin, begin + own.numel()).reshape(own.shape());
}

Tensor statistic_part(const ParameterStore& store, int i, const Tensor& flat) {
  const Tensor& own = store.statistic(i);
  const int64_t begin = (own.raw() - store.statistics().raw()) / size_of(own.dtype());
  return flat.slice(begin, begin + own.numel()).reshape(own.shape());
}

using Index = std::unordered_map<std::string, const Tensor*>;

Index index_of(const NamedTensors& tensors) {
  Index index;
  for (const auto& [name, tensor] : tensors) index.emplace(name, &tensor);
  return index;
}

/// Copies one named tensor if its shape matches; else adds it to the report.
void take(const Model& model, const Index& index, const std::string& name, const Tensor& value,
          LoadReport& report) {
  ++report.total;
  const auto found = index.find(name);
  if (found == index.end()) {
    report.missing.push_back(name);
    return;
  }
  const Shape wanted = file_shape(model, name, value.shape());
  const Tensor& tensor = *found->second;
  if (tensor.shape() != wanted) {
    report.mismatched.push_back(
        fmt::format("{}: file {}, model {}", name, tensor.shape().str(), wanted.str()));
    return;
  }
  if (!all_finite(tensor)) {
    throw NotFiniteError("weights: {} holds NaN or infinity", name);
  }
  from_file(model, name, tensor, value);
  ++report.loaded;
}

void require_all(const LoadReport& report) {
  if (!report.mismatched.empty()) throw ValueError("weights: {}", report.mismatched.front());
  if (!report.missing.empty()) throw ValueError("weights: {} is missing", report.missing.front());
}

/// Exports the network's parameters or the auxiliary ones.
NamedTensors export_those(const Model& model, const Tensor& flat, bool auxiliary) {
  const ParameterStore& store = model.parameters();
  NamedTensors tensors;
  const Tensor here = flat.to(Device::cpu());
  for (int i = 0; i < store.num_parameters(); ++i) {
    if (store.is_auxiliary(i) != auxiliary) continue;
    tensors.emplace_back(store.name(i), to_file(model, store.name(i), part(store, i, here)));
  }
  return tensors;
}

void import_those(const Model& model, const NamedTensors& tensors, const Tensor& flat,
                  bool auxiliary) {
  const Index index = index_of(tensors);
  const ParameterStore& store = model.parameters();
  LoadReport report;
  for (int i = 0; i < store.num_parameters(); ++i) {
    if (store.is_auxiliary(i) != auxiliary) continue;
    take(model, index, store.name(i), part(store, i, flat), report);
  }
  require_all(report);
}

}  // namespace

Checkpoint load_checkpoint(const std::filesystem::path& path, PtWeights prefer) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw FileError("{}: no such file (weights are .pt or .safetensors)", printable(path.string()));
  }
  if (std::filesystem::is_directory(path, ignored)) {
    const std::filesystem::path best = path / "weights" / "best.safetensors";
    throw FileError(
        "{}: a folder; expected a file, .pt or .safetensors{}", printable(path.string()),
        std::filesystem::exists(best, ignored) ? ", such as " + printable(best.string()) : "");
  }
  if (!std::filesystem::is_regular_file(path, ignored)) {
    throw FileError("{}: is not a regular file", printable(path.string()));
  }
  const Form form = form_of(path);
  const bool is_safetensors =
      form == Form::kSafetensors || (form == Form::kUnknown && path.extension() == ".safetensors");
  Checkpoint checkpoint = is_safetensors ? from_safetensors(path) : from_pt(path, prefer);
  finish(printable(path.string()), checkpoint);
  return checkpoint;
}

void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint,
                     StoredWeights weights) {
  const bool in_bytes = weights == StoredWeights::kBytes;
  TensorFile file{in_bytes ? weights_to_bytes(checkpoint.tensors) : checkpoint.tensors,
                  checkpoint.metadata};
  file.metadata["format"] = kFormat;
  file.metadata["graph"] = checkpoint.spec.json;
  file.metadata["graph_name"] = checkpoint.spec.name;
  file.metadata["names"] = nlohmann::json(checkpoint.class_names).dump();
  file.metadata.erase(kCalibration);
  file.metadata.erase(kWeights);
  if (in_bytes) file.metadata[kWeights] = kBytes;
  if (!checkpoint.calibration.empty()) {
    file.metadata[kCalibration] = calibration_to_json(checkpoint.calibration);
  }
  write_safetensors(path, file);
}

LoadReport load_weights(Model& model, const NamedTensors& tensors) {
  const Index index = index_of(tensors);
  ParameterStore& store = model.parameters();
  LoadReport report;
  for (int i = 0; i < store.num_parameters(); ++i) {
    if (store.is_auxiliary(i)) continue;
    take(model, index, store.name(i), store.var(i).value(), report);
  }
  for (int i = 0; i < store.num_statistics(); ++i) {
    take(model, index, store.statistic_name(i), store.statistic(i), report);
  }
  if (report.loaded == 0) {
    throw ValueError("weights: none of the {} tensors of {} is in the file, the first is {}",
                     report.total, model.spec().name, store.name(0));
  }
  store.mark_changed();
  return report;
}

void load_all_weights(Model& model, const NamedTensors& tensors) {
  require_all(load_weights(model, tensors));
}

NamedTensors export_parameters(const Model& model, const Tensor& flat) {
  return export_those(model, flat, /*auxiliary=*/false);
}

NamedTensors export_auxiliary(const Model& model, const Tensor& flat) {
  return export_those(model, flat, /*auxiliary=*/true);
}

NamedTensors export_statistics(const Model& model, const Tensor& flat) {
  const ParameterStore& store = model.parameters();
  NamedTensors tensors;
  const Tensor here = flat.to(Device::cpu());
  for (int i = 0; i < store.num_statistics(); ++i) {
    tensors.emplace_back(store.statistic_name(i), statistic_part(store, i, here).clone());
  }
  return tensors;
}

NamedTensors export_weights(const Model& model) {
  model.check_has_parameters("export_weights");
  NamedTensors tensors = export_parameters(model, model.parameters().values());
  for (auto& entry : export_statistics(model, model.parameters().statistics())) {
    tensors.push_back(std::move(entry));
  }
  const GraphSpec& spec = model.spec();
  const int64_t heads = int64_t(spec.anchors.strides.size()), per_head = spec.anchors_per_head();
  const Tensor anchors = Tensor::empty({heads, per_head, 2});
  for (int64_t k = 0; k < heads; ++k) {
    for (int64_t a = 0; a < per_head; ++a) {
      for (int64_t d = 0; d < 2; ++d) {
        anchors.data<float>()[(k * per_head + a) * 2 + d] = float(
            spec.anchors.wh_px[size_t(k)][size_t(a)][size_t(d)] / spec.anchors.strides[size_t(k)]);
      }
    }
  }
  tensors.emplace_back(fmt::format("model.{}.anchors", spec.layers.size() - 1), anchors);
  return tensors;
}

void import_parameters(const Model& model, const NamedTensors& tensors, const Tensor& flat) {
  import_those(model, tensors, flat, /*auxiliary=*/false);
}

void import_auxiliary(const Model& model, const NamedTensors& tensors, const Tensor& flat) {
  import_those(model, tensors, flat, /*auxiliary=*/true);
}

void import_statistics(const Model& model, const NamedTensors& tensors, const Tensor& flat) {
  const Index index = index_of(tensors);
  const ParameterStore& store = model.parameters();
  LoadReport report;
  for (int i = 0; i < store.num_statistics(); ++i) {
    take(model, index, store.statistic_name(i), statistic_part(store, i, flat), report);
  }
  require_all(report);
}

std::unique_ptr<Model> build_model(const Checkpoint& checkpoint, const Compute& compute) {
  auto model = std::make_unique<Model>(checkpoint.spec, compute);
  load_all_weights(*model, checkpoint.tensors);
  return model;
}

std::unique_ptr<Model> build_inference_model(const Checkpoint& checkpoint, const Compute& compute) {
  auto model = build_model(checkpoint, compute);
  model->prepare_inference(FoldedWeights::kInPlace);
  if (compute.precision == Precision::kInt8) model->prepare_int8(checkpoint.calibration);
  return model;
}

}  // namespace ydistill
