// SPDX-License-Identifier: MIT
// Times the training loader on real pictures with everything it does (plan, gather, labels, batch);
// the pictures are kept decoded in memory. bench/peers/bench_loader.py compares it with YOLOv5's.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include <chrono>
#include <ctime>
#include <memory>

#include <ydistill/data/loader.h>
#include <ydistill/tensor/cpu_level.h>

namespace ydistill {
namespace {

struct Args {
  std::string pictures;
  int64_t size = 640;
  int64_t batch = 16;
  int workers = 0;
  int epochs = 3;
};

int run(const Args& args) {
  const auto dataset =
      std::make_shared<Dataset>(load_dataset({DataSource::Kind::kYolo, args.pictures, "", "", {}}));
  TrainLoaderOptions options;
  options.image_size = args.size;
  options.batch = args.batch;
  options.workers = args.workers;
  options.cache_bytes = int64_t(8) << 30;
  TrainLoader loader(dataset, options);
  Batch batch;
  const auto pass = [&](int64_t epoch) {
    int64_t pictures = 0;
    loader.start_epoch(epoch);
    while (loader.next(batch)) pictures += int64_t(batch.indices.size());
    return pictures;
  };
  // Repeat until all pictures are in memory, including those drawn as mosaic partners.
  int64_t epoch = 0;
  for (int64_t kept = -1; kept != loader.cached_bytes();) {
    kept = loader.cached_bytes();
    pass(epoch++);
  }
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu_start = std::clock();
  int64_t pictures = 0;
  for (int i = 0; i < args.epochs; ++i) pictures += pass(epoch++);
  const double cpu = double(std::clock() - cpu_start) / CLOCKS_PER_SEC;
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  fmt::print(
      "{{\"pictures\": {}, \"per_second\": {:.2f}, \"per_cpu_second\": {:.2f}, \"cpu\": \"{}\"}}\n",
      pictures, double(pictures) / wall.count(), double(pictures) / cpu, name_of(cpu_level()));
  return 0;
}

}  // namespace
}  // namespace ydistill

int main(int argc, char** argv) {
  ydistill::Args args;
  CLI::App app{"Times the training loader.", "bench_loader"};
  app.add_option("pictures", args.pictures, "YOLO folder or list")->required();
  app.add_option("--size", args.size, "side of the samples, pixels")->capture_default_str();
  app.add_option("--batch", args.batch, "pictures a batch")->capture_default_str();
  app.add_option("--workers", args.workers, "threads; 0: none but the caller")
      ->capture_default_str();
  app.add_option("--epochs", args.epochs, "passes timed")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return ydistill::run(args);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_loader: {}\n", error.what());
    return 1;
  }
}
