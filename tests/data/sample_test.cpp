// SPDX-License-Identifier: MIT
// Whole training samples: labels must follow the pixels through everything.
#include <array>
#include <cmath>

#include <ydistill/data/augment.h>

#include "data/pictures.h"
#include "support/catch.h"

namespace ydistill::test {
namespace {

constexpr int64_t kSide = 96;

/// Four pictures at load size, each black with one full block of its class's colour channel:
/// class 0 red, 1 green, 2 blue.
struct Blocks {
  std::array<std::shared_ptr<const Image>, 4> images;
  std::array<std::vector<Label>, 4> labels;

  Blocks() {
    constexpr std::array<std::pair<int64_t, int64_t>, 4> kSizes{
        {{96, 72}, {96, 96}, {60, 96}, {96, 50}}};
    for (size_t i = 0; i < 4; ++i) {
      const auto [w, h] = kSizes[i];
      Image image = Image::filled(w, h, 0);
      const int64_t x1 = w / 4, x2 = w * 3 / 4, y1 = h / 3, y2 = h * 5 / 6;
      for (int64_t y = y1; y < y2; ++y) {
        for (int64_t x = x1; x < x2; ++x) image.at(x, y)[i % 3] = 255;
      }
      labels[i] = {{int64_t(i % 3), double(x1 + x2) / 2 / double(w),
                    double(y1 + y2) / 2 / double(h), double(x2 - x1) / double(w),
                    double(y2 - y1) / double(h)}};
      images[i] = std::make_shared<const Image>(std::move(image));
    }
  }
  PictureSource source() const {
    return [this](int64_t i) { return LoadedPicture{images[size_t(i)], &labels[size_t(i)], i}; };
  }
};

std::vector<Label> make_training_sample(const AugmentOptions& options, int64_t index,
                                        std::span<const int64_t> partners,
                                        const PictureSource& source, int64_t image_size, Rng rng,
                                        uint8_t* output) {
  const SamplePlan plan = plan_training_sample(options, index, partners, source, image_size, rng);
  render_sample(plan, output);
  return plan.labels;
}

/// Whether a pixel shows a block of this class and nothing else (the grey around is 114).
bool shows(const uint8_t* rgb, int64_t class_id) {
  for (int64_t c = 0; c < 3; ++c) {
    if (c == class_id ? rgb[c] < 250 : rgb[c] > 5) return false;
  }
  return true;
}

struct Counts {
  int labels = 0;
  int bad_inside = 0;     // pixels of a label's inside that do not show its class
  int lonely_pixels = 0;  // pixels of a block that lie in no label of its class
};

/// Makes a sample and compares labels with pixels. `margin`: pixels by which a box's border may be
/// off; the affine has pixel centres at integers and box edges too, so up to half a pixel each.
Counts count(const AugmentOptions& options, uint64_t seed, bool rotated) {
  const Blocks blocks;
  const std::array<int64_t, 4> all{0, 1, 2, 3};
  std::vector<uint8_t> out(kSide * kSide * 3);
  const std::vector<Label> labels = make_training_sample(
      options, int64_t(seed % 4), all, blocks.source(), kSide, Rng(seed), out.data());
  constexpr double kMargin = 1.6;
  Counts counts;
  counts.labels = int(labels.size());
  std::vector<uint8_t> covered(kSide * kSide * 3);
  for (const Label& label : labels) {
    CHECK(label.cx - label.w / 2 >= 0);
    CHECK(label.cx + label.w / 2 <= 1);
    CHECK(label.cy - label.h / 2 >= 0);
    CHECK(label.cy + label.h / 2 <= 1);
    const double x1 = (label.cx - label.w / 2) * kSide, x2 = (label.cx + label.w / 2) * kSide;
    const double y1 = (label.cy - label.h / 2) * kSide, y2 = (label.cy + label.h / 2) * kSide;
    for (int64_t y = 0; y < kSide; ++y) {
      for (int64_t x = 0; x < kSide; ++x) {
        const double px = double(x) + 0.5, py = double(y) + 0.5;
        const bool near =
            px > x1 - kMargin && px < x2 + kMargin && py > y1 - kMargin && py < y2 + kMargin;
        const bool inside =
            px > x1 + kMargin && px < x2 - kMargin && py > y1 + kMargin && py < y2 - kMargin;
        if (near) covered[size_t((y * kSide + x) * 3 + label.class_id)] = 1;
        if (inside && !rotated && !shows(out.data() + (y * kSide + x) * 3, label.class_id)) {
          ++counts.bad_inside;
        }
      }
    }
  }
  for (int64_t i = 0; i < kSide * kSide; ++i) {
    for (int64_t c = 0; c < 3; ++c) {
      if (shows(out.data() + 3 * i, c) && !covered[size_t(3 * i + c)]) ++counts.lonely_pixels;
    }
  }
  return counts;
}

AugmentOptions geometry() {
  AugmentOptions options;
  options.hsv_h = options.hsv_s = options.hsv_v = 0;
  options.flipud = 0.5;
  return options;
}

/// Over many seeds: insides are right, and what is left without a label is no more than the rule
/// allows (a tenth of a block, or a strip of two pixels).
void check_many(const AugmentOptions& options, bool rotated) {
  int labels = 0, lonely_samples = 0;
  for (uint64_t seed = 0; seed < 120; ++seed) {
    INFO("seed " << seed);
    const Counts counts = count(options, seed, rotated);
    labels += counts.labels;
    CHECK(counts.bad_inside == 0);
    // The largest block is 48 x 48, times 1.5 a side: a tenth is 518 pixels.
    CHECK(counts.lonely_pixels <= 2 * 518);
    if (counts.lonely_pixels > 0) ++lonely_samples;
  }
  CHECK(labels > 100);
  CHECK(lonely_samples < 40);
}

}  // namespace

TEST_CASE("sample: mosaic labels follow their pixels") {
  check_many(geometry(), false);
}

TEST_CASE("sample: labels of a single picture follow its pixels") {
  AugmentOptions options = geometry();
  options.mosaic = 0;
  check_many(options, false);
}

TEST_CASE("sample: labels enclose rotated and sheared blocks") {
  AugmentOptions options = geometry();
  options.degrees = 25;
  options.shear = 8;
  check_many(options, true);
}

TEST_CASE("sample: labels follow their pixels in mosaics of nine") {
  AugmentOptions options = geometry();
  options.mosaic9 = 1;
  check_many(options, false);
}

TEST_CASE("sample: labels enclose blocks seen in perspective") {
  AugmentOptions options = geometry();
  options.degrees = 10;
  options.perspective = 0.001;
  check_many(options, true);
}

TEST_CASE("sample: without any range a single picture is its letterbox") {
  AugmentOptions options;
  options.hsv_h = options.hsv_s = options.hsv_v = 0;
  options.translate = options.scale = options.fliplr = options.mosaic = 0;
  const Blocks blocks;
  const std::array<int64_t, 1> own{0};
  std::vector<uint8_t> out(kSide * kSide * 3), wanted(kSide * kSide * 3);
  const auto labels =
      make_training_sample(options, 0, own, blocks.source(), kSide, Rng(1), out.data());
  const Letterbox box = validation_letterbox(96, 72, kSide, kSide, kSide);
  apply_letterbox(*blocks.images[0], box, wanted.data());
  CHECK(out == wanted);
  REQUIRE(labels.size() == 1);
  CHECK(labels[0].cx == Approx(0.5));
  CHECK(labels[0].h == Approx(blocks.labels[0][0].h * 72 / 96));
  CHECK(labels[0].cy == Approx((blocks.labels[0][0].cy * 72 + 12) / 96));
}

TEST_CASE("sample: a mosaic holds its own picture and partners in changing places") {
  AugmentOptions options = geometry();
  options.translate = options.scale = options.fliplr = options.flipud = 0;
  const Blocks blocks;
  const std::array<int64_t, 1> partner{1};
  int asked_own = 0, asked_partner = 0;
  const PictureSource source = [&](int64_t i) {
    ++(i == 0 ? asked_own : asked_partner);
    return blocks.source()(i);
  };
  std::vector<uint8_t> out(kSide * kSide * 3);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    make_training_sample(options, 0, partner, source, kSide, Rng(seed), out.data());
  }
  CHECK(asked_own == 10);
  CHECK(asked_partner == 30);
}

