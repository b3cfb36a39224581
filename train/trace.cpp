// SPDX-License-Identifier: MIT
#include <ydistill/train/trace.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include <ydistill/distill/teacher.h>
#include <ydistill/tensor/io/json_problem.h>
#include <ydistill/train/optimizer.h>
#include <ydistill/train/step.h>
#include <ydistill/yolo/checkpoint.h>
#include <ydistill/yolo/decode.h>
#include <ydistill/yolo/target_assignment.h>

namespace ydistill {
namespace {

using nlohmann::json;

/// [N,C,H,W] -> [N,H,W,C] for pictures.
Tensor pictures_nhwc(const Tensor& nchw) {
  if (nchw.dtype() != DType::kUInt8 || nchw.rank() != 4 || nchw.size(1) != 3) {
    throw ValueError("trace: `images` must be uint8 [N,3,H,W], got {}", nchw.str());
  }
  const int64_t n = nchw.size(0), pixels = nchw.size(2) * nchw.size(3);
  const Tensor out = Tensor::empty({n, nchw.size(2), nchw.size(3), 3}, DType::kUInt8);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < 3; ++c) {
      const uint8_t* from = nchw.data<uint8_t>() + (i * 3 + c) * pixels;
      uint8_t* to = out.data<uint8_t>() + i * pixels * 3 + c;
      for (int64_t p = 0; p < pixels; ++p) to[p * 3] = from[p];
    }
  }
  return out;
}

/// Heads between the file's [N,A,H,W,K] and ours [N,H,W,A,K].
Tensor permuted_head(const Tensor& head, bool to_file) {
  if (head.rank() != 5) throw ValueError("trace: a head has 5 axes, got {}", head.str());
  const int64_t n = head.size(0), k = head.size(4);
  const int64_t cells = to_file ? head.size(1) * head.size(2) : head.size(2) * head.size(3);
  const int64_t anchors = to_file ? head.size(3) : head.size(1);
  const Tensor out = to_file ? Tensor::empty({n, anchors, head.size(1), head.size(2), k})
                             : Tensor::empty({n, head.size(2), head.size(3), anchors, k});
  const float* from = head.data<float>();
  float* to = out.data<float>();
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t a = 0; a < anchors; ++a) {
      for (int64_t c = 0; c < cells; ++c) {
        const int64_t ours = ((i * cells + c) * anchors + a) * k;
        const int64_t files = ((i * anchors + a) * cells + c) * k;
        std::copy_n(from + (to_file ? ours : files), k, to + (to_file ? files : ours));
      }
    }
  }
  return out;
}

Tensor vector_of(const std::vector<double>& values, DType dtype = DType::kFloat32) {
  return Tensor::of<double>({int64_t(values.size())}, values).to(dtype);
}

/// Mean, standard deviation (divided by n - 1, as PyTorch does) and largest absolute value.
Tensor moments(const Tensor& t) {
  double sum = 0, squares = 0, largest = 0;
  for (const float x : t.span<float>()) {
    sum += x;
    largest = std::max(largest, std::abs(double(x)));
  }
  const double n = double(t.numel()), mean = sum / n;
  for (const float x : t.span<float>()) squares += (x - mean) * (x - mean);
  return vector_of({mean, std::sqrt(squares / (n - 1)), largest});
}

/// The slice [:1, :8, :4, :4] of the tensor in NCHW order.
Tensor corner(const Tensor& t) {
  const int64_t channels = std::min<int64_t>(8, t.size(3)), rows = std::min<int64_t>(4, t.size(1)),
                columns = std::min<int64_t>(4, t.size(2));
  const Tensor out = Tensor::empty({1, channels, rows, columns});
  float* to = out.data<float>();
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        *to++ = t.data<float>()[(i * t.size(2) + j) * t.size(3) + c];
      }
    }
  }
  return out;
}

double norm(const Tensor& t) {
  double sum = 0;
  for (const float x : t.span<float>()) sum += double(x) * double(x);
  return std::sqrt(sum);
}

LossGains gains_of(const json& gains) {
  return {gains.at("box").get<double>(), gains.at("obj").get<double>(),
          gains.at("cls").get<double>()};
}

/// A case of the batch file's metadata.
struct Case {
  bool detection, targets, teacher_anchors;
  std::string distill;
  double temperature, lr;
  int64_t steps;
  LossGains gains, distill_gains;
};

