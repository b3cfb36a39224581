// SPDX-License-Identifier: MIT
// What 8 bits cost a trained network.
#include <ydistill/data/letterbox.h>
#include <ydistill/tensor/arena.h>
#include <ydistill/train/evaluate.h>
#include <ydistill/yolo/calibrator.h>
#include <ydistill/yolo/checkpoint.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

// Measured 0.004 and 0.006; which bytes are rounded which way differs a little between processors.
TEST_CASE("int8: on coco128 the mAP is within 0.008 of the original's in float") {
  YD_REFERENCE_OR_SKIP(weights, "weights/yolov5n-v6-coco.pt");
  YD_REFERENCE_OR_SKIP(recorded, "reference/val_yolov5n_coco128.json");
  const auto folder = weights.parent_path().parent_path() / "data/coco128";
  Checkpoint checkpoint = load_checkpoint(weights, PtWeights::kEma);
  const auto data = std::make_shared<const Dataset>(
      load_dataset({DataSource::Kind::kCoco, folder / "instances.json", "", folder / "images"}));
  {
    const auto model = build_inference_model(checkpoint, {});
    Calibrator calibrator(*model);
    const auto arena = Arena::create();
    const ArenaScope scope(arena);
    for (size_t i = 0; i < data->samples.size(); i += 8) {
      const Image image = read_image(data->samples[i].image);
      const Letterbox box = detection_letterbox(image.width, image.height, 640, 32);
      const Tensor input = Tensor::empty({1, box.height, box.width, 3}, DType::kUInt8);
      apply_letterbox(image, box, input.data<uint8_t>());
      calibrator.add(input);
    }
    checkpoint.calibration = calibrator.result();
  }
  const auto model = build_inference_model(checkpoint, {Device::cpu(), Precision::kInt8});
  EvaluateOptions options;
  options.val.image_size = 640;
  const auto arena = Arena::create();
  const ArenaScope scope(arena);
  const MetricsResult got = evaluate(*model, data, options).metrics;
  const auto expected = nlohmann::json::parse(test::read_file(recorded));
  INFO("mAP50 " << got.map50 << ", mAP50-95 " << got.map);
  CHECK(std::abs(got.map - expected.at("map").get<double>()) < 0.008);
  CHECK(std::abs(got.map50 - expected.at("map50").get<double>()) < 0.012);
}

}  // namespace
}  // namespace ydistill
