// SPDX-License-Identifier: MIT
#include <ydistill/train/step_runner.h>

#include <utility>

#include <ydistill/yolo/target_assignment.h>

#ifdef YD_HAVE_CUDA
#include <ydistill/train/step_runner_cuda.h>
#endif

namespace ydistill {
namespace {

constexpr StepSum kSums[] = {
    {"box", &StepSums::box},
    {"obj", &StepSums::obj},
    {"cls", &StepSums::cls},
    {"distill_box", &StepSums::distill_box},
    {"distill_obj", &StepSums::distill_obj},
    {"distill_cls", &StepSums::distill_cls},
    {"detection_square", &StepSums::detection_square},
    {"distill_square", &StepSums::distill_square},
};

class CpuRunner : public StepRunner {
 public:
  CpuRunner(Model& student, Teacher* teacher, Optimizer& optimizer, StepLosses& losses,
            std::shared_ptr<Arena> arena)
      : student_(student),
        teacher_(teacher),
        optimizer_(optimizer),
        losses_(losses),
        arena_(std::move(arena)) {}

  void accumulate(const Batch& batch) override {
    const ArenaScope scope(arena_);
    std::vector<Tensor> teacher_heads;
    if (teacher_ != nullptr) teacher_heads = teacher_->logits(batch.images);
    losses_.detection->labelled = Tensor::of<uint8_t>({batch.images.size(0)}, batch.labelled);
    const StepNumbers numbers =
        numbers_of(forward_backward(student_, batch.images, batch.targets, teacher_heads, losses_));
    losses_.detection->labelled = {};
    const double pictures = double(batch.images.size(0));
    sums_ += {numbers.detection.box,          numbers.detection.obj,
              numbers.detection.cls,          numbers.distill.box / pictures,
              numbers.distill.obj / pictures, numbers.distill.cls / pictures,
              numbers.detection_square,       numbers.distill_square};
  }

  void step(const OptimizerRates& rates) override { optimizer_.step(rates); }

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
    std::shared_ptr<Arena> arena, [[maybe_unused]] std::shared_ptr<DevicePictures> pictures) {
  return YD_BACKEND(student.device(),
                    std::unique_ptr<StepRunner>(std::make_unique<CpuRunner>(
                        student, teacher, optimizer, losses, std::move(arena))),
                    cuda::make_step_runner(student, teacher, optimizer, losses, std::move(arena),
                                           std::move(pictures)));
}

int64_t memory_of_one_picture(Model& student, Teacher* teacher, const StepLosses& losses,
                              int64_t image_size, int64_t limit_bytes) {
  const auto arena = Arena::create(limit_bytes, student.device());
  {
    const ArenaScope scope(arena);
    const Device device = student.device();
    const Tensor image = Tensor::zeros({1, image_size, image_size, 3}, DType::kUInt8).to(device);
    std::vector<Tensor> teacher_heads;
    if (teacher != nullptr) teacher_heads = teacher->logits(image);
    StepLosses all_labelled = losses;
    if (all_labelled.detection) all_labelled.detection->labelled = {};
    forward_backward(student, image, targets_on(device, Tensor::empty({0, 6})), teacher_heads,
                     all_labelled);
  }
  student.parameters().grads().zero();
  return arena->peak_bytes();
}

}  // namespace ydistill
