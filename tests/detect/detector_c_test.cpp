// SPDX-License-Identifier: MIT
// The interface for C, through the shared library, beside the Detector behind it.
#include <ydistill/detect/detector_c.h>

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <ydistill/detect/detector.h>
#include <ydistill/yolo/calibrator.h>
#include <ydistill/yolo/checkpoint.h>

#include "data/pictures.h"
#include "support/catch.h"
#include "support/files.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

/// Weights in a file, opened both ways.
struct Opened {
  test::TempDir dir;
  std::string weights = (dir / "tiny.safetensors").string();
  yd_options options{};
  yd_detector* detector = nullptr;

  Opened() {
    Model model(graph_from_json(test::tiny_graph()));
    model.initialise(1);
    save_checkpoint(weights, {model.spec(), {"wide", "high"}, export_weights(model), {}, ""});
    YD_DEFAULT_OPTIONS(&options);
    options.conf = 0.0001;
    options.image_size = 64;
    detector = yd_open(weights.c_str(), &options);
    INFO(yd_last_error());
    REQUIRE(detector != nullptr);
  }
  ~Opened() { yd_close(detector); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  Detector in_cpp() const { return Detector(weights, {.conf = 0.0001, .image_size = 64}); }
};

void check_same(const yd_detection* got, const std::vector<Detection>& expected) {
  REQUIRE_FALSE(expected.empty());
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(got[i].class_id == expected[i].class_id);
    CHECK(got[i].score == expected[i].score);
    CHECK(got[i].x1 == expected[i].x1);
    CHECK(got[i].y1 == expected[i].y1);
    CHECK(got[i].x2 == expected[i].x2);
    CHECK(got[i].y2 == expected[i].y2);
  }
}

std::vector<yd_detection> found_in(yd_detector* detector, const yd_picture& picture) {
  std::vector<yd_detection> found(300);
  const int64_t n = yd_detect(detector, &picture, found.data(), 300);
  INFO(yd_last_error());
  REQUIRE(n >= 0);
  found.resize(size_t(n));
  return found;
}

TEST_CASE("detector in C: boxes are those of Detector, whatever way the pixels lie") {
  const Opened opened;
  Detector detector = opened.in_cpp();
  const Image image = test::noise(50, 37, 5);
  const std::vector<Detection> expected = detector.detect(image);
  struct Way {
    yd_pixel_format format;
    std::vector<int> channels;  // of RGB; -1: something else
  };
  for (const Way& way : {Way{YD_RGB, {0, 1, 2}}, Way{YD_BGR, {2, 1, 0}},
                         Way{YD_RGBA, {0, 1, 2, -1}}, Way{YD_BGRA, {2, 1, 0, -1}}}) {
    for (const int64_t padding : {0, 5}) {
      INFO("format " << way.format << ", " << padding << " bytes behind each row");
      const int64_t row_bytes = 50 * int64_t(way.channels.size()) + padding;
      std::vector<uint8_t> pixels(size_t(37 * row_bytes), 0xab);
      for (int64_t y = 0; y < 37; ++y) {
        uint8_t* to = pixels.data() + y * row_bytes;
        for (int64_t x = 0; x < 50; ++x) {
          for (const int c : way.channels) *to++ = c < 0 ? 0x5c : image.at(x, y)[c];
        }
      }
      const yd_picture picture{pixels.data(), 50, 37, padding == 0 ? 0 : row_bytes, way.format};
      const auto found = found_in(opened.detector, picture);
      REQUIRE(found.size() == expected.size());
      check_same(found.data(), expected);
    }
  }
}

TEST_CASE("detector in C: grey pixels are a picture of equal red, green and blue") {
  const Opened opened;
  Detector detector = opened.in_cpp();
  Image image = test::noise(40, 30, 6);
  std::vector<uint8_t> grey;
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    grey.push_back(image.rgb[i]);
    image.rgb[i + 1] = image.rgb[i + 2] = image.rgb[i];
  }
  const auto found = found_in(opened.detector, {grey.data(), 40, 30, 0, YD_GREY});
  const auto expected = detector.detect(image);
  REQUIRE(found.size() == expected.size());
  check_same(found.data(), expected);
}

