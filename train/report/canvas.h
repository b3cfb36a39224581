// SPDX-License-Identifier: MIT
// A picture to draw plots on: smooth lines, areas, discs and text.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <ydistill/data/image.h>
#include <ydistill/train/report/stroke_font.h>

namespace ydistill {

struct Color {
  uint8_t r = 0, g = 0, b = 0;
};

/// Between a (share 0) and b (share 1).
Color mixed(const Color& a, const Color& b, double share);
/// Of a series, a class: ten that differ also to the colour-blind, then again from the first.
Color series_color(int64_t index);
/// Dark blue (0) over violet and orange to light yellow (1); brightness rises throughout.
Color heat_color(double share);

/// Left, top, right and bottom in pixels; a pixel reaches from its number to the next.
struct Area {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  double width() const { return x2 - x1; }
  double height() const { return y2 - y1; }
};

struct TextStyle {
  enum class Align { kLeft, kCentre, kRight };
  enum class Direction { kRight, kUp };
  double size = 11;  ///< height of a capital, pixels
  Color color = {40, 44, 52};
  Align align = Align::kLeft;
  Direction direction = Direction::kRight;
  bool bold = false;
};

/// All drawing is clipped to the picture. `alpha`: 0 invisible to 1 opaque.
class Canvas {
 public:
  Canvas(int64_t width, int64_t height, Color background = {255, 255, 255});
  int64_t width() const { return image_.width; }
  int64_t height() const { return image_.height; }
  const Image& image() const { return image_; }

  void fill(const Area& area, Color color, double alpha = 1);
  void frame(const Area& area, double width, Color color);
  void disc(Point centre, double radius, Color color, double alpha = 1);
  /// Through all points, with round joints and ends; as one shape, however it crosses itself.
  void polyline(std::span<const Point> points, double width, Color color, double alpha = 1);
  /// `at`: on the text's first edge in reading direction (kLeft), its middle or its end; and on the
  /// middle of its capitals across.
  void text(Point at, std::string_view text, const TextStyle& style = {});
  /// Pixels along the line.
  static double text_width(std::string_view text, const TextStyle& style = {});
  /// Copies a picture into an area, enlarged by repeating pixels or shrunk by leaving some out.
  void picture(const Area& area, const Image& image);

 private:
  void strokes(std::span<const Stroke> strokes, double width, Color color, double alpha);
  void blend(int64_t x, int64_t y, const Color& color, double alpha);
  Image image_;
};

}  // namespace ydistill
