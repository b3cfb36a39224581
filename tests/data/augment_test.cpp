// SPDX-License-Identifier: MIT
// Single augmentations. The rows of numbers were computed with OpenCV 4.8.1 on the same inputs.
#include <ydistill/data/augment.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "support/catch.h"

namespace ydistill::test {
namespace {

AugmentOptions still() {
  AugmentOptions options;
  options.hsv_h = options.hsv_s = options.hsv_v = 0;
  options.translate = options.scale = options.fliplr = options.mosaic = 0;
  return options;
}

std::vector<uint8_t> warped(const Image& image, const WarpMap& affine, int64_t width,
                            int64_t height) {
  std::vector<uint8_t> out(size_t(width * height * 3), 1);
  warp_image(image, affine, width, height, out.data());
  return out;
}

}  // namespace

TEST_CASE("warp: the identity changes nothing") {
  const Image image = noise(13, 9, 1);
  CHECK(warped(image, WarpMap(), 13, 9) == image.rgb);
}

TEST_CASE("warp: a shift by whole pixels moves them and fills with grey") {
  const Image image = noise(8, 6, 2);
  WarpMap shift;
  shift.m[0][2] = 3;
  shift.m[1][2] = -2;
  const std::vector<uint8_t> out = warped(image, shift, 8, 6);
  for (int64_t y = 0; y < 6; ++y) {
    for (int64_t x = 0; x < 8; ++x) {
      const bool inside = x >= 3 && y + 2 < 6;
      for (int64_t c = 0; c < 3; ++c) {
        const int wanted = inside ? image.at(x - 3, y + 2)[c] : 114;
        CHECK(int(out[size_t((y * 8 + x) * 3 + c)]) == wanted);
      }
    }
  }
}

TEST_CASE("warp: shrinking by sixteen takes every sixteenth pixel") {
  const Image image = noise(16 * 140, 3, 7);
  WarpMap shrink;
  shrink.m[0][0] = 1.0 / 16;
  const std::vector<uint8_t> out = warped(image, shrink, 140, 2);
  for (int64_t y = 0; y < 2; ++y) {
    for (int64_t x = 0; x < 140; ++x) {
      const uint8_t* wanted = image.at(16 * x, y);
      CHECK(std::equal(wanted, wanted + 3, out.data() + (y * 140 + x) * 3));
    }
  }
}

TEST_CASE("warp: gives what OpenCV gives") {
  Image image = Image::filled(5, 4, 0);
  for (int64_t y = 0; y < 4; ++y) {
    for (int64_t x = 0; x < 5; ++x) {
      image.at(x, y)[0] = uint8_t(40 * x + y);
      image.at(x, y)[1] = uint8_t(60 * y);
      image.at(x, y)[2] = uint8_t(255 - 20 * x - 9 * y);
    }
  }
  WarpMap affine;
  const double m[2][3] = {{0.8, 0.3, -0.7}, {-0.25, 0.9, 1.3}};
  for (int r = 0; r < 2; ++r) {
    for (int c = 0; c < 3; ++c) affine.m[r][c] = m[r][c];
  }
  // cv2.warpAffine(image, M, (4, 3), borderValue=(114, 114, 114))
  const std::vector<uint8_t> wanted{114, 114, 114, 110, 89, 134, 129, 53, 151, 126, 84,  130,
                                    44,  11,  225, 81,  13, 212, 127, 34, 187, 146, 72,  151,
                                    22,  56,  236, 68,  75, 211, 113, 94, 185, 159, 113, 159};
  CHECK(warped(image, affine, 4, 3) == wanted);
}

TEST_CASE("warp: gives what OpenCV gives with perspective") {
  Image image = Image::filled(5, 4, 0);
  for (int64_t y = 0; y < 4; ++y) {
    for (int64_t x = 0; x < 5; ++x) {
      image.at(x, y)[0] = uint8_t(40 * x + y);
      image.at(x, y)[1] = uint8_t(60 * y);
      image.at(x, y)[2] = uint8_t(255 - 20 * x - 9 * y);
    }
  }
  // cv2.warpPerspective(image, M, (5, 4), borderValue=(114, 114, 114)) of OpenCV 4.11.0
  const WarpMap near{{{0.8, 0.3, -0.7}, {-0.25, 0.9, 1.3}, {0.03, -0.05, 1.1}}};
  CHECK(warped(image, near, 5, 4) ==
        std::vector<uint8_t>{114, 114, 114, 112, 82,  139, 143, 43,  152, 114, 114, 114,
                             114, 114, 114, 34,  2,   238, 87,  26,  208, 140, 49,  178,
                             120, 109, 120, 114, 114, 114, 20,  64,  236, 69,  86,  208,
                             119, 109, 180, 152, 129, 146, 114, 114, 114, 8,   116, 234,
                             54,  139, 209, 101, 161, 181, 147, 174, 150, 116, 116, 115});
  const WarpMap far{{{0.8, 0.3, 0.7}, {-0.25, 0.9, 0.3}, {0.01, 0.02, 0.6}}};
  CHECK(warped(image, far, 5, 4) ==
        std::vector<uint8_t>{97, 97,  135, 39,  39,  207, 41,  18,  221, 56,  4,   226,
                             87, 17,  209, 103, 104, 127, 25,  38,  222, 19,  28,  241,
                             49, 41,  224, 80,  56,  207, 114, 114, 114, 50,  80,  189,
                             11, 68,  240, 41,  83,  223, 73,  96,  205, 114, 114, 114,
                             79, 108, 154, 3,   109, 238, 33,  124, 221, 65,  139, 203});
}

TEST_CASE("warp: perspective is YOLOv5's matrix, T S R P C") {
  AugmentOptions options = still();
  options.perspective = 0.001;
  Rng rng(4), same(4);
  const double p0 = same.uniform(-0.001, 0.001), p1 = same.uniform(-0.001, 0.001);
  const WarpMap a = draw_warp_map(options, rng, 1280, 1280, 640, 640);
  CHECK(a.projects());
  CHECK(p0 != p1);
  // By hand with R = S = 1: (x - 640, y - 640, d), d = 1 + p0 (x - 640) + p1 (y - 640), plus 320 d.
  const double x = 100, y = 900, d = 1 + p0 * (x - 640) + p1 * (y - 640);
  const PixelPoint at = a(x, y);
  CHECK(at[0] == Approx((x - 640 + 320 * d) / d));
  CHECK(at[1] == Approx((y - 640 + 320 * d) / d));
}

TEST_CASE("warp: stretching is a resize after the map, pixel centres at halves") {
  const WarpMap map{{{1, 0, 5}, {0, 1, 7}, {0.001, 0, 1}}};
  const WarpMap half = stretched(map, 0.5, 2);
  const PixelPoint before = map(30, 40), after = half(30, 40);
  CHECK(after[0] == Approx((before[0] + 0.5) * 0.5 - 0.5));
  CHECK(after[1] == Approx((before[1] + 0.5) * 2 - 0.5));
  CHECK(half.scale == map.scale);
}

TEST_CASE("warp: a singular matrix and far away places give grey") {
  const Image image = noise(8, 6, 3);
  const std::vector<uint8_t> grey(8 * 6 * 3, 114);
  WarpMap flat;
  flat.m[1][1] = 0;
  CHECK(warped(image, flat, 8, 6) == grey);
  WarpMap far;
  far.m[0][2] = 1e15;
  CHECK(warped(image, far, 8, 6) == grey);
  WarpMap broken;
  broken.m[0][0] = std::nan("");
  CHECK(warped(image, broken, 8, 6) == grey);
  flat.m[2][0] = broken.m[2][0] = 1e-3;  // the same where they project
  flat.m[1][0] = flat.m[1][2] = 0;
  CHECK(warped(image, flat, 8, 6) == grey);
  CHECK(warped(image, broken, 8, 6) == grey);
}

TEST_CASE("warp: the drawn matrix maps the centre near the centre and scales as it says") {
  AugmentOptions options;
  options.degrees = 30;
  options.shear = 5;
  Rng rng(3);
  double smallest = 2, largest = 0;
  for (int i = 0; i < 300; ++i) {
    const WarpMap a = draw_warp_map(options, rng, 640, 480, 320, 320);
    const double x = a.m[0][0] * 320 + a.m[0][1] * 240 + a.m[0][2];
    const double y = a.m[1][0] * 320 + a.m[1][1] * 240 + a.m[1][2];
    // 0.5 +- translate of the output
    CHECK(std::abs(x - 160) <= 32);
    CHECK(std::abs(y - 160) <= 32);
    smallest = std::min(smallest, a.scale);
    largest = std::max(largest, a.scale);
    // The area grows by scale^2 (1 - tan tan): shear along both axes takes a little.
    const double area = a.m[0][0] * a.m[1][1] - a.m[0][1] * a.m[1][0];
    CHECK(std::abs(area / (a.scale * a.scale) - 1) < 0.01);
  }
  CHECK(smallest >= 0.5);
  CHECK(smallest < 0.52);
  CHECK(largest <= 1.5);
  CHECK(largest > 1.48);
}

TEST_CASE("warp: without ranges the drawn matrix only moves the centre") {
  AugmentOptions options = still();
  Rng rng(1);
  const WarpMap a = draw_warp_map(options, rng, 64, 48, 32, 32);
  CHECK(a.m[0][0] == 1);
  CHECK(a.m[0][1] == 0);
  CHECK(a.m[0][2] == Approx(16 - 32));
  CHECK(a.m[1][2] == Approx(16 - 24));
  CHECK(a.scale == 1);
}

TEST_CASE("warp: a quarter turn is counter-clockwise as in YOLOv5") {
  // cv2.getRotationMatrix2D((0, 0), 90, 1) = [[0, 1, 0], [-1, 0, 0]]: right goes up.
  AugmentOptions options = still();
  options.degrees = 90;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed), same(seed);
    const double angle = same.uniform(-90, 90) * std::numbers::pi / 180;
    const WarpMap a = draw_warp_map(options, rng, 10, 10, 10, 10);
    CHECK(a.m[0][0] == Approx(std::cos(angle)));
    CHECK(a.m[0][1] == Approx(std::sin(angle)));
    CHECK(a.m[1][0] == Approx(-std::sin(angle)));
  }
}

