// SPDX-License-Identifier: MIT
#include <ydistill/train/step_runner.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <ydistill/tensor/conv_plans.h>
#include <ydistill/tensor/dry_run.h>
#include <ydistill/yolo/target_assignment.h>

#ifdef YD_HAVE_CUDA
#include <ydistill/train/step_runner_cuda.h>
#endif

namespace ydistill {
namespace {

constexpr StepSum kSums[] = {
    {"box", &StepSums::box, MeanOver::kLabelled},
    {"obj", &StepSums::obj, MeanOver::kLabelled},
    {"cls", &StepSums::cls, MeanOver::kLabelled},
    {"distill_box", &StepSums::distill_box, MeanOver::kAll},
    {"distill_obj", &StepSums::distill_obj, MeanOver::kAll},
    {"distill_cls", &StepSums::distill_cls, MeanOver::kAll},
    {"distill_feature", &StepSums::distill_feature, MeanOver::kAll},
    {"detection_square", &StepSums::detection_square, MeanOver::kNothing},
    {"distill_square", &StepSums::distill_square, MeanOver::kNothing},
};

/// A step without the optimizer's part, in the arena that is open.
StepNumbers step_numbers(Model& student, Teacher* teacher, StepLosses& losses, const Batch& batch) {
  const ConvStep in_flight;
  std::vector<Tensor> teacher_heads;
  ForwardBackwardOptions options;
  if (teacher != nullptr) {
    teacher_heads = teacher->logits(batch.images,
                                    losses.feature_gain > 0 ? &options.teacher_features : nullptr);
  }
  losses.detection->labelled =
      Tensor::of<uint8_t>({batch.images.size(0)}, batch.labelled).to(student.device());
  StepNumbers numbers = numbers_of(forward_backward(student, batch.images,
                                                    targets_on(student.device(), batch.targets),
                                                    teacher_heads, losses, options));
  losses.detection->labelled = {};
  return numbers;
}

class CpuRunner : public StepRunner {
 public:
  CpuRunner(Model& student, Teacher* teacher, Optimizer& optimizer, StepLosses& losses,
            std::shared_ptr<Arena> arena, Exchange& exchange)
      : student_(student),
        teacher_(teacher),
        optimizer_(optimizer),
        losses_(losses),
        arena_(std::move(arena)),
        exchange_(exchange) {}

  void accumulate(const Batch& batch) override {
    const ArenaScope scope(arena_);
    const StepNumbers numbers = step_numbers(student_, teacher_, losses_, batch);
    const double pictures = double(batch.images.size(0));
    sums_ += {numbers.detection.box,          numbers.detection.obj,
              numbers.detection.cls,          numbers.distill.box / pictures,
              numbers.distill.obj / pictures, numbers.distill.cls / pictures,
              numbers.feature / pictures,     numbers.detection_square,
              numbers.distill_square};
  }

  void step(const OptimizerRates& rates) override {
    sum_over_processes(student_.parameters(), exchange_);
    optimizer_.step(rates);
  }

  StepSums take() override {
    StepSums sums = std::exchange(sums_, {});
    const int64_t skipped = optimizer_.report().skipped;
    sums.skipped_steps = skipped - std::exchange(skipped_before_, skipped);
    return sums;
  }
  int64_t batches_between_takes() const override { return 1; }
  int64_t memory_bytes() const override { return arena_->peak_bytes(); }

 private:
  Model& student_;
  Teacher* teacher_;
  Optimizer& optimizer_;
  StepLosses& losses_;
  std::shared_ptr<Arena> arena_;
  Exchange& exchange_;
  StepSums sums_;
  int64_t skipped_before_ = 0;
};

}  // namespace

std::span<const StepSum> step_sums() {
  return kSums;
}

StepSums& StepSums::operator+=(const StepSums& other) {
  for (const StepSum& sum : kSums) this->*sum.value += other.*sum.value;
  skipped_steps += other.skipped_steps;
  return *this;
}

std::unique_ptr<StepRunner> make_step_runner(
    Model& student, Teacher* teacher, Optimizer& optimizer, StepLosses& losses,
    std::shared_ptr<Arena> arena, [[maybe_unused]] std::shared_ptr<DevicePictures> pictures,
    Exchange& exchange) {
  return YD_BACKEND(student.device(),
                    std::unique_ptr<StepRunner>(std::make_unique<CpuRunner>(
                        student, teacher, optimizer, losses, std::move(arena), exchange)),
                    cuda::make_step_runner(student, teacher, optimizer, losses, std::move(arena),
                                           std::move(pictures), exchange));
}

StepMemory memory_of_step(Model& student, Teacher* teacher, const StepLosses& losses,
                          int64_t pictures, int64_t image_size, int64_t limit_bytes) {
  const bool on_cpu = student.device().is_cpu();
  const auto arena = Arena::create(on_cpu ? kUnlimited : limit_bytes, student.device());
  std::optional<DryRun> dry_run;
  if (on_cpu) dry_run.emplace();
  Batch batch;
  const Shape shape{pictures, image_size, image_size, 3};
  if (on_cpu) {  // addresses alone: nobody reads the pictures
    const ArenaScope addresses(Arena::create(kUnlimited));
    batch.images = Tensor::empty(shape, DType::kUInt8);
  } else {
    batch.images = Tensor::zeros(shape, DType::kUInt8);
  }
  batch.targets = Tensor::zeros({0, 6});
  batch.labelled.assign(size_t(pictures), 1);
  StepLosses trial = losses;
  {
    const ArenaScope scope(arena);
    step_numbers(student, teacher, trial, batch);
  }
  if (!on_cpu) student.parameters().grads().zero();
  StepMemory memory{arena->peak_bytes()};
  if (dry_run) {
    memory.packed_bytes = dry_run->kept_bytes();
    memory.plans = dry_run->plans();
  }
  return memory;
}

int64_t fitting_batch(Model& student, Teacher* teacher, const StepLosses& losses,
                      int64_t image_size, int64_t limit_bytes) {
  const auto bytes_of = [&](int64_t pictures) {
    return memory_of_step(student, teacher, losses, pictures, image_size, limit_bytes).arena_bytes;
  };
  const int64_t one = bytes_of(1);
  if (one > limit_bytes) return 0;
  if (student.device().is_cuda()) return limit_bytes / one;
  return largest_below(limit_bytes, bytes_of);
}

int64_t largest_below(int64_t limit, const std::function<int64_t(int64_t)>& bytes_of) {
  constexpr int kTrials = 10;
  constexpr int64_t kMost = 1 << 20;
  int64_t fits = 0, fails = kMost;
  std::array<std::array<int64_t, 2>, 2> last{};  // two points (n, bytes) of the line
  int64_t n = 1;
  for (int trial = 0; trial < kTrials && fails - fits > 1; ++trial) {
    const int64_t bytes = bytes_of(n);
    (bytes <= limit ? fits : fails) = n;
    last = {last[1], {n, bytes}};
    const auto [n0, bytes0] = last[0];
    const double slope = double(bytes - bytes0) / double(n - n0);
    // Small batches may take no more than a single picture: then the line says nothing.
    const double guess = slope > 0 ? double(n) + double(limit - bytes) / slope : 4.0 * double(n);
    n = std::clamp(int64_t(std::min(guess, double(kMost))), fits + 1,
                   std::max(fails - 1, fits + 1));
  }
  return fits;
}

}  // namespace ydistill
