// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include <ydistill/detect/detector.h>
#include <ydistill/detect/draw.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tools/command.h>
#include <ydistill/yolo/checkpoint.h>

namespace ydistill::tools {
namespace {

namespace fs = std::filesystem;

bool looks_like_picture(const fs::path& path) {
  static const std::set<std::string> kExtensions{".jpg", ".jpeg", ".png", ".bmp"};
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return char(std::tolower(c)); });
  return kExtensions.count(extension) != 0;
}

/// A file, the pictures of a folder, or those a pattern matches, sorted.
std::vector<fs::path> pictures_of(const std::string& source) {
  std::vector<fs::path> paths;
  std::error_code ignored;
  if (fs::is_directory(source, ignored)) {
    for (const auto& entry : fs::directory_iterator(source)) {
      if (entry.is_regular_file() && looks_like_picture(entry.path()))
        paths.push_back(entry.path());
    }
  } else if (fs::exists(source, ignored)) {
    paths.emplace_back(source);
  } else {
    glob_t found = {};
    if (glob(source.c_str(), 0, nullptr, &found) == 0) {
      for (size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
    }
    globfree(&found);
  }
  std::sort(paths.begin(), paths.end());
  if (paths.empty()) {
    throw FileError("{}: no such picture, no folder with pictures, and no pattern that matches one",
                    source);
  }
  return paths;
}

/// A name in the output folder that no earlier picture has taken.
std::string output_stem(const fs::path& picture, std::set<std::string>& taken) {
  const std::string stem = picture.stem().string();
  std::string name = stem;
  for (int number = 2; !taken.insert(name).second; ++number)
    name = fmt::format("{}_{}", stem, number);
  return name;
}

nlohmann::ordered_json as_json(const fs::path& path, const Image& image,
                               const std::vector<Detection>& detections,
                               const std::vector<std::string>& names) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Detection& d : detections) {
    list.push_back({{"class", d.class_id},
                    {"name", names[size_t(d.class_id)]},
                    {"score", d.score},
                    {"box_xyxy", {d.x1, d.y1, d.x2, d.y2}}});
  }
  return {{"path", path.string()},
          {"width", image.width},
          {"height", image.height},
          {"detections", list}};
}

void write_annotated(const fs::path& path, Image image, const std::vector<Detection>& detections,
                     const std::vector<std::string>& names) {
  std::vector<DrawnBox> boxes;
  for (const Detection& d : detections) {
    boxes.push_back({d.x1, d.y1, d.x2, d.y2,
                     fmt::format("{} {:.2f}", names[size_t(d.class_id)], d.score), d.class_id});
  }
  std::reverse(boxes.begin(), boxes.end());  // the best on top
  draw_boxes(image, boxes);
  write_jpeg(path, image, 92);
}

/// One line a box: class, score, x1, y1, x2, y2 in pixels.
std::string as_text(const std::vector<Detection>& detections) {
  std::string text;
  for (const Detection& d : detections) {
    text += fmt::format("{} {:.5f} {:.2f} {:.2f} {:.2f} {:.2f}\n", d.class_id, d.score, d.x1, d.y1,
                        d.x2, d.y2);
  }
  return text;
}

/// Milliseconds by stage, in the order in which they first came.
class Timing {
 public:
  template <class Work>
  auto measure(const std::string& stage, Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    auto result = work();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    add(stage, took.count());
    return result;
  }
  void add(const std::string& stage, double ms) {
    if (!stages_.contains(stage)) stages_[stage] = 0.0;
    stages_[stage] = stages_[stage].get<double>() + ms;
  }
  void add(const DetectTimes& times, bool first) {
    add("letterbox", times.letterbox);
    add(first ? "first_network" : "further_network", times.network);
    add("nms", times.nms);
  }
  const nlohmann::ordered_json& stages() const { return stages_; }
  std::string text() const {
    std::string lines;
    for (const auto& [stage, ms] : stages_.items()) {
      lines += fmt::format("{:<16} {:8.1f} ms\n", stage, ms.get<double>());
    }
    if (!lines.empty()) lines.pop_back();
    return lines;
  }

