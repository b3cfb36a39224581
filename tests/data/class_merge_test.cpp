// SPDX-License-Identifier: MIT
#include <ydistill/data/class_merge.h>
#include <ydistill/data/dataset.h>
#include <ydistill/tensor/error.h>

#include <fmt/format.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

using Names = std::vector<std::string>;
using Ids = std::vector<int64_t>;

const ClassMerges kVehicle{{"vehicle", {"car", "bus"}}};

TEST_CASE("class merge: a merge stands where the first of its classes stood") {
  const MergedNames merged = merged_names({"person", "bus", "dog", "car", "vehicle"}, kVehicle);
  CHECK(merged.names == Names{"person", "vehicle", "dog"});
  CHECK(merged.id_of == Ids{0, 1, 2, 1, 1});
  CHECK(describe_merges({"person", "bus", "car"}, kVehicle) == "\"vehicle\" is bus, car");
  CHECK(describe_merges({"bus", "dog"}, kVehicle) == "\"vehicle\" is bus (no car)");
  // Names afterwards stay, and so do classes of one name that nobody merges.
  CHECK(merged_names({"vehicle", "person"}, kVehicle).names == Names{"vehicle", "person"});
  CHECK(describe_merges({"vehicle", "person"}, kVehicle) == "\"vehicle\" is vehicle (no car, bus)");
  CHECK(merged_names({"ape", "ape"}, kVehicle).names == Names{"ape", "ape"});
  // A class may be part of one that is called as it is.
  const ClassMerges person{{"person", {"person", "rider"}}, {"cat", {"tiger"}}};
  check_merges(person);
  CHECK(merged_names({"rider", "tiger", "person"}, person).id_of == Ids{0, 1, 0});
}

TEST_CASE("class merge: a class of two merges, and merges of nothing, are refused") {
  const auto refused = [](const ClassMerges& merges, const std::string& why) {
    CHECK_THROWS_WITH_TEXT(check_merges(merges), ValueError, why);
  };
  refused({{"a", {"x"}}, {"b", {"x"}}}, "\"x\" cannot be part of \"a\" and of \"b\"");
  refused({{"a", {"b"}}, {"b", {"x"}}}, "\"b\" is merged itself, it cannot be part of \"a\"");
  refused({{"a", {"x"}}, {"a", {"y"}}}, "\"a\" is given twice");
  refused({{"a", {}}}, "\"a\" of no classes");
  refused({{"", {"x"}}}, "a class without a name");
  refused({{"a", {""}}}, "\"a\" of a class without a name");
}

TEST_CASE("class merge: as it is typed") {
  CHECK(parse_merge("vehicle=car") == ClassMerge{"vehicle", {"car"}});
  CHECK(parse_merge(" big vehicle = traffic light ,car") ==
        ClassMerge{"big vehicle", {"traffic light", "car"}});
  CHECK(parse_merge("a=b=c") == ClassMerge{"a", {"b=c"}});
  CHECK(parse_merge("a=") == ClassMerge{"a", {""}});  // which check_merges refuses
  for (const char* text : {"", "a", "=a", " =a"}) {
    CHECK_THROWS_WITH_TEXT(parse_merge(text), ValueError, "expected NAME=CLASS,CLASS");
  }
}

/// A picture of each kind of data set, with a person, a car, a bus and a dog in this order.
class Street {
 public:
  Street() {
    for (const char* folder : {"images", "voc/JPEGImages"}) {
      std::filesystem::create_directories(dir_ / folder);
      write_png(dir_ / folder / "a.png", slope(100, 80));
    }
    write_file(dir_ / "labels/a.txt",
               "0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.3 0.3\n3 0.5 0.5 0.4 0.4\n");
    write_file(dir_ / "data.yaml", "train: images\nnames: [person, car, bus, dog]\n");
    write_file(dir_ / "voc/ImageSets/Main/train.txt", "a\n");
    std::string objects, boxes;
    int side = 10;
    for (const char* name : {"person", "car", "bus", "dog"}) {
      objects += fmt::format(
          "<object><name>{}</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>{}</xmax>"
          "<ymax>8</ymax></bndbox></object>",
          name, side);
      boxes +=
          fmt::format(R"({}{{"id": {}, "image_id": 1, "category_id": {}, "bbox": [0, 0, {}, 8]}})",
                      boxes.empty() ? "" : ", ", side, side / 10 + 20, side);
      side += 10;
    }
    write_file(dir_ / "voc/Annotations/a.xml", "<annotation>" + objects + "</annotation>");
    write_file(dir_ / "coco.json",
               R"({"images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
                   "categories": [{"id": 21, "name": "person"}, {"id": 22, "name": "car"},
                                  {"id": 23, "name": "bus"}, {"id": 24, "name": "dog"}],
                   "annotations": [)" +
                   boxes + "]}");
  }

  Dataset load(DataSource::Kind kind, const Names& names, ClassMerges merge = kVehicle,
               Classes classes = Classes::kAll) const {
    DataSource source;
    source.kind = kind;
    source.classes = classes;
    source.merge = std::move(merge);
    switch (kind) {
      case DataSource::Kind::kVoc:
        source.path = dir_ / "voc";
        source.split = "train";
        break;
      case DataSource::Kind::kCoco:
        source.path = dir_ / "coco.json";
        source.images = dir_ / "images";
        break;
      case DataSource::Kind::kYaml:
        source.path = dir_ / "data.yaml";
        source.split = "train";
        break;
      case DataSource::Kind::kYolo:
      case DataSource::Kind::kPictures:
        source.path = dir_ / "images";
        break;
    }
    return load_dataset(source, names);
  }

 private:
  TempDir dir_;
};

