// SPDX-License-Identifier: MIT
#include <ydistill/yolo/nms.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <ydistill/tensor/parallel.h>
#include <ydistill/yolo/box_iou_math.h>
#include <ydistill/yolo/decode_math.h>
#include <ydistill/yolo/nms_cuda.h>

namespace ydistill {
namespace {

constexpr float kClassOffsetPx = 7680;

[[noreturn]] void refuse_not_finite(int64_t picture, int64_t box) {
  throw NotFiniteError("nms: picture {}, box {}: NaN or infinity in the network's output", picture,
                       box);
}

bool is_wanted(int64_t class_id, const NmsOptions& options) {
  const std::vector<int64_t>& wanted = options.classes;
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), class_id) != wanted.end();
}

/// Adds a box of one of the network's classes, with the class id that it is reported as.
void add_wanted(Detection box, const NmsOptions& options, std::vector<Detection>& out) {
  if (!options.found_as.empty()) box.class_id = options.found_as[size_t(box.class_id)];
  if (is_wanted(box.class_id, options)) out.push_back(box);
}

/// Adds the detections of one box whose objectness passed. scores: of the classes, not multiplied
/// by objectness.
void add_candidates(float cx, float cy, float w, float h, float objectness, const float* scores,
                    int64_t classes, const NmsOptions& options, std::vector<Detection>& out) {
  const float conf = float(options.conf);
  Detection d{cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, 0, 0};
  if (options.labels == NmsLabels::kAll && classes > 1) {
    for (d.class_id = 0; d.class_id < classes; ++d.class_id) {
      d.score = scores[d.class_id] * objectness;
      if (d.score > conf) add_wanted(d, options, out);
    }
    return;
  }
  for (int64_t c = 0; c < classes; ++c) {
    const float score = scores[c] * objectness;
    if (c == 0 || score > d.score) {
      d.score = score;
      d.class_id = c;
    }
  }
  if (d.score > conf) add_wanted(d, options, out);
}

/// Keeps the `most` highest-scoring, in their order; of equal ones the first.
void keep_best(std::vector<Detection>& found, int64_t most) {
  if (int64_t(found.size()) <= most) return;
  std::vector<size_t> order(found.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::nth_element(order.begin(), order.begin() + most, order.end(), [&](size_t a, size_t b) {
    return found[a].score != found[b].score ? found[a].score > found[b].score : a < b;
  });
  order.resize(size_t(most));
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < order.size(); ++i) found[i] = found[order[i]];
  found.resize(order.size());
  found.shrink_to_fit();
}

/// The boxes of one picture that are kept. They are popped from a heap, highest score first, and
/// each is compared only with those kept so far: after max_det the rest is neither sorted nor
/// compared.
std::vector<Detection> suppress_in_picture(const std::vector<Detection>& found,
                                           const NmsOptions& options) {
  const auto worse = [&](size_t a, size_t b) {
    return found[a].score != found[b].score ? found[a].score < found[b].score : a > b;
  };
  std::vector<size_t> heap(found.size());
  std::iota(heap.begin(), heap.end(), size_t(0));
  std::make_heap(heap.begin(), heap.end(), worse);

  std::vector<Detection> kept, moved;  // original corners; shifted by class
  for (int64_t n = 0; n < options.max_nms && !heap.empty(); ++n) {
    if (int64_t(kept.size()) == options.max_det) break;
    std::pop_heap(heap.begin(), heap.end(), worse);
    const Detection& best = found[heap.back()];
    heap.pop_back();
    Detection d = best;
    if (options.scope == NmsScope::kPerClass) {
      const float offset = float(d.class_id) * kClassOffsetPx;
      d.x1 += offset;
      d.y1 += offset;
      d.x2 += offset;
      d.y2 += offset;
    }
    const bool covered = std::any_of(moved.begin(), moved.end(), [&](const Detection& k) {
      const float iou = box_iou(k.x1, k.y1, k.x2, k.y2, d.x1, d.y1, d.x2, d.y2, 0.0f);
      return double(iou) > options.iou;
    });
    if (covered) continue;
    kept.push_back(best);
    moved.push_back(d);
  }
  return kept;
}

void check_found_as(const std::vector<int64_t>& found_as, int64_t classes) {
  if (!found_as.empty() && int64_t(found_as.size()) != classes) {
    throw ValueError("nms: found_as speaks of {} classes, the network has {}", found_as.size(),
                     classes);
  }
  for (const int64_t class_id : found_as) {
    if (class_id < 0) throw ValueError("nms: a class is found as {}, at least 0 wanted", class_id);
  }
}

