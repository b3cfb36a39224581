// SPDX-License-Identifier: MIT
#include <algorithm>

#include <ydistill/data/dataset_check.h>
#include <ydistill/data/dataset_statistics.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

namespace fs = std::filesystem;

NamedDataset open(const std::string& name, const fs::path& folder,
                  std::vector<std::string> names = {}) {
  return {name, folder,
          std::make_shared<Dataset>(
              load_dataset({DataSource::Kind::kYolo, folder, "", ""}, std::move(names)))};
}

}  // namespace

TEST_CASE("statistics: classes boxes and pictures are counted") {
  Dataset data;
  data.names = {"a", "b", "c"};
  data.samples = {{"x", 100, 200, {{0, 0.5, 0.5, 0.31, 0.16}, {0, 0.5, 0.5, 0.32, 0.16}}, true},
                  {"y", 300, 100, {{1, 0.5, 0.5, 1, 1, {{0, 0}, {1, 0}, {1, 1}}}}, true},
                  {"z", 200, 100, {}, true},
                  {"u", 200, 100, {}, false}};
  const DatasetStatistics s = statistics_of(data);
  CHECK(s.pictures == 4);
  CHECK(s.background == 1);
  CHECK(s.unlabelled == 1);
  CHECK(s.labels == 3);
  CHECK(s.outlines == 1);
  CHECK(s.classes.at(0).labels == 2);
  CHECK(s.classes.at(0).pictures == 1);
  CHECK(s.classes.at(1).pictures == 1);
  CHECK(s.classes.at(2).labels == 0);
  // 31 x 32 and 32 x 32 pixels, 300 x 100.
  CHECK(s.small == 1);
  CHECK(s.medium == 1);
  CHECK(s.large == 1);
  CHECK(s.box_width[0] == Approx(0.31));
  CHECK(s.box_width[1] == Approx(0.315));
  CHECK(s.box_width[2] == Approx(0.32));
  CHECK(s.box_width[4] == Approx(1));
  CHECK(s.picture_width[2] == Approx(200));
}

TEST_CASE("statistics: quantiles of nothing and of one value") {
  CHECK(quantiles_of({}) == Quantiles{});
  CHECK(quantiles_of({3}) == Quantiles{3, 3, 3, 3, 3});
  CHECK(quantiles_of({4, 0, 2, 1, 3}) == Quantiles{0, 1, 2, 3, 4});
}

TEST_CASE("check: pictures that do not decode are listed") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{20, 20}, {64, 64}});
  std::string png = read_file(dir / "images/1.png");
  png[png.size() / 2] = char(png[png.size() / 2] ^ 1);
  write_file(dir / "images/1.png", png);
  const std::vector<Finding> findings = undecodable_pictures(*open("train", dir / "images").data);
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].str().find("1.png: the PNG is damaged: ") != std::string::npos);
  CHECK(findings[0].effect == "picture left out");
}

TEST_CASE("check: repeated pictures are found by content and by file") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{20, 20}, {20, 20}, {20, 20}});
  fs::copy_file(dir / "images/0.png", dir / "images/copy.png");
  fs::copy_file(dir / "images/1.png", dir / "images/other.png");
  fs::copy_file(dir / "labels/0.txt", dir / "labels/copy.txt");
  fs::create_symlink("2.png", dir / "images/link.png");
  const std::string all = all_findings(repeated_pictures(open("train", dir / "images")));
  INFO(all);
  CHECK(std::count(all.begin(), all.end(), '\n') == 3);
  CHECK(all.find("copy.png: the same picture as " + (dir / "images/0.png").string() +
                 " (kept, it counts once more)") != std::string::npos);
  CHECK(all.find("other.png: the same picture as " + (dir / "images/1.png").string() +
                 ", with other labels (kept") != std::string::npos);
  CHECK(all.find("link.png: the picture is in train more than once") != std::string::npos);
}

TEST_CASE("check: pictures in both sets are found by file and by content") {
  const TempDir dir;
  write_yolo_set(dir / "a", {{20, 20}, {21, 20}, {22, 20}});
  write_yolo_set(dir / "b", {{30, 20}});
  fs::copy_file(dir / "a/images/1.png", dir / "b/images/copy.png");
  fs::create_symlink(dir / "a/images/2.png", dir / "b/images/link.png");
  const NamedDataset train = open("train", dir / "a/images");
  const std::string all = all_findings(shared_pictures(train, open("val", dir / "b/images")));
  INFO(all);
  CHECK(std::count(all.begin(), all.end(), '\n') == 2);
  CHECK(all.find("copy.png: is in val, the same picture as " + (dir / "a/images/1.png").string() +
                 " in train (kept, val measures on pictures that were trained on)") !=
        std::string::npos);
  CHECK(all.find("link.png: is in train and in val") != std::string::npos);
  const std::vector<Finding> same = shared_pictures(train, open("val", dir / "a/images"));
  REQUIRE(same.size() == 1);
  CHECK(same[0].reason == "all 3 pictures of val are in train");
  CHECK(same[0].file == dir / "a/images");
}

TEST_CASE("check: classes without labels are listed") {
  const TempDir dir;
  write_yolo_set(dir.path(), {{20, 20}});
  const std::vector<Finding> findings =
      empty_classes(open("train", dir / "images", {"seen", "not seen"}));
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].reason == "class 1 \"not seen\" has no label in train");
  CHECK(findings[0].effect == "it cannot be learnt");
}

}  // namespace ydistill::test
