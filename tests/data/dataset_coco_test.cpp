// SPDX-License-Identifier: MIT
#include <ydistill/data/dataset.h>
#include <ydistill/data/outline.h>
#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

constexpr const char* kCategories = R"([{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}])";
constexpr const char* kImages = R"([{"id": 20, "file_name": "b.png", "width": 100, "height": 80},
                                    {"id": 10, "file_name": "a.png", "width": 100, "height": 80}])";

std::string coco_json(const std::string& images, const std::string& annotations,
                      const std::string& categories = kCategories) {
  return "{\"images\": " + images + ", \"annotations\": [" + annotations +
         "], \"categories\": " + categories + "}";
}

/// Two pictures, a.png and b.png, 100 x 80, and this file.
Dataset load(const std::string& json, std::vector<std::string> names = {}) {
  const TempDir dir;
  std::filesystem::create_directories(dir / "pictures");
  for (const char* name : {"a.png", "b.png"}) write_png(dir / "pictures" / name, slope(100, 80));
  write_file(dir / "instances.json", json);
  return load_dataset({DataSource::Kind::kCoco, dir / "instances.json", "", dir / "pictures"},
                      std::move(names));
}

Dataset with_annotations(const std::string& annotations, std::vector<std::string> names = {}) {
  return load(coco_json(kImages, annotations), std::move(names));
}

constexpr const char* kGood =
    R"({"id": 1, "image_id": 10, "category_id": 7, "iscrowd": 0, "bbox": [10, 20, 50, 40],
        "segmentation": [[1, 2, 3, 4, 5, 6]]})";

/// A bad annotation beside a good one.
void check_dropped(const std::string& entry, const std::string& reason) {
  INFO(entry);
  const Dataset data = with_annotations(std::string(kGood) + ", " + entry);
  CHECK(data.num_labels() == 1);
  CHECK(data.labels_dropped == 1);
  REQUIRE(data.findings.size() == 1);
  INFO(data.findings[0].str());
  CHECK(data.findings[0].file.filename() == "instances.json");
  CHECK(data.findings[0].effect == "label dropped");
  CHECK(data.findings[0].reason.find(reason) != std::string::npos);
}

}  // namespace

TEST_CASE("coco: category ids are sorted and pictures keep the order of the file") {
  const Dataset data = with_annotations(kGood);
  CHECK(data.names == std::vector<std::string>{"cat", "dog"});
  REQUIRE(data.samples.size() == 2);
  CHECK(data.coco_category_ids == std::vector<int64_t>{3, 7});
  CHECK(data.samples[0].image.filename() == "b.png");
  CHECK(data.samples[0].coco_id == "20");
  CHECK(data.samples[0].labels.empty());
  REQUIRE(data.samples[1].labels.size() == 1);
  const Label& label = data.samples[1].labels[0];
  CHECK(label.class_id == 1);
  CHECK(label.cx == Approx(0.35));
  CHECK(label.cy == Approx(0.5));
  CHECK(label.w == Approx(0.5));
  CHECK(label.h == Approx(0.5));
  CHECK(data.findings.empty());
}

TEST_CASE("coco: one category keeps its id where all classes are one, several do not") {
  const auto ids = [](const std::string& categories) {
    const TempDir dir;
    std::filesystem::create_directories(dir / "pictures");
    write_png(dir / "pictures/a.png", slope(100, 80));
    write_file(dir / "instances.json",
               coco_json(R"([{"id": 10, "file_name": "a.png"}])", "", categories));
    DataSource source{DataSource::Kind::kCoco, dir / "instances.json", "", dir / "pictures"};
    source.classes = Classes::kSingle;
    return load_dataset(source).coco_category_ids;
  };
  CHECK(ids(R"([{"id": 7, "name": "dog"}])") == std::vector<int64_t>{7});
  CHECK(ids(kCategories).empty());
}

