// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <span>

#include <ydistill/data/letterbox.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/writable_folder.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tools/command.h>
#include <ydistill/tools/detector_args.h>
#include <ydistill/tools/picture_files.h>
#include <ydistill/tools/progress.h>
#include <ydistill/yolo/box_iou_math.h>
#include <ydistill/yolo/calibrator.h>

namespace ydistill::tools {
namespace {

namespace fs = std::filesystem;

struct QuantizeArgs {
  std::string in, out, pictures;
  int64_t count = 128, image_size = 640;
  int threads = 0;
  bool bytes = false;
};

/// `count` of the paths, evenly spaced.
std::vector<fs::path> some_of(const std::vector<fs::path>& paths, int64_t count) {
  const auto all = int64_t(paths.size());
  if (all <= count) return paths;
  std::vector<fs::path> some;
  for (int64_t i = 0; i < count; ++i) some.push_back(paths[size_t(i * all / count)]);
  return some;
}

Tensor network_input(const Image& image, int64_t image_size, int64_t stride) {
  const Letterbox box = detection_letterbox(image.width, image.height, image_size, stride);
  const Tensor input = Tensor::empty({1, box.height, box.width, 3}, DType::kUInt8);
  apply_letterbox(ImageView(image), box, input.data<uint8_t>());
  return input;
}

/// Objects that a network finds in float32 and in int8.
struct Agreement {
  int64_t pictures = 0, in_float = 0, in_both = 0, in_bytes = 0;

  /// An object is found again if an unused box of its class has an IoU of at least 0.5 with it.
  void add(const std::vector<Detection>& wanted, const std::vector<Detection>& found) {
    constexpr double kLeastIou = 0.5;
    ++pictures;
    in_float += int64_t(wanted.size());
    in_bytes += int64_t(found.size());
    std::vector<char> taken(found.size());
    for (const Detection& a : wanted) {
      for (size_t i = 0; i < found.size(); ++i) {
        const Detection& b = found[i];
        const double iou = box_iou<double>(a.x1, a.y1, a.x2, a.y2, b.x1, b.y1, b.x2, b.y2, 1e-9);
        if (taken[i] || a.class_id != b.class_id || iou < kLeastIou) continue;
        taken[i] = 1;
        ++in_both;
        break;
      }
    }
  }
};

/// The checked weights and pictures of a run.
struct Task {
  Checkpoint checkpoint;
  std::vector<fs::path> paths;
};

Task prepare(const QuantizeArgs& args) {
  if (fs::path(args.out).extension() != ".safetensors") {
    throw ConfigError("{}: the file to write must end in .safetensors", printable(args.out));
  }
  std::error_code missing;
  if (fs::equivalent(args.in, args.out, missing)) {
    throw ConfigError("{}: is the input file; name another file to write", printable(args.out));
  }
  check_file_has_place(args.out);
  Task task{load_checkpoint(args.in, PtWeights::kEma), {}};
  const int64_t stride = task.checkpoint.spec.max_stride();
  if (args.image_size < stride || args.image_size % stride != 0) {
    throw ConfigError("quantize: --size: must be a multiple of {}, got {}", stride,
                      args.image_size);
  }
  check_runs_in_int8(task.checkpoint);
  task.paths = some_of(pictures_of(args.pictures).paths, args.count);
  return task;
}

/// Calibrates; returns the pictures that could be read, fewer if a signal came.
std::vector<fs::path> calibrate(Task& task, int64_t image_size) {
  const auto model = build_inference_model(task.checkpoint, {});
  Calibrator calibrator(*model);
  const auto arena = Arena::create();
  const ArenaScope scope(arena);
  std::vector<fs::path> read;
  for (const fs::path& path : task.paths) {
    if (stop_signal_came()) return read;
    try {
      calibrator.add(
          network_input(read_image(path), image_size, task.checkpoint.spec.max_stride()));
      read.push_back(path);
    } catch (const FileError& error) {
      message(error.what());
    }
  }
  if (read.empty()) throw FileError("quantize: none of the pictures could be read");
  task.checkpoint.calibration = calibrator.result();
  return read;
}

/// Compares what the weights find in float32 with what the calibrated ones find in int8.
Agreement compare(const Checkpoint& weights, const Checkpoint& calibrated,
                  std::span<const fs::path> paths, int64_t image_size) {
  DetectorOptions options;
  options.image_size = image_size;
  Detector in_float(weights, options);
  options.compute.precision = Precision::kInt8;
  Detector in_bytes(calibrated, options);
  Agreement agreement;
  for (const fs::path& path : paths) {
    if (stop_signal_came()) break;
    try {
      const Image image = read_image(path);
      agreement.add(in_float.detect(image), in_bytes.detect(image));
    } catch (const FileError& error) {
      message(error.what());
    }
  }
  return agreement;
}

int quantize(const QuantizeArgs& args) {
  constexpr size_t kMostCompared = 32;
  if (args.threads > 0) set_num_threads(args.threads);
  (void)choose_compute("cpu", "auto");  // reports invalid environment variables
  Task task = prepare(args);
  catch_stop_signals(OnSignal::kSay);
  const std::vector<fs::path> read = calibrate(task, args.image_size);
  const auto model = build_model(task.checkpoint);  // drops everything but the weights
  if (args.bytes) model->round_to_bytes(task.checkpoint.calibration);
  const Checkpoint made{model->spec(),
                        task.checkpoint.class_names,
                        export_weights(*model),
                        {},
                        "",
                        task.checkpoint.calibration};
  Agreement agreement;
  if (!stop_signal_came()) {
    const auto some = std::span(read).first(std::min(read.size(), kMostCompared));
    agreement = compare(task.checkpoint, made, some, args.image_size);
  }
  if (stop_signal_came()) {
    message("quantize: stopped, nothing was written");
    return kRunFailed;
  }
  save_checkpoint(args.out, made, args.bytes ? StoredWeights::kBytes : StoredWeights::kFloat32);
  message(fmt::format("{}: {}, calibrated for int8: {} convolutions, {} pictures",
                      printable(args.out), task.checkpoint.spec.name,
                      task.checkpoint.calibration.size(), read.size()));
  constexpr size_t kFew = 16;
  if (read.size() < kFew) {
    message(fmt::format(
        "quantize: {} pictures are few; what goes beyond their ranges is cut off, 100 are better",
        read.size()));
  }
  message(
      fmt::format("in {} of them: {} objects in float32, {} in int8, {} in both; `ydistill val` "
                  "measures the difference",
                  agreement.pictures, agreement.in_float, agreement.in_bytes, agreement.in_both));
  return 0;
}

}  // namespace

Run add_quantize(CLI::App& app) {
  auto args = std::make_shared<QuantizeArgs>();
  CLI::App* cmd =
      app.add_subcommand("quantize", "Calibrate a network on pictures for int8 inference on a CPU");
  cmd->add_option("weights", args->in, ".pt or .safetensors")->required();
  cmd->add_option("out", args->out, "file to write: .safetensors")->required();
  cmd->add_option("--pictures", args->pictures,
                  "pictures like those the network will see: a folder, a file or a pattern")
      ->required();
  cmd->add_option("--count", args->count, "pictures to take of them, evenly spread")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  cmd->add_option("--size", args->image_size, "longer side in the network, pixels")
      ->capture_default_str();
  cmd->add_flag("--bytes", args->bytes,
                "store the weights as int8, a quarter of the size; other precisions then use the "
                "rounded weights too");
  cmd->add_option("--threads", args->threads, "threads that compute; 0: all cores")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  return [args] { return quantize(*args); };
}

}  // namespace ydistill::tools
