// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <ydistill/data/dataset.h>
#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

std::string object(const std::string& name, const std::string& corners, int difficult = 0) {
  return fmt::format(
      "  <object>\n    <name>{}</name><difficult>{}</difficult>\n"
      "    <bndbox>{}</bndbox>\n  </object>\n",
      name, difficult, corners);
}

std::string corners(double x1, double y1, double x2, double y2) {
  return fmt::format("<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>", x1, y1, x2,
                     y2);
}

std::string annotation(const std::string& objects, const std::string& size = "100 80") {
  const size_t blank = size.find(' ');
  return fmt::format(
      "<annotation>\n  <size><width>{}</width><height>{}</height></size>\n{}</annotation>\n",
      size.substr(0, blank), size.substr(blank + 1), objects);
}

/// A VOC folder in the making; pictures are 100 x 80.
struct VocFolder {
  TempDir dir;

  void picture(const std::string& id, const std::string& xml) {
    std::filesystem::create_directories(dir / "JPEGImages");
    write_jpeg(dir / ("JPEGImages/" + id + ".jpg"), slope(100, 80));
    if (!xml.empty()) write_file(dir / ("Annotations/" + id + ".xml"), xml);
  }
  void split(const std::string& name, const std::string& lines) {
    write_file(dir / ("ImageSets/Main/" + name + ".txt"), lines);
  }
  Dataset load(const std::string& split, std::vector<std::string> names = {}) {
    return load_dataset({DataSource::Kind::kVoc, dir.path(), split, ""}, std::move(names));
  }
};

/// One picture of these objects.
Dataset with_objects(const std::string& objects, std::vector<std::string> names = {}) {
  VocFolder voc;
  voc.picture("p", annotation(objects));
  voc.split("train", "p\n");
  return voc.load("train", std::move(names));
}

}  // namespace

TEST_CASE("voc: corners are taken as they stand") {
  const Dataset data = with_objects(object("cat", corners(10, 20, 60, 70)));
  REQUIRE(data.samples.size() == 1);
  REQUIRE(data.samples[0].labels.size() == 1);
  const Label& label = data.samples[0].labels[0];
  CHECK(label.cx == Approx(35 / 100.0));
  CHECK(label.cy == Approx(45 / 80.0));
  CHECK(label.w == Approx(50 / 100.0));
  CHECK(label.h == Approx(50 / 80.0));
  CHECK(data.findings.empty());
  CHECK(data.samples[0].width == 100);
}

TEST_CASE("voc: without names the classes are sorted and with names they are mapped") {
  const std::string objects = object("dog", corners(1, 1, 50, 50)) +
                              object("cat", corners(1, 1, 60, 60)) +
                              object("ant", corners(1, 1, 70, 70));
  const Dataset sorted = with_objects(objects);
  CHECK(sorted.names == std::vector<std::string>{"ant", "cat", "dog"});
  CHECK(sorted.samples[0].labels[0].class_id == 2);
  const Dataset mapped = with_objects(objects, {"dog", "bee", "cat"});
  CHECK(mapped.names == std::vector<std::string>{"dog", "bee", "cat"});
  REQUIRE(mapped.samples[0].labels.size() == 2);
  CHECK(mapped.samples[0].labels[0].class_id == 0);
  CHECK(mapped.samples[0].labels[1].class_id == 2);
  REQUIRE(mapped.findings.size() == 1);
  CHECK(mapped.findings[0].str().find("p.xml:11: class \"ant\" is not among the names") !=
        std::string::npos);
  CHECK(mapped.labels_dropped == 1);
}

TEST_CASE("voc: of labels of other classes the first is listed, with their numbers") {
  const Dataset data =
      with_objects(object("dog", corners(1, 1, 50, 50)) + object("ant", corners(1, 1, 60, 60)) +
                       object("ant", corners(1, 1, 70, 70)) + object("bee", corners(1, 1, 80, 80)),
                   {"dog"});
  CHECK(data.num_labels() == 1);
  CHECK(data.labels_dropped == 3);
  REQUIRE(data.findings.size() == 1);
  CHECK(data.findings[0].str().find(
            "2 classes of 3 labels are not among the names: ant (2), bee (1) (labels dropped, the "
            "first is here)") != std::string::npos);
}

