// SPDX-License-Identifier: MIT
// Which class a label gets, by the names of the config and of the sources.
#include <ydistill/train/data_sources.h>

#include <ydistill/tensor/error.h>
#include <ydistill/train/data_report.h>

#include "support/catch.h"
#include "support/files.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

using Names = std::vector<std::string>;

/// A training and a validation set, each with a data.yaml of its own. Even pictures hold class 0.
struct TwoSets {
  test::TempDir dir;
  TwoSets() {
    test::write_tiny_set(dir / "train", 4);
    test::write_tiny_set(dir / "val", 3, 2);
    test::write_file(dir / "train.yaml", "train: train/images\nnames: [wide, high]\n");
    test::write_file(dir / "val.yaml", "val: val/images\nnames: [high, wide]\n");
  }
  Config config(const std::string& data, const std::string& train = "") const {
    return parse_config(R"({"model": {"graph": "yolov5s"}, "data": {)" + data + R"(,
      "label_cache": false}, "train": {)" +
                            train + "}}",
                        dir.path());
  }
  /// What training would read.
  std::pair<Dataset, Dataset> load(const Config& config) const {
    Dataset train = load_source(train_source(config), reading_of(config));
    Dataset val = load_source(val_source(config), validation_reading(config, train));
    return {std::move(train), std::move(val)};
  }
};

const std::string kYamls = R"("train": {"yaml": "train.yaml", "split": "train"},
                              "val": {"yaml": "val.yaml", "split": "val"})";
const std::string kFolders = R"("train": {"yolo": "train/images"}, "val": {"yolo": "val/images"})";

TEST_CASE("classes: a validation data.yaml with the names in another order is read by name") {
  const TwoSets sets;
  const auto [train, val] = sets.load(sets.config(kYamls));
  CHECK(train.names == Names{"wide", "high"});
  CHECK(val.names == Names{"wide", "high"});
  CHECK(train.samples.at(0).labels.at(0).class_id == 0);
  // The label file says 0, which is "high" in val.yaml.
  CHECK(val.samples.at(0).labels.at(0).class_id == 1);
  CHECK(val.samples.at(1).labels.at(0).class_id == 0);
  REQUIRE(val.notes.size() == 1);
  CHECK(val.notes[0].find("val.yaml: its names are in another order") != std::string::npos);
}

TEST_CASE("classes: those of which no training picture has a label are reported") {
  const TwoSets sets;
  const auto said = [&](const std::string& data) {
    std::string log;
    open_training_data(sets.config(data), [&](const std::string& line) { log += line + "\n"; });
    return log;
  };
  CHECK(said(kYamls).find("have no label") == std::string::npos);
  CHECK(said(kFolders + R"(, "names": ["wide", "high", "round", "flat"])")
            .find("data.train: 2 of 4 classes have no label: round, flat\n") != std::string::npos);
}

TEST_CASE("classes: data.names in another order than a data.yaml are matched by name") {
  const TwoSets sets;
  const auto [train, val] = sets.load(sets.config(kYamls + R"(, "names": ["high", "wide"])"));
  CHECK(train.samples.at(0).labels.at(0).class_id == 1);
  CHECK(val.samples.at(0).labels.at(0).class_id == 0);
}

TEST_CASE("classes: data.names may be some of those of both data.yaml files") {
  const TwoSets sets;
  const auto [train, val] = sets.load(sets.config(kYamls + R"(, "names": ["high"])"));
  CHECK(train.names == Names{"high"});
  CHECK(val.names == Names{"high"});
  CHECK(train.num_labels() + train.labels_dropped == 4);
  CHECK(train.labels_dropped == 2);
  CHECK(val.num_labels() + val.labels_dropped == 3);
  // The label files of val say 0 for "high".
  CHECK(val.samples.at(0).labels.size() == 1);
  CHECK(val.samples.at(1).labels.empty());
}