TEST_CASE("labels: a box follows the matrix and is clipped to the output") {
  WarpMap affine;
  affine.m[0][0] = affine.m[1][1] = affine.scale = 0.5;
  affine.m[0][2] = -10;
  const auto out = warp_labels({{3, {0, 40, 60, 100}}}, affine, 100, 100);
  REQUIRE(out.size() == 1);
  CHECK(out[0].class_id == 3);
  CHECK(out[0].box.x1 == 0);
  CHECK(out[0].box.y1 == 20);
  CHECK(out[0].box.x2 == 20);
  CHECK(out[0].box.y2 == 50);
}

TEST_CASE("labels: a rotated box becomes the box around its corners") {
  WarpMap turn;  // 45 degrees
  const double r = std::sqrt(0.5);
  turn.m[0][0] = turn.m[1][1] = r;
  turn.m[0][1] = r;
  turn.m[1][0] = -r;
  turn.m[1][2] = 50;
  const auto out = warp_labels({{0, {10, 20, 30, 40}}}, turn, 100, 100);
  REQUIRE(out.size() == 1);
  CHECK(out[0].box.x1 == Approx(r * 30));
  CHECK(out[0].box.x2 == Approx(r * 70));
  CHECK(out[0].box.y1 == Approx(50 + r * (20 - 30)));
  CHECK(out[0].box.y2 == Approx(50 + r * (40 - 10)));
}

