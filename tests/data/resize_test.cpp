// SPDX-License-Identifier: MIT
// The rows of numbers were computed with OpenCV 4.8.1 (cv2.resize) on the same inputs.
#include <ydistill/data/resize.h>

#include <cmath>

#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"

namespace ydistill::test {
namespace {

/// A picture of one row whose channels are level, 255 - level, level / 2.
Image row_of(const std::vector<uint8_t>& levels) {
  Image image = Image::filled(int64_t(levels.size()), 1, 0);
  for (size_t x = 0; x < levels.size(); ++x) {
    image.rgb[3 * x] = levels[x];
    image.rgb[3 * x + 1] = uint8_t(255 - levels[x]);
    image.rgb[3 * x + 2] = levels[x] / 2;
  }
  return image;
}

std::vector<int> reds(const Image& image) {
  std::vector<int> levels;
  for (int64_t i = 0; i < image.width * image.height; ++i) {
    levels.push_back(image.rgb[size_t(3 * i)]);
  }
  return levels;
}

/// The definition of averaging areas, in double, one pixel at a time.
double area_average(const Image& image, int64_t width, int64_t height, int64_t x, int64_t y,
                    int channel) {
  const double sx = double(image.width) / double(width), sy = double(image.height) / double(height);
  double sum = 0;
  for (int64_t v = 0; v < image.height; ++v) {
    const double high = std::min(double(v + 1), double(y + 1) * sy);
    const double part_y = high - std::max(double(v), double(y) * sy);
    for (int64_t u = 0; part_y > 0 && u < image.width; ++u) {
      const double right = std::min(double(u + 1), double(x + 1) * sx);
      const double part_x = right - std::max(double(u), double(x) * sx);
      if (part_x > 0) sum += part_x * part_y * image.at(u, v)[channel];
    }
  }
  return sum / (sx * sy);
}

}  // namespace

TEST_CASE("resize: bilinear gives what OpenCV gives") {
  const Image image = row_of({0, 10, 200, 30, 255, 90, 7});
  // cv2.resize(levels, (n, 1), interpolation=cv2.INTER_LINEAR)
  CHECK(reds(resize(image, 3, 1, Interpolation::kBilinear)) == std::vector<int>{7, 30, 62});
  CHECK(reds(resize(image, 11, 1, Interpolation::kBilinear)) ==
        std::vector<int>{0, 5, 27, 148, 138, 30, 173, 210, 105, 45, 7});
}

TEST_CASE("resize: areas give what OpenCV gives") {
  const Image image = row_of({0, 10, 200, 30, 255, 90, 7});
  // cv2.resize(levels, (n, 1), interpolation=cv2.INTER_AREA)
  CHECK(reds(resize(image, 3, 1, Interpolation::kArea)) == std::vector<int>{33, 143, 78});
  CHECK(reds(resize(image, 5, 1, Interpolation::kArea)) == std::vector<int>{3, 119, 86, 184, 31});
}

TEST_CASE("resize: areas average what a pixel covers") {
  const Image image = noise(23, 17, 1);
  const Image out = resize(image, 9, 5, Interpolation::kArea);
  for (int64_t y = 0; y < 5; ++y) {
    for (int64_t x = 0; x < 9; ++x) {
      for (int c = 0; c < 3; ++c) {
        // Half a level of rounding; the rest is float32.
        CHECK(std::abs(area_average(image, 9, 5, x, y, c) - double(out.at(x, y)[c])) < 0.501);
      }
    }
  }
}

TEST_CASE("resize: half the size averages two by two in either way") {
  const Image image = noise(16, 12, 2);
  const Image out = resize(image, 8, 6, Interpolation::kBilinear);
  CHECK(out.rgb == resize(image, 8, 6, Interpolation::kArea).rgb);
  const int sum = image.at(2, 4)[1] + image.at(3, 4)[1] + image.at(2, 5)[1] + image.at(3, 5)[1];
  CHECK(int(out.at(1, 2)[1]) == (sum + 2) / 4);
}

TEST_CASE("resize: a level picture stays level at any size") {
  const Image image = Image::filled(31, 19, 114);
  for (const auto& [width, height] : {std::pair{7, 5}, {64, 48}, {31, 40}, {1, 1}}) {
    const Image out = resize(image, width, height, Interpolation::kBilinear);
    CHECK(out.rgb == Image::filled(width, height, 114).rgb);
  }
  CHECK(resize(image, 13, 19, Interpolation::kArea).rgb == Image::filled(13, 19, 114).rgb);
}

TEST_CASE("resize: the same size is a copy") {
  const Image image = noise(9, 7, 3);
  CHECK(resize(image, 9, 7, Interpolation::kBilinear).rgb == image.rgb);
  CHECK(resize(image, 9, 7, Interpolation::kArea).rgb == image.rgb);
}

TEST_CASE("resize: impossible sizes are refused") {
  CHECK_THROWS_WITH_TEXT(resize(slope(4, 4), 0, 4, Interpolation::kBilinear), ValueError,
                         "4x4 pixels to 0x4");
  CHECK_THROWS_WITH_TEXT(resize(Image(), 4, 4, Interpolation::kBilinear), ValueError, "0x0 pixels");
  CHECK_THROWS_WITH_TEXT(resize(slope(4, 4), 8, 2, Interpolation::kArea), ValueError,
                         "only when shrinking");
}

}  // namespace ydistill::test
