// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>

#include <ydistill/data/outline.h>
#include <ydistill/data/write_dataset.h>
#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"
#include "support/small_disk.h"

namespace ydistill::test {
namespace {

namespace fs = std::filesystem;
using Kind = DataSource::Kind;

Dataset load_yaml(const fs::path& folder, const std::string& split) {
  return load_dataset({Kind::kYaml, folder / "data.yaml", split, ""});
}

Dataset load_coco(const fs::path& folder, const std::string& split) {
  return load_dataset({Kind::kCoco, folder / ("annotations/instances_" + split + ".json"), "",
                       folder / "images" / split});
}

void write(const Dataset& data, DatasetFormat format, const fs::path& out,
           const std::string& split = "train",
           PictureTransfer transfer = PictureTransfer::kSymbolicLink) {
  const DatasetSplit splits[] = {{split, &data}};
  write_dataset(splits, format, transfer, out);
}

/// Same pictures, classes and boxes, corners within half a pixel.
void check_alike(const Dataset& a, const Dataset& b) {
  CHECK(a.names == b.names);
  CHECK(all_findings(b.findings) == "");
  REQUIRE(a.samples.size() == b.samples.size());
  for (size_t i = 0; i < a.samples.size(); ++i) {
    const Sample &p = a.samples[i], &q = b.samples[i];
    CHECK(p.image.filename() == q.image.filename());
    REQUIRE(p.labels.size() == q.labels.size());
    for (size_t k = 0; k < p.labels.size(); ++k) {
      const Label &l = p.labels[k], &m = q.labels[k];
      CHECK(l.class_id == m.class_id);
      const double w = double(p.width), h = double(p.height);
      CHECK(std::abs((l.cx - l.w / 2) - (m.cx - m.w / 2)) * w <= 0.5);
      CHECK(std::abs((l.cx + l.w / 2) - (m.cx + m.w / 2)) * w <= 0.5);
      CHECK(std::abs((l.cy - l.h / 2) - (m.cy - m.h / 2)) * h <= 0.5);
      CHECK(std::abs((l.cy + l.h / 2) - (m.cy + m.h / 2)) * h <= 0.5);
    }
  }
}

/// Three pictures with boxes at odd places; the last is background.
Dataset boxes(const TempDir& dir) {
  write_yolo_set(dir.path(), {{101, 67}, {33, 250}, {40, 40}});
  write_file(dir / "labels/0.txt", "0 0.333333 0.271828 0.141421 0.3\n2 0.5 0.5 1 1\n");
  write_file(dir / "labels/1.txt", "1 0.011 0.9 0.013 0.17\n");
  write_file(dir / "labels/2.txt", "");
  return load_dataset({Kind::kYolo, dir / "images", "", ""}, {"b: &x", "a\"<&>", "ö"});
}

}  // namespace

TEST_CASE("convert: yolo to coco to voc to yolo comes back within half a pixel") {
  const TempDir dir, out;
  const Dataset start = boxes(dir);
  write(start, DatasetFormat::kCoco, out / "coco");
  const Dataset coco = load_coco(out.path() / "coco", "train");
  check_alike(start, coco);
  write(coco, DatasetFormat::kVoc, out / "voc");
  const Dataset voc = load_dataset({Kind::kVoc, out / "voc", "train", ""}, start.names);
  check_alike(start, voc);
  write(voc, DatasetFormat::kYolo, out / "yolo");
  check_alike(start, load_yaml(out / "yolo", "train"));
}

TEST_CASE("convert: outlines survive yolo and coco") {
  const TempDir dir, out;
  write_yolo_set(dir.path(), {{100, 80}});
  write_file(dir / "labels/0.txt", "0 0.1 0.1 0.5 0.1 0.5 0.6\n0 0.7 0.7 0.2 0.3\n");
  const Dataset start = load_dataset({Kind::kYolo, dir / "images", "", ""}, {"x"});
  write(start, DatasetFormat::kCoco, out / "coco");
  const Dataset coco = load_coco(out.path() / "coco", "train");
  write(coco, DatasetFormat::kYolo, out / "yolo");
  const Dataset yolo = load_yaml(out / "yolo", "train");
  check_alike(start, yolo);
  for (const Dataset* data : {&coco, &yolo}) {
    const Polygon& polygon = data->samples.at(0).labels.at(0).polygon;
    REQUIRE(polygon.size() == 3);
    CHECK(polygon[2][0] == Approx(0.5));
    CHECK(polygon[2][1] == Approx(0.6));
  }
  CHECK(coco.samples[0].labels[1].polygon.empty());
  // YOLOv5 takes a file with any segment for segments throughout: the box goes as its corners.
  const std::string text = read_file(out / "yolo/labels/train/0.txt");
  CHECK(text.find("\n0 0.6 0.55 0.8 0.55 0.8 0.85 0.6 0.85\n") != std::string::npos);
  const std::string json = read_file(out / "coco/annotations/instances_train.json");
  // Half of 40 x 40 pixels, by the shoelace formula.
  CHECK(json.find("\"area\":800.0") != std::string::npos);
}

TEST_CASE("convert: splits share names and pictures of one name do not collide") {
  const TempDir dir, out;
  write_yolo_set(dir / "a", {{20, 20}, {30, 20}});
  write_yolo_set(dir / "b", {{25, 20}});
  write_jpeg(dir / "a/images/0.jpg", slope(50, 50));
  write_file(dir / "a/images/with blank 1.png", read_file(dir / "a/images/1.png"));
  const DataSource sources[] = {{Kind::kYolo, dir / "a/images", "", ""},
                                {Kind::kYolo, dir / "b/images", "", ""}};
  const std::vector<Dataset> data = load_splits(sources);
  CHECK(data[0].names == std::vector<std::string>{"class0", "class1"});
  CHECK(data[1].names == data[0].names);
  const DatasetSplit splits[] = {{"train", &data[0]}, {"val", &data[1]}};
  write_dataset(splits, DatasetFormat::kVoc, PictureTransfer::kCopy, out / "voc");
  const Dataset train = load_dataset({Kind::kVoc, out / "voc", "train", ""}, data[0].names);
  const Dataset val = load_dataset({Kind::kVoc, out / "voc", "val", ""}, data[0].names);
  REQUIRE(train.samples.size() == 4);
  CHECK(train.samples[0].image.filename() == "0.jpg");
  CHECK(train.samples[1].image.filename() == "0_2.png");
  CHECK(train.samples[3].image.filename() == "with_blank_1.png");
  REQUIRE(val.samples.size() == 1);
  CHECK(val.samples[0].image.filename() == "0_3.png");
  CHECK(val.samples[0].width == 25);
}

TEST_CASE("convert: pictures are copied or linked as asked") {
  const TempDir dir, out;
  const Dataset data = boxes(dir);
  write(data, DatasetFormat::kYolo, out / "copy", "train", PictureTransfer::kCopy);
  write(data, DatasetFormat::kYolo, out / "hard", "train", PictureTransfer::kHardLink);
  write(data, DatasetFormat::kYolo, out / "soft", "train", PictureTransfer::kSymbolicLink);
  CHECK(fs::hard_link_count(out / "hard/images/train/0.png") == 2);
  CHECK(fs::read_symlink(out / "soft/images/train/0.png") == dir / "images/0.png");
  CHECK(fs::is_regular_file(fs::symlink_status(out / "copy/images/train/0.png")));
  CHECK(read_file(out / "copy/images/train/0.png") == read_file(dir / "images/0.png"));
}

TEST_CASE("convert: a split called by a number stays a name in data.yaml") {
  const TempDir dir, out;
  write(boxes(dir), DatasetFormat::kYolo, out / "folds", "1");
  CHECK(read_file(out / "folds/data.yaml").find("\"1\": images/1\n") == 0);
}

TEST_CASE("convert: what cannot be written leaves nothing behind") {
  const TempDir dir, out;
  const Dataset data = boxes(dir);
  write_file(out / "there/file", "precious");
  CHECK_THROWS_WITH_TEXT(write(data, DatasetFormat::kYolo, out / "there"), FileError,
                         "there: already exists; name a new folder");
  CHECK(read_file(out / "there/file") == "precious");
  fs::remove(dir / "images/1.png");
  CHECK_THROWS_WITH_TEXT(
      write(data, DatasetFormat::kYolo, out / "new", "train", PictureTransfer::kCopy), FileError,
      "1.png: cannot be copied to ");
  CHECK_THROWS_WITH_TEXT(write(data, DatasetFormat::kYolo, out / "new", "../x"), ValueError,
                         "split \"../x\"");
  CHECK_THROWS_WITH_TEXT(write(data, DatasetFormat::kYolo, out / "new", "names"), ValueError,
                         "split \"names\": data.yaml has a key of that name");
  for (const char* word : {"null", "None", "TRUE", "no"}) {
    CHECK_THROWS_WITH_TEXT(write(data, DatasetFormat::kCoco, out / "new", word), ValueError,
                           fmt::format("split \"{}\": YAML and JSON read that as a value", word));
  }
  CHECK(std::distance(fs::directory_iterator(out.path()), {}) == 1);
}

TEST_CASE("convert: writing that is given up leaves nothing behind") {
  const TempDir dir, out;
  const Dataset data = boxes(dir);
  const DatasetSplit splits[] = {{"train", &data}};
  int asked = 0;
  CHECK_THROWS_AS(write_dataset(splits, DatasetFormat::kYolo, PictureTransfer::kCopy, out / "new",
                                [&] { return ++asked > 0; }),
                  StoppedError);
  CHECK(asked == 1);
  CHECK(fs::is_empty(out.path()));
}

TEST_CASE("convert: a full disk is told with the file and the system's reason") {
  const TempDir dir, out;
  fs::create_directories(dir / "images");
  write_png(dir / "images/a.png", noise(100, 100, 1));
  write_file(dir / "labels/a.txt", "0 0.5 0.5 0.2 0.2\n");
  const Dataset data = load_dataset({Kind::kYolo, dir / "images", "", ""}, {"x"});
  const auto copy = [&](DatasetFormat format) {
    write(data, format, out / "new", "train", PictureTransfer::kCopy);
  };
  {
    const SmallDisk disk(20'000);  // less than the picture
    CHECK_THROWS_WITH_TEXT(copy(DatasetFormat::kYolo), FileError,
                           "a.png: cannot be copied to " + (out / "new.part").string());
    CHECK_THROWS_WITH_TEXT(copy(DatasetFormat::kYolo), FileError, "a.png: File too large");
  }
  write_png(dir / "images/a.png", slope(10, 10));
  {
    const SmallDisk disk(150);  // more than the picture, less than what is said about it
    REQUIRE(fs::file_size(dir / "images/a.png") < 150);
    CHECK_THROWS_WITH_TEXT(copy(DatasetFormat::kVoc), FileError,
                           "a.xml: cannot be written: File too large");
    CHECK_THROWS_WITH_TEXT(copy(DatasetFormat::kCoco), FileError,
                           "instances_train.json: cannot be written: File too large");
  }
  CHECK(fs::is_empty(out.path()));
}

}  // namespace ydistill::test
