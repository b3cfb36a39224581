// SPDX-License-Identifier: MIT
#include <ydistill/train/losses_of_config.h>

#include <ydistill/train/student.h>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("losses: what the config says of the distillation reaches them") {
  const auto losses = [](const std::string& distill) {
    const Config config =
        parse_config(R"({"model": {"graph": "yolov5n"}, "teacher": {"weights": "t.pt"},
      "data": {"yaml": "d.yaml"}, "distill": {)" +
                         distill + "}}",
                     std::filesystem::current_path());
    const Model student(graph_of("yolov5n"));
    return losses_of(config, student, &student.spec());
  };
  const StepLosses plain = losses("");
  CHECK_FALSE(plain.distill->fm_nms);
  CHECK(plain.feature_gain == 0);
  CHECK(plain.distill->kind == DistillKind::kL2);
  CHECK(plain.distill->mean == DistillMean::kObjects);
  CHECK(plain.distill->objectness == DistillObjectness::kBce);
  const StepLosses changed = losses(
      R"("loss": "kl", "fm_nms": true, "feature": 0.3, "gain": 2, "objectness": "l2", "temperature": 4)");
  CHECK(changed.distill->fm_nms);
  CHECK(losses(R"("defaults": "original")").distill->mean == DistillMean::kBoxes);
  CHECK(changed.feature_gain == 0.6);
  CHECK(changed.distill->kind == DistillKind::kKl);
  CHECK(changed.distill->objectness == DistillObjectness::kL2);
  CHECK(changed.distill->temperature == 4);
  CHECK(changed.distill->gains.box == 2 * plain.distill->gains.box);
}

}  // namespace
}  // namespace ydistill
