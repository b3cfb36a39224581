// SPDX-License-Identifier: MIT
// A textured background, clutter that belongs to no class, one to six shapes that may partly cover
// each other, and noise over everything.

#include <ydistill/examples/shapes/scene.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ydistill/examples/shapes/outline.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/random.h>

namespace ydistill::shapes {

namespace {

/// Red, green, blue, 0..255.
struct Color {
  double r = 0, g = 0, b = 0;
};

Color mix(const Color& a, const Color& b, double share) {
  return {a.r + share * (b.r - a.r), a.g + share * (b.g - a.g), a.b + share * (b.b - a.b)};
}

Color random_color(Rng& rng) {
  return {rng.uniform(20, 235), rng.uniform(20, 235), rng.uniform(20, 235)};
}

double difference(const Color& a, const Color& b) {
  return std::sqrt((a.r - b.r) * (a.r - b.r) + (a.g - b.g) * (a.g - b.g) +
                   (a.b - b.b) * (a.b - b.b));
}

class Canvas {
 public:
  explicit Canvas(int64_t size) : size_(size), pixels_(size_t(size * size)) {}
  int64_t size() const { return size_; }
  Color& at(int64_t x, int64_t y) { return pixels_[size_t(y * size_ + x)]; }

 private:
  int64_t size_;
  std::vector<Color> pixels_;
};

/// Smooth noise in -1..1: random values on a grid of `cell` pixels, interpolated in between.
class ValueNoise {
 public:
  ValueNoise(Rng& rng, int64_t size, double cell)
      : cell_(cell), columns_(int64_t(double(size) / cell) + 2) {
    values_.resize(size_t(columns_ * columns_));
    for (double& v : values_) v = rng.uniform(-1, 1);
  }

  double operator()(double x, double y) const {
    const double gx = x / cell_, gy = y / cell_;
    const auto column = int64_t(gx), row = int64_t(gy);
    const double u = ease(gx - double(column)), v = ease(gy - double(row));
    const double* top = &values_[size_t(row * columns_ + column)];
    const double* bottom = top + columns_;
    return std::lerp(std::lerp(top[0], top[1], u), std::lerp(bottom[0], bottom[1], u), v);
  }

 private:
  static double ease(double t) { return t * t * (3 - 2 * t); }

  double cell_;
  int64_t columns_;
  std::vector<double> values_;
};

/// A gradient between two colours, a pattern (none, stripes or checks), and smooth noise.
void draw_ground(Canvas& canvas, Rng& rng) {
  const int64_t size = canvas.size();
  const Color one = random_color(rng), two = mix(one, random_color(rng), 0.6);
  const Color pattern = mix(one, random_color(rng), rng.uniform(0.15, 0.5));
  const double turn = rng.uniform(0, 2 * std::numbers::pi), c = std::cos(turn), s = std::sin(turn);
  const double wave = rng.uniform(0.04, 0.15) * double(size);
  const int64_t kind = rng.below(3);  // plain, stripes, checks
  const ValueNoise coarse(rng, size, 0.25 * double(size)), fine(rng, size, 0.05 * double(size));
  const double coarse_gain = rng.uniform(10, 40), fine_gain = rng.uniform(5, 25);
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      const double along = c * double(x) + s * double(y), across = c * double(y) - s * double(x);
      Color color = mix(one, two, std::clamp(0.5 + along / double(size), 0.0, 1.0));
      const bool odd_along = int64_t(std::floor(along / wave)) % 2 != 0;
      const bool odd_across = int64_t(std::floor(across / wave)) % 2 != 0;
      if ((kind == 1 && odd_along) || (kind == 2 && odd_along != odd_across)) {
        color = mix(color, pattern, 0.5);
      }
      const double light =
          coarse_gain * coarse(double(x), double(y)) + fine_gain * fine(double(x), double(y));
      canvas.at(x, y) = {color.r + light, color.g + light, color.b + light};
    }
  }
}

/// How much of a pixel lies inside an edge at this distance.
double coverage(double distance) {
  return std::clamp(0.5 - distance, 0.0, 1.0);
}

