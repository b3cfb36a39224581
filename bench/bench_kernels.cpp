// SPDX-License-Identifier: MIT
// The GPU's memory-bound kernels at the sizes of yolov5s, 640 pixels, batch 16: the bytes that the
// formula must move, the time, and their quotient compared with that of a plain copy.
//
//   bench_kernels [--json] [--fp32]      activations in bfloat16, or with --fp32 in float32
//
// Each line is one operation of a layer, all its kernels together, captured many times in a CUDA
// graph, so that the host's launches do not count. The share may exceed 1 if the data fit into the
// GPU's cache.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <vector>

#include <ydistill/distill/distill_loss.h>
#include <ydistill/distill/feature_loss.h>
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/layers/concat.h>
#include <ydistill/layers/focus.h>
#include <ydistill/layers/pyramid_pool.h>
#include <ydistill/layers/upsample.h>
#include <ydistill/tensor/add.h>
#include <ydistill/tensor/cuda/device.h>
#include <ydistill/tensor/cuda/graph.h>
#include <ydistill/train/optimizer.h>
#include <ydistill/yolo/detection_loss.h>
#include <ydistill/yolo/model.h>
#include <ydistill/yolo/target_assignment.h>

namespace ydistill {
namespace {

constexpr int64_t kBatch = 16;
constexpr int kRepeats = 20;  // in a graph
constexpr int kRounds = 11;

struct Line {
  std::string name, shape;
  int64_t bytes;
  double microseconds;
  double gigabytes_per_second() const { return double(bytes) / microseconds / 1000; }
};

class Bench {
 public:
  explicit Bench(DType dtype) : dtype_(dtype), arena_(Arena::create(0, kGpu)) {}

  void run() {
    copy();
    for (const int64_t side : {320, 160, 80, 40, 20}) batch_norm(side, 32 * 320 / side);
    focus();
    concat_two();
    upsample();
    pool();
    add();
    losses();
    features();
    sgd();
  }
  const std::vector<Line>& lines() const { return lines_; }
  static constexpr Device kGpu = Device::cuda();

 private:
  Tensor ones(const Shape& shape) const { return Tensor::full(shape, 1, dtype_).to(kGpu); }
  Tensor ones_f32(const Shape& shape) const {
    return Tensor::full(shape, 1, DType::kFloat32).to(kGpu);
  }
  /// Median time of f, measured by replaying a graph that contains it kRepeats times.
  void time(const std::string& name, const Shape& shape, int64_t bytes,
            const std::function<void()>& f) {
    using Clock = std::chrono::steady_clock;
    const ArenaScope scope(arena_);
    f();  // loads everything and lets the arena grow
    cuda::Graph graph;
    graph.capture([&] {
      for (int i = 0; i < kRepeats; ++i) f();
    });
    std::vector<double> rounds;
    for (int i = 0; i < kRounds; ++i) {
      wait();
      const Clock::time_point begin = Clock::now();
      graph.launch();
      wait();
      const std::chrono::duration<double, std::micro> spent = Clock::now() - begin;
      rounds.push_back(spent.count() / kRepeats);
    }
    std::nth_element(rounds.begin(), rounds.begin() + kRounds / 2, rounds.end());
    lines_.push_back({name, shape.str(), bytes, rounds[kRounds / 2]});
  }
  /// A copy to the CPU waits for all earlier work.
  void wait() const { (void)mark_.at(0); }

  void copy() {
    const Tensor from = Tensor::zeros({int64_t(1) << 29}, DType::kUInt8, kGpu);
    const Tensor to = Tensor::zeros(from.shape(), DType::kUInt8, kGpu);
    time("copy", from.shape(), 2 * from.nbytes(), [&] { to.copy_from(from); });
  }