/// Calls body for each picture, on all threads; throws the error of the lowest picture index.
template <class Body>
void for_each_picture(int64_t pictures, Body&& body) {
  std::vector<int64_t> bad_box(size_t(pictures), -1);
  parallel_for(pictures, 1, [&](int64_t picture) { body(picture, bad_box[size_t(picture)]); });
  for (int64_t i = 0; i < pictures; ++i) {
    if (bad_box[size_t(i)] >= 0) refuse_not_finite(i, bad_box[size_t(i)]);
  }
}

bool finite_row(const float* row, int64_t n) {
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) finite &= std::isfinite(row[i]);
  return finite;
}

/// Collects the boxes of one picture, in rising number (head, anchor, row, column). Boxes whose
/// objectness is certainly below the threshold may be omitted.
class PictureBoxes {
 public:
  PictureBoxes(const Anchors& anchors, const NmsOptions& options, const AugmentedView& view,
               int64_t classes)
      : anchors_(anchors), options_(options), view_(view), scores_(size_t(classes)) {}

  /// t: the box's logits. False if they are not finite.
  bool add(const float* t, size_t head, int64_t anchor, int64_t row, int64_t column) {
    const int64_t classes = int64_t(scores_.size());
    if (!finite_row(t, 5 + classes)) return false;
    const float objectness = sigmoid(t[4]);
    if (!(objectness > float(options_.conf))) return true;
    for (size_t c = 0; c < scores_.size(); ++c) scores_[c] = sigmoid(t[5 + c]);
    const float stride = float(anchors_.strides[head]);
    const auto& wh = anchors_.wh_px[head][size_t(anchor)];
    const float scale = float(view_.scale);
    float cx = decode_centre(t[0], column, stride) / scale;
    if (view_.mirrored_width > 0) cx = float(view_.mirrored_width) - cx;
    add_candidates(cx, decode_centre(t[1], row, stride) / scale,
                   decode_side(t[2], float(wh[0])) / scale, decode_side(t[3], float(wh[1])) / scale,
                   objectness, scores_.data(), classes, options_, found_);
    return true;
  }
  std::vector<Detection> best() {
    keep_best(found_, options_.max_nms);
    return std::move(found_);
  }

 private:
  const Anchors& anchors_;
  const NmsOptions& options_;
  const AugmentedView& view_;
  std::vector<float> scores_;
  std::vector<Detection> found_;
};

std::vector<std::vector<Detection>> candidates_on_cpu(
    const std::vector<Tensor>& heads, const std::vector<HeadDims>& dims, const Anchors& anchors,
    const NmsOptions& options, const AugmentedView& view, float surely_below) {
  std::vector<std::vector<Detection>> result(size_t(dims[0].pictures));
  for_each_picture(dims[0].pictures, [&](int64_t picture, int64_t& bad_box) {
    PictureBoxes boxes(anchors, options, view, dims[0].classes());
    int64_t number = 0;  // index of the box in the picture
    for (size_t k = 0; k < heads.size(); ++k) {
      const HeadDims& head = dims[k];
      const float* logits = heads[k].data<float>() + picture * head.cells() * head.width;
      for (int64_t anchor = 0; anchor < head.anchors; ++anchor) {
        for (int64_t cell = 0; cell < head.rows * head.columns; ++cell, ++number) {
          const float* t = logits + (cell * head.anchors + anchor) * head.width;
          if (std::isfinite(t[4]) && t[4] < surely_below) continue;
          if (!boxes.add(t, k, anchor, cell / head.columns, cell % head.columns)) {
            bad_box = number;
            return;
          }
        }
      }
    }
    result[size_t(picture)] = boxes.best();
  });
  return result;
}

#ifdef YD_HAVE_CUDA
/// The GPU drops boxes that are certainly below; the rest is done here, as on the CPU.
std::vector<std::vector<Detection>> candidates_on_cuda(
    const std::vector<Tensor>& heads, const std::vector<HeadDims>& dims, const Anchors& anchors,
    const NmsOptions& options, const AugmentedView& view, float surely_below) {
  const cuda::PassingBoxes passing = cuda::passing_boxes(heads, dims, surely_below);
  const std::span<const int64_t> numbers = passing.numbers.span<int64_t>();
  std::vector<size_t> order(numbers.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return numbers[a] < numbers[b]; });
  int64_t cells = 0;  // boxes per picture
  for (const HeadDims& head : dims) cells += head.cells();

  std::vector<std::vector<Detection>> result(size_t(dims[0].pictures));
  for_each_picture(dims[0].pictures, [&](int64_t picture, int64_t& bad_box) {
    PictureBoxes boxes(anchors, options, view, dims[0].classes());
    const auto first = std::partition_point(order.begin(), order.end(),
                                            [&](size_t i) { return numbers[i] < picture * cells; });
    for (auto i = first; i != order.end() && numbers[*i] < (picture + 1) * cells; ++i) {
      const int64_t number = numbers[*i] - picture * cells;
      int64_t in_head = number;
      size_t k = 0;
      while (in_head >= dims[k].cells()) in_head -= dims[k++].cells();
      const int64_t grid = dims[k].rows * dims[k].columns, cell = in_head % grid;
      const float* t = passing.logits.data<float>() + int64_t(*i) * dims[k].width;
      if (!boxes.add(t, k, in_head / grid, cell / dims[k].columns, cell % dims[k].columns)) {
        bad_box = number;
        return;
      }
    }
    result[size_t(picture)] = boxes.best();
  });
  return result;
}
#endif

}  // namespace

