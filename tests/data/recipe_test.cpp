// SPDX-License-Identifier: MIT
// What stands beside the default recipe: mosaics of nine, copy-paste, mixup.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include <ydistill/data/augment.h>
#include <ydistill/data/canvas.h>
#include <ydistill/data/fill_outline.h>
#include <ydistill/tensor/error.h>

#include "data/pictures.h"
#include "data/random_sample.h"
#include "support/catch.h"

namespace ydistill::test {
namespace {

/// The pixels of an outline as rows of text.
std::string filled(const std::vector<PixelPoint>& outline, int64_t width, int64_t height) {
  std::string rows(size_t((width + 1) * height), '.');
  for (int64_t y = 0; y < height; ++y) rows[size_t(y * (width + 1) + width)] = '\n';
  fill_outline(outline, width, height,
               [&](int64_t x, int64_t y) { rows[size_t(y * (width + 1) + x)] = '#'; });
  return rows;
}

PixelLabel square(int64_t class_id, double x, double y, double side) {
  return {class_id,
          {x, y, x + side, y + side},
          {{x, y}, {x + side, y}, {x + side, y + side}, {x, y + side}}};
}

SampleCanvas canvas_of(int64_t side, std::vector<PixelLabel> labels) {
  SampleCanvas canvas;
  canvas.width = canvas.height = side;
  canvas.labels = std::move(labels);
  return canvas;
}

bool is_mirrored(const SampleCanvas& canvas, int64_t x, int64_t y) {
  return !canvas.mask.empty() && mirrored_at(canvas.layer, canvas.mask.data(), x, y) != 0;
}

}  // namespace

// cv2.drawContours(..., cv2.FILLED) of OpenCV 4.11.0 on the points truncated to integers.
TEST_CASE("outline: it is filled as OpenCV fills a contour") {
  CHECK(filled({{2.9, 1.2}, {12.7, 3}, {9, 10.6}, {3, 9}}, 16, 12) ==
        "................\n"
        "..###...........\n"
        "..########......\n"
        "..###########...\n"
        "..###########...\n"
        "..##########....\n"
        "...#########....\n"
        "...########.....\n"
        "...########.....\n"
        "...#######......\n"
        ".......###......\n"
        "................\n");
  CHECK(filled({{1, 1}, {14, 1}, {14, 6}, {8, 2}, {5, 9}, {1, 10}}, 16, 12) ==
        "................\n"
        ".##############.\n"
        ".##############.\n"
        ".##############.\n"
        ".#######...####.\n"
        ".#######....###.\n"
        ".######.......#.\n"
        ".######.........\n"
        ".#####..........\n"
        ".#####..........\n"
        ".###............\n"
        "................\n");
  CHECK(filled({{5, 5}, {5, 5}, {6, 7}}, 12, 9) ==
        "............\n............\n............\n............\n............\n"
        ".....#......\n.....#......\n......#.....\n............\n");
}

TEST_CASE("outline: what lies outside the picture is left out") {
  CHECK(filled({{-5, -5}, {9, -5}, {9, 9}, {-5, 9}}, 3, 2) == "###\n###\n");
  CHECK(filled({{5, 0}, {9, 0}, {9, 9}}, 3, 2) == "...\n...\n");
}

TEST_CASE("copy-paste: an object appears on the other side, with its label") {
  SampleCanvas canvas = canvas_of(100, {square(3, 10, 20, 15)});
  Rng rng(1);
  copy_paste(canvas, 1, rng);
  REQUIRE(canvas.labels.size() == 2);
  CHECK(canvas.labels[1].class_id == 3);
  CHECK(canvas.labels[1].box.x1 == 75);
  CHECK(canvas.labels[1].box.x2 == 90);
  CHECK(canvas.labels[1].box.y1 == 20);
  CHECK(canvas.labels[1].outline[0] == PixelPoint{90, 20});
  for (int64_t y = 0; y < 100; ++y) {
    for (int64_t x = 0; x < 100; ++x) {
      // Pixels 10..25 with the border, mirrored: 74..89.
      const bool wanted = x >= 74 && x <= 89 && y >= 20 && y <= 35;
      CHECK(is_mirrored(canvas, x, y) == wanted);
    }
  }
}

TEST_CASE("copy-paste: it hides less than three tenths of any object") {
  // The square's mirror image, 162.6..190, lies in the other object, which begins at 140.
  for (const double side : {49.9, 50.1}) {
    SampleCanvas canvas =
        canvas_of(200, {square(0, 10, 20, 27.4), {1, {140, 20, 140 + side, 20 + side}}});
    Rng rng(2);
    copy_paste(canvas, 1, rng);
    // 27.4^2 = 750.76: 0.3015 of 49.9^2 = 2490.01, 0.2991 of 50.1^2 = 2510.01.
    CHECK(canvas.labels.size() == (side < 50 ? 2 : 3));
    CHECK(canvas.mask.empty() == (side < 50));
  }
}

TEST_CASE("copy-paste: the share counts outlined objects, halves to even, each at most once") {
  std::vector<PixelLabel> labels;
  for (int64_t i = 0; i < 5; ++i) labels.push_back(square(i, 10 + 30.0 * double(i), 10, 20));
  labels.push_back({9, {10, 200, 30, 220}});  // without an outline
  const auto pasted = [&](double share, uint64_t seed) {
    SampleCanvas canvas = canvas_of(400, labels);
    Rng rng(seed);
    copy_paste(canvas, share, rng);
    std::multiset<int64_t> classes;
    for (size_t i = labels.size(); i < canvas.labels.size(); ++i) {
      classes.insert(canvas.labels[i].class_id);
    }
    return classes;
  };
  CHECK(pasted(0, 1).empty());
  CHECK(pasted(0.1, 1).empty());      // 0.5 becomes 0
  CHECK(pasted(0.3, 1).size() == 2);  // 1.5 becomes 2
  CHECK(pasted(0.5, 1).size() == 2);  // 2.5 becomes 2
  CHECK(pasted(1, 1) == std::multiset<int64_t>{0, 1, 2, 3, 4});
  std::set<std::multiset<int64_t>> choices;
  for (uint64_t seed = 0; seed < 200; ++seed) choices.insert(pasted(0.3, seed));
  CHECK(choices.size() == 10);  // all pairs of five
}

TEST_CASE("mosaic of nine: the pictures touch without overlap and their labels follow") {
  const NoisePictures pictures(64, true);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    Rng rng(seed);
    const SampleCanvas canvas = mosaic_of_nine(2, pictures.all, pictures.source(), 64, rng);
    CHECK(canvas.width == 128);
    CHECK(canvas.labels.size() == 18);
    std::vector<int> shown(128 * 128);
    for (int32_t p = 0; p < canvas.layer.num_pieces; ++p) {
      const GatherPiece& piece = canvas.layer.pieces[p];
      for (int64_t y = piece.top; y < piece.bottom; ++y) {
        for (int64_t x = piece.left; x < piece.right; ++x) ++shown[size_t(y * 128 + x)];
      }
    }
    CHECK(*std::max_element(shown.begin(), shown.end()) == 1);
    for (const PixelLabel& label : canvas.labels) {
      CHECK((label.box.x1 >= 0 && label.box.x2 <= 128 && label.box.y1 >= 0 && label.box.y2 <= 128));
    }
  }
}

