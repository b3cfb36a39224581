// SPDX-License-Identifier: MIT
#include <ydistill/data/letterbox.h>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/safetensors.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

/// The letterboxed input against the one recorded from OpenCV, U8 [1, 3, H, W].
void check_against(const std::filesystem::path& picture, const Tensor& recorded) {
  const Image image = read_image(picture);
  const Letterbox box = detection_letterbox(image.width, image.height, 640);
  REQUIRE(recorded.shape() == Shape({1, 3, box.height, box.width}));
  std::vector<uint8_t> input(size_t(recorded.numel()));
  apply_letterbox(image, box, input.data());
  std::vector<uint8_t> wanted(input.size());
  const int64_t pixels = box.height * box.width;
  for (int64_t i = 0; i < pixels; ++i) {
    for (int64_t c = 0; c < 3; ++c) {
      wanted[size_t(3 * i + c)] = recorded.data<uint8_t>()[c * pixels + i];
    }
  }
  const Difference d = difference(input, wanted);
  INFO("largest " << d.largest << " mean " << d.mean);
#ifdef YDISTILL_TEST_TURBOJPEG
  // The same decoder and the same arithmetic; other releases of either differ by a level here and
  // there.
  CHECK(d.mean < 0.05);
  CHECK(d.largest <= 2);
#else
  // stb_image's inverse transform and colour upsampling are others.
  CHECK(d.mean < 0.3);
#endif
}

}  // namespace

TEST_CASE("letterbox: the load size rounds the shorter side up") {
  const auto size = [](int64_t w, int64_t h, int64_t s) {
    const PictureSize size = load_size(w, h, s);
    return std::pair(size.width, size.height);
  };
  CHECK(size(640, 480, 320) == std::pair<int64_t, int64_t>(320, 240));
  CHECK(size(500, 375, 640) == std::pair<int64_t, int64_t>(640, 480));
  CHECK(size(333, 500, 640) == std::pair<int64_t, int64_t>(427, 640));  // 426.24
  CHECK(size(640, 426, 640) == std::pair<int64_t, int64_t>(640, 426));
  // 147 * (640 / 147) is a little more than 640 in double; the longer side is 640 nevertheless.
  CHECK(size(147, 100, 640) == std::pair<int64_t, int64_t>(640, 436));
  CHECK(size(4000, 1, 640) == std::pair<int64_t, int64_t>(640, 1));
}

TEST_CASE("letterbox: detection pads to the next stride and no further") {
  const Letterbox bus = detection_letterbox(810, 1080, 640);
  CHECK(bus.width == 480);
  CHECK(bus.height == 640);
  CHECK(bus.pad_x == 0);
  CHECK(bus.pad_y == 0);
  const Letterbox zidane = detection_letterbox(1280, 720, 640);
  CHECK(zidane.width == 640);
  CHECK(zidane.height == 384);
  CHECK(zidane.ratio_x == 0.5);
  CHECK(zidane.pad_y == 12);
  CHECK(zidane.top == 12);
  // 375 * 640 / 500 = 480; small pictures are enlarged.
  const Letterbox small = detection_letterbox(50, 37, 640);
  CHECK(small.inner_width == 640);
  CHECK(small.inner_height == 474);  // 473.6
  CHECK(small.height == 480);
}

TEST_CASE("letterbox: odd padding goes to the bottom and to the right") {
  const Letterbox box = validation_letterbox(640, 427, 640, 672, 512);
  CHECK(box.inner_height == 427);
  CHECK(box.pad_x == 16);
  CHECK(box.pad_y == 42.5);
  CHECK(box.left == 16);
  CHECK(box.top == 42);
}

TEST_CASE("letterbox: pixels lie where the plan says and grey is 114 elsewhere") {
  const Image image = noise(20, 11, 1);
  const Letterbox box = validation_letterbox(20, 11, 20, 32, 32);
  std::vector<uint8_t> input(32 * 32 * 3, 1);
  apply_letterbox(image, box, input.data());
  CHECK(box.left == 6);
  CHECK(box.top == 10);  // half of 21, rounded down
  bool same = true;
  for (int64_t y = 0; y < 32; ++y) {
    for (int64_t x = 0; x < 32; ++x) {
      const bool inside = x >= 6 && x < 26 && y >= 10 && y < 21;
      for (int64_t c = 0; c < 3; ++c) {
        const int wanted = inside ? image.at(x - 6, y - 10)[c] : 114;
        same = same && int(input[size_t((y * 32 + x) * 3 + c)]) == wanted;
      }
    }
  }
  CHECK(same);
}

TEST_CASE("letterbox: validation averages areas when shrinking and interpolates when growing") {
  CHECK(validation_letterbox(640, 480, 320, 352, 288).interpolation == Interpolation::kArea);
  CHECK(validation_letterbox(200, 100, 320, 352, 288).interpolation == Interpolation::kBilinear);
}

TEST_CASE("letterbox: a box goes there and back") {
  const CornerBox box{12.5, 7, 311, 402.25};
  for (const Letterbox& plan :
       {detection_letterbox(500, 413, 640), validation_letterbox(500, 413, 320, 352, 320),
        validation_letterbox(333, 500, 640, 672, 672)}) {
    const CornerBox back = to_picture(plan, to_input(plan, box));
    CHECK(back.x1 == Approx(box.x1));
    CHECK(back.y1 == Approx(box.y1));
    CHECK(back.x2 == Approx(box.x2));
    CHECK(back.y2 == Approx(box.y2));
  }
}

TEST_CASE("letterbox: the whole picture maps to its inner place and beyond it is clipped") {
  const Letterbox plan = detection_letterbox(1280, 720, 640);
  const CornerBox inner = to_input(plan, {0, 0, 1280, 720});
  CHECK(inner.x1 == Approx(0));
  CHECK(inner.y1 == Approx(12));
  CHECK(inner.x2 == Approx(640));
  CHECK(inner.y2 == Approx(372));
  const CornerBox clipped = to_picture(plan, {-50, 2, 700, 380});
  CHECK(clipped.x1 == 0);
  CHECK(clipped.y1 == 0);
  CHECK(clipped.x2 == 1280);
  CHECK(clipped.y2 == 720);
}

TEST_CASE("letterbox: plans that cannot be are refused") {
  CHECK_THROWS_WITH_TEXT(detection_letterbox(0, 5, 640), ValueError, "0x5");
  CHECK_THROWS_WITH_TEXT(detection_letterbox(5, 5, 650), ValueError, "no multiple of stride 32");
  CHECK_THROWS_WITH_TEXT(validation_letterbox(640, 480, 640, 320, 480), ValueError,
                         "does not fit into 320x480");
  std::vector<uint8_t> input(640 * 384 * 3);
  CHECK_THROWS_WITH_TEXT(
      apply_letterbox(slope(8, 8), detection_letterbox(1280, 720, 640), input.data()), ShapeError,
      "a picture of 8x8, the plan is for 1280x720");
}

TEST_CASE("letterbox: bus and zidane give the recorded network inputs") {
  YD_REFERENCE_OR_SKIP(file, "reference/detect_yolov5n.safetensors");
  YD_REFERENCE_OR_SKIP(bus, "data/images/bus.jpg");
  YD_REFERENCE_OR_SKIP(zidane, "data/images/zidane.jpg");
  const TensorFile recorded = read_safetensors(file);
  check_against(bus, recorded.at("bus.letterbox"));
  check_against(zidane, recorded.at("zidane.letterbox"));
}

}  // namespace ydistill::test
