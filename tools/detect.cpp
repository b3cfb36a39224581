// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include <ydistill/detect/detector.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/writable_folder.h>
#include <ydistill/tools/command.h>
#include <ydistill/tools/detector_args.h>
#include <ydistill/tools/for_all.h>
#include <ydistill/tools/picture_files.h>
#include <ydistill/tools/progress.h>

namespace ydistill::tools {
namespace {

namespace fs = std::filesystem;

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
  return {{"path", path.string()},
          {"width", image.width},
          {"height", image.height},
          {"detections", json_of(detections, names)}};
}

void write_annotated(const fs::path& path, Image image, const std::vector<Detection>& detections,
                     const std::vector<std::string>& names) {
  draw_detections(image, detections, names);
  write_jpeg(path, image, 92);
}

/// One line per box: class, score, x1, y1, x2, y2 in pixels.
std::string as_text(const std::vector<Detection>& detections) {
  std::string text;
  for (const Detection& d : detections) {
    text += fmt::format("{} {:.5f} {:.2f} {:.2f} {:.2f} {:.2f}\n", d.class_id, d.score, d.x1, d.y1,
                        d.x2, d.y2);
  }
  return text;
}

/// Milliseconds per stage, in the order in which the stages first ran.
class Timing {
 public:
  /// pictures: how many the work was for; 0: none, it is done once per run.
  template <class Work>
  auto measure(const std::string& stage, int64_t pictures, Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    auto result = work();
    add(stage, pictures, milliseconds_since(start));
    return result;
  }
  void add(const DetectTimes& times, int64_t pictures, bool first) {
    add("letterbox", pictures, times.letterbox);
    add(first ? "first_network" : "further_network", pictures, times.network);
    add("nms", pictures, times.nms);
  }
  /// Speed from reading the first picture to writing the last one.
  void all_pictures(int64_t pictures, std::chrono::steady_clock::time_point start) {
    pictures_per_second_ = double(pictures) / milliseconds_since(start) * 1000;
  }
  double pictures_per_second() const { return pictures_per_second_; }
  nlohmann::ordered_json totals() const {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    for (const Stage& stage : stages_) json[stage.name] = stage.ms;
    return json;
  }
  nlohmann::ordered_json per_picture() const {
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    for (const Stage& stage : stages_) {
      if (stage.pictures > 0) json[stage.name] = stage.ms / double(stage.pictures);
    }
    return json;
  }
  std::string text() const {
    std::string lines;
    for (const Stage& stage : stages_) {
      lines += fmt::format("{:<16} {:8.1f} ms", stage.name, stage.ms);
      if (stage.pictures > 0) {
        lines += fmt::format(" {:8.2f} ms per picture", stage.ms / double(stage.pictures));
      }
      lines += "\n";
    }
    return lines + fmt::format("{:<16} {:8.2f} pictures/s", "all pictures", pictures_per_second_);
  }

 private:
  struct Stage {
    std::string name;
    double ms = 0;
    int64_t pictures = 0;
  };
  static double milliseconds_since(std::chrono::steady_clock::time_point start) {
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    return took.count();
  }
  void add(const std::string& name, int64_t pictures, double ms) {
    auto stage = std::find_if(stages_.begin(), stages_.end(),
                              [&](const Stage& known) { return known.name == name; });
    if (stage == stages_.end()) stage = stages_.insert(stages_.end(), {name});
    stage->ms += ms;
    stage->pictures += pictures;
  }

  std::vector<Stage> stages_;
  double pictures_per_second_ = 0;
};

constexpr int64_t kMaxBatch = 1024;

/// What is wrong with --batch; empty if nothing.
std::string check_batch(const std::string& text) {
  int64_t batch = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), batch);
  const bool number = problem == std::errc() && end == text.data() + text.size();
  if (number && batch >= 1 && batch <= kMaxBatch) return "";
  return fmt::format("expected a whole number from 1 to {}, got \"{}\"", kMaxBatch, text);
}

