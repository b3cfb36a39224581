// SPDX-License-Identifier: MIT
// Times the main tasks of a network: a training step, a distillation step, or inference, on the CPU
// or a GPU. On the CPU a training step is compared with the bare convolutions it consists of,
// alternately, in one run.
//
// The step is a complete training step: picture conversion, forward with batch norm, losses,
// backward, clipping, optimizer and average; on a GPU also copying the batch from host memory. The
// chain is only the convolutions of the graph in network order: forward, then in reverse the
// gradients of weights and input (not of the first input), with weights packed once.
//
// --on-request warms up and then measures when asked (on_request.h); bench/peers/bench_cpu.py uses
// it to let several programs take turns.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/short_waits.h>
#ifdef YD_HAVE_CUDA
#include <ydistill/tensor/cuda/memory.h>
#endif
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/train/step_runner.h>
#include <ydistill/yolo/calibrator.h>
#include <ydistill/yolo/checkpoint.h>
#include <ydistill/yolo/decode.h>
#include <ydistill/yolo/inference.h>

#include "on_request.h"

namespace ydistill {
namespace {

struct Args {
  std::string graph = "yolov5s-v5", teacher, teacher_precision = "same", mode = "train",
              device = "cpu", precision = "auto";
  int64_t size = 320, batch = 8, classes = 20;
  std::string weights, pictures, dump;
  int steps = 10, warmup = 3;
  double feature_gain = 0;
  bool json = false, autotune = false, on_request = false, recompute = false;
};

double seconds_of(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// The pictures of --pictures, or grey ones.
Tensor make_images(const Args& args) {
  const Tensor images = Tensor::full({args.batch, args.size, args.size, 3}, 114, DType::kUInt8);
  if (args.pictures.empty()) return images;
  std::ifstream in(args.pictures, std::ios::binary);
  in.read(reinterpret_cast<char*>(images.data<uint8_t>()), std::streamsize(images.nbytes()));
  if (!in || in.peek() != std::ifstream::traits_type::eof()) {
    throw FileError("{}: expected the {} bytes of {} RGB pictures of {}x{}", args.pictures,
                    images.nbytes(), args.batch, args.size, args.size);
  }
  return images;
}

/// A batch with four boxes per picture.
Batch make_batch(const Args& args) {
  Batch batch;
  batch.images = make_images(args);
  std::vector<float> rows;
  for (int64_t i = 0; i < args.batch; ++i) {
    for (int k = 0; k < 4; ++k) {
      for (const float v :
           {float(i), float(k), 0.2f + 0.15f * float(k), 0.5f, 0.1f * float(k + 1), 0.2f}) {
        rows.push_back(v);
      }
    }
  }
  batch.targets = Tensor::of<float>({int64_t(rows.size()) / 6, 6}, rows);
  batch.labelled.assign(size_t(args.batch), 1);
  return batch;
}

struct Link {
  Conv2dGeometry g;
  Tensor x, weight, grad_y, grad_weight;
  PackedWeights packed;
};

std::vector<Link> make_chain(const Model& model, const Args& args, DType activations) {
  std::vector<Link> chain;
  Rng rng(1);
  for (const Conv2dGeometry& g : model.convolutions(args.batch, args.size, args.size)) {
    chain.push_back({g,
                     rng.uniform(g.input_shape(), -1, 1).to(activations),
                     rng.uniform(g.weight_shape(), -0.1, 0.1),
                     rng.uniform(g.output_shape(), -1, 1).to(activations),
                     Tensor::zeros(g.weight_shape()),
                     {}});
  }
  return chain;
}

void run_forward(std::vector<Link>& chain) {
  for (Link& l : chain) conv2d_forward(l.x, l.weight, {}, l.g.options, &l.packed, 1);
}

void run_chain(std::vector<Link>& chain) {
  run_forward(chain);
  for (size_t i = chain.size(); i-- > 0;) {
    Link& l = chain[i];
    conv2d_backward_weight(l.grad_y, l.x, l.g.options, l.grad_weight, {});
    if (i > 0) {
      conv2d_backward_input(l.grad_y, l.weight, l.g.input_shape(), l.x.dtype(), l.g.options,
                            &l.packed, 1);
    }
  }
}

/// What one call computes: twice the multiply-adds of the convolutions.
double gflops_of(const Args& args, const Model& student, const Model* teacher) {
  const double forward = student.gflops(args.size, args.size);
  const double pictures = double(args.batch);
  if (args.mode == "infer") return pictures * forward;
  return pictures *
         (3 * forward + (teacher != nullptr ? teacher->gflops(args.size, args.size) : 0));
}

/// In int8 the network is calibrated on the batch with which it is timed.
Compute compute_of(const Args& args) {
  if (args.precision != "int8") return choose_compute(args.device, args.precision, args.autotune);
  if (args.mode != "infer") throw ConfigError("precision: \"int8\" goes with --mode infer");
  return choose_inference_compute(args.device, args.precision, /*calibrated=*/true);
}

/// What is timed. wait() returns when all started work is done; on the CPU it is done at once.
struct Work {
  std::function<void()> run, wait;
  std::function<int64_t()> memory_bytes;
};

class Bench {
 public:
  explicit Bench(const Args& args)
      : args_(args), compute_(compute_of(args)), batch_(make_batch(args)) {
    use_compute(compute_);
    if (args.weights.empty()) {
      TrainedParts parts;
      if (args.feature_gain > 0) {
        parts.feature_channels = graph_by_name(args.teacher, args.classes).detect().in_channels;
      }
      student_ = std::make_unique<Model>(graph_by_name(args.graph, args.classes), compute_, parts);
      student_->initialise(0);
    } else {
      student_ = build_model(load_checkpoint(args.weights, PtWeights::kEma), compute_);
      args_.classes = student_->spec().num_classes;
    }
    arena_ = Arena::create(0, compute_.device);
    if (!args.teacher.empty()) {
      Model teacher(graph_by_name(args.teacher, args.classes));
      teacher.initialise(1);
      Checkpoint checkpoint;
      checkpoint.spec = teacher.spec();
      checkpoint.tensors = export_weights(teacher);
      Compute compute = compute_;
      if (args.teacher_precision == "int8") {
        checkpoint.calibration = calibration_of(*build_inference_model(checkpoint, {}));
        compute = choose_inference_compute(args.device, "int8", /*calibrated=*/true);
      }
      teacher_ = std::make_unique<Teacher>(checkpoint, compute);
    }
  }

  int run() {
    const Work work = args_.mode == "infer"   ? inference()
                      : args_.mode == "convs" ? convolutions()
                                              : training();
    for (int i = 0; i < args_.warmup; ++i) work.run();
    work.wait();
    if (!args_.dump.empty()) {
      const std::span<float> boxes = last_.to(Device::cpu()).span<float>();
      write_file_atomically(
          args_.dump, {reinterpret_cast<const char*>(boxes.data()), boxes.size() * sizeof(float)});
    }
    if (args_.on_request) {
      answer_requests(
          [&] {
            work.run();
            work.wait();
          },
          {{"device", describe(compute_)},
           {"library", conv_backend_name(compute_.device)},
           {"threads", num_threads()},
           {"gflops_per_step", gflops()}});
      return 0;
    }
    std::optional<std::vector<Link>> chain;
    if (args_.mode == "train" && compute_.device.is_cpu())
      chain = make_chain(*student_, args_, compute_.activations());
    const auto chain_arena = Arena::create();
    if (chain) with_arena(chain_arena, [&] { run_chain(*chain); });

    std::vector<double> steps, bares, ratios;
    for (int i = 0; i < args_.steps; ++i) {
      steps.push_back(seconds_of([&] {
        work.run();
        work.wait();
      }));
      if (!chain) continue;
      bares.push_back(seconds_of([&] { with_arena(chain_arena, [&] { run_chain(*chain); }); }));
      ratios.push_back(steps.back() / bares.back());
    }
    // Without waiting between steps, as in training.
    const double all = seconds_of([&] {
      for (int i = 0; i < args_.steps; ++i) work.run();
      work.wait();
    });
    report(work, median(steps), double(args_.batch) * double(args_.steps) / all, bares, ratios);
    return 0;
  }

 private:
  static void with_arena(const std::shared_ptr<Arena>& arena, const std::function<void()>& f) {
    const ArenaScope scope(arena);
    f();
  }

  Work training() {
    if (args_.recompute) student_->set_tape_keeps(TapeKeeps::kLeast);
    losses_.student_anchors = losses_.teacher_anchors = student_->spec().anchors;
    losses_.detection.emplace();
    const int64_t heads = student_->spec().anchors.num_heads();
    losses_.detection->gains = scaled_gains({}, args_.classes, heads, args_.size);
    if (teacher_) {
      losses_.distill.emplace();
      losses_.distill->gains = scaled_distill_gains(1, {}, args_.classes, heads, args_.size);
      losses_.feature_gain = args_.feature_gain;
    }
    sgd_ = std::make_unique<Optimizer>(student_->parameters(), EmaOptions{});
    runner_ = make_step_runner(*student_, teacher_.get(), *sgd_, losses_, arena_);
    OptimizerRates rates;
    rates.lr.fill(1e-4);
    rates.clip_norm = 10;
    return {[this, rates] {
              runner_->accumulate(batch_);
              runner_->step(rates);
            },
            [this] { runner_->take(); }, [this] { return runner_->memory_bytes(); }};
  }

  /// Calibrates a network that is prepared for inference on the batch with which it is timed.
  NetworkCalibration calibration_of(Model& model) const {
    const ArenaScope scope(Arena::create());
    Calibrator calibrator(model);
    calibrator.add(batch_.images);
    return calibrator.result();
  }

  Work inference() {
    student_->prepare_inference(FoldedWeights::kInPlace);
    const Tensor images = batch_.images.to(compute_.device);
    if (compute_.precision == Precision::kInt8) {
      student_->prepare_int8(calibration_of(*student_));
    }
    inference_ = std::make_unique<Inference>(*student_);
    return {[this, images] {
              const ArenaScope scope(arena_);
              last_ = decode_heads(inference_->logits(images), student_->spec().anchors);
            },
            [this] { last_.at(0); },
            [this] { return arena_->peak_bytes() + inference_->memory_bytes(); }};
  }

  /// The bare convolutions of a step, including the teacher's forward ones.
  Work convolutions() {
    student_chain_ = make_chain(*student_, args_, compute_.activations());
    if (teacher_) teacher_chain_ = make_chain(teacher_->model(), args_, compute_.activations());
    return {[this] {
              const ArenaScope scope(arena_);
              run_forward(teacher_chain_);
              run_chain(student_chain_);
            },
            [] {}, [this] { return arena_->peak_bytes(); }};
  }

  double gflops() const {
    return gflops_of(args_, *student_, teacher_ ? &teacher_->model() : nullptr);
  }

  void report(const Work& work, double step_seconds, double images_per_second,
              const std::vector<double>& bares, const std::vector<double>& ratios) const {
    const double gflops = this->gflops();
    rusage usage = {};
    getrusage(RUSAGE_SELF, &usage);
    const double resident_mib = double(usage.ru_maxrss) / 1024.0;
    int64_t memory_bytes = work.memory_bytes();
#ifdef YD_HAVE_CUDA
    if (compute_.device.is_cuda()) memory_bytes = cuda::peak_allocated_bytes();
#endif
    const double memory_mib = double(memory_bytes) / 1048576.0;
    if (args_.json) {
      nlohmann::ordered_json j{
          {"device", describe(compute_)},
          {"library", conv_backend_name(compute_.device)},
          {"settings",
           {{"graph", args_.graph},
            {"teacher", args_.teacher},
            {"teacher_precision", args_.teacher_precision},
            {"mode", args_.mode},
            {"feature_gain", args_.feature_gain},
            {"size", args_.size},
            {"batch", args_.batch},
            {"precision", name_of(compute_.precision)},
            {"autotune", compute_.autotune},
            {"threads", num_threads()},
            {"steps", args_.steps}}},
          {"images_per_second", images_per_second},
          {"step_ms_median", 1e3 * step_seconds},
          {"gflops_per_step", gflops},
          {"tflops", gflops * images_per_second / double(args_.batch) / 1e3},
          {"share_of_arithmetic_peak", nullptr},
          {compute_.device.is_cuda() ? "peak_device_mib" : "step_mib", memory_mib},
          {"peak_resident_mib", resident_mib}};
      if (!ratios.empty()) {
        j["bare_convolutions_ms_median"] = 1e3 * median(bares);
        j["ratio_to_bare_convolutions"] = median(ratios);
      }
      fmt::print("{}\n", j.dump(2));
      return;
    }
    fmt::print("{}{} at {}x{}, batch {}, {}, {} threads, {}\n", args_.graph,
               args_.teacher.empty() ? "" : " from " + args_.teacher, args_.size, args_.size,
               args_.batch, describe(compute_), num_threads(), conv_backend_name(compute_.device));
    fmt::print("{:<18} {:8.1f} ms (median of {}), {:.1f} pictures/s without waiting in between\n",
               args_.mode == "infer"   ? "inference"
               : args_.mode == "convs" ? "bare convolutions"
                                       : "training step",
               1e3 * step_seconds, args_.steps, images_per_second);
    if (!ratios.empty()) {
      fmt::print("bare convolutions  {:8.1f} ms, {:.0f} GFLOP/s\n", 1e3 * median(bares),
                 gflops / median(bares));
      fmt::print("ratio              {:8.3f} (median of the pairs)\n", median(ratios));
    }
    fmt::print("{}      {:8.1f} MiB{}\n",
               compute_.device.is_cuda() ? "device memory" : "step's memory", memory_mib,
               compute_.device.is_cuda() ? ", parameters and optimizer included"
                                         : " of activations and work space");
    fmt::print("peak resident      {:8.1f} MiB{}\n", resident_mib,
               ratios.empty() ? "" : ", the chain's own tensors included");
  }

  Args args_;
  Compute compute_;
  Batch batch_;
  std::unique_ptr<Model> student_;
  std::unique_ptr<Teacher> teacher_;
  StepLosses losses_;
  std::unique_ptr<Optimizer> sgd_;
  std::shared_ptr<Arena> arena_;
  std::unique_ptr<StepRunner> runner_;
  std::unique_ptr<Inference> inference_;
  std::vector<Link> student_chain_, teacher_chain_;
  Tensor last_;
};

}  // namespace
}  // namespace ydistill

int main(int argc, char** argv) {
  ydistill::restart_with_short_waits(argv);
  ydistill::Args args;
  CLI::App app{"Times a training step, a distillation step or inference.", "bench_step"};
  app.add_option("graph,--graph", args.graph, "yolov5s, yolov5s-v5, ...")->capture_default_str();
  app.add_option("size,--size", args.size, "side of the pictures, pixels")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("batch,--batch", args.batch, "pictures a step")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("steps,--steps", args.steps, "steps to time")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--warmup", args.warmup, "steps before that")->capture_default_str();
  app.add_option("--mode", args.mode, "train, distill, infer, or convs: a step's bare convolutions")
      ->capture_default_str()
      ->check(CLI::IsMember({"train", "distill", "infer", "convs"}));
  app.add_option("--teacher", args.teacher, "the teacher's graph, for distill; convs can have one");
  app.add_option("--teacher-precision", args.teacher_precision,
                 "as teacher.precision: same or int8")
      ->check(CLI::IsMember({"same", "int8"}))
      ->capture_default_str();
  app.add_option("--feature-gain", args.feature_gain, "as distill.feature")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--weights", args.weights, ".pt or .safetensors instead of --graph, --classes");
  app.add_option("--pictures", args.pictures, "raw RGB bytes of a batch instead of grey ones");
  app.add_option("--dump", args.dump, "infer: write the decoded boxes there, raw float32");
  app.add_option("--classes", args.classes, "classes of the heads")->capture_default_str();
  app.add_option("--device", args.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--precision", args.precision, "auto, fp32, tf32, bf16 or int8")
      ->capture_default_str();
  app.add_flag("--autotune", args.autotune, "time plans on first use, compile fused ones");
  app.add_flag("--recompute", args.recompute, "as train.recompute");
  app.add_flag("--json", args.json, "print one JSON document");
  app.add_flag("--on-request", args.on_request,
               "then measure as many steps as each line of standard input says");
  CLI11_PARSE(app, argc, argv);
  try {
    if (args.teacher.empty() && args.teacher_precision != "same") {
      throw ydistill::ConfigError("--teacher-precision goes with --teacher");
    }
    if ((args.mode == "distill") == args.teacher.empty() && args.mode != "convs") {
      throw ydistill::ConfigError(
          "--teacher goes with --mode distill or convs, and only with those");
    }
    if (args.feature_gain > 0 && (args.mode != "distill" || !args.weights.empty())) {
      throw ydistill::ConfigError("--feature-gain goes with --mode distill and --graph");
    }
    if (!args.dump.empty() && (args.mode != "infer" || args.warmup < 1)) {
      throw ydistill::ConfigError("--dump goes with --mode infer and --warmup of at least 1");
    }
    if (args.mode == "convs" && args.device != "cpu") {
      throw ydistill::ConfigError("--mode convs runs on the CPU only");
    }
    return ydistill::Bench(args).run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_step: {}\n", error.what());
    return 1;
  }
}