Case find_case(const TensorFile& batch, const TraceOptions& options) {
  const auto text = batch.metadata.find("cases");
  if (text == batch.metadata.end()) {
    throw ValueError("{}: its metadata has no `cases`", options.batch.string());
  }
  try {
    const json cases = json::parse(text->second);
    if (!cases.contains(options.case_name)) {
      std::vector<std::string> names;
      for (const auto& [name, value] : cases.items()) names.push_back(name);
      throw ValueError("{}: no case \"{}\"; there are {}", options.batch.string(),
                       options.case_name, fmt::join(names, ", "));
    }
    const json& c = cases.at(options.case_name);
    return {c.at("detection").get<bool>(),     c.at("targets").get<bool>(),
            c.at("anchors").get<bool>(),       c.at("distill").get<std::string>(),
            c.at("temperature").get<double>(), c.at("lr").get<double>(),
            c.at("steps").get<int64_t>(),      gains_of(c.at("gains")),
            gains_of(c.at("distill_gains"))};
  } catch (const json::exception& error) {
    throw ValueError("{}: metadata `cases`: {}", options.batch.string(),
                     json_problem(error, text->second));
  }
}

/// Anchors recorded in cells, [heads, anchors, 2], in pixels.
Anchors recorded_anchors(const Tensor& grid, const Anchors& like) {
  Anchors anchors = like;
  if (grid.numel() != like.num_heads() * like.per_head() * 2) {
    throw ValueError("trace: anchors are {}, the network has {} heads of {}", grid.str(),
                     like.num_heads(), like.per_head());
  }
  int64_t i = 0;
  for (size_t k = 0; k < anchors.wh_px.size(); ++k) {
    for (auto& wh : anchors.wh_px[k]) {
      for (double& side : wh) side = grid.at(i++) * anchors.strides[k];
    }
  }
  return anchors;
}

class Trace {
 public:
  explicit Trace(const TraceOptions& options)
      : options_(options),
        batch_(read_safetensors(options.batch)),
        case_(find_case(batch_, options)) {}

  TensorFile run() {
    load();
    teacher_logits();
    evaluation();
    if (case_.steps > 0) {
      trajectory();
    } else {
      single_step();
    }
    return std::move(out_);
  }

 private:
  void load() {
    if (!options_.heads_from_batch || case_.steps > 0) {
      images_ = pictures_nhwc(batch_.at("images"));
    }
    use_compute(options_.compute);
    const Checkpoint checkpoint = load_checkpoint(options_.student, PtWeights::kModel);
    student_ = build_model(checkpoint, options_.compute);
    if (!options_.teacher.empty()) {
      teacher_.emplace(load_checkpoint(options_.teacher, PtWeights::kEma), options_.compute);
    } else if (case_.distill != "none" && !options_.teacher_from_batch) {
      throw ValueError("trace: case \"{}\" distils; it needs --teacher or --teacher-from-batch",
                       options_.case_name);
    }
    const Anchors& anchors = student_->spec().anchors;
    losses_.student_anchors = losses_.teacher_anchors = anchors;
    if (case_.teacher_anchors) {
      losses_.teacher_anchors = recorded_anchors(batch_.at("anchors.teacher"), anchors);
    }
    if (case_.detection) {
      losses_.detection.emplace();
      losses_.detection->gains = case_.gains;
    }
    if (case_.distill != "none") {
      losses_.distill.emplace();
      losses_.distill->kind = distill_kind_of(case_.distill);
      losses_.distill->temperature = case_.temperature;
      losses_.distill->gains = case_.distill_gains;
    }
    targets_ = targets_on(student_->device(),
                          case_.targets ? batch_.at("targets") : Tensor::empty({0, 6}));
    ParameterStore& store = student_->parameters();
    std::vector<std::string> names;
    for (int i = 0; i < store.num_parameters(); ++i) names.push_back(store.name(i));
    out_.metadata["param_names"] = json(names).dump();
    out_.metadata["case"] = options_.case_name;
  }

  std::vector<Tensor> heads_of_batch(const std::string& prefix) {
    std::vector<Tensor> heads;
    for (size_t k = 0; k < student_->spec().anchors.strides.size(); ++k) {
      heads.push_back(
          permuted_head(batch_.at(prefix + std::to_string(k)), false).to(student_->device()));
    }
    return heads;
  }

  void teacher_logits() {
    if (options_.teacher_from_batch) {
      teacher_heads_ = heads_of_batch("teacher.head");
    } else if (teacher_) {
      if (!images_.defined()) images_ = pictures_nhwc(batch_.at("images"));
      for (const Var& head :
           teacher_->model().forward(images_, ForwardMode::kInference, observer("teacher"))) {
        teacher_heads_.push_back(head.value());
      }
      add_heads("teacher.head", teacher_heads_);
      add("teacher.decoded", decode_heads(teacher_heads_, teacher_->spec().anchors));
    }
  }

  void evaluation() {
    if (options_.heads_from_batch && case_.steps == 0) return;
    student_->prepare_inference();
    std::vector<Tensor> heads;
    for (const Var& head :
         student_->forward(images_, ForwardMode::kInference, observer("student"))) {
      heads.push_back(head.value());
    }
    add_heads("student.head", heads);
    add("student.decoded", decode_heads(heads, student_->spec().anchors));
  }

