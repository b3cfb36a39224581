// SPDX-License-Identifier: MIT
#include <ydistill/data/canvas.h>

#include <algorithm>
#include <utility>

#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

PictureSize size_of(const LoadedPicture& picture) {
  if (!picture.image) return picture.size;
  return {picture.image->width, picture.image->height};
}

/// Converts a label to pixels of its picture, shifted by (left, top).
CornerBox corners_of(const Label& label, double width, double height, double left, double top) {
  return {width * (label.cx - label.w / 2) + left, height * (label.cy - label.h / 2) + top,
          width * (label.cx + label.w / 2) + left, height * (label.cy + label.h / 2) + top};
}

/// Adds a piece: the picture with its upper left corner at (x, y), clipped to the canvas.
void place_picture(SampleCanvas& canvas, const LoadedPicture& picture, int64_t x, int64_t y) {
  const PictureSize size = size_of(picture);
  const int64_t left = std::max<int64_t>(x, 0), right = std::min(x + size.width, canvas.width);
  const int64_t top = std::max<int64_t>(y, 0), bottom = std::min(y + size.height, canvas.height);
  if (left >= right || top >= bottom) return;
  const int32_t i = canvas.layer.num_pieces++;
  canvas.pictures[size_t(i)] = {picture.index, picture.image};
  canvas.layer.pieces[i] = {picture.image ? picture.image->rgb.data() : nullptr,
                            int32_t(size.width),
                            int32_t(left),
                            int32_t(top),
                            int32_t(right),
                            int32_t(bottom),
                            int32_t(-x),
                            int32_t(-y)};
}

/// Adds a picture and its objects; the objects are clipped to the canvas.
void add_picture(SampleCanvas& canvas, const LoadedPicture& picture, int64_t x, int64_t y) {
  place_picture(canvas, picture, x, y);
  const PictureSize size = size_of(picture);
  const double w = double(size.width), h = double(size.height);
  const auto clip_x = [&](double v) { return std::clamp(v, 0.0, double(canvas.width)); };
  const auto clip_y = [&](double v) { return std::clamp(v, 0.0, double(canvas.height)); };
  for (const Label& label : *picture.labels) {
    const CornerBox box = corners_of(label, w, h, double(x), double(y));
    PixelLabel added{label.class_id,
                     {clip_x(box.x1), clip_y(box.y1), clip_x(box.x2), clip_y(box.y2)}};
    added.outline.reserve(label.polygon.size());
    for (const auto& [px, py] : label.polygon) {
      added.outline.push_back({clip_x(w * px + double(x)), clip_y(h * py + double(y))});
    }
    canvas.labels.push_back(std::move(added));
  }
}

SampleCanvas square_canvas(int64_t side) {
  SampleCanvas canvas;
  canvas.width = canvas.height = side;
  return canvas;
}

/// The sample's own picture and partners, drawn with replacement, in random order.
template <size_t kCount>
std::array<int64_t, kCount> draw_pictures(int64_t index, std::span<const int64_t> partners,
                                          Rng& rng) {
  std::array<int64_t, kCount> indices;
  indices.fill(index);
  for (size_t i = 1; i < kCount; ++i) {
    if (!partners.empty()) indices[i] = partners[size_t(rng.below(int64_t(partners.size())))];
  }
  for (size_t i = kCount - 1; i > 0; --i) {
    std::swap(indices[i], indices[size_t(rng.below(int64_t(i) + 1))]);
  }
  return indices;
}

}  // namespace

SampleCanvas single_canvas(int64_t index, const PictureSource& source, int64_t image_size,
                           const PictureSize& frame) {
  const LoadedPicture picture = source(index);
  const PictureSize size = size_of(picture);
  const Letterbox box =
      validation_letterbox(size.width, size.height, image_size, frame.width, frame.height);
  if (box.inner_width != size.width || box.inner_height != size.height) {
    throw ShapeError("plan_training_sample: a picture of {}x{}, at image size {} it has {}x{}",
                     size.width, size.height, image_size, box.inner_width, box.inner_height);
  }
  SampleCanvas canvas;
  canvas.width = frame.width;
  canvas.height = frame.height;
  place_picture(canvas, picture, box.left, box.top);
  for (const Label& label : *picture.labels) {
    canvas.labels.push_back(
        {label.class_id, corners_of(label, double(box.inner_width), double(box.inner_height),
                                    box.pad_x, box.pad_y)});
  }
  return canvas;
}

SampleCanvas mosaic_of_four(int64_t index, std::span<const int64_t> partners,
                            const PictureSource& source, int64_t image_size, Rng& rng) {
  SampleCanvas canvas = square_canvas(2 * image_size);
  const auto centre = [&] {
    return int64_t(rng.uniform(double(image_size / 2), double(2 * image_size - image_size / 2)));
  };
  const int64_t centre_y = centre();
  const int64_t centre_x = centre();
  const auto indices = draw_pictures<4>(index, partners, rng);
  for (size_t i = 0; i < 4; ++i) {  // top left, top right, bottom left, bottom right
    const LoadedPicture picture = source(indices[i]);
    const PictureSize size = size_of(picture);
    add_picture(canvas, picture, i % 2 == 0 ? centre_x - size.width : centre_x,
                i < 2 ? centre_y - size.height : centre_y);
  }
  return canvas;
}

SampleCanvas mosaic_of_nine(int64_t index, std::span<const int64_t> partners,
                            const PictureSource& source, int64_t image_size, Rng& rng) {
  const int64_t s = image_size;
  SampleCanvas canvas = square_canvas(2 * s);
  const auto indices = draw_pictures<9>(index, partners, rng);
  const auto offset = [&] { return int64_t(rng.uniform(0, double(s))); };
  const int64_t cut_y = offset();
  const int64_t cut_x = offset();
  PictureSize middle, before;
  for (size_t i = 0; i < 9; ++i) {
    const LoadedPicture picture = source(indices[i]);
    const PictureSize size = size_of(picture);
    if (i == 0) middle = size;
    const int64_t right = s + middle.width, bottom = s + middle.height;
    // The middle, then clockwise around it from the top; a corner is aligned to the picture before
    // it.
    const std::array<std::array<int64_t, 2>, 9> places{{
        {s, s},
        {s, s - size.height},
        {s + before.width, s - size.height},
        {right, s},
        {right, s + before.height},
        {right - size.width, bottom},
        {right - before.width - size.width, bottom},
        {s - size.width, bottom - size.height},
        {s - size.width, bottom - before.height - size.height},
    }};
    add_picture(canvas, picture, places[i][0] - cut_x, places[i][1] - cut_y);
    before = size;
  }
  return canvas;
}

}  // namespace ydistill
