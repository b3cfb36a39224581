// SPDX-License-Identifier: MIT
#include <ydistill/train/coco_results.h>

#include <map>
#include <nlohmann/json.hpp>

#include <ydistill/data/dataset.h>
#include <ydistill/detect/test_time_augmentation.h>
#include <ydistill/yolo/inference.h>

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
  results.add({0, batch, {}, /*in input pixels*/ {}, found, {}});
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

TEST_CASE("coco results: ids that would mean two pictures, or no category, are refused") {
  const auto of = [](Dataset dataset) {
    CocoResults results(std::make_shared<const Dataset>(std::move(dataset)));
  };
  CHECK_THROWS_WITH_TEXT(of(two_pictures("p/7.jpg", "q/007.png")), ConfigError,
                         "p/7.jpg and q/007.png would both have the id 7");
  Dataset joined = two_pictures("a.jpg", "b.jpg");
  joined.samples[0].coco_id = "42";
  CHECK_THROWS_WITH_TEXT(of(std::move(joined)), ConfigError,
                         "one class (train.single_class), no category of the file");
}

TEST_CASE("coco results: nothing found is an empty list") {
  CHECK(results_of(two_pictures("a.jpg", "b.jpg"), {{}, {}}) == json::array());
}

TEST_CASE("evaluate: with test-time augmentation it finds what the views find together") {
  const test::TempDir dir;
  test::write_tiny_set(dir.path(), 3);
  const auto data = std::make_shared<const Dataset>(
      load_dataset({DataSource::Kind::kYolo, dir / "images", "", {}}, {"wide", "high"}));
  Model model(graph_from_json(test::tiny_graph()));
  model.initialise(1);
  model.prepare_inference();
  EvaluateOptions options;
  options.val.image_size = 64;
  options.workers = 0;
  const auto found_with = [&](bool tta) {
    options.tta = tta;
    std::vector<std::vector<Detection>> found;
    options.on_batch = [&](const EvaluatedBatch& batch) {
      CHECK(batch.logits.empty() == tta);
      NmsOptions nms = NmsOptions::validation();
      nms.conf = options.val.conf;
      nms.iou = options.val.iou;
      nms.max_det = options.val.max_det;
      Inference inference(model);
      const Network network = [&](const Tensor& images) { return inference.logits(images); };
      const auto expected =
          nms_with_tta(network, batch.batch.images, 16, model.spec().anchors, nms);
      CHECK((batch.detections == expected) == tta);
      found.insert(found.end(), batch.found.begin(), batch.found.end());
    };
    evaluate(model, data, options);
    return found;
  };
  const auto with = found_with(true), without = found_with(false);
  REQUIRE(with.size() == 3);
  CHECK_FALSE(with == without);
  options.tta = true;
  options.loss.emplace();
  CHECK_THROWS_WITH_TEXT(evaluate(model, data, options), ValueError, "no loss with tta");
}

}  // namespace
}  // namespace ydistill