TEST_CASE("coco: polygons become outlines in fractions of the picture") {
  const auto outline = [](const std::string& segmentation) {
    const Dataset data = with_annotations(
        R"({"id": 1, "image_id": 10, "category_id": 7, "bbox": [10, 20, 50, 40], "segmentation": )" +
        segmentation + "}");
    CHECK(data.findings.empty());
    CHECK(data.num_labels() == 1);
    return data.samples.at(1).labels.at(0).polygon;
  };
  CHECK(outline("[[10, 20, 60, 20, 60, 60.0]]") ==
        Polygon{{0.1f, 0.25f}, {0.6f, 0.25f}, {0.6f, 0.75f}});
  CHECK(outline("[[-10, 20, 200, 20, 60, 90]]") == Polygon{{0, 0.25f}, {1, 0.25f}, {0.6f, 1}});
  CHECK(outline("[]").empty());
  CHECK(outline(R"({"counts": [1, 2, 3, 4, 5, 6], "size": [80, 100]})").empty());
  CHECK(outline(R"({"counts": "abc", "size": [80, 100]})").empty());
  // The second piece hangs between the nearest points, there and back.
  CHECK(outline("[[0, 0, 20, 0, 20, 20], [50, 40, 30, 20, 50, 20]]") == Polygon{{0, 0},
                                                                                {0.2f, 0},
                                                                                {0.2f, 0.25f},
                                                                                {0.3f, 0.25f},
                                                                                {0.5f, 0.25f},
                                                                                {0.5f, 0.5f},
                                                                                {0.3f, 0.25f},
                                                                                {0.2f, 0.25f}});
}

TEST_CASE("coco: an outline that is none is listed and the box is kept") {
  for (const char* segmentation :
       {"[[1, 2, 3, 4]]", "[[1, 2, 3, 4, 5]]", "[1, 2, 3, 4, 5, 6]", "[0, 0]", "[null]",
        R"([["1", 2, 3, 4, 5, 6]])", "[[1, 2, 3, 4, 5, 6], [0]]", "[[[0]]]", R"([[{"a": 1}], [0]])",
        "[[1e300, 2, 3, 4, 5, 6]]"}) {
    INFO(segmentation);
    const Dataset data = with_annotations(
        R"({"id": 1, "image_id": 10, "category_id": 7, "bbox": [10, 20, 50, 40], "segmentation": )" +
        std::string(segmentation) + "}");
    CHECK(data.num_labels() == 1);
    CHECK(data.labels_dropped == 0);
    CHECK(data.samples.at(1).labels.at(0).polygon.empty());
    REQUIRE(data.findings.size() == 1);
    CHECK(data.findings[0].str().find("annotation 1: a polygon of its segmentation is not three or "
                                      "more points x y (kept, without outline)") !=
          std::string::npos);
  }
}

TEST_CASE("coco: given names are matched by name and other categories are listed once") {
  const std::string cat = R"({"id": 2, "image_id": 20, "category_id": 3, "bbox": [0, 0, 9, 9]})";
  const Dataset data =
      with_annotations(std::string(kGood) + "," + cat + "," + cat, {"bird", "dog"});
  CHECK(data.names == std::vector<std::string>{"bird", "dog"});
  CHECK(data.coco_category_ids == std::vector<int64_t>{-1, 7});
  CHECK(data.num_labels() == 1);
  CHECK(data.samples[1].labels.at(0).class_id == 1);
  CHECK(data.labels_dropped == 2);
  REQUIRE(data.findings.size() == 1);
  CHECK(data.findings[0].reason == "class \"cat\" of 2 labels is not among the names");
}

TEST_CASE("coco: crowd regions are neither labels nor faults") {
  const Dataset data = with_annotations(
      std::string(kGood) +
      R"(, {"id": 2, "image_id": 10, "category_id": 3, "iscrowd": 1, "bbox": [0, 0, 9, 9],
            "segmentation": {"counts": [1, 2], "size": [3, 4]}})");
  CHECK(data.num_labels() == 1);
  CHECK(data.labels_ignored == 1);
  CHECK(data.labels_dropped == 0);
  CHECK(data.findings.empty());
}

