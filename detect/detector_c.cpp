// SPDX-License-Identifier: MIT
#include <ydistill/detect/detector_c.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/data/image.h>
#include <ydistill/detect/detector.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/yolo/checkpoint.h>

struct yd_detector {
  ydistill::Detector detector;
};

namespace {

using namespace ydistill;

thread_local std::string last_error;

/// Runs the work; if it throws, stores the reason in last_error and returns `failed`.
template <class Result, class Work>
Result guarded(Result failed, Work&& work) noexcept {
  const auto keep = [](const char* text) {
    try {
      last_error = text;
    } catch (...) {
      last_error.clear();
    }
  };
  try {
    return work();
  } catch (const std::bad_alloc&) {
    keep("out of memory");
  } catch (const std::exception& error) {
    keep(error.what());
  } catch (...) {
    keep("unknown error");
  }
  return failed;
}

template <class T>
T* given(T* pointer, const char* name) {
  if (pointer == nullptr) throw ValueError("{} is NULL", name);
  return pointer;
}

yd_options default_options() {
  const DetectorOptions defaults;
  return {sizeof(yd_options),
          defaults.conf,
          defaults.iou,
          defaults.max_det,
          defaults.image_size,
          "cpu",
          "fp32",
          nullptr,
          0,
          0,
          0,
          nullptr};
}

/// The members that the caller's version of the struct has; defaults for the rest.
yd_options known_options(const yd_options* options) {
  yd_options known = default_options();
  if (options == nullptr) return known;
  if (options->size < sizeof(size_t) || options->size > 4096) {
    throw ValueError("options: size is {}; call yd_default_options first", options->size);
  }
  std::memcpy(&known, options, std::min(options->size, sizeof(known)));
  return known;
}

struct PixelOrder {
  int64_t bytes;
  int red, green, blue;
};

PixelOrder order_of(int32_t format, int64_t picture) {
  switch (format) {
    case YD_RGB:
      return {3, 0, 1, 2};
    case YD_BGR:
      return {3, 2, 1, 0};
    case YD_RGBA:
      return {4, 0, 1, 2};
    case YD_BGRA:
      return {4, 2, 1, 0};
    case YD_GREY:
      return {1, 0, 0, 0};
    default:
      throw ValueError("picture {}: format {}, one of yd_pixel_format wanted", picture, format);
  }
}

/// A caller's picture as dense RGB: in place if possible, else a copy.
class Rgb {
 public:
  Rgb(const yd_picture& p, int64_t number) : width_(p.width), height_(p.height) {
    const PixelOrder order = order_of(p.format, number);
    if (p.pixels == nullptr) throw ValueError("picture {}: pixels is NULL", number);
    if (p.width < 1 || p.height < 1 || p.width > kMaxPixels / p.height) {
      throw ValueError("picture {}: {} x {} pixels, 1 x 1 to {} in all wanted", number, p.width,
                       p.height, kMaxPixels);
    }
    const int64_t dense = p.width * order.bytes;
    const int64_t row_bytes = p.row_bytes == 0 ? dense : p.row_bytes;
    if (row_bytes < dense) {
      throw ValueError("picture {}: rows of {} bytes, {} pixels need {}", number, row_bytes,
                       p.width, dense);
    }
    if (p.format == YD_RGB && row_bytes == dense) {
      pixels_ = {p.pixels, size_t(dense * p.height)};
      return;
    }
    copied_.resize(size_t(p.width * p.height * 3));
    uint8_t* to = copied_.data();
    for (int64_t y = 0; y < p.height; ++y) {
      const uint8_t* from = p.pixels + y * row_bytes;
      for (int64_t x = 0; x < p.width; ++x, from += order.bytes, to += 3) {
        to[0] = from[order.red];
        to[1] = from[order.green];
        to[2] = from[order.blue];
      }
    }
    pixels_ = copied_;
  }

  ImageView view() const { return {width_, height_, pixels_}; }