TEST_CASE("classes: those that data.merge makes one are one in every source") {
  const TwoSets sets;
  test::write_file(sets.dir / "train.yaml", "train: train/images\nnames: [wide, high, round]\n");
  test::write_file(sets.dir / "val.yaml", "val: val/images\nnames: [round, high, wide]\n");
  const std::string merge = R"(, "merge": {"long": ["wide", "high"]})";
  const auto check = [&](const std::string& data, const Names& names, int64_t of_val) {
    INFO(data);
    const Config config = sets.config(data + merge);
    CHECK((names_before_reading(config).empty() || names_before_reading(config) == names));
    const auto [train, val] = sets.load(config);
    CHECK(train.names == names);
    CHECK(val.names == names);
    for (const Sample& sample : train.samples) CHECK(sample.labels.at(0).class_id == 0);
    CHECK(val.samples.at(0).labels.at(0).class_id == of_val);
    CHECK(val.samples.at(1).labels.at(0).class_id == 0);
    // As `val` reads them for a model of these classes.
    const Dataset alone = load_source(val_source(config), model_reading(config, names));
    CHECK(alone.names == names);
  };
  check(kYamls, {"long", "round"}, 1);
  check(kYamls + R"(, "names": ["long", "round"])", {"long", "round"}, 1);
  // Ids count before the merge, also beside a data.yaml that names them.
  check(kFolders + R"(, "names": ["wide", "high", "round"])", {"long", "round"}, 0);
  const std::string mixed = R"("train": {"yaml": "train.yaml", "split": "train"},
                               "val": {"yolo": "val/images"})";
  const auto [train, val] = sets.load(sets.config(mixed + merge));
  CHECK(val.samples.at(1).labels.at(0).class_id == 0);
  CHECK_THROWS_WITH_TEXT(sets.load(sets.config(kFolders + merge)), ConfigError, "have only ids");
  // As `val` reads the folder for the model of that training, and for one that knows the parts.
  const auto ids_for = [&](const Names& model) {
    return model_reading(sets.config(mixed + merge), model).names;
  };
  CHECK(ids_for({"long", "round"}) == Names{"wide", "high", "round"});
  CHECK(ids_for({"high", "round", "wide"}) == Names{"high", "round", "wide"});
  CHECK_THROWS_WITH_TEXT(
      model_reading(sets.config(R"("val": {"yolo": "val/images"})" + merge), {"long", "round"}),
      ConfigError, "have only ids");
  // Names afterwards say nothing of what the ids beside them are.
  CHECK_THROWS_WITH_TEXT(sets.load(sets.config(mixed + R"(, "names": ["long", "round"])" + merge)),
                         ConfigError, "train.yaml, while data.val has ids without names");
  // Merged ones of other names are no reason to go by ids.
  const std::string other = R"(, "merge": {"long": ["Wide", "High"]}, "names": ["round", "long"])";
  CHECK_THROWS_WITH_TEXT(sets.load(sets.config(kYamls + other)), ConfigError,
                         "has no class \"long\", it has wide, high, round");
}

TEST_CASE("classes: ids beside a COCO file whose classes are merged are those of that file") {
  const TwoSets sets;
  test::write_file(sets.dir / "a.json",
                   R"({"images": [{"id": 1, "file_name": "p000.png", "width": 64, "height": 64}],
                       "categories": [{"id": 1, "name": "wide"}, {"id": 2, "name": "high"},
                                      {"id": 3, "name": "round"}],
                       "annotations": [{"id": 1, "image_id": 1, "category_id": 3,
                                        "bbox": [3, 3, 9, 9]}]})");
  const auto [train, val] = sets.load(sets.config(
      R"("train": {"coco": "a.json", "images": "train/images"}, "val": {"yolo": "val/images"},
         "merge": {"long": ["wide", "high"]})"));
  CHECK(train.names == Names{"long", "round"});
  CHECK(train.samples.at(0).labels.at(0).class_id == 1);
  CHECK(val.names == Names{"long", "round"});
  CHECK(val.samples.at(0).labels.at(0).class_id == 0);
  CHECK(val.samples.at(1).labels.at(0).class_id == 0);
}

TEST_CASE("classes: some of a data.yaml's classes do not go with a folder of mere ids") {
  const TwoSets sets;
  const std::string mixed = R"("train": {"yaml": "train.yaml", "split": "train"},
                               "val": {"yolo": "val/images"})";
  CHECK_THROWS_WITH_TEXT(sets.load(sets.config(mixed + R"(, "names": ["high"])")), ConfigError,
                         "train.yaml, while data.val has ids without names");
  CHECK(sets.load(sets.config(mixed)).second.num_labels() == 3);
}