TEST_CASE("voc: difficult objects are left out without being a fault") {
  const Dataset data = with_objects(object("cat", corners(10, 20, 60, 70), 1) +
                                    object("dog", corners(10, 20, 60, 70)));
  CHECK(data.num_labels() == 1);
  CHECK(data.names == std::vector<std::string>{"dog"});
  CHECK(data.labels_ignored == 1);
  CHECK(data.labels_dropped == 0);
  CHECK(data.findings.empty());
}

TEST_CASE("voc: boxes are clipped to the picture") {
  const Dataset data = with_objects(object("cat", corners(-5, 60, 50, 95)));
  const Label& label = data.samples.at(0).labels.at(0);
  CHECK(label.w == Approx(0.5));
  CHECK(label.cx == Approx(0.25));
  CHECK(label.h == Approx(20 / 80.0));
  CHECK(data.findings.empty());
}

TEST_CASE("voc: boxes without area are dropped and listed with their line") {
  const Dataset data = with_objects(
      object("cat", corners(10, 20, 60, 70)) + object("cat", corners(30, 20, 30, 70)) +
      object("cat", corners(60, 20, 10, 70)) + object("cat", corners(200, 20, 230, 70)));
  CHECK(data.num_labels() == 1);
  CHECK(data.labels_dropped == 3);
  REQUIRE(data.findings.size() == 3);
  CHECK(data.findings[0].line == 7);
  CHECK(data.findings[0].reason == "cat: box 30 20 30 70 has no area");
  CHECK(data.findings[1].line == 11);
  CHECK(data.findings[2].reason ==
        "cat: box 200 20 230 70 lies outside the picture of 100x80 pixels");
}

TEST_CASE("voc: objects without name or box are dropped and listed") {
  const Dataset data =
      with_objects(object("cat", corners(10, 20, 60, 70)) + object("", corners(10, 20, 60, 70)) +
                   object("dog", "<xmin>1</xmin><ymin>two</ymin>") +
                   object("dog", corners(1, 2, 3, 4) + "<xmax>nan</xmax>") +
                   "<object><name>dog</name></object>\n");
  CHECK(data.num_labels() == 2);
  const std::string all = all_findings(data.findings);
  INFO(all);
  CHECK(data.labels_dropped == 3);
  CHECK(all.find("p.xml:7: an object without <name> (label dropped)") != std::string::npos);
  CHECK(all.find("p.xml:11: dog: <ymin> is \"two\", a number wanted") != std::string::npos);
  CHECK(all.find("p.xml:19: dog: <xmin> is \"\", a number wanted") != std::string::npos);
}

TEST_CASE("voc: a class whose name is no UTF-8 is dropped and listed") {
  const Dataset set = with_objects(object("B\xe4r", corners(10, 10, 30, 30)) +
                                   object("B\xc3\xa4r", corners(40, 10, 60, 30)));
  CHECK(set.names == std::vector<std::string>{"B\xc3\xa4r"});
  REQUIRE(set.findings.size() == 1);
  CHECK(set.findings[0].line == 3);
  CHECK(set.findings[0].reason.find("class \"B\\xe4r\" is no UTF-8") == 0);
}

