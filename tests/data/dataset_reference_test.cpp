// SPDX-License-Identifier: MIT
// Real sets. The counts are those of the sets' own descriptions.
#include <algorithm>
#include <cmath>

#include <ydistill/data/dataset.h>
#include <ydistill/data/image.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {

TEST_CASE("dataset: bccd has the pictures and boxes of its description") {
  YD_REFERENCE_OR_SKIP(folder, "data/bccd");
  const auto load = [&folder](const char* split) {
    return load_dataset({DataSource::Kind::kVoc, folder, split, ""}, {"RBC", "WBC", "Platelets"});
  };
  const Dataset train = load("train");
  CHECK(train.samples.size() == 205);
  CHECK(train.pictures_dropped == 0);
  const Dataset val = load("val");
  CHECK(val.samples.size() == 87);
  CHECK(val.num_labels() == 1137);
  INFO(all_findings(val.findings));
  CHECK(val.labels_dropped == 1);  // a box of one point
  CHECK(all_findings(val.findings)
            .find("BloodImage_00338.xml:158: RBC: box 504 337 504 337 has "
                  "no area (label dropped)") != std::string::npos);
  CHECK(load("test").samples.size() == 72);
}

TEST_CASE("dataset: coco128 has 929 labels of 80 classes") {
  YD_REFERENCE_OR_SKIP(folder, "data/coco128");
  const Dataset data =
      load_dataset({DataSource::Kind::kCoco, folder / "instances.json", "", folder / "images"});
  CHECK(data.samples.size() == 128);
  CHECK(data.num_labels() == 929);
  CHECK(data.labels_ignored == 10);
  CHECK(data.findings.empty());
  REQUIRE(data.names.size() == 80);
  CHECK(data.names[0] == "person");
  CHECK(data.names[79] == "toothbrush");
  // Every annotation that is no crowd has polygons; joined outlines stay within a pixel of the box.
  int64_t outlined = 0, far = 0;
  for (const Sample& sample : data.samples) {
    for (const Label& label : sample.labels) {
      outlined += label.polygon.empty() ? 0 : 1;
      double low = 1, high = 0;
      for (const auto& [x, y] : label.polygon) {
        low = std::min<double>(low, x);
        high = std::max<double>(high, x);
      }
      const double pixel = 1.0 / double(sample.width);
      if (std::abs(low - (label.cx - label.w / 2)) > pixel ||
          std::abs(high - (label.cx + label.w / 2)) > pixel) {
        ++far;
      }
    }
  }
  CHECK(outlined == 929);
  CHECK(far == 0);
}

TEST_CASE("dataset: probing and decoding agree on real pictures") {
  YD_REFERENCE_OR_SKIP(folder, "data/coco128/images");
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (++count > 12) break;
    const ImageInfo info = probe_image(entry.path());
    const Image image = read_image(entry.path());
    CHECK(info.width == image.width);
    CHECK(info.height == image.height);
  }
  CHECK(count > 1);
}

}  // namespace ydistill::test
