// SPDX-License-Identifier: MIT
// Sound pictures and label files that were damaged: refused, dropped with a finding, or read.
#include <sstream>
#include <string>

#include <ydistill/data/data_yaml.h>
#include <ydistill/data/dataset.h>
#include <ydistill/data/image.h>
#include <ydistill/data/video_stream.h>

#include "data/pictures.h"
#include "support/damage.h"

namespace ydistill::test {
namespace {

/// Of a damaged picture there is nothing, or as many bytes as its size says.
void read_picture(const std::filesystem::path& path) {
  const Image image = read_image(path);
  if (int64_t(image.rgb.size()) != image.width * image.height * 3) FAIL("not all pixels");
}

/// The labels of a dataset that could be read.
void check_labels(const Dataset& dataset) {
  for (const Sample& sample : dataset.samples) {
    if (sample.width < 1 || sample.height < 1) FAIL("a picture without pixels");
    for (const Label& label : sample.labels) {
      const bool sound = label.w > 0 && label.w <= 1 && label.h > 0 && label.h <= 1 &&
                         label.class_id >= 0 && label.class_id < int64_t(dataset.names.size());
      if (!sound)
        FAIL("a label of " << label.w << " x " << label.h << ", class " << label.class_id);
    }
  }
  for (const Finding& finding : dataset.findings) {
    if (finding.str().find('\n') != std::string::npos) FAIL(finding.str());
  }
}

std::string file_of(const Image& image, const std::string& kind) {
  const TempDir dir;
  const auto path = dir / ("a." + kind);
  kind == "png" ? write_png(path, image) : write_jpeg(path, image);
  return read_file(path);
}

/// A BMP of 24 bits a pixel, rows from the bottom.
std::string bmp_of(const Image& image) {
  const auto number = [](int64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += char(uint8_t(value >> (8 * i)));
    return text;
  };
  const int64_t row = (image.width * 3 + 3) / 4 * 4;
  std::string file = "BM" + number(54 + row * image.height, 4) + number(0, 4) + number(54, 4) +
                     number(40, 4) + number(image.width, 4) + number(image.height, 4) +
                     number(1, 2) + number(24, 2) + number(0, 24);
  for (int64_t y = image.height - 1; y >= 0; --y) {
    std::string line(size_t(row), '\0');
    for (int64_t i = 0; i < image.width * 3; ++i) line[size_t(i)] = char(image.at(0, y)[i]);
    file += line;
  }
  return file;
}

}  // namespace

TEST_CASE("fuzz: damaged pictures") {
  const TempDir dir;
  const Image image = noise(19, 13, 4);
  const std::string jpeg = file_of(image, "jpg"), png = file_of(image, "png");
  for (const std::string& whole :
       {jpeg, with_orientation(jpeg, 6, true), png, with_orientation_png(png, 8, ExifPlace::kFirst),
        bmp_of(image)}) {
    write_file(dir / "whole", whole);
    CHECK_NOTHROW(read_picture(dir / "whole"));
    const int refused = count_refused(1500, dir / "x", [&](Rng& rng) {
      write_file(dir / "x", damaged(whole, rng));
      read_picture(dir / "x");
    });
    CHECK(refused > 100);
  }
}

TEST_CASE("fuzz: damaged labels of YOLO's kind") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{30, 20}});
  const std::string whole =
      "0 0.5 0.5 0.25 0.5\n1 0.1 0.2 0.3 0.4\n0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n";
  const auto labels = dir / "labels/0.txt";
  count_refused(1500, labels, [&](Rng& rng) {
    write_file(labels, damaged_text(whole, rng));
    check_labels(load_dataset({DataSource::Kind::kYolo, dir / "images", "", ""}, {"a", "b"}));
  });
}

TEST_CASE("fuzz: damaged annotations of Pascal VOC's kind") {
  const TempDir dir;
  write_file(dir / "ImageSets/Main/train.txt", "a\n");
  write_png(dir / "a.png", noise(30, 20, 1));
  std::filesystem::create_directories(dir / "JPEGImages");
  std::filesystem::rename(dir / "a.png", dir / "JPEGImages/a.png");
  const std::string whole =
      "<annotation><filename>a.png</filename><size><width>30</width><height>20</height>"
      "<depth>3</depth></size><object><name>cat</name><difficult>0</difficult><bndbox>"
      "<xmin>3</xmin><ymin>4</ymin><xmax>20</xmax><ymax>15</ymax></bndbox></object></annotation>";
  const auto annotation = dir / "Annotations/a.xml";
  const int refused = count_refused(1500, annotation, [&](Rng& rng) {
    write_file(annotation, damaged_text(whole, rng));
    check_labels(load_dataset({DataSource::Kind::kVoc, dir.path(), "train", ""}, {"cat"}));
  });
  CHECK(refused > 100);
}

TEST_CASE("fuzz: damaged annotations of COCO's kind") {
  const TempDir dir;
  write_png(dir / "a.png", noise(30, 20, 1));
  const std::string whole =
      R"({"images": [{"id": 1, "file_name": "a.png", "width": 30, "height": 20}],
  "categories": [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}],
  "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [2, 3, 10, 8], "iscrowd": 0,
                   "segmentation": [[2, 3, 12, 3, 12, 11, 2, 11]], "area": 80},
                  {"id": 2, "image_id": 1, "category_id": 5, "bbox": [0.5, 1.5, 4, 4]}]})";
  const auto file = dir / "instances.json";
  const int refused = count_refused(1500, file, [&](Rng& rng) {
    write_file(file, damaged_text(whole, rng));
    check_labels(load_dataset({DataSource::Kind::kCoco, file, "", dir.path()}));
  });
  CHECK(refused > 100);
}

TEST_CASE("fuzz: damaged data.yaml") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{30, 20}});
  const std::string whole =
      "path: .\ntrain: images\nval: [images, images]\nnc: 2\nnames:\n  0: cat\n  1: dog\n";
  const auto file = dir / "data.yaml";
  const int refused = count_refused(1500, file, [&](Rng& rng) {
    write_file(file, damaged_text(whole, rng));
    read_data_yaml(file, "val");
  });
  CHECK(refused > 100);
}

TEST_CASE("fuzz: damaged video streams") {
  const TempDir dir;
  std::string whole = "YUV4MPEG2 W6 H4 F30:1 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n";
  for (int i = 0; i < 2; ++i) whole += "FRAME\n" + std::string(36, char('a' + i));
  const int refused = count_refused(3000, dir / "none", [&](Rng& rng) {
    std::istringstream in(damaged_text(whole, rng));
    VideoReader reader(in, "x");
    std::vector<uint8_t> planes;
    while (reader.next(planes)) (void)rgb_of_frame(reader.format(), planes);
  });
  CHECK(refused > 1000);
}

}  // namespace ydistill::test