 private:
  int64_t width_, height_;
  std::vector<uint8_t> copied_;
  std::span<const uint8_t> pixels_;
};

/// Writes at most `capacity` detections and returns their full number.
int64_t hand_over(const std::vector<Detection>& detections, yd_detection* found, int64_t capacity) {
  const int64_t written = std::min(int64_t(detections.size()), capacity);
  for (int64_t i = 0; i < written; ++i) {
    const Detection& d = detections[size_t(i)];
    found[i] = {d.x1, d.y1, d.x2, d.y2, d.score, int32_t(d.class_id)};
  }
  return int64_t(detections.size());
}

/// Parses yd_options::merge.
ClassMerges merges_in(const std::string& text) {
  ClassMerges merges;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(';', begin), text.size());
    merges.push_back(parse_merge(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return merges;
}

void check_room(const yd_detection* found, int64_t capacity) {
  if (capacity < 0) throw ValueError("capacity is {}, at least 0 wanted", capacity);
  if (capacity > 0) given(found, "found");
}

}  // namespace

void yd_default_options(yd_options* options, size_t size) {
  if (options == nullptr) return;
  yd_options defaults = default_options();
  defaults.size = std::min(size, sizeof(defaults));
  std::memcpy(options, &defaults, defaults.size);
}

yd_detector* yd_open(const char* weights, const yd_options* options) {
  return guarded<yd_detector*>(nullptr, [&] {
    given(weights, "weights");
    const yd_options known = known_options(options);
    DetectorOptions wanted;
    wanted.conf = known.conf;
    wanted.iou = known.iou;
    wanted.max_det = known.max_det;
    wanted.image_size = known.image_size;
    if (known.num_classes < 0 || known.num_classes > kMaxClasses) {
      throw ValueError("options: num_classes is {}, 0 to {} wanted", known.num_classes,
                       kMaxClasses);
    }
    if (known.num_classes > 0) {
      given(known.classes, "options: classes");
      wanted.classes.assign(known.classes, known.classes + known.num_classes);
    }
    if (known.agnostic != 0) wanted.scope = NmsScope::kAllClasses;
    wanted.tta = known.tta != 0;
    if (known.merge != nullptr) wanted.merge = merges_in(known.merge);
    const std::string device = given(known.device, "options: device");
    const std::string precision = given(known.precision, "options: precision");
    (void)choose_inference_compute(device, precision, /*calibrated=*/true);
    const Checkpoint checkpoint = load_checkpoint(weights, PtWeights::kEma);
    wanted.compute = choose_inference_compute(device, precision, !checkpoint.calibration.empty());
    use_compute(wanted.compute);
    return new yd_detector{Detector(checkpoint, wanted)};
  });
}

void yd_close(yd_detector* detector) {
  guarded(0, [&] {
    delete detector;
    return 0;
  });
}

int64_t yd_num_classes(const yd_detector* detector) {
  return guarded<int64_t>(
      -1, [&] { return int64_t(given(detector, "detector")->detector.class_names().size()); });
}

const char* yd_class_name(const yd_detector* detector, int64_t class_id) {
  return guarded<const char*>(nullptr, [&] {
    const std::vector<std::string>& names = given(detector, "detector")->detector.class_names();
    if (class_id < 0 || class_id >= int64_t(names.size())) {
      throw ValueError("class {}, there are {}", class_id, names.size());
    }
    return names[size_t(class_id)].c_str();
  });
}

int64_t yd_detect(yd_detector* detector, const yd_picture* picture, yd_detection* found,
                  int64_t capacity) {
  return guarded<int64_t>(-1, [&] {
    given(detector, "detector");
    check_room(found, capacity);
    const Rgb rgb(*given(picture, "picture"), 0);
    return hand_over(detector->detector.detect(rgb.view()), found, capacity);
  });
}

int64_t yd_detect_file(yd_detector* detector, const char* path, yd_detection* found,
                       int64_t capacity) {
  return guarded<int64_t>(-1, [&] {
    given(detector, "detector");
    check_room(found, capacity);
    return hand_over(detector->detector.detect(read_image(given(path, "path"))), found, capacity);
  });
}

int yd_detect_batch(yd_detector* detector, const yd_picture* pictures, int64_t num_pictures,
                    yd_detection* found, int64_t capacity, int64_t* num_found) {
  return guarded(-1, [&] {
    given(detector, "detector");
    if (num_pictures < 0) throw ValueError("{} pictures, at least 0 wanted", num_pictures);
    if (num_pictures == 0) return 0;
    check_room(found, capacity);
    given(pictures, "pictures");
    given(num_found, "num_found");
    std::vector<Rgb> rgb;
    rgb.reserve(size_t(num_pictures));
    for (int64_t i = 0; i < num_pictures; ++i) rgb.emplace_back(pictures[i], i);
    std::vector<ImageView> views;
    for (const Rgb& picture : rgb) views.push_back(picture.view());
    const auto all = detector->detector.detect_batch(views);
    for (int64_t i = 0; i < num_pictures; ++i) {
      num_found[i] = hand_over(all[size_t(i)], found + i * capacity, capacity);
    }
    return 0;
  });
}

int yd_set_threads(int64_t threads) {
  return guarded(-1, [&] {
    if (threads < 1 || threads > 1 << 16) {
      throw ValueError("threads: {}, 1 to {} wanted", threads, 1 << 16);
    }
    set_num_threads(int(threads));
    return 0;
  });
}

const char* yd_last_error(void) {
  return last_error.c_str();
}

const char* yd_version(void) {
  return YD_VERSION;
}
