// SPDX-License-Identifier: MIT
// Genuine YOLOv5 checkpoints. What is expected of them was read with PyTorch 1.13.
#include <ydistill/tensor/io/pt.h>

#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "support/files.h"

using namespace ydistill;

namespace {

std::string class_of(const PtCheckpoint& checkpoint, const std::string& module) {
  for (const auto& [name, type] : checkpoint.modules) {
    if (name == module) return type;
  }
  return "";
}

std::string shape_of(const PtCheckpoint& checkpoint, const std::string& name) {
  const Tensor* tensor = checkpoint.find(name);
  return tensor == nullptr ? "missing" : tensor->str();
}

}  // namespace

TEST_CASE("pt: the v6 release of yolov5n") {
  YD_REFERENCE_OR_SKIP(path, "weights/yolov5n-v6-coco.pt");
  const PtCheckpoint c = read_pt(path, PtWeights::kEma);
  CHECK(c.source == "model");
  CHECK(c.epoch == -1);
  CHECK(c.tensors.size() == 350);
  CHECK(c.modules.size() == 270);
  CHECK(shape_of(c, "model.0.conv.weight") == "float32 [16,3,6,6]");
  CHECK(shape_of(c, "model.24.anchors") == "float32 [3,3,2]");
  CHECK(shape_of(c, "model.24.m.2.bias") == "float32 [255]");
  CHECK(shape_of(c, "model.9.cv1.bn.num_batches_tracked") == "int64 []");
  CHECK(c.find("model.24.anchors")->at(0) == 1.25);  // 10 px on a stride of 8
  CHECK(class_of(c, "model.0") == "models.common.Conv");
  CHECK(class_of(c, "model.9") == "models.common.SPPF");
  CHECK(class_of(c, "model.24") == "models.yolo.Detect");
  REQUIRE(c.class_names.size() == 80);
  CHECK(c.class_names[79] == "toothbrush");
  CHECK(c.strides == std::vector<double>{8, 16, 32});
  const nlohmann::json spec = nlohmann::json::parse(c.spec_json);
  CHECK(spec["nc"] == 80);
  CHECK(spec["width_multiple"] == 0.25);
  CHECK(spec["backbone"][0][2] == "Conv");
  for (const auto& [name, tensor] : c.tensors) {
    if (!all_finite(tensor)) FAIL(name);
  }
}

TEST_CASE("pt: the v5 checkpoint of yolov5s") {
  YD_REFERENCE_OR_SKIP(path, "weights/yolov5s-v5-voc20.pt");
  const PtCheckpoint s = read_pt(path, PtWeights::kModel);
  CHECK(s.tensors.size() == 362);
  CHECK(s.modules.size() == 283);
  CHECK(shape_of(s, "model.0.conv.conv.weight") == "float32 [32,12,3,3]");
  CHECK(shape_of(s, "model.24.anchor_grid") == "float32 [3,1,3,1,1,2]");
  CHECK(class_of(s, "model.0") == "models.common.Focus");
  CHECK(class_of(s, "model.8") == "models.common.SPP");
  CHECK(s.class_names.size() == 20);
  CHECK(s.class_names[0] == "aeroplane");
  CHECK(nlohmann::json::parse(s.spec_json)["backbone"][0][2] == "Focus");
  CHECK(s.strides == std::vector<double>{8, 16, 32});
}

TEST_CASE("pt: the v5 checkpoint of yolov5m") {
  YD_REFERENCE_OR_SKIP(path, "weights/yolov5m-v5-voc20.pt");
  const PtCheckpoint m = read_pt(path, PtWeights::kModel);
  CHECK(m.tensors.size() == 506);
  CHECK(m.modules.size() == 391);
  CHECK(shape_of(m, "model.24.m.0.weight") == "float32 [75,192,1,1]");
  CHECK(nlohmann::json::parse(m.spec_json)["depth_multiple"] == 0.67);
}
