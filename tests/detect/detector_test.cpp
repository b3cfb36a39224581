// SPDX-License-Identifier: MIT
#include <ydistill/detect/detector.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/io/safetensors.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/yolo/checkpoint.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

Checkpoint tiny_checkpoint() {
  Model model(graph_from_json(test::tiny_graph()));
  model.initialise(1);
  return {model.spec(), {"wide", "high"}, export_weights(model), {}, ""};
}

TEST_CASE("detector: pictures of any size give boxes inside the picture") {
  Detector detector(tiny_checkpoint(), {.conf = 0.0001, .image_size = 64});
  for (const auto& [width, height] : {std::pair{64, 64}, {100, 31}, {7, 200}}) {
    const auto found = detector.detect(Image::filled(width, height, 90));
    CHECK_FALSE(found.empty());
    for (const Detection& d : found) {
      CHECK((d.x1 >= 0 && d.x2 <= float(width) && d.y1 >= 0 && d.y2 <= float(height)));
    }
  }
}

TEST_CASE("detector: after the first picture of a size no memory is taken any more") {
  Detector detector(tiny_checkpoint(), {.conf = 0.0001, .image_size = 64});
  const Tensor inputs = Tensor::full({2, 64, 32, 3}, 90, DType::kUInt8);
  const auto all = [&] {
    detector.detect(Image::filled(64, 48, 90));
    detector.detect(Image::filled(31, 100, 120));
    detector.detect_inputs(inputs);
  };
  all();
  const int64_t blocks = heap_blocks_taken(), arena = detector.memory_bytes();
  for (int i = 0; i < 5; ++i) all();
  CHECK(heap_blocks_taken() == blocks);
  CHECK(detector.memory_bytes() == arena);
}

/// The same boxes: sums in another order may move the last digits.
void check_same(const std::vector<Detection>& got, const std::vector<Detection>& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const Detection &a = got[i], &b = expected[i];
    CHECK(a.class_id == b.class_id);
    CHECK(std::abs(a.score - b.score) < 1e-5f);
    for (const float difference : {a.x1 - b.x1, a.y1 - b.y1, a.x2 - b.x2, a.y2 - b.y2}) {
      CHECK(std::abs(difference) < 1e-2f);
    }
  }
}

TEST_CASE("detector: a batch of pictures of any shapes finds what each finds alone, in order") {
  const DetectorOptions options{.conf = 0.0001, .image_size = 64};
  Detector one(tiny_checkpoint(), options), many(tiny_checkpoint(), options);
  std::vector<Image> images;
  uint64_t seed = 1;
  for (const auto& [width, height] : {std::pair{64, 64}, {100, 31}, {80, 75}, {64, 64}, {7, 200}}) {
    images.push_back(test::noise(width, height, seed++));
  }
  const auto found = many.detect_batch(std::vector<ImageView>(images.begin(), images.end()));
  REQUIRE(found.size() == images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    INFO("picture " << i);
    const auto expected = one.detect(images[i]);
    CHECK_FALSE(expected.empty());
    check_same(found[i], expected);
  }
  CHECK_FALSE(found[0] == found[3]);  // one shape, other pixels
  CHECK(many.detect_batch({}).empty());
}

TEST_CASE("detector: pixels are looked at where they are, a batch too takes memory only once") {
  Detector detector(tiny_checkpoint(), {.conf = 0.0001, .image_size = 64});
  const Image wide = test::noise(64, 40, 1), high = test::noise(40, 64, 2);
  const std::vector<ImageView> views{wide, high, wide};
  const auto all = [&] {
    detector.detect_batch(views);
    return detector.detect(wide.rgb, wide.width, wide.height);
  };
  const auto expected = all();
  const int64_t blocks = heap_blocks_taken(), arena = detector.memory_bytes();
  for (int i = 0; i < 3; ++i) CHECK(all() == expected);
  CHECK(heap_blocks_taken() == blocks);
  CHECK(detector.memory_bytes() == arena);
}