/// Strokes that belong to no class.
void draw_clutter(Canvas& canvas, Rng& rng) {
  const auto size = double(canvas.size());
  const int64_t strokes = rng.below(6);
  for (int64_t i = 0; i < strokes; ++i) {
    const Point a{rng.uniform(0, size), rng.uniform(0, size)};
    const double turn = rng.uniform(0, 2 * std::numbers::pi), reach = rng.uniform(0.1, 0.6) * size;
    const double ex = reach * std::cos(turn), ey = reach * std::sin(turn);
    const double half_width = rng.uniform(0.004, 0.02) * size, opacity = rng.uniform(0.4, 0.9);
    const Color color = random_color(rng);
    for (int64_t y = 0; y < canvas.size(); ++y) {
      for (int64_t x = 0; x < canvas.size(); ++x) {
        const double px = double(x) + 0.5 - a.x, py = double(y) + 0.5 - a.y;
        const double t = std::clamp((px * ex + py * ey) / (reach * reach), 0.0, 1.0);
        const double share = coverage(std::hypot(px - t * ex, py - t * ey) - half_width);
        if (share > 0) canvas.at(x, y) = mix(canvas.at(x, y), color, share * opacity);
      }
    }
  }
}

/// Pixels of the picture that a box touches.
struct PixelRange {
  int64_t x1, y1, x2, y2;
};

PixelRange pixels_of(const Box& box, int64_t size) {
  const auto low = [](double v) { return std::max<int64_t>(0, int64_t(std::floor(v)) - 1); };
  const auto high = [size](double v) { return std::min(size, int64_t(std::ceil(v)) + 1); };
  return {low(box.x1), low(box.y1), high(box.x2), high(box.y2)};
}

/// Which shape is visible at each pixel, and how much of each shape is visible.
class Visibility {
 public:
  explicit Visibility(int64_t size) : size_(size), owner_(size_t(size * size), -1) {}

  /// Adds the shape on top unless too little of a shape below it would remain visible.
  bool place(const Outline& outline) {
    constexpr double kLeastSeen = 0.45;
    const PixelRange range = pixels_of(outline.bounds(), size_);
    std::vector<int64_t> covered(seen_.size(), 0), inside;
    for (int64_t y = range.y1; y < range.y2; ++y) {
      for (int64_t x = range.x1; x < range.x2; ++x) {
        if (outline.distance({double(x) + 0.5, double(y) + 0.5}) >= 0) continue;
        inside.push_back(y * size_ + x);
        const int64_t below = owner_[size_t(inside.back())];
        if (below >= 0) ++covered[size_t(below)];
      }
    }
    for (size_t i = 0; i < seen_.size(); ++i) {
      if (double(seen_[i] - covered[i]) < kLeastSeen * double(whole_[i])) return false;
    }
    for (size_t i = 0; i < seen_.size(); ++i) seen_[i] -= covered[i];
    for (const int64_t at : inside) owner_[size_t(at)] = int64_t(seen_.size());
    seen_.push_back(int64_t(inside.size()));
    whole_.push_back(int64_t(inside.size()));
    return true;
  }

 private:
  int64_t size_;
  std::vector<int64_t> owner_;         // [size, size] index of the shape, -1: ground
  std::vector<int64_t> seen_, whole_;  // pixels of each shape, now and when it was placed
};

/// The mean colour of the area that a shape will cover.
Color mean_below(Canvas& canvas, const Outline& outline) {
  const PixelRange range = pixels_of(outline.bounds(), canvas.size());
  Color sum;
  double count = 0;
  for (int64_t y = range.y1; y < range.y2; ++y) {
    for (int64_t x = range.x1; x < range.x2; ++x, ++count) {
      const Color& p = canvas.at(x, y);
      sum = {sum.r + p.r, sum.g + p.g, sum.b + p.b};
    }
  }
  return {sum.r / count, sum.g / count, sum.b / count};
}