  void batch_norm(int64_t side, int64_t channels) {
    const Shape shape{kBatch, side, side, channels};
    const Tensor y = ones(shape), residual = ones(shape), out = ones(shape), grad = ones(shape);
    const auto per_channel = [&] { return ones_f32({channels}); };
    const Tensor gamma = per_channel(), beta = per_channel(), mean = per_channel();
    const Tensor var = per_channel(), grad_gamma = per_channel(), grad_beta = per_channel();
    const auto forward = [&](const Tensor& add) {
      return cuda::batch_norm_silu(y, gamma, beta, mean, var, {}, add, out);
    };
    time("batch norm + silu", shape, 3 * y.nbytes(), [&] { forward({}); });
    time("batch norm + silu + residual", shape, 4 * y.nbytes(), [&] { forward(residual); });
    const BatchNormSaved saved = forward({});
    time("batch norm + silu backward", shape, 5 * y.nbytes(),
         [&] { cuda::batch_norm_silu_backward(grad, y, saved, grad_gamma, grad_beta, out); });
  }

  void focus() {
    const Tensor images = Tensor::full({kBatch, 640, 640, 3}, 114, DType::kUInt8).to(kGpu);
    const Tensor out = ones({kBatch, 320, 320, 12});
    time("focus input", images.shape(), images.nbytes() + out.nbytes(),
         [&] { cuda::focus_input(images, out); });
  }

  void concat_two() {
    const Var a(ones({kBatch, 80, 80, 128})), b(ones({kBatch, 80, 80, 128}));
    time("concat", {kBatch, 80, 80, 256}, 4 * a.value().nbytes(), [&] { concat({a, b}); });
  }

  void upsample() {
    const Tensor x = ones({kBatch, 40, 40, 128}), out = ones({kBatch, 80, 80, 128});
    const int64_t bytes = x.nbytes() + out.nbytes();
    time("upsample", out.shape(), bytes, [&] { cuda::upsample2x(x, out); });
    time("upsample backward", out.shape(), bytes, [&] { cuda::upsample2x_backward(out, x); });
  }

  void pool() {
    const int64_t channels = 256;
    const Tensor slices = ones({kBatch, 20, 20, 4 * channels});
    const Tensor winners = Tensor::zeros({kBatch, 20, 20, channels}, DType::kUInt8, kGpu);
    const int64_t slice = slices.nbytes() / 4;
    time("pyramid pool, one level", slices.shape(), 2 * slice + winners.nbytes(),
         [&] { cuda::pool_slice(slices, 0, /*radius=*/2, winners); });
    time("pyramid pool backward, one level", slices.shape(), 3 * slice + winners.nbytes(),
         [&] { cuda::unpool_slice(slices, 0, /*radius=*/2, winners); });
  }

  void add() {
    const Tensor sum = ones({kBatch, 160, 160, 64}), other = ones(sum.shape());
    time("add", sum.shape(), 3 * sum.nbytes(), [&] { cuda::add_into(sum, other); });
  }

  void losses() {
    constexpr int64_t kClasses = 20;
    const Anchors anchors = Anchors::yolov5();
    std::vector<Var> students;
    std::vector<Tensor> teachers;
    int64_t bytes = 0;
    for (const double stride : anchors.strides) {
      const int64_t side = int64_t(640 / stride);
      const Shape shape{kBatch, side, side, anchors.per_head(), 5 + kClasses};
      students.push_back(Var::leaf(Tensor::zeros(shape, DType::kFloat32, kGpu)));
      teachers.push_back(Tensor::zeros(shape, DType::kFloat32, kGpu));
      bytes += teachers.back().nbytes();
    }
    std::vector<float> rows;  // eight targets per picture
    for (int64_t i = 0; i < kBatch * 8; ++i) {
      for (const float v : {float(i / 8), float(i % kClasses), 0.1f * float(i % 8 + 1), 0.5f,
                            0.05f * float(i % 8 + 1), 0.2f}) {
        rows.push_back(v);
      }
    }
    const Tensor targets = targets_on(kGpu, Tensor::of<float>({int64_t(rows.size()) / 6, 6}, rows));
    const Shape all{kBatch, bytes / kBatch / 4};
    // All gradients are written; of the logits only the objectness is read.
    time("detection loss", all, bytes + bytes / (5 + kClasses), [&] {
      const Tape tape;
      Tensor terms;
      detection_loss(students, targets, anchors, {}, terms);
    });
    for (const auto& [name, kind] : {std::pair("distillation loss, l2", DistillKind::kL2),
                                     std::pair("distillation loss, kl", DistillKind::kKl)}) {
      DistillOptions options;
      options.kind = kind;
      time(name, all, 3 * bytes, [&] {
        const Tape tape;
        Tensor terms;
        distill_loss(students, teachers, anchors, anchors, options, terms);
      });
    }
  }