 private:
  nlohmann::ordered_json stages_ = nlohmann::ordered_json::object();
};

}  // namespace

Run add_detect(CLI::App& app) {
  struct Args {
    std::string weights, source, out, device = "auto", precision = "auto";
    DetectorOptions options;
    int threads = 0;
    bool json = false, autotune = false, timing = false;
  };
  auto args = std::make_shared<Args>();
  CLI::App* cmd = app.add_subcommand("detect", "Find objects in pictures");
  cmd->add_option("--weights", args->weights, ".pt or .safetensors")->required();
  cmd->add_option("--source", args->source, "picture, folder, or pattern in quotes")->required();
  cmd->add_option("--out", args->out, "folder for annotated pictures, text and JSON")->required();
  cmd->add_option("--conf", args->options.conf, "least score, 0..1")->capture_default_str();
  cmd->add_option("--iou", args->options.iou, "largest overlap of two boxes, 0..1")
      ->capture_default_str();
  cmd->add_option("--size", args->options.image_size, "longer side in the network, pixels")
      ->capture_default_str();
  cmd->add_option("--threads", args->threads, "threads that compute; 0: all cores")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  cmd->add_option("--device", args->device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  cmd->add_option("--precision", args->precision, "auto, fp32, tf32 or bf16")
      ->capture_default_str();
  cmd->add_flag("--autotune", args->autotune,
                "on a GPU: spend a minute on choosing kernels, for many pictures");
  cmd->add_flag("--json", args->json, "print one JSON document");
  cmd->add_flag("--timing", args->timing, "say where the time went, milliseconds by stage");
  return [args] {
    const std::vector<fs::path> paths = pictures_of(args->source);
    if (args->threads > 0) set_num_threads(args->threads);
    args->options.compute = choose_compute(args->device, args->precision, args->autotune);
    Timing timing;
    Detector detector = [&] {
      const Checkpoint checkpoint = timing.measure(
          "weights", [&] { return load_checkpoint(args->weights, PtWeights::kEma); });
      return timing.measure("build", [&] { return Detector(checkpoint, args->options); });
    }();
    std::error_code error;
    fs::create_directories(args->out, error);
    if (error) throw FileError("{}: the folder cannot be made: {}", args->out, error.message());
    nlohmann::ordered_json images = nlohmann::ordered_json::array();
    std::set<std::string> taken;
    int64_t unreadable = 0;
    for (const fs::path& path : paths) {
      Image image;
      try {
        image = timing.measure("picture", [&] { return read_image(path); });
      } catch (const FileError& problem) {
        message(problem.what());
        ++unreadable;
        continue;
      }
      const std::vector<Detection> detections = detector.detect(image);
      timing.add(detector.last_times(), images.empty());
      images.push_back(as_json(path, image, detections, detector.class_names()));
      message(fmt::format("{}: {}x{}, {} boxes", path.string(), image.width, image.height,
                          detections.size()));
      timing.measure("write", [&] {
        const std::string stem = output_stem(path, taken);
        write_file_atomically(fs::path(args->out) / (stem + ".txt"), as_text(detections));
        write_annotated(fs::path(args->out) / (stem + ".jpg"), std::move(image), detections,
                        detector.class_names());
        return 0;
      });
    }
    nlohmann::ordered_json document{{"images", images}};
    if (args->timing) {
      document["timing_ms"] = timing.stages();
      message(timing.text());
    }
    const std::string text = document.dump(2);
    write_file_atomically(fs::path(args->out) / "detections.json", text + "\n");
    if (args->json) print_json(text);
    if (unreadable > 0)
      message(fmt::format("{} of {} pictures could not be read", unreadable, paths.size()));
    return unreadable == int64_t(paths.size()) ? kRunFailed : 0;
  };
}

}  // namespace ydistill::tools
