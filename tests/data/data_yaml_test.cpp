// SPDX-License-Identifier: MIT
#include <ydistill/data/data_yaml.h>
#include <ydistill/data/dataset.h>
#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

namespace fs = std::filesystem;

/// A file data.yaml of this text in a folder with two sets of pictures, a and b.
struct Folder {
  TempDir dir;
  explicit Folder(const std::string& text) {
    write_yolo_set(dir / "set/a", {{40, 30}, {30, 40}});
    write_yolo_set(dir / "set/b", {{20, 20}});
    write_file(dir / "set/data.yaml", text);
  }
  Dataset load(const std::string& split, std::vector<std::string> names = {}) const {
    return load_dataset({DataSource::Kind::kYaml, dir / "set/data.yaml", split, ""},
                        std::move(names));
  }
};

const std::string kNames = "names: [zero, one]\n";

void check_refused(const std::string& text, const std::string& message) {
  INFO(text);
  const Folder folder(text);
  CHECK_THROWS_WITH_TEXT(folder.load("train"), FileError, "data.yaml" + message);
}

}  // namespace

TEST_CASE("data.yaml: splits are folders lists and lists of those, in their order") {
  const Folder folder(
      "# a comment\n"
      "train: [b/images, a.txt]\n"
      "val: a/images\n"
      "test: a.txt\n"
      "nc: 2\n"
      "names:\n  0: zero\n  1: one\n");
  write_file(folder.dir / "set/a.txt", "a/images/1.png\n");
  const Dataset train = folder.load("train");
  REQUIRE(train.samples.size() == 2);
  CHECK(train.samples[0].width == 20);
  CHECK(train.samples[1].image.filename() == "1.png");
  CHECK(train.samples[1].labels.at(0).class_id == 1);
  CHECK(train.names == std::vector<std::string>{"zero", "one"});
  CHECK(folder.load("val").samples.size() == 2);
  CHECK(folder.load("test").samples.size() == 1);
  CHECK(train.findings.empty());
  CHECK(train.notes.empty());
}

TEST_CASE("data.yaml: its root starts at the file and else at the folder above, which is said") {
  const Folder beside("path: a\ntrain: images\n" + kNames);
  CHECK(beside.load("train").samples.size() == 2);
  CHECK(beside.load("train").notes.empty());

  // As in YOLOv5's data/coco128.yaml: `path` starts at the repository, the file lies in a folder.
  const Folder above("");
  write_file(above.dir / "repo/data/x.yaml", "path: ../set/a\ntrain: images\n" + kNames);
  const DataYaml yaml = read_data_yaml(above.dir / "repo/data/x.yaml", "train");
  CHECK(yaml.paths == std::vector<fs::path>{above.dir / "set/a/images"});
  REQUIRE(yaml.notes.size() == 1);
  CHECK(yaml.notes[0].find("x.yaml:2: train: ") != std::string::npos);
  CHECK(yaml.notes[0].find("set/a/images is taken") != std::string::npos);

  const Folder roboflow("train: ../a/images\n" + kNames);
  CHECK(roboflow.load("train").samples.size() == 2);

  const Folder absolute("");
  write_file(absolute.dir / "set/data.yaml",
             "path: " + (absolute.dir / "set/a").string() + "\ntrain: images\n" + kNames);
  CHECK(absolute.load("train").samples.size() == 2);
}

TEST_CASE("data.yaml: as many names that are given win and that is said") {
  const Folder folder("train: a/images\n" + kNames);
  const Dataset data = folder.load("train", {"x", "y"});
  CHECK(data.names == std::vector<std::string>{"x", "y"});
  CHECK(data.labels_dropped == 0);
  REQUIRE(data.notes.size() == 1);
  CHECK(data.notes[0].find("its 2 names are not used, the 2 that were given are") !=
        std::string::npos);
}

TEST_CASE("data.yaml: some names of which one is misspelt are refused, naming the nearest") {
  const Folder three("train: a/images\nnames: [cat, dog, horse]\n");
  CHECK_THROWS_WITH_TEXT(
      three.load("train", {"cat", "dgo"}), ConfigError,
      "data.yaml: has no class \"dgo\", the nearest is \"dog\"; give some of its "
      "names, or 3 of your own, one for each of its ids");
  CHECK_THROWS_WITH_TEXT(three.load("train", {"cat", "dog", "horse", "cow"}), ConfigError,
                         "has no class \"cow\"");
}

TEST_CASE("data.yaml: of its names some may be wanted, and labels of the others are dropped") {
  const Folder folder("train: a/images\n" + kNames);
  const std::vector<std::string> all = folder.load("train").names;
  REQUIRE(all.size() == 2);
  const Dataset data = folder.load("train", {all[1]});
  CHECK(data.names == std::vector<std::string>{all[1]});
  CHECK(data.samples.size() == 2);
  CHECK(data.num_labels() == 1);
  CHECK(data.labels_dropped == 1);
  for (const Sample& sample : data.samples) {
    for (const Label& label : sample.labels) CHECK(label.class_id == 0);
  }
  REQUIRE(data.notes.size() == 1);
  CHECK(data.notes[0].find("1 of its 2 classes are wanted; labels are matched by name") !=
        std::string::npos);
  REQUIRE(data.findings.size() == 1);
  CHECK(data.findings[0].reason == "class \"" + all[0] + "\" is not among the names");
}

