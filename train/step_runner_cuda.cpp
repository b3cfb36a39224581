// SPDX-License-Identifier: MIT
#include <ydistill/train/step_runner_cuda.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>

#include <ydistill/tensor/cuda/device.h>
#include <ydistill/tensor/cuda/graph.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/recently_used.h>
#include <ydistill/tensor/storage_room.h>
#include <ydistill/yolo/target_assignment.h>

namespace ydistill::cuda {
namespace {

constexpr int64_t kBatchesBetweenTakes = 10;
constexpr int64_t kTargetsPerPicture = 16;  // initial room; doubled if a batch has more

/// A batch as the GPU sees it. Targets are padded to `capacity` rows.
struct Inputs {
  Tensor images;    // uint8 [N,H,W,3]
  Tensor targets;   // float32 [capacity,6]
  Tensor labelled;  // uint8 [N]
};

using Key = std::array<int64_t, 4>;  // N, H, W, capacity

/// Reused memory for inputs of one shape after another.
struct InputRoom {
  StorageRoom images, targets, labelled;

  template <class Allocate>
  Inputs inputs(const Shape& shape, int64_t capacity, Allocate&& allocate) {
    return {images.tensor(shape, DType::kUInt8, allocate),
            targets.tensor({capacity, 6}, DType::kFloat32, allocate),
            labelled.tensor({shape[0]}, DType::kUInt8, allocate)};
  }
};

/// The shape of the images that a batch holds or that its plans make.
Shape image_shape(const Batch& batch) {
  if (batch.plans.empty()) return batch.images.shape();
  const SamplePlan& first = batch.plans.front();
  return {int64_t(batch.plans.size()), first.height, first.width, 3};
}

void copy_labels(const Inputs& to, const Inputs& from) {
  copy_in_order(to.targets, from.targets);
  copy_in_order(to.labelled, from.labelled);
}

/// On all threads: a single one does not reach the memory bandwidth.
void copy_on_host(const Tensor& to, const Tensor& from) {
  constexpr int64_t kGrain = int64_t(1) << 20;
  parallel_ranges(from.nbytes(), kGrain, [&](int64_t begin, int64_t end) {
    std::memcpy(to.raw() + begin, from.raw() + begin, size_t(end - begin));
  });
}

/// Half of the double buffer between the loader and the GPU. Its images may be packed plans.
struct Slot {
  InputRoom on_host, on_device;
  Event copied, consumed;
};

/// Everything that belongs to one shape of batch.
struct ShapedStep {
  Inputs inputs;  // the graph reads here
  int64_t runs = 0;
  Graph graph;
};
/// Number of shapes whose graphs are kept, each some MiB: multi-scale training at 640 +- 50 % has
/// 21.
constexpr size_t kMaxShapes = 32;

class CudaRunner : public StepRunner {
 public:
  CudaRunner(Model& student, Teacher* teacher, Optimizer& optimizer, StepLosses& losses,
             std::shared_ptr<Arena> arena, std::shared_ptr<DevicePictures> pictures,
             Exchange& exchange)
      : student_(student),
        teacher_(teacher),
        optimizer_(optimizer),
        losses_(losses),
        arena_(std::move(arena)),
        pictures_(std::move(pictures)),
        exchange_(exchange) {
    // A separate arena, because its blocks are freed in the host's order, not in that of two
    // streams.
    if (teacher != nullptr) teacher_arena_ = Arena::create(arena_->limit_bytes(), student.device());
    const ArenaScope heap(nullptr);
    sums_ = Tensor::zeros({int64_t(step_sums().size())}, DType::kFloat64, student.device());
    if (student.activations() == DType::kBFloat16) student.parameters().keep_rounded();
  }

  ~CudaRunner() override {
    try {
      wait_for_gpu();  // nothing may be freed while the GPU uses it
    } catch (const std::exception&) {
      // The error that ended the run has already been reported.
    }
  }

  void accumulate(const Batch& batch) override {
    require_device(student_.device().index);  // whatever else this thread did in between
    if (!batch.plans.empty() && !pictures_) {
      throw ValueError("train: a batch of plans, but no pictures on the GPU to make it from");
    }
    check_targets("train", batch.targets, image_shape(batch)[0], student_.spec().num_classes);
    ShapedStep& step = upload(batch);
    student_.parameters().refresh_rounded();  // the graphs read the rounded values as they are
    if (step.graph.captured()) {
      step.graph.launch();
    } else if (step.runs++ == 0) {
      compute(step.inputs);  // builds plans and finds out how much memory a step takes
    } else {
      // Working copies of the weights must be made again inside the graph, even if they are
      // current, except those that the optimizer's step writes.
      student_.parameters().mark_statistics_changed();
      step.graph.capture([&] { compute(step.inputs); });
      step.graph.launch();
    }
    student_.parameters().mark_statistics_changed();
  }

  void step(const OptimizerRates& rates) override {
    sum_over_processes(student_.parameters(), exchange_);
    optimizer_.stage(rates);
    if (step_graph_.captured()) {
      step_graph_.launch();
    } else if (step_runs_++ == 0) {
      optimizer_.launch();
    } else {
      step_graph_.capture([&] { optimizer_.launch(); });
      step_graph_.launch();
    }
  }