TEST_CASE("detector in C: files and batches, and fewer places than boxes") {
  const Opened opened;
  Detector detector = opened.in_cpp();
  const Image first = test::noise(50, 37, 5), second = test::noise(31, 60, 7);
  write_png(opened.dir / "first.png", first);
  const auto expected = detector.detect_batch(std::vector<ImageView>{first, second});
  std::vector<yd_detection> found(600);
  const std::string path = (opened.dir / "first.png").string();
  REQUIRE(yd_detect_file(opened.detector, path.c_str(), found.data(), 300) ==
          int64_t(expected[0].size()));
  check_same(found.data(), expected[0]);

  const yd_picture pictures[] = {{first.rgb.data(), 50, 37, 0, YD_RGB},
                                 {second.rgb.data(), 31, 60, 0, YD_RGB}};
  int64_t numbers[2] = {-1, -1};
  REQUIRE(yd_detect_batch(opened.detector, pictures, 2, found.data(), 300, numbers) == 0);
  CHECK(numbers[0] == int64_t(expected[0].size()));
  CHECK(numbers[1] == int64_t(expected[1].size()));
  check_same(found.data(), expected[0]);
  check_same(found.data() + 300, expected[1]);
  CHECK(yd_detect_batch(opened.detector, nullptr, 0, nullptr, 0, nullptr) == 0);

  REQUIRE(expected[0].size() > 2);
  const yd_detection untouched{-1, -2, -3, -4, -5, -6};
  std::vector<yd_detection> few(3, untouched);
  CHECK(yd_detect(opened.detector, &pictures[0], few.data(), 2) == int64_t(expected[0].size()));
  check_same(few.data(), {expected[0].begin(), expected[0].begin() + 2});
  CHECK(std::memcmp(&few[2], &untouched, sizeof(untouched)) == 0);
  CHECK(yd_detect(opened.detector, &pictures[0], nullptr, 0) == int64_t(expected[0].size()));
}

TEST_CASE("detector in C: classes, suppression and augmentation are chosen as in C++") {
  const Opened opened;
  const Image image = test::noise(50, 37, 5);
  const int64_t wanted = 1;
  yd_options options = opened.options;
  options.classes = &wanted;
  options.num_classes = 1;
  options.agnostic = 1;
  options.tta = 1;
  yd_detector* detector = yd_open(opened.weights.c_str(), &options);
  REQUIRE(detector != nullptr);
  const auto found = found_in(detector, {image.rgb.data(), 50, 37, 0, YD_RGB});
  yd_close(detector);
  DetectorOptions in_cpp{.conf = 0.0001, .image_size = 64};
  in_cpp.scope = NmsScope::kAllClasses;
  in_cpp.classes = {1};
  in_cpp.tta = true;
  const auto expected = Detector(opened.weights, in_cpp).detect(image);
  REQUIRE(found.size() == expected.size());
  check_same(found.data(), expected);
}

TEST_CASE("detector in C: classes that count as one are found as in C++") {
  const Opened opened;
  const Image image = test::noise(50, 37, 5);
  yd_options options = opened.options;
  options.merge = "long=wide, high";
  yd_detector* detector = yd_open(opened.weights.c_str(), &options);
  REQUIRE(detector != nullptr);
  CHECK(yd_num_classes(detector) == 1);
  CHECK(std::string(yd_class_name(detector, 0)) == "long");
  const auto found = found_in(detector, {image.rgb.data(), 50, 37, 0, YD_RGB});
  yd_close(detector);
  DetectorOptions in_cpp{.conf = 0.0001, .image_size = 64};
  in_cpp.merge = {{"long", {"wide", "high"}}};
  const auto expected = Detector(opened.weights, in_cpp).detect(image);
  REQUIRE(found.size() == expected.size());
  check_same(found.data(), expected);

  const auto refused = [&](const char* merge, const std::string& why) {
    options.merge = merge;
    CHECK(yd_open(opened.weights.c_str(), &options) == nullptr);
    CHECK(std::string(yd_last_error()) == why);
  };
  refused("long", "expected NAME=CLASS,CLASS like vehicle=car,bus, got \"long\"");
  refused("long=wide;;", "expected NAME=CLASS,CLASS like vehicle=car,bus, got \"\"");
  refused("long=wade", "detector: merge: there is no class \"wade\", the nearest is \"wide\"");
  refused("a=wide;b=wide", "detector: merge: \"wide\" cannot be part of \"a\" and of \"b\"");
}