void check_nms_options(const NmsOptions& o, int64_t classes) {
  if (!(o.conf >= 0 && o.conf <= 1)) throw ValueError("nms: conf is {}, must be 0..1", o.conf);
  if (!(o.iou >= 0 && o.iou <= 1)) throw ValueError("nms: iou is {}, must be 0..1", o.iou);
  if (o.max_det < 1) throw ValueError("nms: max_det is {}, must be at least 1", o.max_det);
  if (o.max_nms < 1) throw ValueError("nms: max_nms is {}, must be at least 1", o.max_nms);
  for (const int64_t class_id : o.classes) {
    if (class_id < 0 || class_id >= classes) {
      throw ValueError("nms: there is no class {}, there are 0 to {}", class_id, classes - 1);
    }
  }
}

std::vector<std::vector<Detection>> nms(const Tensor& decoded, const NmsOptions& options) {
  if (!decoded.defined() || decoded.rank() != 3 || decoded.size(2) < 6) {
    throw ShapeError("nms: boxes are {}, must be [N,boxes,5+C] with at least one class",
                     decoded.defined() ? decoded.str() : "undefined");
  }
  if (decoded.dtype() != DType::kFloat32) {
    throw DTypeError("nms: boxes are {}, must be float32", decoded.str());
  }
  const int64_t boxes = decoded.size(1), width = decoded.size(2);
  check_nms_options(options, width - 5);
  check_found_as(options.found_as, width - 5);
  std::vector<std::vector<Detection>> result(size_t(decoded.size(0)));
  for_each_picture(decoded.size(0), [&](int64_t picture, int64_t& bad_box) {
    std::vector<Detection> found;
    for (int64_t i = 0; i < boxes; ++i) {
      const float* box = decoded.data<float>() + (picture * boxes + i) * width;
      if (std::isfinite(box[4]) && !(box[4] > float(options.conf))) continue;
      if (!finite_row(box, width)) {
        bad_box = i;
        return;
      }
      add_candidates(box[0], box[1], box[2], box[3], box[4], box + 5, width - 5, options, found);
    }
    result[size_t(picture)] = suppress_in_picture(found, options);
  });
  return result;
}

std::vector<std::vector<Detection>> nms_candidates(const std::vector<Tensor>& heads,
                                                   const Anchors& anchors,
                                                   const NmsOptions& options,
                                                   const AugmentedView& view) {
  const std::vector<HeadDims> dims = check_heads("nms_heads", heads, anchors);
  if (heads[0].dtype() != DType::kFloat32) {
    throw DTypeError("nms_heads: head 0 is {}, must be float32", heads[0].str());
  }
  check_nms_options(options, dims[0].classes());
  check_found_as(options.found_as, dims[0].classes());
  // Logits clearly below the threshold need no sigmoid: it rises with the logit.
  const double conf = std::clamp(options.conf, 1e-30, 1 - 1e-7);
  const float surely_below = float(std::log(conf / (1 - conf)) - 1e-2);
  return YD_BACKEND(heads[0].device(),
                    candidates_on_cpu(heads, dims, anchors, options, view, surely_below),
                    candidates_on_cuda(heads, dims, anchors, options, view, surely_below));
}

std::vector<std::vector<Detection>> nms_of_candidates(
    const std::vector<std::vector<Detection>>& candidates, const NmsOptions& options) {
  check_nms_options(options, std::numeric_limits<int64_t>::max());
  std::vector<std::vector<Detection>> kept(candidates.size());
  parallel_for(int64_t(candidates.size()), 1, [&](int64_t picture) {
    kept[size_t(picture)] = suppress_in_picture(candidates[size_t(picture)], options);
  });
  return kept;
}

std::vector<std::vector<Detection>> nms_heads(const std::vector<Tensor>& heads,
                                              const Anchors& anchors, const NmsOptions& options) {
  return nms_of_candidates(nms_candidates(heads, anchors, options), options);
}

}  // namespace ydistill
