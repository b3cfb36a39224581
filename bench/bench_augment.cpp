// SPDX-License-Identifier: MIT
// Times how fast one thread makes training samples from decoded pictures: by the gather, and by the
// longer way over a canvas (the tests' reference), alternately, in one run.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>

#include <ydistill/data/augment.h>
#include <ydistill/tensor/cpu_level.h>

#include "data/canvas_sample.h"

namespace ydistill {
namespace {

struct Args {
  int64_t size = 640;
  int pairs = 15;
  int samples = 32;  // per timing
  double degrees = 0;
  double mosaic = 1;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Pictures with COCO's usual 4:3 ratio at load size: a smooth background with noise on it.
std::vector<std::shared_ptr<const Image>> make_pictures(int64_t size) {
  std::vector<std::shared_ptr<const Image>> pictures;
  for (uint64_t seed = 0; seed < 16; ++seed) {
    const PictureSize s = seed % 3 == 2 ? load_size(3, 4, size) : load_size(4, 3, size);
    Image image = Image::filled(s.width, s.height, 0);
    Rng rng(seed);
    for (int64_t y = 0; y < s.height; ++y) {
      for (int64_t x = 0; x < s.width; ++x) {
        for (int64_t c = 0; c < 3; ++c) {
          image.at(x, y)[c] = uint8_t((x * (c + 1) + y * (3 - c)) / 8 % 200 + rng.below(50));
        }
      }
    }
    pictures.push_back(std::make_shared<const Image>(std::move(image)));
  }
  return pictures;
}

int run(const Args& args) {
  const auto pictures = make_pictures(args.size);
  const std::vector<Label> labels{{0, 0.5, 0.5, 0.4, 0.4}};
  const PictureSource source = [&](int64_t i) {
    return LoadedPicture{pictures[size_t(i)], &labels, i, {}};
  };
  std::vector<int64_t> all;
  for (int64_t i = 0; i < int64_t(pictures.size()); ++i) all.push_back(i);
  AugmentOptions options;
  options.degrees = args.degrees;
  options.mosaic = args.mosaic;
  std::vector<uint8_t> output(size_t(args.size * args.size * 3));

  const auto rate = [&](auto&& make) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < args.samples; ++i) make(int64_t(i) % 16, Rng(uint64_t(i)));
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    return args.samples / taken.count();
  };
  const auto by_gather = [&](int64_t index, const Rng& rng) {
    render_sample(plan_training_sample(options, index, all, source, args.size, rng), output.data());
  };
  const auto by_canvas = [&](int64_t index, const Rng& rng) {
    test::canvas_sample(options, index, all, source, args.size, rng, output.data());
  };
  rate(by_gather);
  rate(by_canvas);
  std::vector<double> gathers, canvases, ratios;
  for (int i = 0; i < args.pairs; ++i) {
    gathers.push_back(rate(by_gather));
    canvases.push_back(rate(by_canvas));
    ratios.push_back(gathers.back() / canvases.back());
  }
  fmt::print("samples of {}x{}, mosaic {}, degrees {}, one thread, {}\n", args.size, args.size,
             args.mosaic, args.degrees, name_of(cpu_level()));
  fmt::print("gather  {:7.1f} pictures/s (median of {})\n", median(gathers), args.pairs);
  fmt::print("canvas  {:7.1f} pictures/s\n", median(canvases));
  fmt::print("ratio   {:7.2f} (median of the pairs)\n", median(ratios));
  return 0;
}

}  // namespace
}  // namespace ydistill

int main(int argc, char** argv) {
  ydistill::Args args;
  CLI::App app{"Times the making of training samples.", "bench_augment"};
  app.add_option("--size", args.size, "side of the samples, pixels")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--pairs", args.pairs, "timings of each way")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--samples", args.samples, "samples a timing")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--degrees", args.degrees, "rotation, both ways")->capture_default_str();
  app.add_option("--mosaic", args.mosaic, "probability of a mosaic")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return ydistill::run(args);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_augment: {}\n", error.what());
    return 1;
  }
}