TEST_CASE("detector: classes that count as one are found once, under one name") {
  const Checkpoint checkpoint = tiny_checkpoint();
  const Image image = test::noise(64, 50, 3);
  DetectorOptions options{.conf = 0.0001, .image_size = 64};
  DetectorOptions agnostic = options;
  agnostic.scope = NmsScope::kAllClasses;
  options.merge = {{"long", checkpoint.class_names}};
  for (const bool tta : {false, true}) {
    options.tta = agnostic.tta = tta;
    Detector merged(checkpoint, options);
    CHECK(merged.class_names() == std::vector<std::string>{"long"});
    // All of them as one is what no regard to classes gives.
    std::vector<Detection> expected = Detector(checkpoint, agnostic).detect(image);
    CHECK_FALSE(expected.empty());
    for (Detection& box : expected) box.class_id = 0;
    CHECK(merged.detect(image) == expected);
  }
  options.merge.front().of.push_back("x");
  CHECK_THROWS_WITH_TEXT(Detector(checkpoint, options), ValueError,
                         "detector: merge: there is no class \"x\"");
}

TEST_CASE("detector: only the wanted classes are reported, also with test-time augmentation") {
  const Checkpoint checkpoint = tiny_checkpoint();
  const Image image = test::noise(64, 50, 3);
  DetectorOptions options{.conf = 0.0001, .image_size = 64};
  const auto all = Detector(checkpoint, options).detect(image);
  for (const bool tta : {false, true}) {
    for (const int64_t wanted : {0, 1}) {
      options.tta = tta;
      options.classes = {wanted};
      Detector detector(checkpoint, options);
      const auto found = detector.detect(image);
      CHECK_FALSE(found.empty());
      CHECK(std::all_of(found.begin(), found.end(),
                        [&](const Detection& d) { return d.class_id == wanted; }));
      if (tta) {
        options.tta = false;
        CHECK_FALSE(found == Detector(checkpoint, options).detect(image));
        continue;
      }
      std::vector<Detection> expected;
      std::copy_if(all.begin(), all.end(), std::back_inserter(expected),
                   [&](const Detection& d) { return d.class_id == wanted; });
      CHECK(found == expected);
    }
  }
}

TEST_CASE("detector: two in two threads find the same as one") {
  const Checkpoint checkpoint = tiny_checkpoint();
  const DetectorOptions options{.conf = 0.0001, .image_size = 64};
  const Image image = Image::filled(50, 64, 120);
  const auto expected = Detector(checkpoint, options).detect(image);
  std::vector<Detection> a, b;
  std::thread first([&] { a = Detector(checkpoint, options).detect(image); });
  std::thread second([&] { b = Detector(checkpoint, options).detect(image); });
  first.join();
  second.join();
  CHECK(a == expected);
  CHECK(b == expected);
}

TEST_CASE("detector: wrong input is refused with what would be right") {
  const Checkpoint checkpoint = tiny_checkpoint();
  Detector detector(checkpoint, {.image_size = 64});
  CHECK_THROWS_WITH_TEXT(detector.detect(std::vector<uint8_t>(10), 2, 2), ValueError,
                         "a picture of 2x2 has 12 bytes, got 10");
  const Image whole = Image::filled(4, 4, 1);
  const std::vector<ImageView> views{whole, ImageView(4, 4, std::span(whole.rgb).first(47))};
  CHECK_THROWS_WITH_TEXT(detector.detect_batch(views), ValueError,
                         "picture 1: a picture of 4x4 has 48 bytes, got 47");
  CHECK_THROWS_WITH_TEXT(detector.detect(Image()), ValueError, "0x0 pixels, sides from 1");
  CHECK_THROWS_WITH_TEXT(Detector(checkpoint, {.image_size = 32768}), ValueError,
                         "image_size 32768: a network's input has at most 268435456 pixels");
  CHECK_THROWS_WITH_TEXT(Detector(checkpoint, {.image_size = 65}), ValueError,
                         "a multiple of 16, got 65");
  CHECK_THROWS_WITH_TEXT(Detector(checkpoint, {.conf = 2}), ValueError, "conf is 2, must be 0..1");
  CHECK_THROWS_WITH_TEXT(Detector(checkpoint, {.max_det = 0}), ValueError, "max_det is 0");
  CHECK_THROWS_WITH_TEXT(Detector(checkpoint, {.classes = {2}}), ValueError,
                         "there is no class 2, there are 0 to 1");
  CHECK_THROWS_WITH_TEXT(Detector("none.pt"), FileError, "none.pt: no such file");
}