/// Refuses to write into a folder that contains an input picture: the picture itself could be
/// overwritten, and the next run would read annotated pictures as input.
void check_apart(const std::vector<fs::path>& pictures, const fs::path& out) {
  for (const fs::path& picture : pictures) {
    std::error_code ignored;
    const fs::path target = fs::canonical(picture, ignored);
    if (fs::equivalent(fs::absolute(picture).parent_path(), out, ignored) ||
        fs::equivalent(target.parent_path(), out, ignored)) {
      throw ConfigError("detect: --out {}: contains the source picture {}; name another folder",
                        printable(out.string()), printable(picture.string()));
    }
  }
}

/// What was found so far, in the order of the pictures.
struct Found {
  explicit Found(fs::path folder) : out(std::move(folder)) {}
  fs::path out;
  nlohmann::ordered_json images = nlohmann::ordered_json::array();
  std::set<std::string> taken;  ///< names in the output folder
  int64_t unreadable = 0;
};

struct LookedAt {
  std::vector<ReadPicture> pictures;  ///< those that could be read
  std::vector<std::vector<Detection>> boxes;
  std::exception_ptr failure;  ///< why it ended early; null also if a signal did
  size_t done = 0;             ///< number of files, including unreadable ones
};

/// Detects boxes in `batch` files at a time until an error or a signal occurs.
LookedAt look_at(Detector& detector, std::vector<ReadPicture> files, size_t batch, bool is_first,
                 Timing& timing) {
  LookedAt all;
  while (all.done < files.size() && !stop_signal_came()) {
    const size_t end = std::min(all.done + batch, files.size());
    std::vector<ImageView> views;
    std::string only;  // the path of the last, for a message where it is the only one
    for (size_t i = all.done; i < end; ++i) {
      if (!files[i].problem.empty()) continue;
      views.emplace_back(files[i].image);
      only = printable(files[i].path.string());
    }
    try {
      for (auto& found : detector.detect_batch(views)) all.boxes.push_back(std::move(found));
    } catch (const OutOfMemoryError& problem) {
      all.failure = std::make_exception_ptr(
          OutOfMemoryError("{}{}", views.size() == 1 ? only + ": " : "", problem.what()));
      return all;
    } catch (...) {
      all.failure = std::current_exception();
      return all;
    }
    if (!views.empty()) {
      timing.add(detector.last_times(), int64_t(views.size()), is_first && all.pictures.empty());
    }
    for (; all.done < end; ++all.done) {
      ReadPicture& file = files[all.done];
      if (file.problem.empty()) {
        all.pictures.push_back(std::move(file));
      } else {
        message(file.problem);
      }
    }
  }
  return all;
}

/// Reads some files, detects, prints and writes what was found. Returns how many were done: fewer
/// if a signal came. On an error, what was found before it is written first.
size_t detect_and_write(Detector& detector, std::span<const fs::path> paths, size_t batch,
                        Found& found, Timing& timing) {
  std::vector<ReadPicture> files =
      timing.measure("picture", int64_t(paths.size()), [&] { return read_pictures(paths); });
  LookedAt all = look_at(detector, std::move(files), batch, found.images.empty(), timing);
  found.unreadable += int64_t(all.done - all.pictures.size());
  std::vector<std::string> stems;
  for (size_t i = 0; i < all.pictures.size(); ++i) {
    const ReadPicture& picture = all.pictures[i];
    found.images.push_back(
        as_json(picture.path, picture.image, all.boxes[i], detector.class_names()));
    message(fmt::format("{}: {}x{}, {} boxes", printable(picture.path.string()),
                        picture.image.width, picture.image.height, all.boxes[i].size()));
    if (std::max(picture.image.width, picture.image.height) > kMaxJpegSide) {
      message(fmt::format("{}: no annotated picture is written, a JPEG holds {} pixels a side",
                          printable(picture.path.string()), kMaxJpegSide));
    }
    stems.push_back(output_stem(picture.path, found.taken));
  }
  timing.measure("write", int64_t(all.pictures.size()), [&] {
    for_all(all.pictures.size(), [&](size_t i) {
      write_file_atomically(found.out / (stems[i] + ".txt"), as_text(all.boxes[i]));
      Image& image = all.pictures[i].image;
      if (std::max(image.width, image.height) > kMaxJpegSide) return;
      write_annotated(found.out / (stems[i] + ".jpg"), std::move(image), all.boxes[i],
                      detector.class_names());
    });
    return 0;
  });
  if (all.failure) std::rethrow_exception(all.failure);
  return all.done;
}

}  // namespace