TEST_CASE("classes: validation with other names than training is refused naming both lists") {
  const TwoSets sets;
  test::write_file(sets.dir / "val.yaml", "val: val/images\nnames: [wide, tall]\n");
  const std::string lists =
      "val.yaml has the classes wide, tall, but those of data.train are wide, high";
  CHECK_THROWS_WITH_TEXT(sets.load(sets.config(kYamls)), ConfigError, lists);
  CHECK_THROWS_WITH_TEXT(report_data(sets.config(kYamls), CheckDepth::kHeaders), ConfigError,
                         lists);
  CHECK_THROWS_WITH_TEXT(sets.load(sets.config(kYamls + R"(, "names": ["a", "b"])")), ConfigError,
                         lists);
  // One class alone needs no names.
  CHECK(sets.load(sets.config(kYamls, R"("single_class": true)")).second.num_labels() == 3);
}

TEST_CASE("classes: both data.yaml may be renamed alike, and a folder of pictures has only ids") {
  const TwoSets sets;
  test::write_file(sets.dir / "val.yaml", "val: val/images\nnames: [wide, high]\n");
  const auto [train, val] = sets.load(sets.config(kYamls + R"(, "names": ["a", "b"])"));
  CHECK(train.names == Names{"a", "b"});
  CHECK(val.samples.at(0).labels.at(0).class_id == 0);
  const auto mixed = sets.load(sets.config(
      R"("train": {"yolo": "train/images"}, "val": {"yaml": "val.yaml", "split": "val"})"));
  CHECK(mixed.second.samples.at(1).labels.at(0).class_id == 1);
}

TEST_CASE("classes: validation that names its classes needs names where training has only ids") {
  const TwoSets sets;
  test::write_file(sets.dir / "voc/ImageSets/Main/val.txt", "a\nb\n");
  for (const auto& [id, name] : {std::pair{"a", "wide"}, {"b", "high"}}) {
    test::write_file(sets.dir / fmt::format("voc/Annotations/{}.xml", id),
                     fmt::format("<annotation><object><name>{}</name><bndbox><xmin>3</xmin>"
                                 "<ymin>3</ymin><xmax>30</xmax><ymax>30</ymax></bndbox></object>"
                                 "</annotation>",
                                 name));
  }
  std::filesystem::create_directories(sets.dir / "voc/JPEGImages");
  for (const char* id : {"a", "b"}) {
    write_jpeg(sets.dir / fmt::format("voc/JPEGImages/{}.jpg", id), Image::filled(64, 64, 9));
  }
  const std::string data =
      R"("train": {"yolo": "train/images"}, "val": {"voc": "voc", "split": "val"})";
  const auto refused = [&](const std::string& names, const std::string& text) {
    const Config config = sets.config(data + names);
    CHECK_THROWS_WITH_TEXT(sets.load(config), ConfigError, text);
    CHECK_THROWS_WITH_TEXT(report_data(config, CheckDepth::kHeaders), ConfigError, text);
  };
  refused("", "data.names: none of the 2 labels of ");
  refused("", "can be read with the classes class0, class1; the first: ");
  refused("",
          "2 classes of 2 labels are not among the names: wide (1), high (1) (labels dropped, the "
          "first is here); give the names in the order");
  refused(R"(, "names": ["car", "cat"])", "with the classes car, cat");
  CHECK(sets.load(sets.config(data + R"(, "names": ["wide", "high"])")).second.num_labels() == 2);
  // One of two is a fault of that label alone.
  CHECK(sets.load(sets.config(data + R"(, "names": ["wide", "cat"])")).second.num_labels() == 1);
  CHECK(sets.load(sets.config(data, R"("single_class": true)")).second.num_labels() == 2);
}

