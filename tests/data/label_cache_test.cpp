// SPDX-License-Identifier: MIT
#include <ydistill/data/dataset.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

namespace fs = std::filesystem;

struct CachedSet {
  TempDir dir, cache;
  CachedSet() {
    write_yolo_set(dir.path(), {{40, 30}, {30, 40}});
    write_file(dir / "labels/0.txt", "0 0.1 0.1 0.5 0.1 0.5 0.6\n");
  }
  Dataset load() const {
    DataSource source;
    source.path = dir / "images";
    source.cache_folder = cache.path();
    return load_dataset(source, {"x", "y"});
  }
  fs::path file() const { return fs::directory_iterator(cache.path())->path(); }
  /// New content with the old size and time, which no honest edit leaves: shows what was not read.
  void change_in_secret(const fs::path& path, const std::string& bytes) const {
    const auto time = fs::last_write_time(path);
    REQUIRE(bytes.size() == fs::file_size(path));
    write_file(path, bytes);
    fs::last_write_time(path, time);
  }
};

}  // namespace

TEST_CASE("label cache: what it gives is what the files gave, without opening them") {
  const CachedSet set;
  const Dataset first = set.load();
  for (const char* name : {"images/0.png", "labels/0.txt"}) {
    set.change_in_secret(set.dir / name, std::string(fs::file_size(set.dir / name), 'x'));
  }
  const Dataset second = set.load();
  REQUIRE(second.samples.size() == 2);
  CHECK(second.findings.empty());
  for (size_t i = 0; i < 2; ++i) {
    CHECK(second.samples[i].labels == first.samples[i].labels);
    CHECK(second.samples[i].image == first.samples[i].image);
    CHECK(second.samples[i].width == first.samples[i].width);
  }
  CHECK(second.samples[0].labels[0].polygon.size() == 3);
}

TEST_CASE("label cache: of a COCO file it spares the headers of the pictures") {
  const CachedSet set;
  const auto write_json = [&](int category) {
    write_file(set.dir / "a.json", fmt::format(R"({{"images": [{{"id": 1, "file_name": "0.png"}}],
      "annotations": [{{"id": 1, "image_id": 1, "category_id": {}, "bbox": [4, 3, 20, 15]}}],
      "categories": [{{"id": 1, "name": "x"}}, {{"id": 2, "name": "y"}}]}})",
                                               category));
  };
  DataSource source;
  source.kind = DataSource::Kind::kCoco;
  source.path = set.dir / "a.json";
  source.images = set.dir / "images";
  source.cache_folder = set.cache.path();
  write_json(1);
  const Dataset first = load_dataset(source);
  set.change_in_secret(set.dir / "images/0.png",
                       std::string(fs::file_size(set.dir / "images/0.png"), 'x'));
  const Dataset second = load_dataset(source);
  REQUIRE(second.samples.size() == 1);
  CHECK(second.samples[0].labels == first.samples[0].labels);
  CHECK(second.samples[0].labels.at(0).class_id == 0);
  CHECK(second.samples[0].coco_id == "1");
  // Other names are other ids.
  CHECK_THROWS(load_dataset(source, {"y", "x"}));
  write_yolo_set(set.dir.path(), {{40, 30}});
  CHECK(load_dataset(source, {"y", "x"}).samples.at(0).labels.at(0).class_id == 1);
  write_json(12);
  CHECK(load_dataset(source).labels_dropped == 1);
}

TEST_CASE("label cache: two entries of a COCO file with one picture keep their own labels") {
  const CachedSet set;
  write_file(set.dir / "a.json", R"({"images": [{"id": 1, "file_name": "0.png"},
      {"id": 2, "file_name": "0.png"}, {"id": 3, "file_name": "1.png"}],
      "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 3, 20, 15]},
                      {"id": 2, "image_id": 2, "category_id": 2, "bbox": [4, 3, 10, 15]}],
      "categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}]})");
  DataSource source;
  source.kind = DataSource::Kind::kCoco;
  source.path = set.dir / "a.json";
  source.images = set.dir / "images";
  source.cache_folder = set.cache.path();
  for (int times = 0; times < 3; ++times) {
    const Dataset read = load_dataset(source);
    REQUIRE(read.samples.size() == 3);
    REQUIRE(read.num_labels() == 2);
    CHECK(read.samples[0].labels.at(0).class_id == 0);
    CHECK(read.samples[1].labels.at(0).class_id == 1);
  }
}

TEST_CASE("label cache: a file of another size or time is read again") {
  const CachedSet set;
  set.load();
  write_file(set.dir / "labels/1.txt", "0 0.5 0.5 0.25 0.25\n1 0.5 0.5 0.5 0.5\n");
  CHECK(set.load().samples[1].labels.size() == 2);
  fs::remove(set.dir / "labels/1.txt");
  CHECK(set.load().samples[1].labels.empty());
}

TEST_CASE("label cache: faults are found each time") {
  const CachedSet set;
  write_file(set.dir / "labels/1.txt", "7 0.5 0.5 0.25 0.25\n");
  CHECK(set.load().findings.size() == 1);
  CHECK(set.load().findings.size() == 1);
}

TEST_CASE("label cache: a damaged cache counts as empty and is written anew") {
  const CachedSet set;
  const Dataset first = set.load();
  const std::string whole = read_file(set.file());
  for (size_t cut = 0; cut < whole.size(); cut += 7) {
    std::string damaged = whole;
    damaged[cut] = char(damaged[cut] + 1);
    write_file(set.file(), cut % 2 == 0 ? damaged : whole.substr(0, cut));
    CHECK(set.load().samples[0].labels == first.samples[0].labels);
    CHECK(read_file(set.file()).size() == whole.size());
  }
}

TEST_CASE("label cache: where it cannot be written a note says so") {
  const CachedSet set;
  DataSource source;
  source.path = set.dir / "images";
  source.cache_folder = set.dir / "labels/0.txt";  // a file
  const Dataset data = load_dataset(source);
  CHECK(data.samples.size() == 2);
  REQUIRE(data.notes.size() == 1);
  CHECK(data.notes[0].find("the label cache is not kept: ") == 0);
}

TEST_CASE("label cache: one that cannot be read counts as empty") {
  const CachedSet set;
  const Dataset first = set.load();
  const fs::path file = set.file();
  fs::remove(file);
  fs::create_directory(file);  // what reading fails on, as on a broken disk
  const Dataset second = set.load();
  CHECK(second.samples.size() == first.samples.size());
  CHECK(second.samples[0].labels == first.samples[0].labels);
}

}  // namespace ydistill::test
