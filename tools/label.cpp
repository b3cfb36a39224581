// SPDX-License-Identifier: MIT
// Writes unlabelled pictures with the boxes that a network finds in them: to correct by hand, or to
// measure how closely a student follows its teacher.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>

#include <ydistill/detect/detector.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tools/command.h>
#include <ydistill/tools/dataset_args.h>
#include <ydistill/tools/detector_args.h>
#include <ydistill/tools/picture_files.h>
#include <ydistill/tools/progress.h>

namespace ydistill::tools {
namespace {

namespace fs = std::filesystem;

struct LabelArgs {
  DetectorArgs detector;
  DatasetOutputArgs output;
  std::string source, split = "train";
};

/// The network's classes in the order of the ids that are written: as in --classes, else all.
std::vector<int64_t> written_classes(const std::vector<int64_t>& wanted, size_t known) {
  std::vector<int64_t> classes;
  for (const int64_t id : wanted) {
    if (std::find(classes.begin(), classes.end(), id) == classes.end()) classes.push_back(id);
  }
  if (wanted.empty()) {
    for (size_t id = 0; id < known; ++id) classes.push_back(int64_t(id));
  }
  return classes;
}

/// A data set cannot have two classes with the same name.
void check_names(const std::string& weights, const std::vector<std::string>& names,
                 const std::vector<int64_t>& classes) {
  std::set<std::string> seen;
  for (const int64_t id : classes) {
    const std::string& name = names[size_t(id)];
    if (seen.insert(name).second) continue;
    throw ConfigError(
        "label: {}: two of its classes are called \"{}\"; select one by its number with --classes",
        printable(weights), printable(name, 40));
  }
}

Label label_of(const Detection& box, int64_t class_id, const Image& image) {
  const double width = double(image.width), height = double(image.height);
  Label label;
  label.class_id = class_id;
  label.cx = (double(box.x1) + double(box.x2)) / 2 / width;
  label.cy = (double(box.y1) + double(box.y2)) / 2 / height;
  label.w = (double(box.x2) - double(box.x1)) / width;
  label.h = (double(box.y2) - double(box.y1)) / height;
  return label;
}

/// What the detector finds in the pictures; those that cannot be read are dropped and reported.
/// Contains fewer pictures if a signal came.
Dataset labelled(Detector& detector, const std::vector<fs::path>& paths,
                 const std::vector<int64_t>& classes) {
  Dataset data;
  std::map<int64_t, int64_t> id_of;
  for (const int64_t id : classes) {
    id_of[id] = int64_t(data.names.size());
    data.names.push_back(detector.class_names()[size_t(id)]);
  }
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds kBetweenLines(10);
  Clock::time_point last = Clock::now();
  for (size_t i = 0; i < paths.size() && !stop_signal_came();) {
    if (Clock::now() - last >= kBetweenLines) {
      last = Clock::now();
      message(fmt::format("label: {} of {} pictures", i, paths.size()));
    }
    const auto next = read_together(std::span(paths).subspan(i));
    i += next.size();
    for (const ReadPicture& picture : read_pictures(next)) {
      if (stop_signal_came()) break;
      if (!picture.problem.empty()) {
        message(picture.problem);
        ++data.pictures_dropped;
        continue;
      }
      const Image& image = picture.image;
      Sample sample;
      sample.image = picture.path;
      sample.width = image.width;
      sample.height = image.height;
      for (const Detection& box : detector.detect(image)) {
        const Label label = label_of(box, id_of.at(box.class_id), image);
        if (label.w > 0 && label.h > 0) sample.labels.push_back(label);
      }
      data.samples.push_back(std::move(sample));
    }
  }
  return data;
}

int label(LabelArgs& args) {
  check_dataset_output(args.output, {args.split}, "label");
  const PictureFiles source = pictures_of(args.source);
  use_machine(args.detector);
  const Checkpoint checkpoint = load_weights(args.detector, "label");
  Detector detector(checkpoint, args.detector.options);
  if (!source.left_out.empty()) message(source.left_out);
  const std::vector<std::string>& names = detector.class_names();
  const std::vector<int64_t> classes = written_classes(args.detector.options.classes, names.size());
  check_names(args.detector.weights, names, classes);
  const Dataset data = labelled(detector, source.paths, classes);
  if (stop_signal_came()) throw StoppedError("label");
  if (data.samples.empty()) throw FileError("label: none of the pictures could be read");
  const DatasetSplit split{args.split, &data};
  write_dataset({&split, 1}, args.output.format(), args.output.transfer(), args.output.out,
                stop_signal_came);
  message(fmt::format("{}: {}", args.split, data.summary()));
  if (data.num_labels() == 0) message("label: nothing was found; try a lower --conf");
  message(fmt::format("written: {}; in a config: {}", args.output.out,
                      how_to_name(args.output, {args.split}, data.names)));
  return 0;
}

}  // namespace

Run add_label(CLI::App& app) {
  auto args = std::make_shared<LabelArgs>();
  CLI::App* cmd = app.add_subcommand(
      "label", "Write a data set of pictures with the boxes that a network finds in them");
  add_detector_options(*cmd, args->detector);
  cmd->add_option("--source", args->source, "picture, folder, or pattern in quotes")->required();
  add_dataset_output_options(*cmd, args->output, "yolo");
  cmd->add_option("--split", args->split, "name of the split: train, val, ...")
      ->capture_default_str();
  return [args] {
    catch_stop_signals(OnSignal::kSay);  // otherwise half-written output would remain
    try {
      return label(*args);
    } catch (const StoppedError&) {
      message(fmt::format("label: stopped; {} is not written", args->output.out));
      return kRunFailed;
    }
  };
}

}  // namespace ydistill::tools