TEST_CASE("data.yaml: without names there are nc classes") {
  CHECK(Folder("train: a/images\nnc: 3\n").load("train").names ==
        std::vector<std::string>{"class0", "class1", "class2"});
}

TEST_CASE("data.yaml: words that YAML has other types for are names too") {
  CHECK(Folder("train: a/images\nnames: [yes, 1, no]\n").load("train").names ==
        std::vector<std::string>{"yes", "1", "no"});
}

TEST_CASE("data.yaml: download is told and never run") {
  const Folder folder("train: a/images\ndownload: |\n  touch " +
                      (TempDir().path() / "no").string() + "\n" + kNames);
  const Dataset data = folder.load("train");
  REQUIRE(data.notes.size() == 1);
  CHECK(data.notes[0].find("data.yaml:2: `download` is never run") != std::string::npos);
  const Folder missing("train: none\ndownload: https://example.org/x.zip\n" + kNames);
  CHECK_THROWS_WITH_TEXT(missing.load("train"), FileError, "`download` is not run: fetch it first");
}

TEST_CASE("data.yaml: a byte order mark and Windows line ends are fine") {
  CHECK(Folder("\xef\xbb\xbftrain: a/images\r\nnames:\r\n- zero\r\n- one\r\n")
            .load("train")
            .names.size() == 2);
}

TEST_CASE("data.yaml: faults are refused with file and line") {
  check_refused("train: a/images\nnames: [a, b\n", ":3: malformed YAML");
  check_refused("- a\n", ":1: not a data.yaml");
  check_refused("", ": not a data.yaml");
  check_refused("names: [a]\nTrain: a/images\n",
                ":2: there is no key \"Train\"; did you mean \"train\"?");
  check_refused("base: &b {train: a/images}\n<<: *b\nnames: [a]\n", ":2: merge keys (<<)");
  check_refused("train: a/images\n", ":1: neither names nor nc");
  check_refused("train: a/images\nnames: 7\n", ":2: names: expected a list, or a map");
  check_refused("train: a/images\nnames: []\n", ":2: names: there is none");
  check_refused("train: a/images\nnames: [a, a]\n", ":2: names: \"a\" is there twice");
  check_refused("train: a/images\nnames: [a, [b]]\n", ":2: names: a name is no word");
  check_refused("train: a/images\nnames: [" + std::string(1001, 'a') + "]\n",
                ":2: names: a name of 1001 bytes, at most 1000 are taken");
  std::string many = "train: a/images\nnames: [&a x";
  for (int i = 0; i < 10'000; ++i) many += ", *a";
  check_refused(many + "]\n", ":2: names: 10001 of them, at most 10000 are taken");
  check_refused("train: a/images\nnames: {0: a, 2: b}\n", ":2: names: there is an id 2 but none 1");
  check_refused("train: a/images\nnames: {1: a, 2: b}\n", ":2: names: there is an id 1 but none 0");
  check_refused("train: a/images\nnames:\n  0: a\n  x: b\n", ":4: names: \"x\" is not a class id");
  check_refused("train: a/images\nnames:\n  0: a\n  0: b\n", ":4: names: the id 0 is there twice");
  check_refused("train: a/images\nnames: [a, b]\nnc: 3\n", ":3: nc is 3, but there are 2 names");
  check_refused("train: a/images\nnames: [a, b]\nnc: two\n",
                ":3: nc: expected a number from 1 to 10000");
  check_refused("val: a/images\n" + kNames, ":1: no train pictures: the key \"train\" is missing");
  check_refused("train:\n" + kNames, ":2: no train pictures");
  check_refused("train: {a: b}\n" + kNames, ":1: train: expected a folder, a list file, or a list");
  check_refused("train: [a/images, " + std::string(4097, 'a') + "]\n" + kNames,
                ":1: train: a path of 4097 bytes, at most 4096 are taken");
  check_refused("train: []\n" + kNames, ":1: train: an empty list");
  check_refused("train: none/images\n" + kNames, ":1: train: there is no none/images; tried /");
  check_refused("train: a/images\npath: [x]\n" + kNames, ":2: path: expected one word");
  check_refused("train: a/images\ntrain: b/images\n" + kNames,
                ":2: the key \"train\" is there twice");
  check_refused("train: " + std::string(5000, '[') + "\n", ":2: malformed YAML: nested too deeply");
  CHECK_THROWS_WITH_TEXT(Folder(kNames).load("trainval"), FileError,
                         "one of train, val, test wanted");
}

}  // namespace ydistill::test
