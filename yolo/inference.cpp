// SPDX-License-Identifier: MIT
#include <ydistill/yolo/inference.h>

#include <array>
#include <utility>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/conv_plans.h>
#include <ydistill/tensor/dry_run.h>
#include <ydistill/tensor/recently_used.h>
#include <ydistill/tensor/storage_room.h>
#ifdef YD_HAVE_CUDA
#include <ydistill/tensor/cuda/device.h>
#include <ydistill/tensor/cuda/graph.h>
#endif

namespace ydistill {
namespace {

std::vector<Tensor> run(Model& model, const Tensor& images) {
  const NoGrad no_grad;
  const ConvStep in_flight;
  std::vector<Tensor> heads;
  for (const Var& head : model.forward(images, ForwardMode::kInference)) {
    heads.push_back(head.value());
  }
  return heads;
}

}  // namespace

#ifdef YD_HAVE_CUDA

struct Inference::Captured {
  /// Maximum number of shapes whose graphs and heads are kept: a server gets pictures of any shape.
  static constexpr size_t kMaxShapes = 32;

  /// The state for one batch shape.
  struct Step {
    Tensor images;  // the graph's input
    std::vector<Tensor> heads;
    cuda::Graph graph;
    int64_t runs = 0;
  };

  explicit Captured(std::shared_ptr<Arena> own) : arena(std::move(own)) {}
  ~Captured() {
    try {
      cuda::wait_for_gpu();  // the GPU may still use the memory
    } catch (const std::exception&) {
      // The error was reported where it occurred.
    }
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  std::vector<Tensor> logits(Model& model, const Tensor& images) {
    const Shape& s = images.shape();
    if (s.rank() != 4) return run(model, images);  // throws
    cuda::require_device(model.device().index);
    // A graph that is dropped may still be running.
    Step& step = steps.at({s[0], s[1], s[2]}, [](Step&) { cuda::wait_for_gpu(); });
    if (!step.images.defined()) {
      const ArenaScope heap(nullptr);
      // The inputs of all graphs share memory: one graph has finished when the next input is
      // copied.
      step.images = room.tensor(s, images.dtype(), [&](int64_t nbytes) {
        return allocate_storage(nbytes, model.device());
      });
    }
    step.images.copy_from(images);
    const ArenaScope scope(arena);
    if (step.graph.captured()) {
      step.graph.launch();
    } else if (step.runs++ == 0) {
      step.heads.clear();
      step.heads = run(model, step.images);  // builds plans and working copies of the weights
    } else {
      step.heads.clear();
      step.graph.capture([&] { step.heads = run(model, step.images); });
      step.graph.launch();
    }
    return step.heads;
  }

  std::shared_ptr<Arena> arena;
  StorageRoom room;
  RecentlyUsed<std::array<int64_t, 3>, Step> steps{kMaxShapes};
};

#else

struct Inference::Captured {
  std::vector<Tensor> logits(Model& model, const Tensor& images) { return run(model, images); }
};

#endif

Inference::Inference(Model& model, [[maybe_unused]] std::shared_ptr<Arena> arena) : model_(&model) {
#ifdef YD_HAVE_CUDA
  if (model.device().is_cpu()) return;
  if (!arena) arena = Arena::create(0, model.device());
  captured_ = std::make_unique<Captured>(std::move(arena));
#endif
}
Inference::~Inference() = default;
Inference::Inference(Inference&&) noexcept = default;
Inference& Inference::operator=(Inference&&) noexcept = default;

std::vector<Tensor> Inference::logits(const Tensor& images) {
  return captured_ ? captured_->logits(*model_, images) : run(*model_, images);
}

InferenceMemory memory_of_inference(Model& model, const Shape& images,
                                    const std::function<void(const std::vector<Tensor>&)>& then) {
  const auto arena = Arena::create(kUnlimited);
  const DryRun dry_run;
  const auto input = Arena::create(kUnlimited);  // addresses alone: nobody reads the pictures
  Tensor batch;
  {
    const ArenaScope scope(input);
    batch = Tensor::empty(images, DType::kUInt8);
  }
  {
    const ArenaScope scope(arena);
    const std::vector<Tensor> logits = run(model, batch);
    const NoGrad no_grad;
    if (then) then(logits);
  }
  return {arena->peak_bytes(), dry_run.kept_bytes(), dry_run.plans()};
}

int64_t Inference::memory_bytes() const {
#ifdef YD_HAVE_CUDA
  if (captured_) return captured_->arena->peak_bytes();
#endif
  return 0;
}

}  // namespace ydistill