TEST_CASE("detector in C: classes and versions have names") {
  const Opened opened;
  CHECK(yd_num_classes(opened.detector) == 2);
  CHECK(std::string(yd_class_name(opened.detector, 1)) == "high");
  CHECK(yd_class_name(opened.detector, 2) == nullptr);
  CHECK(std::string(yd_last_error()) == "class 2, there are 2");
  CHECK(yd_class_name(opened.detector, -1) == nullptr);
  CHECK(std::string(yd_version()).find('.') != std::string::npos);
}

TEST_CASE("detector in C: programs of an older and of a later release go on working") {
  const Opened opened;
  // Older: it ends behind max_det; image_size, which it does not know, stays 640.
  struct Older {
    size_t size;
    double conf, iou;
    int64_t max_det;
    char behind[64];
  } older;
  std::memset(&older, 0x7f, sizeof(older));
  yd_default_options(reinterpret_cast<yd_options*>(&older), offsetof(Older, behind));
  CHECK(older.size == offsetof(Older, behind));
  CHECK(older.iou == 0.45);
  CHECK(older.behind[0] == 0x7f);
  older.conf = 0.0001;
  older.max_det = 3;
  yd_detector* detector = yd_open(opened.weights.c_str(), reinterpret_cast<yd_options*>(&older));
  REQUIRE(detector != nullptr);
  const Image image = test::noise(50, 37, 5);
  CHECK(found_in(detector, {image.rgb.data(), 50, 37, 0, YD_RGB}).size() == 3);
  yd_close(detector);

  struct Later {
    yd_options known;
    char more[40];
  } later;
  std::memset(&later, 0x7f, sizeof(later));
  yd_default_options(&later.known, sizeof(later));
  CHECK(later.known.size == sizeof(yd_options));
  detector = yd_open(opened.weights.c_str(), &later.known);
  CHECK(detector != nullptr);
  yd_close(detector);
}

TEST_CASE("detector in C: what is wrong is said in one line, and nothing ends") {
  Opened opened;
  const Image image = test::noise(50, 37, 5);
  const yd_picture good{image.rgb.data(), 50, 37, 0, YD_RGB};
  yd_detection found[4];
  int64_t numbers[2];
  const auto says = [](bool failed, const std::string& text) {
    INFO(yd_last_error());
    CHECK(failed);
    CHECK(std::string(yd_last_error()).find(text) != std::string::npos);
    CHECK(std::strchr(yd_last_error(), '\n') == nullptr);
  };
  const auto with = [&](auto change) {
    yd_options options = opened.options;
    change(options);
    yd_detector* detector = yd_open(opened.weights.c_str(), &options);
    yd_close(detector);
    return detector == nullptr;
  };
  says(yd_open("none.pt", nullptr) == nullptr, "none.pt: no such file");
  says(yd_open(nullptr, nullptr) == nullptr, "weights is NULL");
  says(with([](yd_options& o) { o.size = 0; }), "call yd_default_options first");
  says(with([](yd_options& o) { o.device = "gpu"; }), "device: expected");
  says(with([](yd_options& o) { o.device = nullptr; }), "options: device is NULL");
  says(with([](yd_options& o) { o.precision = "fp8"; }), "precision: expected");
  says(with([](yd_options& o) { o.image_size = 65; }), "65");
  says(with([](yd_options& o) { o.conf = 2; }), "conf");
  const int64_t third = 2;
  says(with([&](yd_options& o) {
         o.classes = &third;
         o.num_classes = 1;
       }),
       "there is no class 2, there are 0 to 1");
  says(with([](yd_options& o) { o.num_classes = 1; }), "options: classes is NULL");
  says(with([](yd_options& o) { o.num_classes = -1; }), "num_classes is -1");

  const auto detect = [&](const yd_picture* picture, yd_detection* to, int64_t capacity) {
    return yd_detect(opened.detector, picture, to, capacity) == -1;
  };
  says(yd_detect(nullptr, &good, found, 4) == -1, "detector is NULL");
  says(detect(nullptr, found, 4), "picture is NULL");
  says(detect(&good, nullptr, 4), "found is NULL");
  says(detect(&good, found, -1), "capacity is -1");
  yd_picture bad = good;
  bad.pixels = nullptr;
  says(detect(&bad, found, 4), "picture 0: pixels is NULL");
  bad = good;
  bad.width = 0;
  says(detect(&bad, found, 4), "picture 0: 0 x 37 pixels");
  bad.width = INT64_MAX;
  bad.height = INT64_MAX;
  says(detect(&bad, found, 4), "pixels");
  bad = good;
  bad.row_bytes = 149;
  says(detect(&bad, found, 4), "picture 0: rows of 149 bytes, 50 pixels need 150");
  bad = good;
  bad.format = 9;
  says(detect(&bad, found, 4), "picture 0: format 9");
  const yd_picture both[] = {good, bad};
  says(yd_detect_batch(opened.detector, both, 2, found, 2, numbers) == -1, "picture 1: format 9");
  says(yd_detect_batch(opened.detector, both, 2, found, 2, nullptr) == -1, "num_found is NULL");
  says(yd_detect_batch(opened.detector, both, -1, found, 2, numbers) == -1, "-1 pictures");
  says(yd_detect_file(opened.detector, "none.jpg", found, 4) == -1, "none.jpg");
  says(yd_detect_file(opened.detector, nullptr, found, 4) == -1, "path is NULL");
  says(yd_set_threads(0) == -1, "threads: 0");
  CHECK(yd_num_classes(nullptr) == -1);
  yd_close(nullptr);
  yd_default_options(nullptr, sizeof(yd_options));
  CHECK(yd_detect(opened.detector, &good, found, 4) >= 0);  // after all that it works
}