  /// Moments of both maps, their products, the gradient.
  void features() {
    const Tensor student = ones({kBatch, 80, 80, 192}), teacher = ones(student.shape());
    const std::vector<Var> leaves{Var::leaf(student)};
    time("feature loss", student.shape(), 7 * student.nbytes(), [&] {
      const Tape tape;
      Tensor term;
      feature_loss(leaves, {teacher}, 1, term);
    });
  }

  void sgd() {
    const Model model(graph_by_name("yolov5s"));
    ParameterStore store(DType::kFloat32, kGpu);
    for (int i = 0; i < model.parameters().num_parameters(); ++i) {
      const Var& parameter = model.parameters().var(i);
      store.add(model.parameters().name(i), parameter.shape(), model.parameters().group(i));
    }
    store.allocate();
    const bool is_bf16 = dtype_ == DType::kBFloat16;
    if (is_bf16) store.keep_rounded();
    Optimizer sgd(store, {});
    OptimizerRates rates;
    rates.clip_norm = 10;
    sgd.stage(rates);
    // Per parameter the norm reads 4 bytes; the step reads 16 and writes 16, 2 more in bfloat16.
    const int64_t bytes = is_bf16 ? 38 : 36;
    time("sgd step", store.values().shape(), bytes * store.values().numel(), [&] { sgd.launch(); });
  }

  DType dtype_;
  std::shared_ptr<Arena> arena_;
  Tensor mark_ = Tensor::zeros({1}, DType::kFloat32, kGpu);
  std::vector<Line> lines_;
};

int run(bool json, DType dtype) {
  cuda::require_device(0);
  Bench bench(dtype);
  bench.run();
  const std::string device = cuda::device_info(0).name;
  const double copy = bench.lines().front().gigabytes_per_second();
  nlohmann::json list = nlohmann::json::array();
  if (!json) {
    fmt::print("{}, {}, yolov5s at 640 pixels, batch {}\n{:<34}{:<18}{:>10}{:>11}{:>9}{:>9}\n",
               device, name_of(dtype), kBatch, "operation", "shape", "MB", "us", "GB/s", "of copy");
  }
  for (const Line& l : bench.lines()) {
    const double rate = l.gigabytes_per_second();
    if (json) {
      list.push_back({{"name", l.name},
                      {"shape", l.shape},
                      {"bytes", l.bytes},
                      {"microseconds", l.microseconds},
                      {"gigabytes_per_second", rate},
                      {"share_of_copy", rate / copy}});
    } else {
      fmt::print("{:<34}{:<18}{:>10.1f}{:>11.1f}{:>9.0f}{:>9.2f}\n", l.name, l.shape,
                 double(l.bytes) / 1e6, l.microseconds, rate, rate / copy);
    }
  }
  if (json) {
    fmt::print(
        "{}\n",
        nlohmann::json{{"device", device}, {"dtype", name_of(dtype)}, {"kernels", list}}.dump(2));
  }
  return 0;
}

}  // namespace
}  // namespace ydistill

int main(int argc, char** argv) {
  using ydistill::DType;
  bool json = false;
  DType dtype = DType::kBFloat16;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else if (std::strcmp(argv[i], "--fp32") == 0) {
      dtype = DType::kFloat32;
    } else {
      fmt::print(stderr, "bench_kernels: unknown argument {}; expected --json or --fp32\n",
                 argv[i]);
      return 2;
    }
  }
  try {
    return ydistill::run(json, dtype);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_kernels: {}\n", error.what());
    return 1;
  }
}
