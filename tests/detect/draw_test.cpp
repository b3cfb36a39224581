// SPDX-License-Identifier: MIT
#include <ydistill/detect/draw.h>

#include <array>
#include <limits>
#include <set>
#include <vector>

#include <ydistill/tensor/error.h>

#include "support/catch.h"

using namespace ydistill;

namespace {

using Color = std::array<uint8_t, 3>;
constexpr Color kGround{10, 20, 30};

Image ground(int64_t width, int64_t height) {
  Image image = Image::filled(width, height, 0);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = kGround[i % 3];
  return image;
}

Color color_at(const Image& image, int64_t x, int64_t y) {
  const uint8_t* p = image.at(x, y);
  return {p[0], p[1], p[2]};
}

/// Pixels of a rectangle that are no longer ground.
int64_t changed(const Image& image, int64_t x1, int64_t y1, int64_t x2, int64_t y2) {
  int64_t count = 0;
  for (int64_t y = y1; y < y2; ++y) {
    for (int64_t x = x1; x < x2; ++x) count += color_at(image, x, y) != kGround;
  }
  return count;
}

int64_t changed(const Image& image) {
  return changed(image, 0, 0, image.width, image.height);
}

void draw(Image& image, const DrawnBox& box, const DrawOptions& options = {}) {
  draw_boxes(image, std::span(&box, 1), options);
}

}  // namespace

TEST_CASE("draw_boxes: an outline of the given width and nothing else") {
  Image image = ground(60, 40);
  draw(image, {10, 5, 30, 25, "", 0}, {.line_width = 2});
  CHECK(changed(image) == 20 * 20 - 16 * 16);
  CHECK(changed(image, 12, 7, 28, 23) == 0);
  CHECK(color_at(image, 10, 5) == color_at(image, 29, 24));
}

TEST_CASE("draw_boxes: lines grow with the picture") {
  Image small = ground(100, 100), large = ground(1200, 1200);
  draw(small, {20, 20, 80, 80, "", 0});
  draw(large, {20, 20, 80, 80, "", 0});
  CHECK(changed(small) == 60 * 60 - 58 * 58);
  CHECK(changed(large) == 60 * 60 - 52 * 52);
}

TEST_CASE("draw_boxes: a label stands above the box or inside where there is no room") {
  Image image = ground(100, 60);
  draw(image, {10, 30, 40, 50, "cat 0.9", 3}, {.line_width = 1, .text_scale = 1});
  CHECK(changed(image, 10, 19, 100, 30) >= 11 * 30);
  CHECK(changed(image, 0, 0, 100, 19) == 0);
  CHECK(changed(image, 0, 19, 10, 60) == 0);

  Image top = ground(100, 60);
  draw(top, {10, 2, 40, 50, "cat 0.9", 3}, {.line_width = 1, .text_scale = 1});
  CHECK(changed(top, 0, 0, 100, 2) == 0);
  CHECK(changed(top, 11, 3, 39, 12) == 28 * 9);
}

TEST_CASE("draw_boxes: a label near the right edge moves into the picture") {
  Image image = ground(100, 60);
  draw(image, {90, 30, 99, 50, "zebra", 0}, {.line_width = 1, .text_scale = 1});
  CHECK(changed(image, 60, 19, 90, 30) > 0);
}

TEST_CASE("draw_boxes: twenty classes have twenty colours") {
  std::set<Color> colors;
  for (int64_t i = 0; i < 20; ++i) {
    Image image = ground(8, 8);
    draw(image, {0, 0, 8, 8, "", i}, {.line_width = 1});
    colors.insert(color_at(image, 0, 0));
  }
  CHECK(colors.size() == 20);
  Image a = ground(8, 8), b = ground(8, 8);
  draw(a, {0, 0, 8, 8, "", 1}, {.line_width = 1});
  draw(b, {0, 0, 8, 8, "", 21}, {.line_width = 1});
  CHECK(a.rgb == b.rgb);
  draw(b, {0, 0, 8, 8, "", -3}, {.line_width = 1});  // any index is a colour
}

TEST_CASE("draw_boxes: boxes beyond the picture are clipped and odd ones left out") {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  Image image = ground(20, 20);
  draw(image, {kNan, 0, 5, 5, "a", 0});
  draw(image, {0, 0, kInf, 5, "a", 0});
  draw(image, {9, 9, 3, 3, "a", 0});
  CHECK(changed(image) == 0);
  draw(image, {-1e30f, -1e30f, 1e30f, 1e30f, "", 0});
  CHECK(changed(image) == 0);
  draw(image, {-5, -5, 10, 10, std::string(5000, 'W'), 0});
  CHECK(changed(image) > 0);
  Image empty;
  draw(empty, {0, 0, 5, 5, "a", 0});
  CHECK(empty.rgb.empty());
}

TEST_CASE("draw_boxes: characters the font lacks become question marks") {
  Image special = ground(120, 40), plain = ground(120, 40);
  draw(special, {5, 20, 50, 38, "\xe7\x8c\xab 1\n\x01\xff", 2});  // one 3-byte character in front
  draw(plain, {5, 20, 50, 38, "? 1???", 2});
  CHECK(special.rgb == plain.rgb);
}

TEST_CASE("draw_boxes: refuses negative options and a picture of the wrong size") {
  Image image = ground(10, 10);
  CHECK_THROWS_WITH_TEXT(draw(image, {}, {.line_width = -1}), ValueError,
                         "draw_boxes: line width -1 and text scale 0 must not be negative");
  image.rgb.pop_back();
  CHECK_THROWS_WITH_TEXT(draw(image, {}), ValueError,
                         "draw_boxes: a picture of 10x10 has 3 bytes a pixel, found 299 bytes");
}

TEST_CASE("mosaic_grid: cells hold the pictures in rows on grey") {
  const std::vector<Image> images{Image::filled(10, 6, 1), Image::filled(4, 8, 2),
                                  Image::filled(10, 8, 3)};
  const Image sheet = mosaic_grid(images, 2);
  CHECK(sheet.width == 2 * 14 + 4);
  CHECK(sheet.height == 2 * 12 + 4);
  CHECK(*sheet.at(0, 0) == 114);
  CHECK(*sheet.at(4, 5) == 1);
  CHECK(*sheet.at(4, 4) == 114);  // centred: one row of grey above 6 of 8
  CHECK(*sheet.at(18 + 3, 4) == 2);
  CHECK(*sheet.at(4, 16) == 3);
  CHECK(*sheet.at(18 + 3, 16) == 114);  // no fourth picture
  CHECK(mosaic_grid(images, 9).width == 3 * 14 + 4);
}

TEST_CASE("mosaic_grid: refuses no pictures and no columns") {
  const std::vector<Image> images{Image::filled(2, 2, 0)};
  CHECK_THROWS_WITH_TEXT(mosaic_grid({}, 2), ValueError, "mosaic_grid: needs at least one picture");
  CHECK_THROWS_WITH_TEXT(mosaic_grid(images, 0), ValueError,
                         "mosaic_grid: columns must be >= 1, got 0");
}