Ids ids_of(const Dataset& dataset) {
  Ids ids;
  for (const Label& label : dataset.samples.at(0).labels) ids.push_back(label.class_id);
  return ids;
}

using Kind = DataSource::Kind;

TEST_CASE("class merge: labels that name their classes are of the merged one") {
  const Street street;
  for (const Kind kind : {Kind::kVoc, Kind::kCoco, Kind::kYaml}) {
    // VOC's names are sorted, the other's stand as the file has them.
    const Dataset found = street.load(kind, {});
    CHECK(found.findings.empty());
    CHECK(found.names == (kind == Kind::kVoc ? Names{"vehicle", "dog", "person"}
                                             : Names{"person", "vehicle", "dog"}));
    CHECK(ids_of(found) == (kind == Kind::kVoc ? Ids{2, 0, 0, 1} : Ids{0, 1, 1, 2}));
    REQUIRE(found.notes.size() == 1);
    const char* const said =
        kind == Kind::kVoc ? "\"vehicle\" is bus, car" : "\"vehicle\" is car, bus";
    CHECK(found.notes[0].find(said) != std::string::npos);
    // Names that are given may be those afterwards or those before.
    for (const Names& names : {Names{"vehicle", "person", "dog"}, Names{"bus", "person", "dog"}}) {
      const Dataset given = street.load(kind, names);
      CHECK(given.names == Names{"vehicle", "person", "dog"});
      CHECK(ids_of(given) == Ids{1, 0, 0, 2});
    }
    const Dataset fewer = street.load(kind, {"vehicle"});
    CHECK(ids_of(fewer) == Ids{0, 0});
    CHECK(fewer.labels_dropped == 2);
  }
}

TEST_CASE("class merge: of COCO's categories that became one none stands for it") {
  const Street street;
  CHECK(street.load(Kind::kCoco, {}).coco_category_ids == Ids{21, -1, 24});
  CHECK(street.load(Kind::kCoco, {"cat", "dog", "vehicle"}).coco_category_ids == Ids{-1, 24, -1});
  CHECK(street.load(Kind::kCoco, {}, {{"auto", {"car"}}}).coco_category_ids == Ids{21, 22, 23, 24});
}

TEST_CASE("class merge: ids without names count before the merge, and need names") {
  const Street street;
  const Dataset before = street.load(Kind::kYolo, {"person", "car", "bus", "dog"});
  CHECK(before.names == Names{"person", "vehicle", "dog"});
  CHECK(ids_of(before) == Ids{0, 1, 1, 2});
  // A data.yaml none of whose names are those given is read by its ids.
  const Dataset renamed = street.load(Kind::kYaml, {"walker", "car", "bus", "animal"});
  CHECK(renamed.names == Names{"walker", "vehicle", "animal"});
  CHECK(ids_of(renamed) == Ids{0, 1, 1, 2});
  CHECK_THROWS_WITH_TEXT(street.load(Kind::kYolo, {}), ConfigError, "have only ids");
  // Fewer names, of which one is not there: no ids are meant.
  CHECK_THROWS_WITH_TEXT(street.load(Kind::kYaml, {"walker", "vehicle"}), ConfigError,
                         "has no class \"walker\", it has person, vehicle, dog");
}

TEST_CASE("class merge: an object that was labelled as two of the classes is one object") {
  const TempDir dir;
  std::filesystem::create_directories(dir / "images");
  write_png(dir / "images/a.png", slope(100, 80));
  write_file(dir / "labels/a.txt", "0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.3 0.2\n");
  DataSource source;
  source.path = dir / "images";
  source.merge = kVehicle;
  const Dataset dataset = load_dataset(source, {"car", "bus"});
  CHECK(dataset.num_labels() == 2);
  CHECK(dataset.labels_dropped == 1);
  REQUIRE(dataset.findings.size() == 1);
  CHECK(all_findings(dataset.findings).find("the same object as two classes that count as one") !=
        std::string::npos);
}

TEST_CASE("class merge: merges of classes that are not there change nothing") {
  const Street street;
  const Dataset dataset = street.load(Kind::kYaml, {}, {{"animal", {"cat", "cow"}}});
  CHECK(dataset.names == Names{"person", "car", "bus", "dog"});
  CHECK(dataset.names_before_merge.empty());
  REQUIRE(dataset.notes.size() == 1);  // who misspelt them hears of it
  CHECK(dataset.notes[0].find("\"animal\" is nothing here (no cat, cow)") != std::string::npos);
  const Dataset same = street.load(Kind::kYaml, {}, {{"dog", {"wolf"}}});
  REQUIRE(same.notes.size() == 1);
  CHECK(same.notes[0].find("\"dog\" is dog (no wolf)") != std::string::npos);
}

TEST_CASE("class merge: where all classes become one, a merge only says which are taken") {
  const Street street;
  for (const Kind kind : {Kind::kYolo, Kind::kVoc, Kind::kCoco, Kind::kYaml}) {
    INFO(int(kind));
    const auto single = [&](const Names& names, const ClassMerges& merges) {
      return street.load(kind, names, merges, Classes::kSingle);
    };
    const Dataset all = single({}, kVehicle);
    CHECK(all.names == Names{"object"});
    CHECK(ids_of(all) == Ids{0, 0, 0, 0});
    CHECK(single({"thing"}, kVehicle).names == Names{"thing"});
    CHECK(single({"thing"}, kVehicle).num_labels() == 4);
    if (kind == Kind::kYolo) continue;  // its names are those of its ids
    CHECK(single({}, {{"thing", {"person", "car", "bus", "dog"}}}).names == Names{"thing"});
    CHECK(ids_of(single({"vehicle", "dog"}, kVehicle)) == Ids{0, 0, 0});
  }
}

}  // namespace
}  // namespace ydistill::test
