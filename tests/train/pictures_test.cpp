// SPDX-License-Identifier: MIT
#include <ydistill/train/pictures.h>

#include <ydistill/data/image.h>

#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

Batch grey_batch(int64_t pictures, int64_t height, int64_t width) {
  Batch batch;
  batch.images = Tensor::empty({pictures, height, width, 3}, DType::kUInt8);
  for (uint8_t& level : batch.images.span<uint8_t>()) level = 100;
  batch.targets = Tensor::zeros({0, 6});
  return batch;
}

TEST_CASE("sheet of pictures: those of usual sizes stand on it pixel by pixel") {
  const test::TempDir dir;
  draw_labels(dir / "a.jpg", grey_batch(5, 32, 64), {});
  const ImageInfo sheet = probe_image(dir / "a.jpg");
  CHECK(sheet.width == 4 * (64 + 4) + 4);
  CHECK(sheet.height == 2 * (32 + 4) + 4);
}

TEST_CASE(
    "sheet of pictures: large ones are made smaller, a sheet is never beyond what a JPEG holds") {
  const test::TempDir dir;
  // Unscaled 80020 pixels wide; the sum of the network's largest inputs is as bad.
  draw_labels(dir / "wide.jpg", grey_batch(4, 16, 20000), {});
  CHECK(probe_image(dir / "wide.jpg").width <= 8300);
  draw_detections(dir / "high.jpg", grey_batch(16, 20000, 8),
                  std::vector<std::vector<Detection>>(16), {});
  CHECK(probe_image(dir / "high.jpg").height <= 8300);
}

}  // namespace
}  // namespace ydistill