#ifndef YD_HAVE_CUDA
TEST_CASE("detector: a device or precision that this build lacks is refused") {
  const Checkpoint checkpoint = tiny_checkpoint();
  DetectorOptions options{.image_size = 64};
  options.compute.device = Device::cuda(7);
  CHECK_THROWS_WITH_TEXT(Detector(checkpoint, options), DeviceError,
                         "cuda:7: this build has no CUDA");
  CHECK_THROWS_WITH_TEXT(Tensor::zeros({2}, DType::kFloat32, Device::cuda()), DeviceError,
                         "cuda:0: this build has no CUDA");
  options.compute = {Device::cpu(), Precision::kTf32};
  CHECK_THROWS_WITH_TEXT(Detector(checkpoint, options), ValueError, "tf32 runs only on a GPU");
}
#endif

TEST_CASE("detector: a child process finds what its parent finds") {
  const int threads = num_threads();
  set_num_threads(2);
  const Image image = Image::filled(64, 48, 130);
  Detector detector(tiny_checkpoint(), {.conf = 0.0001, .image_size = 64});
  const std::vector<Detection> expected = detector.detect(image);  // starts the threads
  const pid_t child = fork();
  if (child == 0) {
    alarm(300);  // a loop that waits for threads which do not exist ends by this signal
    _exit(num_threads() == 2 && detector.detect(image) == expected ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK(num_threads() == 2);
  CHECK(detector.detect(image) == expected);
  set_num_threads(threads);
}

// From JPEG, agreement is limited by the decoder and the resize: 1 pixel and 0.01 in score.
TEST_CASE("detector: finds what the original finds on its two pictures", "[reference]") {
  YD_REFERENCE_OR_SKIP(boxes_file, "reference/detect_yolov5n.json");
  YD_REFERENCE_OR_SKIP(weights, "weights/yolov5n-v6-coco.pt");
  YD_REFERENCE_OR_SKIP(images, "data/images");
  Detector detector(weights);
  const auto expected = nlohmann::json::parse(test::read_file(boxes_file));
  const Image bus = read_image(images / "bus.jpg"), zidane = read_image(images / "zidane.jpg");
  const auto batched = detector.detect_batch(std::vector<ImageView>{bus, zidane, zidane, bus});
  for (const char* name : {"bus", "zidane"}) {
    const bool is_bus = name == std::string("bus");
    const auto found = detector.detect(is_bus ? bus : zidane);
    for (const size_t i : is_bus ? std::array{0, 3} : std::array{1, 2}) {
      check_same(batched[i], found);
    }
    const auto& boxes = expected.at(name);
    REQUIRE(found.size() == boxes.size());
    for (size_t i = 0; i < found.size(); ++i) {
      CHECK(found[i].class_id == boxes[i].at("cls").get<int64_t>());
      CHECK(std::abs(found[i].score - boxes[i].at("conf").get<float>()) < 0.01f);
      const auto xyxy = boxes[i].at("box_xyxy").get<std::vector<float>>();
      const float got[] = {found[i].x1, found[i].y1, found[i].x2, found[i].y2};
      for (size_t k = 0; k < 4; ++k) CHECK(std::abs(got[k] - xyxy[k]) < 1.0f);
    }
  }
}

}  // namespace
}  // namespace ydistill
