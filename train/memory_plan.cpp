// SPDX-License-Identifier: MIT
#include <ydistill/train/memory_plan.h>

#include <algorithm>
#include <optional>

#include <ydistill/data/loader.h>
#include <ydistill/tensor/conv_plans.h>
#include <ydistill/train/cache_plan.h>
#include <ydistill/train/data_sources.h>
#include <ydistill/train/loader_options.h>
#include <ydistill/train/losses_of_config.h>
#include <ydistill/train/opened_teacher.h>
#include <ydistill/train/optimizer.h>
#include <ydistill/train/step_runner.h>
#include <ydistill/train/student.h>
#include <ydistill/train/validation_memory.h>
#include <ydistill/yolo/checkpoint.h>
#include <ydistill/yolo/inference.h>

namespace ydistill {
namespace {

constexpr int64_t kMiB = 1 << 20;

// Measured: the peaks of real runs, minus all that is counted here; docs/performance.md.
constexpr int64_t kProgramBytes = 16 * kMiB;
/// The code that oneDNN generates for one convolution in one direction.
constexpr int64_t kPlanBytes = 48 << 10;

/// Values and statistics; gradients are as large as values.
int64_t values_of(const Model& model) {
  const ParameterStore& store = model.parameters();
  return store.values().nbytes() + store.statistics().nbytes();
}

/// plans: of all shapes together. Those beyond kMaxConvPlans are dropped, but oneDNN keeps as many
/// of its own, which may be different ones.
int64_t program_bytes(int64_t plans) {
  return kProgramBytes + std::min(plans, 2 * kMaxConvPlans) * kPlanBytes;
}

/// For large networks with small activations, the peak is reached while weights are loaded.
void allow_for_loading(MemoryPlan& plan, int64_t bytes) {
  const int64_t more = bytes + kProgramBytes - plan.total_bytes();
  if (more > 0) plan.parts.push_back({"loading", more, "checkpoint and values at once"});
}

}  // namespace

int64_t MemoryPlan::total_bytes() const {
  int64_t sum = 0;
  for (const Part& part : parts) sum += part.bytes;
  return sum;
}

struct TrainingMemory::State {
  Config config;
  std::shared_ptr<const Dataset> train_data, val_data;
  std::unique_ptr<Model> student;
  std::unique_ptr<Teacher> teacher;
  int64_t teacher_values = 0;  // bytes of its checkpoint as float32
  StepLosses losses;
  int64_t cache_bytes = 0;
  std::unique_ptr<ValidationMemory> validation;

  StepMemory step(int64_t batch) const {
    return memory_of_step(*student, teacher.get(), losses, batch, side());
  }
  /// Number of shapes of training batches: the sides of train.multi_scale, and a smaller last
  /// batch.
  int64_t train_shapes(int64_t batch) const {
    const double varies = double(config.train.image_size) * config.train.multi_scale;
    const int64_t sides = 1 + int64_t(2 * varies) / student->spec().training_stride();
    return sides + (int64_t(train_data->samples.size()) % batch != 0 ? 1 : 0);
  }
  int64_t side() const { return largest_side(config, student->spec()); }
};

TrainingMemory::TrainingMemory(const Config& config, const Say& say)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.config = config;
  const Compute compute = choose_compute(config.device, config.precision, config.autotune);
  if (compute.device.is_cuda()) {
    throw DeviceError(
        "memory: predicted for runs on the CPU, this config runs on {}; with device=cpu "
        "it would be",
        compute.device.str());
  }
  use_compute(compute);
  TrainingData data = open_training_data(config, say);
  s.train_data = std::move(data.train);
  s.val_data = std::move(data.val);
  std::optional<Checkpoint> teacher;
  Compute of_teacher;
  if (config.teacher) {
    teacher = load_checkpoint(config.teacher->weights, PtWeights::kEma);
    of_teacher = teacher_compute(config, *teacher, compute);
  }
  s.student = make_student(config, *s.train_data, compute, say, teacher ? &teacher->spec : nullptr);
  ClassMatch teacher_classes;
  if (teacher) {
    OpenedTeacher opened =
        open_teacher(config, *teacher, of_teacher, s.student->spec(), s.train_data->names, say);
    for (const auto& [name, tensor] : teacher->tensors) s.teacher_values += 4 * tensor.numel();
    s.teacher = std::move(opened.teacher);
    teacher_classes = std::move(opened.classes);
  }
  s.losses =
      losses_of(config, *s.student, s.teacher ? &s.teacher->spec() : nullptr, teacher_classes);
  s.cache_bytes = plan_cache(config.train.cache, *s.train_data, config.train.image_size,
                             cache_room(config.run.dir))
                      .kept_bytes;
  s.validation = std::make_unique<ValidationMemory>(config, s.val_data, s.student->spec(), s.losses,
                                                    s.teacher.get(), compute);
}