TEST_CASE("labels: the keep rule has YOLOv5 limits") {
  const CornerBox square{0, 0, 100, 100};
  // More than 2 pixels a side.
  CHECK(!keep_label({0, 0, 4, 4}, {0, 0, 2, 4}, 1));
  CHECK(keep_label({0, 0, 4, 4}, {0, 0, 2.01, 4}, 1));
  CHECK(!keep_label({0, 0, 4, 4}, {0, 0, 4, 2}, 1));
  // More than a tenth of the area, compared with the box scaled by the drawn factor.
  CHECK(!keep_label(square, {0, 0, 10, 100}, 1));
  CHECK(keep_label(square, {0, 0, 10.1, 100}, 1));
  CHECK(keep_label(square, {0, 0, 3, 100}, 0.5));    // 300 of 2500
  CHECK(!keep_label(square, {0, 0, 20, 100}, 1.5));  // 2000 of 22500
  // No side a hundred times the other.
  CHECK(!keep_label({0, 0, 300, 3}, {0, 0, 300, 3}, 1));
  CHECK(keep_label({0, 0, 299, 3}, {0, 0, 299, 3}, 1));
}

TEST_CASE("labels: an outlined object gets the box around its warped outline") {
  WarpMap turn;  // 45 degrees
  const double r = std::sqrt(0.5);
  turn.m[0][0] = turn.m[1][1] = turn.m[0][1] = r;
  turn.m[1][0] = -r;
  turn.m[1][2] = 50;
  // A diamond in the box 10..30, 20..40: turned it is a square of side 10 sqrt(2), its box tight.
  const PixelLabel diamond{4, {10, 20, 30, 40}, {{20, 20}, {30, 30}, {20, 40}, {10, 30}}};
  const auto out = warp_labels({diamond}, turn, 100, 100);
  REQUIRE(out.size() == 1);
  CHECK(out[0].class_id == 4);
  CHECK(out[0].outline.empty());
  CHECK(out[0].box.x1 == Approx(r * 40));
  CHECK(out[0].box.x2 == Approx(r * 60));
  CHECK(out[0].box.y1 == Approx(50));
  CHECK(out[0].box.y2 == Approx(50 + r * 20));
}

