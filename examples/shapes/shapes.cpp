// SPDX-License-Identifier: MIT
// shapes OUT_DIR [--pictures N] [--val N] [--size PIXELS] [--classes N] [--seed S]
//
// Draws a detection data set: OUT_DIR/images/{train,val}/000000.jpg and YOLO text labels in
// OUT_DIR/labels/{train,val}. Same arguments, same pictures.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include <ydistill/data/image.h>
#include <ydistill/examples/shapes/scene.h>
#include <ydistill/tensor/error.h>

namespace {

namespace fs = std::filesystem;
using namespace ydistill;

struct Options {
  fs::path out;
  int64_t pictures = 1000, val = 200, size = 192, classes = 4;
  uint64_t seed = 0;
};

void write_labels(const fs::path& path, const shapes::Scene& scene) {
  std::string text;
  for (const shapes::LabelledBox& box : scene.boxes) {
    text +=
        fmt::format("{} {:.6f} {:.6f} {:.6f} {:.6f}\n", box.class_id, box.cx, box.cy, box.w, box.h);
  }
  std::ofstream out(path, std::ios::binary);
  if (!(out << text).flush()) throw FileError("{}: cannot be written", path.string());
}

int64_t write_split(const Options& options, shapes::Split split, const std::string& name,
                    int64_t count) {
  const fs::path images = options.out / "images" / name, labels = options.out / "labels" / name;
  fs::create_directories(images);
  fs::create_directories(labels);
  int64_t boxes = 0;
  for (int64_t i = 0; i < count; ++i) {
    const shapes::Scene scene =
        shapes::draw_scene(options.seed, split, uint64_t(i), options.size, options.classes);
    const std::string stem = fmt::format("{:06}", i);
    write_jpeg(images / (stem + ".jpg"), scene.image);
    write_labels(labels / (stem + ".txt"), scene);
    boxes += int64_t(scene.boxes.size());
  }
  return boxes;
}

void run(const Options& options) {
  for (const char* folder : {"images", "labels"}) {
    // Writing a smaller set over a larger one would leave old pictures among the new ones.
    if (fs::exists(options.out / folder)) {
      throw FileError("{}: is there already; give a new folder, or remove this one",
                      (options.out / folder).string());
    }
  }
  const int64_t train = write_split(options, shapes::Split::kTrain, "train", options.pictures);
  const int64_t val = write_split(options, shapes::Split::kVal, "val", options.val);
  fmt::print(
      "{}: {} training pictures with {} shapes, {} validation pictures with {}; classes {}\n",
      options.out.string(), options.pictures, train, options.val, val,
      fmt::join(std::span(shapes::kClassNames).first(size_t(options.classes)), ", "));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Draws a detection set of shapes on noisy grounds, with YOLO text labels."};
  Options options;
  app.add_option("out", options.out, "Folder to make")->required()->type_name("OUT_DIR");
  app.add_option("--pictures", options.pictures, "Training pictures")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--val", options.val, "Validation pictures")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--size", options.size, "Side in pixels")
      ->check(CLI::Range(32, 4096))
      ->capture_default_str();
  app.add_option("--classes", options.classes, "How many kinds of shapes")
      ->capture_default_str()
      ->check(CLI::Range(1, 8));
  app.add_option("--seed", options.seed, "Same seed, same pictures")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "shapes: {}\n", error.what());
    return 1;
  }
  return 0;
}
