// SPDX-License-Identifier: MIT
#include <ydistill/train/coco_results.h>

#include <map>
#include <nlohmann/json.hpp>

#include <ydistill/data/dataset.h>

#include "support/catch.h"
#include "support/files.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

using nlohmann::json;

/// Two pictures in one batch, with these boxes.
json results_of(Dataset dataset, const std::vector<std::vector<Detection>>& found,
                int64_t left_out = 0) {
  const test::TempDir dir;
  CocoResults results(std::make_shared<const Dataset>(std::move(dataset)));
  Batch batch;
  batch.indices = {1, 0};
  results.add({0, batch, {}, found, found, {}});
  CHECK(results.write(dir / "results.json", single_process()) == left_out);
  return json::parse(test::read_file(dir / "results.json"));
}

Dataset two_pictures(const std::string& first, const std::string& second) {
  Dataset dataset;
  dataset.names = {"cat", "dog"};
  dataset.samples = {{first, 100, 80, {}}, {second, 100, 80, {}}};
  return dataset;
}

TEST_CASE("coco results: ids are those of the COCO file, boxes left, top, width and height") {
  Dataset dataset = two_pictures("a.jpg", "b.jpg");
  dataset.samples[0].coco_id = "42";
  dataset.samples[1].coco_id = "\"x-7\"";
  dataset.coco_category_ids = {18, -1};
  const json expected = {
      {{"image_id", "x-7"},
       {"category_id", 18},
       {"bbox", {10.123, 20, 20.5, 30}},
       {"score", 0.98765}},
      {{"image_id", 42}, {"category_id", 18}, {"bbox", {0, 0, 5, 6}}, {"score", 0.25}}};
  CHECK(results_of(std::move(dataset),
                   {{{10.12345f, 20, 30.62345f, 50, 0.987654f, 0}, {1, 2, 3, 4, 0.5f, 1}},
                    {{0, 0, 5, 6, 0.25f, 0}}},
                   1) == expected);
}

TEST_CASE("coco results: of other data they are the picture's name and the class's place") {
  const json got = results_of(two_pictures("p/000000000139.jpg", "p/street 2.jpg"),
                              {{{0, 0, 5, 6, 0.25f, 1}}, {{0, 0, 5, 6, 0.5f, 0}}});
  REQUIRE(got.size() == 2);
  CHECK(got[0]["image_id"] == "street 2");
  CHECK(got[0]["category_id"] == 1);
  CHECK(got[1]["image_id"] == 139);
  CHECK(got[1]["category_id"] == 0);
}

TEST_CASE("coco results: nothing found is an empty list") {
  CHECK(results_of(two_pictures("a.jpg", "b.jpg"), {{}, {}}) == json::array());
}

}  // namespace
}  // namespace ydistill