  void single_step() {
    std::vector<Tensor> heads;
    StepResult result;
    if (options_.heads_from_batch) {
      heads = heads_of_batch("det.train_head");
      result = losses_and_gradients(heads, targets_, teacher_heads_, losses_);
    } else {
      ForwardBackwardOptions options;
      options.heads = &heads;
      result = forward_backward(*student_, images_, targets_, teacher_heads_, losses_, options);
    }
    add_heads("train_head", heads);
    const StepNumbers n = numbers_of(result);
    add("loss", vector_of({n.detection.box, n.detection.obj, n.detection.cls, n.detection_total,
                           n.distill_total}));
    add("distill_terms", vector_of({n.distill.box, n.distill.obj, n.distill.cls}));
    add_heads("grad_head", result.grad_heads);
    if (options_.heads_from_batch) return;

    const ParameterStore& store = student_->parameters();
    std::vector<double> norms;
    for (int i = 0; i < store.num_parameters(); ++i)
      norms.push_back(norm(store.var(i).grad().to(Device::cpu())));
    add("param_grad_norms", vector_of(norms, DType::kFloat64));
    std::vector<std::string> full;
    if (const auto text = batch_.metadata.find("full"); text != batch_.metadata.end()) {
      try {
        full = json::parse(text->second).get<std::vector<std::string>>();
      } catch (const json::exception& error) {
        throw ValueError("{}: metadata `full`: {}", options_.batch.string(),
                         json_problem(error, text->second));
      }
    }
    for (auto& [name, grad] : export_parameters(*student_, store.grads())) {
      if (std::find(full.begin(), full.end(), name) != full.end()) add("grad." + name, grad);
    }
    for (auto& [name, value] : export_statistics(*student_, store.statistics())) {
      if (name.starts_with("model.1.")) add("bn_after." + name, value);
    }
  }

  void trajectory() {
    ParameterStore& store = student_->parameters();
    Optimizer optimizer(store, {});
    OptimizerRates rates;
    rates.lr.fill(case_.lr);
    rates.momentum = 0.937;
    rates.weight_decay = 5e-4;
    std::vector<double> losses;
    for (int64_t step = 0; step < case_.steps; ++step) {
      const StepNumbers r =
          numbers_of(forward_backward(*student_, images_, targets_, teacher_heads_, losses_));
      for (const double v : {r.detection.box, r.detection.obj, r.detection.cls, r.distill_total}) {
        losses.push_back(v);
      }
      optimizer.step(rates);
      if (optimizer.report().skipped > 0) throw NotFiniteError("trace: a gradient is not finite");
    }
    add("losses", vector_of(losses).reshape({case_.steps, 4}));
    const auto after = export_parameters(*student_, store.values());
    const auto ema = export_parameters(*student_, optimizer.ema_values());
    std::vector<double> norms, ema_norms;
    for (const auto& [name, value] : after) norms.push_back(norm(value));
    for (const auto& [name, value] : ema) ema_norms.push_back(norm(value));
    add("param_norms", vector_of(norms, DType::kFloat64));
    add("ema_norms", vector_of(ema_norms, DType::kFloat64));
    add_recorded("after.", after);
    add_recorded("after.", export_statistics(*student_, store.statistics()));
    add_recorded("ema.", ema);
    add_recorded("ema.", export_statistics(*student_, optimizer.ema_statistics()));
  }

  /// Adds the tensors that the batch file holds for this case.
  void add_recorded(const std::string& prefix, const NamedTensors& tensors) {
    for (const auto& [name, value] : tensors) {
      if (batch_.find(options_.case_name + "." + prefix + name) != nullptr)
        add(prefix + name, value);
    }
  }

  /// Records moments and corner of every module, if requested.
  Model::Observer observer(const std::string& who) {
    if (!options_.layers) return {};
    return [this, who](int layer, const Tensor& t) {
      const Tensor output = t.to(Device::cpu()).to(DType::kFloat32);
      add(fmt::format("{}.layer{}.moments", who, layer), moments(output));
      add(fmt::format("{}.layer{}.corner", who, layer), corner(output));
    };
  }

  void add(std::string name, const Tensor& t) { out_.add(std::move(name), t.to(Device::cpu())); }
  void add_heads(const std::string& prefix, const std::vector<Tensor>& heads) {
    for (size_t k = 0; k < heads.size(); ++k) {
      add(prefix + std::to_string(k), permuted_head(heads[k].to(Device::cpu()), true));
    }
  }

  TraceOptions options_;
  TensorFile batch_, out_;
  Case case_;
  std::unique_ptr<Model> student_;
  std::optional<Teacher> teacher_;
  Tensor images_, targets_;
  std::vector<Tensor> teacher_heads_;
  StepLosses losses_;
};

}  // namespace

TensorFile run_trace(const TraceOptions& options) {
  return Trace(options).run();
}

}  // namespace ydistill