TrainingMemory::~TrainingMemory() = default;

int64_t TrainingMemory::batch() const {
  return std::min(state_->config.train.batch, int64_t(state_->train_data->samples.size()));
}

int64_t TrainingMemory::side() const {
  return state_->side();
}

MemoryPlan TrainingMemory::plan(int64_t batch) const {
  const State& s = *state_;
  const StepMemory step = s.step(batch);
  const InferenceMemory validation = s.validation->of_student();
  const std::vector<Shape>& val_shapes = s.validation->batch_shapes();
  const int64_t values = values_of(*s.student);
  const bool adamw = s.config.train.optimizer == TrainConfig::Optimizer::kAdamW;
  MemoryPlan plan;
  plan.step_bytes = step.arena_bytes;
  plan.validation_bytes = s.validation->arena_bytes();
  plan.parts.push_back({"parameters and optimizer", (adamw ? 5 : 4) * values,
                        adamw ? "values, gradients, momentum, squares, average"
                              : "values, gradients, momentum, average"});
  const int64_t int8 = s.teacher ? s.teacher->model().int8_bytes() : 0;
  if (s.teacher) {
    // The memory of its gradients is never touched.
    plan.parts.push_back(
        int8 > 0 ? MemoryPlan::Part{"teacher", int8, "in int8"}
                 : MemoryPlan::Part{"teacher", values_of(s.teacher->model()), "folded values"});
  }
  plan.parts.push_back({"activations", std::max(step.arena_bytes, plan.validation_bytes),
                        plan.validation_bytes > step.arena_bytes
                            ? "the arena, of a batch of validation"
                            : "the arena, of a step"});
  plan.parts.push_back({"packed weights", step.packed_bytes, "in the layouts of the convolutions"});
  const int64_t train_batches = kBatchesAlive * batch * s.side() * s.side() * 3;
  plan.parts.push_back({"pictures", train_batches + s.cache_bytes, "batches and cache"});
  const int64_t val_batches = kBatchesAlive * val_shapes[0].numel();
  // One average for both; then the validated model, and after it is freed the checkpoint.
  const int64_t validated = values + validation.packed_bytes + val_batches - train_batches;
  const int64_t saved = (adamw ? 5 : 4) * values;
  plan.parts.push_back({"end of an epoch", values + std::max(validated, saved),
                        "averaged weights, their network or the checkpoint"});
  plan.parts.push_back({"program and libraries",
                        program_bytes(step.plans * s.train_shapes(batch) +
                                      validation.plans * int64_t(val_shapes.size())),
                        "measured, with the code generated for convolutions"});
  allow_for_loading(plan, values + 2 * s.teacher_values + int8);
  return plan;
}

int64_t TrainingMemory::largest_batch(int64_t total_bytes) const {
  return largest_below(total_bytes, [&](int64_t n) { return plan(n).total_bytes(); });
}

int64_t TrainingMemory::largest_batch_by_step(int64_t step_bytes) const {
  return largest_below(step_bytes, [&](int64_t n) { return state_->step(n).arena_bytes; });
}

int64_t TrainingMemory::largest_validation_batch(int64_t validation_bytes) const {
  return state_->validation->largest_batch(validation_bytes);
}

MemoryPlan inference_memory(const Checkpoint& checkpoint, const Shape& images,
                            const Compute& compute) {
  if (compute.device.is_cuda()) {
    throw DeviceError("memory: predicted for the CPU, not for {}", compute.device.str());
  }
  use_compute(compute);
  const auto model = build_model(checkpoint, compute);
  const int64_t values = values_of(*model);
  const bool is_int8 = compute.precision == Precision::kInt8;
  model->prepare_inference(FoldedWeights::kInPlace);
  if (is_int8) model->prepare_int8(checkpoint.calibration);
  const InferenceMemory memory = memory_of_inference(*model, images);
  MemoryPlan plan;
  plan.parts.push_back(is_int8 ? MemoryPlan::Part{"parameters", model->int8_bytes(), "in int8"}
                               : MemoryPlan::Part{"parameters", values, "folded values"});
  plan.parts.push_back({"activations", memory.arena_bytes, "the arena, of a batch"});
  plan.parts.push_back(
      {"packed weights", memory.packed_bytes, "in the layouts of the convolutions"});
  plan.parts.push_back({"pictures", 2 * images.numel(), "the batch and what it is made from"});
  plan.parts.push_back({"program and libraries", program_bytes(memory.plans),
                        "measured, with the code generated for convolutions"});
  plan.further_shape_bytes = memory.plans * kPlanBytes;
  allow_for_loading(plan, 2 * values + model->int8_bytes());
  return plan;
}

}  // namespace ydistill