TEST_CASE("coco: boxes are clipped to the picture") {
  const Dataset data = with_annotations(
      R"({"id": 1, "image_id": 10, "category_id": 3, "bbox": [60, -10, 60.5, 30]})");
  const Label& label = data.samples[1].labels.at(0);
  CHECK(label.w == Approx(0.4));
  CHECK(label.cx == Approx(0.8));
  CHECK(label.h == Approx(0.25));
}

TEST_CASE("coco: a segmentation of any type leaves what follows it alone") {
  // As the last key of an object: the next object must not be taken for its value.
  for (const char* value :
       {"null", "\"\"", "3", "true", "{}", "[]", R"({"counts": [1], "size": [2, 3]})",
        R"([[1, 2, 3, 4, 5, 6]])", R"({"segmentation": 1})"}) {
    INFO(value);
    std::string all;
    for (int i = 0; i < 3; ++i) {
      all +=
          fmt::format(R"({}{{"id": {}, "image_id": 10, "category_id": 7, "bbox": [10, {}, 50, 40],
                             "attributes": {{"segmentation": "manual"}}, "segmentation": {}}})",
                      i > 0 ? ", " : "", i, i, value);
    }
    const Dataset data = with_annotations(all);
    CHECK(data.num_labels() == 3);
    CHECK(data.findings.empty());
  }
  const Dataset data = load(coco_json(
      R"([{"id": 20, "file_name": "b.png", "segmentation": null}, {"id": 10, "file_name": "a.png"}])",
      kGood, R"([{"id": 7, "name": "dog", "segmentation": 1}, {"id": 3, "name": "cat"}])"));
  CHECK(data.names.size() == 2);
  CHECK(data.samples.size() == 2);
  CHECK(data.num_labels() == 1);
}

TEST_CASE("coco: ids may be written as floats") {
  const Dataset data =
      load(coco_json(R"([{"id": 20.0, "file_name": "b.png"}, {"id": 10, "file_name": "a.png"}])",
                     R"({"id": 1.0, "image_id": 20, "category_id": 7, "bbox": [10, 20, 50, 40]},
         {"id": 2, "image_id": 10.0, "category_id": 7.0, "bbox": [10, 20, 50, 40]})",
                     R"([{"id": 7.0, "name": "dog"}])"));
  CHECK(data.num_labels() == 2);
  CHECK(data.samples[0].coco_id == "20");
  CHECK(data.findings.empty());
  CHECK_THROWS_WITH_TEXT(
      load(coco_json(R"([{"id": 1.5, "file_name": "b.png"}])", "")), FileError,
      "an entry of \"images\" needs an id, an integer or a text, and a file_name; "
      "its id is 1.5, its file_name \"b.png\"");
}

TEST_CASE("coco: categories of one name are one class and a finding") {
  const std::string categories =
      R"([{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 5, "name": "dog"}])";
  const std::string annotations =
      R"({"id": 1, "image_id": 10, "category_id": 1, "bbox": [10, 20, 50, 40]},
         {"id": 2, "image_id": 10, "category_id": 5, "bbox": [10, 30, 50, 40]})";
  for (const std::vector<std::string>& names : {std::vector<std::string>{}, {"dog", "cat"}}) {
    const Dataset data = load(coco_json(kImages, annotations, categories), names);
    CHECK(data.names == std::vector<std::string>{"dog", "cat"});
    CHECK(data.coco_category_ids == std::vector<int64_t>{1, 2});
    for (const Label& label : data.samples.at(1).labels) CHECK(label.class_id == 0);
    CHECK(data.num_labels() == 2);
    REQUIRE(data.findings.size() == 1);
    CHECK(data.findings[0].reason == "categories 1 and 5 are both called \"dog\"");
  }
}