TEST_CASE("voc: malformed XML drops the picture and names the line") {
  VocFolder voc;
  voc.picture("good", annotation(""));
  voc.picture("bad", "<annotation>\n<size>\n</annotation>\n");
  voc.picture("other", "<html>\n</html>\n");
  voc.picture("empty", " ");
  voc.picture("none", "");
  voc.split("train", "good\nbad\nother\nempty\nnone\n");
  const Dataset data = voc.load("train");
  CHECK(data.samples.size() == 1);
  CHECK(data.pictures_dropped == 4);
  const std::string all = all_findings(data.findings);
  INFO(all);
  CHECK(all.find("bad.xml:3: malformed XML: ") != std::string::npos);
  CHECK(all.find("other.xml: no <annotation> in this XML file (picture dropped)") !=
        std::string::npos);
  CHECK(all.find("empty.xml:1: malformed XML: ") != std::string::npos);
  CHECK(all.find("train.txt:5: there is no ") != std::string::npos);
}

TEST_CASE("voc: a size other than that of the picture is listed and the picture wins") {
  VocFolder voc;
  voc.picture("p", annotation(object("cat", corners(10, 20, 60, 70)), "200 160"));
  voc.split("train", "p");
  const Dataset data = voc.load("train");
  CHECK(data.samples.at(0).labels.at(0).w == Approx(0.5));
  REQUIRE(data.findings.size() == 1);
  CHECK(data.findings[0].str().find("p.xml:2: says 200x160 pixels, p.jpg has 100x80 (kept)") !=
        std::string::npos);
}

TEST_CASE("voc: a split keeps its order and may have a second column") {
  VocFolder voc;
  for (const char* id : {"c", "a", "b d"}) voc.picture(id, annotation(""));
  voc.split("cat_train", "c  1\r\na -1\r\n\r\nb d 0\r\n");
  const Dataset data = voc.load("cat_train");
  REQUIRE(data.samples.size() == 3);
  CHECK(data.samples[0].image.filename() == "c.jpg");
  CHECK(data.samples[2].image.filename() == "b d.jpg");
  CHECK(data.findings.empty());
}

TEST_CASE("voc: a second column may be part of a picture's name") {
  VocFolder voc;
  for (const char* id : {"frame", "frame 1", "frame -1"}) voc.picture(id, annotation(""));
  voc.split("train", "frame\nframe 1\nframe -1 1\n");
  const Dataset data = voc.load("train");
  REQUIRE(data.samples.size() == 3);
  CHECK(data.samples[1].image.filename() == "frame 1.jpg");
  CHECK(data.samples[2].image.filename() == "frame -1.jpg");
  CHECK(data.findings.empty());
}

TEST_CASE("voc: other picture formats and missing pictures") {
  VocFolder voc;
  voc.picture("p", annotation(""));
  write_png(voc.dir / "JPEGImages/q.png", slope(50, 50));
  write_file(voc.dir / "Annotations/q.xml", annotation("", "50 50"));
  voc.split("train", "p\nq\nr\n");
  const Dataset data = voc.load("train");
  REQUIRE(data.samples.size() == 2);
  CHECK(data.samples[1].image.filename() == "q.png");
  REQUIRE(data.findings.size() == 1);
  CHECK(data.findings[0].str().find("train.txt:3: there is no picture ") != std::string::npos);
}

TEST_CASE("voc: an unknown split names those there are") {
  VocFolder voc;
  voc.picture("p", annotation(""));
  CHECK_THROWS_WITH_TEXT(voc.load("train"), FileError, "no split in ImageSets/Main");
  voc.split("val", "p\n");
  voc.split("test", "p\n");
  CHECK_THROWS_WITH_TEXT(voc.load("train"), FileError,
                         "no split \"train\" in ImageSets/Main, there is: test, val");
  CHECK_THROWS_WITH_TEXT(voc.load(""), FileError, "there is: test, val");
}

TEST_CASE("voc: a split without a usable picture is refused") {
  VocFolder voc;
  voc.split("train", "x\ny\n");
  CHECK_THROWS_WITH_TEXT(voc.load("train"), FileError, "no usable picture: 2 dropped");
  voc.split("nothing", "\n");
  CHECK_THROWS_WITH_TEXT(voc.load("nothing"), FileError, "no picture found");
}

}  // namespace ydistill::test
