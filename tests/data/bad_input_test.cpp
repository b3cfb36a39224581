// SPDX-License-Identifier: MIT
// Faults that people report in data sets, where they are not a single format's or picture's: those
// stand in dataset_*_test.cpp and image_bad_test.cpp.
#include <algorithm>

#include <ydistill/data/loader.h>
#include <ydistill/tensor/error.h>

#include "data/picture_bytes.h"
#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

namespace fs = std::filesystem;

Dataset load(const fs::path& folder, std::vector<std::string> names = {"x"}) {
  return load_dataset({DataSource::Kind::kYolo, folder, "", ""}, std::move(names));
}

/// All pictures of an epoch, by their index.
std::vector<int64_t> train_on(const std::shared_ptr<const Dataset>& data) {
  TrainLoaderOptions options;
  options.image_size = 32;
  options.batch = 2;
  options.order = Order::kFile;
  TrainLoader loader(data, options);
  std::vector<int64_t> indices;
  Batch batch;
  loader.start_epoch(0);
  while (loader.next(batch)) {
    indices.insert(indices.end(), batch.indices.begin(), batch.indices.end());
  }
  return indices;
}

}  // namespace

TEST_CASE("bad input: a picture under another format's name is read as what it is and listed") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{40, 30}});
  fs::rename(dir / "images/0.png", dir / "images/0.jpg");
  write_jpeg(dir / "images/1.bmp", slope(20, 20));
  const auto data = std::make_shared<Dataset>(load(dir / "images"));
  REQUIRE(data->samples.size() == 2);
  CHECK(data->samples[0].labels.size() == 1);
  const std::string all = all_findings(data->findings);
  INFO(all);
  CHECK(all.find("0.jpg: is a PNG, despite its name (kept, read by its content)") !=
        std::string::npos);
  CHECK(all.find("1.bmp: is a JPEG, despite its name") != std::string::npos);
  CHECK(train_on(data) == std::vector<int64_t>{0, 1});
}

TEST_CASE("bad input: pictures of one pixel are dropped and listed") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{40, 30}, {1, 1}});
  const Dataset data = load(dir / "images", {"x", "y"});
  CHECK(data.samples.size() == 1);
  REQUIRE(data.findings.size() == 1);
  CHECK(data.findings[0].str().find("1.png: 1x1 pixels, expected at least 10 per side (picture "
                                    "dropped)") != std::string::npos);
}

TEST_CASE("bad input: a set of pictures that all are too small is refused") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{1, 1}, {9, 100}});
  CHECK_THROWS_WITH_TEXT(load(dir / "images"), FileError, "no usable picture: 2 dropped");
}

TEST_CASE("bad input: grey and CMYK pictures are trained on like all others") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{40, 30}});
  write_file(dir / "images/cmyk.jpg", from_hex(kCmykJpeg));
  write_file(dir / "images/grey.jpg", from_hex(kGreyJpeg));
  write_file(dir / "images/progressive.jpg", from_hex(kProgressiveJpeg));
  const auto data = std::make_shared<Dataset>(load(dir / "images"));
  CHECK(all_findings(data->findings) == "");
  CHECK(train_on(data) == std::vector<int64_t>{0, 1, 2, 3});
}

TEST_CASE("bad input: a class list shorter than the ids costs the labels beyond it") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{40, 30}, {40, 30}, {40, 30}});  // classes 0, 1, 2
  const Dataset data = load(dir / "images", {"only", "two"});
  CHECK(data.num_labels() == 2);
  CHECK(data.labels_dropped == 1);
  REQUIRE(data.findings.size() == 1);
  CHECK(data.findings[0].str().find("2.txt:1: class 2 is out of range, expected 0 to 1 (label "
                                    "dropped)") != std::string::npos);
}

TEST_CASE("bad input: the same picture twice in a list counts twice") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{40, 30}});
  write_file(dir / "list.txt", "images/0.png\nimages/0.png\n");
  CHECK(load(dir / "list.txt").samples.size() == 2);
}

TEST_CASE("bad input: a picture deleted in the middle of a run is replaced and listed") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{40, 30}, {30, 40}, {20, 20}, {25, 25}});
  const auto data = std::make_shared<Dataset>(load(dir / "images", {"a", "b", "c", "d"}));
  TrainLoaderOptions options;
  options.image_size = 32;
  options.batch = 2;
  options.order = Order::kFile;
  options.augment.mosaic = 0;
  options.workers = 0;
  TrainLoader loader(data, options);
  Batch batch;
  loader.start_epoch(0);
  REQUIRE(loader.next(batch));
  fs::remove(dir / "images/2.png");
  REQUIRE(loader.next(batch));
  CHECK(batch.indices == std::vector<int64_t>{3, 3});
  REQUIRE(loader.findings().size() == 1);
  CHECK(loader.findings()[0].str().find("2.png: no such picture (picture left out)") !=
        std::string::npos);
  CHECK_FALSE(loader.next(batch));
}

TEST_CASE("bad input: an unreadable label file drops its picture, an unreadable folder the rest") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{40, 30}, {30, 40}});
  fs::remove(dir / "labels/1.txt");
  fs::create_directory(dir / "labels/1.txt");
  const Dataset data = load(dir / "images");
  CHECK(data.samples.size() == 1);
  CHECK(all_findings(data.findings).find("1.txt: the labels cannot be read (picture dropped)") !=
        std::string::npos);
}

}  // namespace ydistill::test