  StepSums take() override {
    const ArenaScope heap(nullptr);
    const Tensor sums = sums_.to(Device::cpu());
    sums_.zero();
    StepSums result;
    for (size_t i = 0; i < step_sums().size(); ++i) {
      result.*step_sums()[i].value = sums.at(int64_t(i));
    }
    const int64_t skipped = optimizer_.report().skipped;
    result.skipped_steps = skipped - std::exchange(skipped_before_, skipped);
    return result;
  }

  int64_t batches_between_takes() const override { return kBatchesBetweenTakes; }
  int64_t memory_bytes() const override {
    return arena_->peak_bytes() + (teacher_arena_ ? teacher_arena_->peak_bytes() : 0);
  }

 private:
  /// Starts the upload of a batch; later work on the stream finds it in the step's inputs.
  ShapedStep& upload(const Batch& batch) {
    const Shape s = image_shape(batch);
    const bool is_planned = !batch.plans.empty();
    const Shape sent =
        is_planned ? Shape({s[0], DevicePictures::packed_bytes(batch.plans.front())}) : s;
    int64_t& capacity = capacities_[s[0]];
    const int64_t wanted = std::max({batch.targets.size(0), s[0] * kTargetsPerPicture, capacity});
    capacity = int64_t(std::bit_ceil(uint64_t(wanted)));
    const Key key{s[0], s[1], s[2], capacity};

    Slot& slot = slots_[size_t(batches_++ % 2)];
    slot.consumed.wait();
    const ArenaScope heap(nullptr);
    const Device device = student_.device();
    const auto on_gpu = [&](int64_t nbytes) { return allocate_storage(nbytes, device); };
    const Inputs host = slot.on_host.inputs(sent, capacity, allocate_pinned);
    const Inputs sent_there = slot.on_device.inputs(sent, capacity, on_gpu);
    if (is_planned) {
      pack(batch.plans, host.images);
    } else {
      copy_on_host(host.images, batch.images);
    }
    copy_on_host(host.targets, padded_targets(batch.targets, capacity));
    std::copy(batch.labelled.begin(), batch.labelled.end(), host.labelled.data<uint8_t>());
    {
      const StreamScope scope(copies_);
      copy_in_order(sent_there.images, host.images);
      copy_labels(sent_there, host);
      slot.copied.record();
    }
    slot.copied.hold_stream();
    // A graph that is evicted may still run.
    ShapedStep& step = steps_.at(key, [](ShapedStep&) { wait_for_gpu(); });
    // The steps of all shapes read the same memory: a step has ended when the next one is copied
    // there.
    if (!step.inputs.images.defined()) step.inputs = step_room_.inputs(s, capacity, on_gpu);
    if (is_planned) {
      gather_samples(sent_there.images, batch.plans.front().room, step.inputs.images);
    } else {
      copy_in_order(step.inputs.images, sent_there.images);
    }
    copy_labels(step.inputs, sent_there);
    slot.consumed.record();
    return step;
  }

  /// Pictures that the GPU has not seen yet are uploaded now; this waits only for the copies.
  void pack(const std::vector<SamplePlan>& plans, const Tensor& packed) {
    const StreamScope scope(copies_);
    for (size_t i = 0; i < plans.size(); ++i) {
      pictures_->pack(plans[i], packed.data<uint8_t>() + int64_t(i) * packed.size(1));
    }
  }

  /// A whole step except the optimizer.
  void compute(const Inputs& inputs) {
    const ArenaScope scope(arena_);
    std::vector<Tensor> teacher_heads;
    ForwardBackwardOptions options;
    if (teacher_ != nullptr) {
      started_.record();
      {
        const StreamScope beside(teacher_stream_);
        const ArenaScope own(teacher_arena_);
        started_.hold_stream();
        teacher_heads = teacher_->logits(
            inputs.images, losses_.feature_gain > 0 ? &options.teacher_features : nullptr);
        taught_.record();
      }
      options.before_losses = [this] { taught_.hold_stream(); };
    }
    losses_.detection->labelled = inputs.labelled;
    const StepResult result =
        forward_backward(student_, inputs.images, inputs.targets, teacher_heads, losses_, options);
    losses_.detection->labelled = {};
    add_step_terms(sums_, result, inputs.images.size(0));
  }

  Model& student_;
  Teacher* teacher_;
  Optimizer& optimizer_;
  StepLosses& losses_;
  std::shared_ptr<Arena> arena_, teacher_arena_;
  std::shared_ptr<DevicePictures> pictures_;
  Exchange& exchange_;
  Stream copies_, teacher_stream_;
  Event started_, taught_;
  std::array<Slot, 2> slots_;
  InputRoom step_room_;
  RecentlyUsed<Key, ShapedStep> steps_{kMaxShapes};
  std::map<int64_t, int64_t> capacities_;  // of targets, by batch size
  Graph step_graph_;
  int64_t step_runs_ = 0;
  int64_t batches_ = 0, skipped_before_ = 0;
  Tensor sums_;
};

}  // namespace

std::unique_ptr<StepRunner> make_step_runner(Model& student, Teacher* teacher, Optimizer& optimizer,
                                             StepLosses& losses, std::shared_ptr<Arena> arena,
                                             std::shared_ptr<DevicePictures> pictures,
                                             Exchange& exchange) {
  return std::make_unique<CudaRunner>(student, teacher, optimizer, losses, std::move(arena),
                                      std::move(pictures), exchange);
}

}  // namespace ydistill::cuda
