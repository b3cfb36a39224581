// SPDX-License-Identifier: MIT
#include <ydistill/distill/distill_loss_kernels.h>
#include <ydistill/distill/feature_loss_kernels.h>
#include <ydistill/train/optimizer.h>
#include <ydistill/yolo/decode.h>
#include <ydistill/yolo/detection_loss_kernels.h>

#include "guard/kernel_list.h"

namespace ydistill::guard {
namespace {

constexpr int64_t kClasses = 80, kWidth = 5 + kClasses;

struct ObjectnessData {
  static constexpr int64_t kBoxes = 1024;
  std::vector<float> logits = numbers<float>(kBoxes * kWidth), grad = logits;
  std::vector<float> targets = std::vector<float>(size_t(kBoxes), 0.25f);

  void run(float focal_gamma) {
    detection_loss_kernels().objectness_f32(
        {logits.data(), targets.data(), grad.data(), kBoxes, kWidth, {1.0f, focal_gamma, 0.5f}});
  }
};

void add_detection_loss(KernelList& kernels) {
  constexpr int64_t kBoxes = ObjectnessData::kBoxes, kMatches = 512;
  kernels.add("detection_loss.objectness.f32", kBoxes,
              [] { return [data = ObjectnessData()]() mutable { data.run(0); }; });
  kernels.add("detection_loss.objectness_focal.f32", kBoxes,
              [] { return [data = ObjectnessData()]() mutable { data.run(1.5f); }; });
  kernels.add("detection_loss.classes.f32", kMatches * kClasses, [] {
    return [logits = numbers<float>(kMatches * kClasses),
            grad = numbers<float>(kMatches * kClasses)]() mutable {
      for (int64_t i = 0; i < kMatches; ++i) {
        detection_loss_kernels().classes_f32({logits.data() + i * kClasses,
                                              grad.data() + i * kClasses,
                                              kClasses,
                                              i % kClasses,
                                              1.0f,
                                              0.0f,
                                              {1.0f, 0.0f, 0.5f}});
      }
    };
  });
}

struct DistillData {
  static constexpr int64_t kBoxes = 768;
  std::vector<float> student = numbers<float>(kBoxes * kWidth);
  std::vector<float> teacher = numbers<float>(kBoxes * kWidth, 2), grad = student;

  void run(DistillClassTerm term) {
    const float wh_ratios[6] = {1.0f, 1.1f, 1.2f, 1.3f, 0.9f, 0.8f};
    distill_kernels().distill_f32({student.data(), teacher.data(), grad.data(), kBoxes, kClasses, 3,
                                   wh_ratios, term, DistillObjectnessTerm::kSquared, 3.0f, 1.0f,
                                   1.0f, 1.0f, nullptr, nullptr, 0});
  }
};

void add_distill_loss(KernelList& kernels) {
  const auto add = [&](const char* name, DistillClassTerm term) {
    kernels.add(name, DistillData::kBoxes * kWidth,
                [term] { return [term, data = DistillData()]() mutable { data.run(term); }; });
  };
  add("distill_loss.l2.f32", DistillClassTerm::kL2);
  add("distill_loss.kl.f32", DistillClassTerm::kKl);
  add("distill_loss.bce.f32", DistillClassTerm::kBce);
  kernels.add("distill_loss.objects.f32", DistillData::kBoxes, [] {
    return [data = DistillData()]() mutable {
      data.grad[0] = float(
          distill_kernels().sum_sigmoids_f32(data.teacher.data() + 4, kWidth, DistillData::kBoxes));
    };
  });
}

template <class T>
void add_feature_loss(KernelList& kernels, const std::string& type) {
  static constexpr int64_t kRows = 512, kChannels = 64, kValues = kRows * kChannels;
  kernels.add("feature_loss.sums." + type, kValues, [] {
    return [s = numbers<T>(kValues), t = numbers<T>(kValues, 2),
            partial = std::vector<double>(size_t(kNumFeatureSums * kChannels))]() mutable {
      kernels_for<T>(feature_kernels())
          .sums(s.data(), t.data(), kRows, kChannels, kRows, partial.data());
    };
  });
  kernels.add("feature_loss.grad." + type, kValues, [] {
    return [s = numbers<T>(kValues), t = numbers<T>(kValues, 2),
            lines = numbers<float>(4 * kChannels), out = numbers<T>(kValues)]() mutable {
      const float* const of = lines.data();
      kernels_for<T>(feature_kernels())
          .grad(s.data(), t.data(), {of, of + kChannels, of + 2 * kChannels, of + 3 * kChannels},
                kRows, kChannels, out.data());
    };
  });
}

struct OptimizerData {
  static constexpr int64_t kParameters = 1 << 16;
  std::vector<float> values = numbers<float>(kParameters), grads = values, momentum = values;
  std::vector<float> squares = std::vector<float>(size_t(kParameters), 1.0f), ema = values;

  using Step = void (*)(const OptimizerBuffers&, int64_t, const OptimizerFactors&);
  void run(Step step) {
    step({values.data(), grads.data(), momentum.data(), squares.data(), ema.data()}, kParameters,
         {0.01f, 0.9f, 0.0005f, 1.0f, 0.999f, 1.0f, 1.0f});
  }
};

void add_optimizer(KernelList& kernels) {
  constexpr int64_t kParameters = OptimizerData::kParameters;
  kernels.add("optimizer.sgd.f32", kParameters, [] {
    return [data = OptimizerData()]() mutable { data.run(optimizer_kernels().step_sgd); };
  });
  kernels.add("optimizer.adamw.f32", kParameters, [] {
    return [data = OptimizerData()]() mutable { data.run(optimizer_kernels().step_adamw); };
  });
  kernels.add("optimizer.average.f32", kParameters, [] {
    return [data = OptimizerData()]() mutable {
      optimizer_kernels().average(data.ema.data(), data.values.data(), kParameters, 0.999f);
    };
  });
}

}  // namespace

void add_loss_kernels(KernelList& kernels) {
  add_detection_loss(kernels);
  add_distill_loss(kernels);
  add_feature_loss<float>(kernels, "f32");
  add_feature_loss<BFloat16>(kernels, "bf16");
  add_optimizer(kernels);
  constexpr int64_t kGrid = 20, kValues = kGrid * kGrid * kWidth;
  kernels.add("decode.f32", kValues, [] {
    return [logits = numbers<float>(kValues), boxes = numbers<float>(kValues)]() mutable {
      for (int64_t row = 0; row < kGrid; ++row) {
        const int64_t first = row * kGrid * kWidth;
        decode_kernels().decode_f32({logits.data() + first, boxes.data() + first, row, kGrid,
                                     kWidth, kWidth, 8.0f, 10.0f, 13.0f});
      }
    };
  });
}

}  // namespace ydistill::guard