TEST_CASE("sample: hsv ranges change colours and not the labels") {
  AugmentOptions plain = geometry(), coloured = geometry();
  coloured.hsv_v = 0.4;
  const Blocks blocks;
  const std::array<int64_t, 4> all{0, 1, 2, 3};
  std::vector<uint8_t> a(kSide * kSide * 3), b(a);
  const auto labels_a =
      make_training_sample(plain, 1, all, blocks.source(), kSide, Rng(5), a.data());
  const auto labels_b =
      make_training_sample(coloured, 1, all, blocks.source(), kSide, Rng(5), b.data());
  CHECK(labels_a == labels_b);
  CHECK(a != b);
}

TEST_CASE("sample: the same stream gives the same bytes") {
  const Blocks blocks;
  const std::array<int64_t, 4> all{0, 1, 2, 3};
  std::vector<uint8_t> a(kSide * kSide * 3, 1), b(kSide * kSide * 3, 2);
  const AugmentOptions options;
  CHECK(make_training_sample(options, 1, all, blocks.source(), kSide, Rng(5), a.data()) ==
        make_training_sample(options, 1, all, blocks.source(), kSide, Rng(5), b.data()));
  CHECK(a == b);
  make_training_sample(options, 1, all, blocks.source(), kSide, Rng(6), b.data());
  CHECK(a != b);
}

}  // namespace ydistill::test
