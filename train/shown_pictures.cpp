// SPDX-License-Identifier: MIT
#include <ydistill/train/shown_pictures.h>

#include <algorithm>
#include <cmath>

#include <ydistill/data/resize.h>
#include <ydistill/tensor/math.h>
#include <ydistill/train/report/canvas.h>

namespace ydistill {
namespace {

constexpr int64_t kLongestSide = 320;
constexpr int kQuality = 82;

/// The picture inside its letterbox, small enough for a page.
Image small_picture(const Batch& batch, size_t i) {
  const Letterbox& box = batch.letterboxes[i];
  const Tensor input = batch.images.slice(int64_t(i), int64_t(i) + 1);
  const auto bytes = input.span<uint8_t>();
  Image picture{box.inner_width, box.inner_height, {}};
  picture.rgb.reserve(size_t(3 * box.inner_width * box.inner_height));
  for (int64_t y = 0; y < box.inner_height; ++y) {
    const auto row = bytes.begin() + ((box.top + y) * input.size(2) + box.left) * 3;
    picture.rgb.insert(picture.rgb.end(), row, row + box.inner_width * 3);
  }
  const int64_t longest = std::max(picture.width, picture.height);
  if (longest <= kLongestSide) return picture;
  const auto side = [longest](int64_t s) {
    return std::max<int64_t>(1, s * kLongestSide / longest);
  };
  return resize(picture, side(picture.width), side(picture.height), Interpolation::kArea);
}

template <class Box>
ShownBox shown(const Box& box, const Letterbox& letterbox) {
  const float w = float(letterbox.picture_width), h = float(letterbox.picture_height);
  return {box.x1 / w, box.y1 / h, box.x2 / w, box.y2 / h, box.class_id, 0, false};
}

/// The picture's boxes and F1, without its jpeg.
ShownPicture compared(const EvaluatedBatch& e, size_t i, const Sample& sample) {
  ShownPicture p;
  p.name = sample.image.filename().string();
  p.width = sample.width;
  p.height = sample.height;
  std::vector<Detection> sure;
  std::copy_if(e.found[i].begin(), e.found[i].end(), std::back_inserter(sure),
               [](const Detection& d) { return d.score > PairingOptions().conf; });
  for (const TruthBox& t : e.truths[i]) p.labels.push_back(shown(t, e.batch.letterboxes[i]));
  const std::vector<int64_t> pairs = pair_detections(sure, e.truths[i]);
  int64_t right = 0;
  for (size_t k = 0; k < sure.size(); ++k) {
    p.found.push_back(shown(sure[k], e.batch.letterboxes[i]));
    p.found.back().score = sure[k].score;
    if (pairs[k] < 0 || e.truths[i][size_t(pairs[k])].class_id != sure[k].class_id) continue;
    p.found.back().right = p.labels[size_t(pairs[k])].right = true;
    ++right;
  }
  p.f1 = 2 * double(right) / double(std::max<size_t>(p.labels.size() + p.found.size(), 1));
  return p;
}

/// Objectness [rows, columns] of the finest grid of one picture.
struct Grid {
  int64_t rows = 0, columns = 0;
  std::vector<float> values;
};

Grid objectness_of(const std::vector<Tensor>& logits, int64_t picture) {
  Grid grid{logits.front().size(1), logits.front().size(2), {}};
  grid.values.assign(size_t(grid.rows * grid.columns), 0);
  for (const Tensor& head : logits) {
    const Tensor one = head.slice(picture, picture + 1).to(Device()).to(DType::kFloat32);
    const int64_t rows = one.size(1), columns = one.size(2), anchors = one.size(3);
    const int64_t width = one.size(4);
    const float* values = one.data<float>();
    for (int64_t y = 0; y < grid.rows; ++y) {
      for (int64_t x = 0; x < grid.columns; ++x) {
        const int64_t cell = y * rows / grid.rows * columns + x * columns / grid.columns;
        float& most = grid.values[size_t(y * grid.columns + x)];
        for (int64_t a = 0; a < anchors; ++a) {
          most = std::max(most, sigmoid(values[(cell * anchors + a) * width + 4]));
        }
      }
    }
  }
  return grid;
}

/// Colours over the grey picture; linear interpolation between the centres of the cells.
Image painted(Image picture, const Grid& grid, const Letterbox& box) {
  for (int64_t y = 0; y < picture.height; ++y) {
    for (int64_t x = 0; x < picture.width; ++x) {
      const double in_x =
          double(box.left) + (double(x) + 0.5) * double(box.inner_width) / double(picture.width);
      const double in_y =
          double(box.top) + (double(y) + 0.5) * double(box.inner_height) / double(picture.height);
      const double gx = std::clamp(in_x * double(grid.columns) / double(box.width) - 0.5, 0.0,
                                   double(grid.columns - 1));
      const double gy = std::clamp(in_y * double(grid.rows) / double(box.height) - 0.5, 0.0,
                                   double(grid.rows - 1));
      const int64_t x0 = int64_t(gx), y0 = int64_t(gy);
      const int64_t x1 = std::min(x0 + 1, grid.columns - 1), y1 = std::min(y0 + 1, grid.rows - 1);
      const auto at = [&grid](int64_t row, int64_t column) {
        return double(grid.values[size_t(row * grid.columns + column)]);
      };
      const double fx = gx - double(x0), fy = gy - double(y0);
      const double value = (1 - fy) * ((1 - fx) * at(y0, x0) + fx * at(y0, x1)) +
                           fy * ((1 - fx) * at(y1, x0) + fx * at(y1, x1));
      uint8_t* p = picture.at(x, y);
      const uint8_t grey = uint8_t((299 * p[0] + 587 * p[1] + 114 * p[2]) / 1000);
      const Color c = mixed({grey, grey, grey}, heat_color(value), 0.65);
      p[0] = c.r;
      p[1] = c.g;
      p[2] = c.b;
    }
  }
  return picture;
}

}  // namespace

void ShownPictures::keep(std::vector<Kept>& list, const Kept& kept) const {
  const auto at =
      std::upper_bound(list.begin(), list.end(), kept, [](const Kept& a, const Kept& b) {
        return std::lexicographical_compare(a.order, a.order + 3, b.order, b.order + 3);
      });
  list.insert(at, kept);
  if (list.size() > most_) list.pop_back();
}

void ShownPictures::add(const EvaluatedBatch& e, const Dataset& dataset) {
  const auto would_enter = [this](const std::vector<Kept>& list, const Kept& kept) {
    return list.size() < most_ ||
           std::lexicographical_compare(kept.order, kept.order + 3, list.back().order,
                                        list.back().order + 3);
  };
  for (size_t i = 0; i < e.truths.size(); ++i) {
    const int64_t index = e.batch.indices[i];
    ShownPicture picture = compared(e, i, dataset.samples.at(size_t(index)));
    if (picture.labels.empty() && picture.found.empty()) continue;
    const double labels = double(picture.labels.size()),
                 boxes = labels + double(picture.found.size());
    const double errors = boxes * (1 - picture.f1);
    Kept worst{{picture.f1, -errors, double(index)}, {}};
    Kept best{{-picture.f1, -labels, double(index)}, {}};
    const bool is_worst = picture.f1 < 1 && would_enter(worst_, worst);
    const bool is_best = picture.f1 > 0 && would_enter(best_, best);
    if (!is_worst && !is_best) continue;
    picture.jpeg = encode_jpeg(small_picture(e.batch, i), kQuality);
    worst.picture = best.picture = std::move(picture);
    if (is_worst) keep(worst_, worst);
    if (is_best) keep(best_, best);
  }
}

std::vector<ShownPicture> ShownPictures::worst() const {
  std::vector<ShownPicture> pictures;
  for (const Kept& k : worst_) pictures.push_back(k.picture);
  return pictures;
}

std::vector<ShownPicture> ShownPictures::best() const {
  std::vector<ShownPicture> pictures;
  for (const Kept& k : best_) pictures.push_back(k.picture);
  return pictures;
}

void ObjectnessPictures::add(const EvaluatedBatch& e, const Dataset& dataset) {
  for (size_t i = 0; i < e.truths.size() && taken_.size() < most_; ++i) {
    if (e.truths[i].empty()) continue;
    const Image picture = small_picture(e.batch, i);
    const Image map = painted(picture, objectness_of(e.logits, int64_t(i)), e.batch.letterboxes[i]);
    taken_.push_back({dataset.samples.at(size_t(e.batch.indices[i])).image.filename().string(),
                      encode_jpeg(picture, kQuality), encode_jpeg(map, kQuality)});
  }
}

}  // namespace ydistill