/// Fills with stripes of two similar colours, half of the time with a darker rim; almost opaque.
void draw_shape(Canvas& canvas, const Outline& outline, Rng& rng) {
  constexpr double kLeastContrast = 80;
  const Color below = mean_below(canvas, outline);
  Color color = random_color(rng);
  while (difference(color, below) < kLeastContrast) color = random_color(rng);
  const Color second = mix(color, random_color(rng), rng.uniform(0, 0.25));
  const double turn = rng.uniform(0, 2 * std::numbers::pi), c = std::cos(turn), s = std::sin(turn);
  const double wave = rng.uniform(0.02, 0.08) * double(canvas.size());
  const double opacity = rng.uniform(0.85, 1);
  const double rim = rng.uniform() < 0.5 ? 0.012 * double(canvas.size()) : 0;
  const PixelRange range = pixels_of(outline.bounds(), canvas.size());
  for (int64_t y = range.y1; y < range.y2; ++y) {
    for (int64_t x = range.x1; x < range.x2; ++x) {
      const double distance = outline.distance({double(x) + 0.5, double(y) + 0.5});
      const double share = coverage(distance);
      if (share == 0) continue;
      const double stripe = std::sin((c * double(x) + s * double(y)) / wave);
      Color fill = mix(color, second, 0.5 + 0.5 * stripe);
      if (rim > 0) fill = mix(fill, {0, 0, 0}, 0.6 * coverage(-distance - rim));
      canvas.at(x, y) = mix(canvas.at(x, y), fill, share * opacity);
    }
  }
}

Outline random_outline(int64_t class_id, int64_t size, Rng& rng) {
  // Radii are uniform on a logarithmic scale: as many small ones as large ones.
  const double radius = double(size) * 0.12 * std::pow(0.30 / 0.12, rng.uniform());
  const double margin = 0.6 * radius;  // a part may lie outside
  const Point center{rng.uniform(margin, double(size) - margin),
                     rng.uniform(margin, double(size) - margin)};
  const double turn = rng.uniform(0, 2 * std::numbers::pi);
  return {class_id, center, radius, turn, rng.uniform(0.8, 1.0)};
}

LabelledBox to_label(int64_t class_id, const Box& box, int64_t size) {
  const auto clip = [size](double v) { return std::clamp(v / double(size), 0.0, 1.0); };
  const double x1 = clip(box.x1), y1 = clip(box.y1), x2 = clip(box.x2), y2 = clip(box.y2);
  return {class_id, 0.5 * (x1 + x2), 0.5 * (y1 + y2), x2 - x1, y2 - y1};
}

Image to_image(Canvas& canvas, Rng& rng) {
  const double sigma = rng.uniform(2, 10);
  Image image = Image::filled(canvas.size(), canvas.size(), 0);
  const auto level = [&](double v) {
    return uint8_t(std::lround(std::clamp(v + sigma * rng.normal(), 0.0, 255.0)));
  };
  for (int64_t y = 0; y < canvas.size(); ++y) {
    for (int64_t x = 0; x < canvas.size(); ++x) {
      const Color& color = canvas.at(x, y);
      uint8_t* rgb = image.at(x, y);
      rgb[0] = level(color.r);
      rgb[1] = level(color.g);
      rgb[2] = level(color.b);
    }
  }
  return image;
}

}  // namespace

Scene draw_scene(uint64_t seed, Split split, uint64_t index, int64_t size, int64_t num_classes) {
  if (size < 32 || size > 4096) {
    throw ValueError("shapes: the size must lie in 32..4096 pixels, got {}", size);
  }
  if (num_classes < 1 || num_classes > int64_t(kClassNames.size())) {
    throw ValueError("shapes: the classes must be 1..{}, got {}", kClassNames.size(), num_classes);
  }
  Rng rng(seed, uint64_t(split), index);
  Canvas canvas(size);
  draw_ground(canvas, rng);
  draw_clutter(canvas, rng);

  Scene scene;
  Visibility visibility(size);
  const int64_t wanted = 1 + rng.below(6);
  for (int64_t i = 0; i < wanted; ++i) {
    const int64_t class_id = rng.below(num_classes);
    for (int attempt = 0; attempt < 20; ++attempt) {
      const Outline outline = random_outline(class_id, size, rng);
      if (!visibility.place(outline)) continue;
      draw_shape(canvas, outline, rng);
      scene.boxes.push_back(to_label(class_id, outline.bounds(), size));
      break;
    }
  }
  scene.image = to_image(canvas, rng);
  return scene;
}

}  // namespace ydistill::shapes