TEST_CASE("classes: a model is measured on classes that it knows, and on no others") {
  const TwoSets sets;
  const Config config = sets.config(kYamls);
  CHECK(model_reading(config, {"wide", "high"}).names == Names{"wide", "high"});
  CHECK(model_reading(config, {"a", "b"}).names == Names{"a", "b"});  // renamed, ids count
  // Fewer go by their names.
  CHECK(model_reading(config, {"wide", "high", "round"}).names == Names{"high", "wide"});
  CHECK_THROWS_WITH_TEXT(model_reading(config, {"wide", "tall", "round"}), ConfigError,
                         "val.yaml has the classes high, wide, but those of the model are wide, "
                         "tall, round");
  CHECK_THROWS_WITH_TEXT(model_reading(config, {"wide"}), ConfigError,
                         "but those of the model are wide");
  CHECK_THROWS_WITH_TEXT(
      model_reading(sets.config(kYamls + R"(, "names": ["x"])"), {"wide", "high"}), ConfigError,
      "its head knows 2 classes, the data has 1");
  using Ids = std::vector<int64_t>;
  CHECK(classes_of_data({"wide", "high"}, {"a", "b"}, {}).empty());
  CHECK(classes_of_data({"wide", "round", "high"}, {"high", "wide"}, {}) == Ids{1, 2, 0});
  CHECK(classes_of_data({"wide", "high"}, {"high", "wide"}, {}) == Ids{1, 0});
  CHECK_THROWS_WITH_TEXT(classes_of_data({"wide", "round", "high"}, {"high", "tall"}, {}),
                         ConfigError,
                         "its head knows 3 classes, the data has 2; it does not know tall");
  CHECK(classes_of_data({"wide", "high"}, {"wide", "high"}, {}).empty());
  const ClassMerges merges{{"long", {"wide", "high"}}};
  CHECK(classes_of_data({"wide", "round", "high"}, {"round", "long"}, merges) == Ids{1, 0, 1});
  CHECK(classes_of_data({"wide", "high"}, {"long"}, merges) == Ids{0, 0});
  CHECK(classes_of_data({"long", "round"}, {"long", "round"}, merges).empty());
  CHECK(model_reading(sets.config(kYamls + R"(, "names": ["x"])"), {"a"}).names == Names{"x"});
}

TEST_CASE("classes: with a single class and one name labels of every id are of that class") {
  const TwoSets sets;
  test::write_file(sets.dir / "train/labels/p000.txt", "17 0.5 0.5 0.2 0.2\n1 0.4 0.5 0.2 0.2\n");
  const Config config =
      sets.config(kFolders + R"(, "names": ["thing"])", R"("single_class": true)");
  const auto [train, val] = sets.load(config);
  for (const Dataset* data : {&train, &val}) {
    CHECK(data->names == Names{"thing"});
    CHECK(data->labels_dropped == 0);
    CHECK(data->findings.empty());
    for (const Sample& sample : data->samples) {
      for (const Label& label : sample.labels) CHECK(label.class_id == 0);
    }
  }
  CHECK(train.num_labels() == 5);
  CHECK(train.notes == Names{"18 classes become one, \"thing\""});
}

TEST_CASE("classes: with a single class a data.yaml of one name takes labels of every id") {
  const TwoSets sets;
  test::write_file(sets.dir / "set.yaml", "train: train/images\nval: val/images\nnames: [thing]\n");
  const auto [train, val] =
      sets.load(sets.config(R"("yaml": "set.yaml")", R"("single_class": true)"));
  CHECK(train.names == Names{"thing"});
  CHECK(train.num_labels() == 4);
  CHECK(val.num_labels() == 3);
  CHECK(val.findings.empty());
}

TEST_CASE("check: counts classes as training with a single class will have them") {
  const TwoSets sets;
  const DataReport report =
      report_data(sets.config(kFolders, R"("single_class": true)"), CheckDepth::kHeaders);
  REQUIRE(report.sets.size() == 2);
  for (const DataReport::Set& set : report.sets) {
    REQUIRE(set.statistics.classes.size() == 1);
    CHECK(set.statistics.classes[0].name == "object");
    CHECK(set.statistics.classes[0].labels == set.statistics.labels);
    CHECK(set.notes == Names{"2 classes become one, \"object\""});
  }
  CHECK(report.num_findings() == 0);
}

TEST_CASE("check: without validation pictures the rest is looked at and the lack is a finding") {
  const TwoSets sets;
  const std::string only_train = R"("train": {"yolo": "train/images"}, "names": ["wide", "high"])";
  for (const std::string& data : {only_train, std::string(R"("yaml": "train.yaml")")}) {
    const DataReport report = report_data(sets.config(data), CheckDepth::kHeaders);
    REQUIRE(report.sets.size() == 1);
    CHECK(report.sets[0].statistics.pictures == 4);
    REQUIRE(report.missing.size() == 1);
    CHECK(report.missing[0].reason == "there are no validation pictures");
    CHECK(to_text(report).find("training refuses") != std::string::npos);
    CHECK(report.num_findings() == 1);
  }
  // A config for `val` alone is whole.
  const DataReport val =
      report_data(sets.config(R"("val": {"yolo": "val/images"}, "names": ["wide", "high"])"),
                  CheckDepth::kHeaders);
  CHECK(val.num_findings() == 0);
}

}  // namespace
}  // namespace ydistill