// YOLOv5 v7, utils/dataloaders.py load_mosaic9 with nine pictures of 64 x 48 at image size 64: the
// corners c minus the cut.
TEST_CASE("mosaic of nine: equal pictures lie as in YOLOv5") {
  const Image image = noise(64, 48, 1);
  const std::vector<Label> labels{{0, 0.5, 0.5, 0.5, 0.5}};
  const PictureSource source = [&](int64_t i) {
    return LoadedPicture{std::make_shared<const Image>(image), &labels, i, {}};
  };
  Rng rng(3), same(3);
  const std::array<int64_t, 1> partner{7};
  const SampleCanvas canvas = mosaic_of_nine(5, partner, source, 64, rng);
  for (int i = 0; i < 16; ++i) same.below(i < 8 ? 1 : 9 - (i - 8));
  const int64_t cut_y = int64_t(same.uniform(0, 64)), cut_x = int64_t(same.uniform(0, 64));
  const std::array<std::array<int64_t, 2>, 9> corners{{{64, 64},
                                                       {64, 16},
                                                       {128, 16},
                                                       {128, 64},
                                                       {128, 112},
                                                       {64, 112},
                                                       {0, 112},
                                                       {0, 64},
                                                       {0, 16}}};
  REQUIRE(canvas.labels.size() == 9);
  for (size_t i = 0; i < 9; ++i) {
    const auto clip = [](int64_t v) { return double(std::clamp<int64_t>(v, 0, 128)); };
    CHECK(canvas.labels[i].box.x1 == clip(corners[i][0] + 16 - cut_x));
    CHECK(canvas.labels[i].box.y1 == clip(corners[i][1] + 12 - cut_y));
    CHECK(canvas.labels[i].box.x2 == clip(corners[i][0] + 48 - cut_x));
  }
}

TEST_CASE("mixup: shares have the mean and variance of Beta(32, 32)") {
  Rng rng(9);
  constexpr int kDraws = 20000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double share = draw_mixup_share(rng);
    sum += share;
    squares += share * share;
  }
  const double mean = sum / kDraws, variance = squares / kDraws - mean * mean;
  // 1 / (4 (2 32 + 1)). Standard errors: 0.00044 of the mean, about 1 % of the variance.
  CHECK(std::abs(mean - 0.5) < 0.002);
  CHECK(std::abs(variance * 260 - 1) < 0.05);
}

TEST_CASE("mixup: two mosaics are blended before the colours, and all their labels stay") {
  const NoisePictures pictures(64);
  AugmentOptions options;
  options.mixup = 1;
  AugmentOptions alone = options;
  alone.mixup = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const SamplePlan both =
        plan_training_sample(options, 1, pictures.all, pictures.source(), 64, Rng(seed));
    const SamplePlan first =
        plan_training_sample(alone, 1, pictures.all, pictures.source(), 64, Rng(seed));
    REQUIRE(both.gather.num_layers == 2);
    CHECK(first.gather.num_layers == 1);
    CHECK(both.labels.size() >= first.labels.size());
    CHECK(both.gather.second_weight > 0.2 * 65536);
    CHECK(both.gather.second_weight < 0.8 * 65536);
    CHECK(both.gather.shifts_colours == 1);
  }
  options.mosaic = 0;  // only inside mosaics
  CHECK(plan_training_sample(options, 1, pictures.all, pictures.source(), 64, Rng(1))
            .gather.num_layers == 1);
}

TEST_CASE("recipe: a mosaic wants a square frame") {
  const NoisePictures pictures(64);
  CHECK_THROWS_WITH_TEXT(plan_training_sample({}, 1, pictures.all, pictures.source(),
                                              SampleFrame(64, {64, 32}), Rng(1)),
                         ShapeError, "a mosaic in a frame of 64x32, 64x64 wanted");
}

}  // namespace ydistill::test