TEST_CASE("detector in C: each thread has its own last error, and its own detector") {
  const Opened a, b;
  CHECK(yd_open("here.pt", nullptr) == nullptr);
  std::string there = "?";
  int64_t number = -1;
  std::thread other([&] {
    there = yd_last_error();
    const Image image = test::noise(50, 37, 5);
    const yd_picture picture{image.rgb.data(), 50, 37, 0, YD_RGB};
    yd_set_threads(1);
    for (int i = 0; i < 5; ++i) number = yd_detect(b.detector, &picture, nullptr, 0);
  });
  const Image image = test::noise(31, 60, 7);
  const yd_picture picture{image.rgb.data(), 31, 60, 0, YD_RGB};
  for (int i = 0; i < 5; ++i) CHECK(yd_detect(a.detector, &picture, nullptr, 0) > 0);
  other.join();
  CHECK(there.empty());
  CHECK(number > 0);
  CHECK(std::string(yd_last_error()).find("here.pt") != std::string::npos);
}

TEST_CASE("detector in C: the library shows its own functions and nothing else of ours") {
  void* library = dlopen(YD_C_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  CHECK(dlsym(library, "yd_detect") != nullptr);
  CHECK(dlsym(library, "_ZN8ydistill10read_imageERKNSt10filesystem7__cxx114pathE") == nullptr);
  dlclose(library);
}

TEST_CASE("detector_c: int8 takes calibrated weights and says what others lack") {
  const Opened plain;
  yd_options options = plain.options;
  options.precision = "int8";
  CHECK(yd_open(plain.weights.c_str(), &options) == nullptr);
  CHECK(std::string(yd_last_error()).find("needs calibrated weights") != std::string::npos);

  Checkpoint checkpoint = load_checkpoint(plain.weights, PtWeights::kEma);
  const Image image = test::noise(64, 64, 3);
  {
    const auto model = build_inference_model(checkpoint, {});
    Calibrator calibrator(*model);
    const Tensor input = Tensor::empty({1, 64, 64, 3}, DType::kUInt8);
    std::copy(image.rgb.begin(), image.rgb.end(), input.data<uint8_t>());
    calibrator.add(input);
    checkpoint.calibration = calibrator.result();
  }
  const std::string weights = (plain.dir / "calibrated.safetensors").string();
  save_checkpoint(weights, checkpoint);
  yd_detector* const detector = yd_open(weights.c_str(), &options);
  INFO(yd_last_error());
  REQUIRE(detector != nullptr);
  const yd_picture picture{image.rgb.data(), image.width, image.height, 0, YD_RGB};
  std::vector<yd_detection> found(300);
  const int64_t n = yd_detect(detector, &picture, found.data(), 300);
  yd_close(detector);
  DetectorOptions same{.conf = 0.0001, .image_size = 64};
  same.compute.precision = Precision::kInt8;
  const auto expected = Detector(checkpoint, same).detect(image);
  REQUIRE(n == int64_t(expected.size()));
  check_same(found.data(), expected);
}

}  // namespace
}  // namespace ydistill