Run add_detect(CLI::App& app) {
  struct Args {
    DetectorArgs detector;
    std::string source, out;
    int64_t batch = 1;
    bool json = false, timing = false;
  };
  auto args = std::make_shared<Args>();
  CLI::App* cmd = app.add_subcommand("detect", "Find objects in pictures");
  add_detector_options(*cmd, args->detector);
  cmd->add_option("--source", args->source, "picture, folder, or pattern in quotes")->required();
  cmd->add_option("--out", args->out, "folder for annotated pictures, text and JSON")->required();
  cmd->add_option("--batch", args->batch,
                  "pictures read at a time; those of equal shape in the network run as one batch: "
                  "the same boxes, more pictures per second on a GPU or many cores")
      ->check(check_batch)
      ->capture_default_str();
  cmd->add_flag("--json", args->json, "print one JSON document");
  cmd->add_flag("--timing", args->timing,
                "print timings: milliseconds per stage, in total and per picture, and pictures/s");
  return [args] {
    const PictureFiles source = pictures_of(args->source);
    const std::vector<fs::path>& paths = source.paths;
    check_apart(paths, args->out);
    check_folder_is_writable(args->out);
    use_machine(args->detector);
    Timing timing;
    Detector detector = [&] {
      const Checkpoint checkpoint =
          timing.measure("weights", 0, [&] { return load_weights(args->detector, "detect"); });
      return timing.measure("build", 0,
                            [&] { return Detector(checkpoint, args->detector.options); });
    }();
    std::error_code error;
    fs::create_directories(args->out, error);
    if (error) throw FileError("{}: the folder cannot be made: {}", args->out, error.message());
    if (!source.left_out.empty()) message(source.left_out);
    const auto start = std::chrono::steady_clock::now();
    Found found(args->out);
    catch_stop_signals(OnSignal::kSay);  // otherwise half-written output would remain
    size_t done = 0;
    while (done < paths.size() && !stop_signal_came()) {
      const auto batch = size_t(args->batch);
      try {
        done += detect_and_write(detector, read_together(std::span(paths).subspan(done), batch),
                                 batch, found, timing);
      } catch (const OutOfMemoryError& problem) {
        if (args->batch == 1) throw;
        throw OutOfMemoryError(
            "detect: --batch {} does not fit into memory ({}); use a smaller one", args->batch,
            problem.what());
      }
    }
    timing.all_pictures(int64_t(found.images.size()), start);
    nlohmann::ordered_json document{{"images", found.images}};
    if (args->timing) {
      document["timing_ms"] = timing.totals();
      document["timing_ms_per_picture"] = timing.per_picture();
      document["pictures_per_second"] = timing.pictures_per_second();
      message(timing.text());
    }
    // A path may contain bytes that are not UTF-8, which JSON cannot hold.
    const std::string text =
        document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    write_file_atomically(fs::path(args->out) / "detections.json", text + "\n");
    if (args->json) print_json(text);
    if (found.unreadable > 0)
      message(fmt::format("{} of {} pictures could not be read", found.unreadable, done));
    if (done < paths.size()) {
      message(fmt::format("detect: stopped after {} of {} pictures", done, paths.size()));
      return kRunFailed;
    }
    return found.unreadable == int64_t(paths.size()) ? kRunFailed : 0;
  };
}

}  // namespace ydistill::tools
