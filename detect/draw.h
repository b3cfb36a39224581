// SPDX-License-Identifier: MIT
// Draws boxes with labels on a picture, and several pictures on one sheet.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <ydistill/data/image.h>

namespace ydistill {

struct DrawnBox {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;  ///< corners in pixels of the picture; may reach beyond it
  std::string label;                     ///< empty: no label. Non-ASCII characters are drawn as `?`
  int64_t color_index = 0;               ///< for example the class id; 20 colours, repeating
};

struct DrawOptions {
  int64_t line_width = 0;  ///< pixels; 0: from the size of the picture
  int64_t text_scale = 0;  ///< letters are 7 times this high; 0: from the size of the picture
};

/// Draws each box's outline and its label, above the box if there is room, else inside it. Later
/// boxes are drawn on top. Boxes that are not finite or inverted are skipped.
/// throws ValueError for negative options or an image whose bytes do not fit its size.
void draw_boxes(Image& image, std::span<const DrawnBox> boxes, const DrawOptions& options = {});

/// The pictures in rows of `columns`, left to right, top to bottom, in cells of the largest width
/// and height, padded with grey (114). throws ValueError without pictures, for columns < 1, or for
/// a sheet larger than kMaxPixels.
Image mosaic_grid(std::span<const Image> images, int64_t columns);

}  // namespace ydistill
