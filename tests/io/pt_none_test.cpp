// SPDX-License-Identifier: MIT
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/pt.h>

#include "support/catch.h"

using namespace ydistill;

TEST_CASE("pt: a build without libzip says that it cannot read .pt files") {
  CHECK_THROWS_WITH_TEXT(read_pt("yolov5s.pt", PtWeights::kModel), FileError,
                         "yolov5s.pt: this build cannot read .pt files");
}