TEST_CASE("labels: of an outline only points inside the output count, to a hundredth of the area") {
  // A triangle of which one corner lies in the output; points are 0.3 apart.
  const PixelLabel triangle{0, {0, 0, 100, 100}, {{0, 0}, {100, 100}, {0, 100}}};
  WarpMap shift;
  shift.m[0][2] = -88;
  shift.m[1][2] = -88;
  const auto out = warp_labels({triangle}, shift, 100, 100);
  REQUIRE(out.size() == 1);  // 144 of 10000 is more than 0.01, less than 0.1
  CHECK(out[0].box.x1 == Approx(0).margin(0.3));
  CHECK(out[0].box.x2 == Approx(12).margin(0.3));
  CHECK(out[0].box.y2 == Approx(12).margin(0.3));
  shift.m[0][2] = shift.m[1][2] = -91;
  CHECK(warp_labels({triangle}, shift, 100, 100).empty());  // 81 of 10000
  shift.m[0][2] = -200;
  CHECK(warp_labels({triangle}, shift, 100, 100).empty());
}

TEST_CASE("labels: fractions are clipped just inside the right and lower border") {
  const Label label = fractions_of({2, {-5, 10, 100, 30}}, 100, 40);
  CHECK(label.class_id == 2);
  CHECK(label.w == Approx((100 - 1e-3) / 100));
  CHECK(label.cx == Approx((100 - 1e-3) / 200));
  CHECK(label.cy == Approx(0.5));
  CHECK(label.h == Approx(0.5));
}

TEST_CASE("hsv: gains of one nearly change nothing") {
  const Image image = noise(100, 77, 4);
  std::vector<uint8_t> rgb = image.rgb;
  shift_hsv(rgb.data(), 100 * 77, 1, 1, 1);
  // Hue has 180 steps: a step is 8.5 levels at full saturation, so up to half of it and the
  // truncation are lost.
  const Difference d = difference(rgb, image.rgb);
  CHECK(d.largest <= 6);
  CHECK(d.mean < 1);
}

TEST_CASE("hsv: grey stays grey and only value moves it") {
  std::vector<uint8_t> rgb{0, 0, 0, 90, 90, 90, 255, 255, 255};
  shift_hsv(rgb.data(), 3, 1.3, 1.7, 0.5);
  CHECK(rgb == std::vector<uint8_t>{0, 0, 0, 45, 45, 45, 127, 127, 127});
}

TEST_CASE("hsv: gives what OpenCV gives") {
  std::vector<uint8_t> rgb{200, 100, 50,  12, 240, 90, 30, 30, 180,
                           255, 255, 255, 0,  0,   0,  77, 80, 79};
  shift_hsv(rgb.data(), 6, 1.1, 0.6, 1.2);
  // cv2.cvtColor to HSV, the tables of YOLOv5's augment_hsv with these gains, and back. Values
  // that are whole numbers before truncation may fall to either side.
  const std::vector<uint8_t> wanted{240, 172, 133, 110, 255, 192, 151, 108, 216,
                                    255, 255, 255, 0,   0,   0,   94,  96,  96};
  CHECK(difference(rgb, wanted).largest <= 1);
}

TEST_CASE("hsv: any number of pixels is changed and no byte more") {
  const Image image = noise(700, 1, 5);
  std::vector<uint8_t> all = image.rgb;
  shift_hsv(all.data(), 700, 1.01, 0.7, 1.1);
  for (const int64_t pixels : {int64_t(0), int64_t(1), int64_t(255), int64_t(257)}) {
    std::vector<uint8_t> part = image.rgb;
    shift_hsv(part.data(), pixels, 1.01, 0.7, 1.1);
    const auto end = part.begin() + 3 * pixels;
    CHECK(std::equal(part.begin(), end, all.begin()));
    CHECK(std::equal(end, part.end(), image.rgb.begin() + 3 * pixels));
  }
}

TEST_CASE("augment options: values out of range are refused by name") {
  AugmentOptions options;
  check_augment_options(options);
  options.scale = 1;
  CHECK_THROWS_WITH_TEXT(check_augment_options(options), ValueError, "augment.scale: 1, 0 to 0.99");
  options = {};
  options.fliplr = -0.5;
  CHECK_THROWS_WITH_TEXT(check_augment_options(options), ValueError, "augment.fliplr: -0.5");
  options = {};
  options.mosaic = std::nan("");
  CHECK_THROWS_WITH_TEXT(check_augment_options(options), ValueError, "augment.mosaic: nan");
}

}  // namespace ydistill::test