TEST_CASE("coco: bad annotations are dropped and listed") {
  check_dropped(R"({"id": 5, "image_id": 99, "category_id": 3, "bbox": [1, 2, 3, 4]})",
                "annotation 5: image_id 99 is not among the images");
  check_dropped(R"({"id": 5, "category_id": 3, "bbox": [1, 2, 3, 4]})",
                "annotation 5: it has no image_id");
  check_dropped(R"({"id": 5, "image_id": 10, "category_id": 4, "bbox": [1, 2, 3, 4]})",
                "annotation 5: category_id 4 is not among the categories");
  check_dropped(R"({"id": 5, "image_id": 10, "bbox": [1, 2, 3, 4]})", "it has no category_id");
  check_dropped(R"({"id": 5, "image_id": 10, "category_id": 3, "bbox": [1, 2, 3]})",
                "bbox is not four numbers");
  check_dropped(R"({"id": 5, "image_id": 10, "category_id": 3, "bbox": [1, 2, "3", 4]})",
                "bbox is not four numbers");
  check_dropped(R"({"id": 5, "image_id": 10, "category_id": 3})", "bbox is not four numbers");
  check_dropped(R"({"id": 5, "image_id": 10, "category_id": 3, "bbox": [1, 2, 0, 4]})",
                "annotation 5: box 1 2 1 6 has no area");
  check_dropped(R"({"id": 5, "image_id": 10, "category_id": 3, "bbox": [1, 2, -3, 4]})",
                "has no area");
  check_dropped("17", "annotation without an id");
}

TEST_CASE("coco: missing pictures and other sizes are listed") {
  const Dataset data = load(coco_json(
      R"([{"id": 1, "file_name": "a.png", "width": 50, "height": 40}, {"id": 2, "file_name": "c.png"},
          {"id": 3, "file_name": "b.png"}])",
      ""));
  CHECK(data.samples.size() == 2);
  CHECK(data.pictures_dropped == 1);
  const std::string all = all_findings(data.findings);
  INFO(all);
  CHECK(all.find("instances.json: says 50x40 pixels, a.png has 100x80 (kept)") !=
        std::string::npos);
  CHECK(all.find("c.png (picture dropped)") != std::string::npos);
}

TEST_CASE("coco: files that are no COCO files are refused") {
  CHECK_THROWS_WITH_TEXT(load("{\"images\": [}"), FileError, "instances.json: malformed JSON: ");
  CHECK_THROWS_WITH_TEXT(load(""), FileError, "malformed JSON");
  CHECK_THROWS_WITH_TEXT(load("[1, 2]"), FileError, "expected a JSON object");
  CHECK_THROWS_WITH_TEXT(load("{}"), FileError, "it has no list \"categories\"");
  CHECK_THROWS_WITH_TEXT(load(R"({"categories": [], "images": 3})"), FileError,
                         "it has no list \"images\"");
  CHECK_THROWS_WITH_TEXT(load(R"({"categories": [], "images": []})"), FileError,
                         "it has no list \"annotations\"");
  CHECK_THROWS_WITH_TEXT(load(coco_json("[]", "")), FileError, "its list \"images\" is empty");
  CHECK_THROWS_WITH_TEXT(load(coco_json("[{\"id\": 1}]", "")), FileError,
                         "an entry of \"images\" needs an id");
  CHECK_THROWS_WITH_TEXT(load(coco_json("[7]", "")), FileError,
                         "an entry of \"images\" needs an id");
  CHECK_THROWS_WITH_TEXT(load(coco_json(R"([{"id": 1, "file_name": "a.png"},
                                            {"id": 1, "file_name": "b.png"}])",
                                        "")),
                         FileError, "image id 1 is there twice");
  CHECK_THROWS_WITH_TEXT(load(coco_json("[]", "", R"([{"id": 1}])")), FileError,
                         "a category needs an integer id and a name");
  CHECK_THROWS_WITH_TEXT(load(coco_json("[]", "", R"([{"id": 1, "name": "a"},
                                                      {"id": 1, "name": "b"}])")),
                         FileError, "category id 1 is there twice");
}

TEST_CASE("coco: a picture folder that is missing is refused") {
  const TempDir dir;
  write_file(dir / "instances.json", coco_json(kImages, kGood));
  CHECK_THROWS_WITH_TEXT(
      load_dataset({DataSource::Kind::kCoco, dir / "instances.json", "", dir / "none"}), FileError,
      "none: not a folder");
}

}  // namespace ydistill::test
