// SPDX-License-Identifier: MIT
// The peak performance of this machine, to compare other figures with: multiply-adds in float32,
// dot products and tiles of bfloat16 if the processor has them, and memory read and copied, on all
// threads at once. The best of several repetitions; even so, other work on the machine lowers them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/tensor.h>

#include "machine_kernels.h"

namespace ydistill {
namespace {

constexpr int kRepetitions = 12;
constexpr int64_t kRounds = 4'000'000;  // of all registers; tens of milliseconds
// Copied in blocks through the caches; above some size the library's memcpy would bypass them.
constexpr int64_t kBlock = 32 << 10;

/// The highest rate of a repetition, in units of `amount()` per second.
double best_rate(const std::function<double()>& amount) {
  double best = 0;
  for (int i = 0; i < kRepetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const double done = amount();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, done / took.count());
  }
  return best;
}

struct Limits {
  double f32_gflops = 0, bf16_gflops = 0, amx_gflops = 0, read_gbs = 0, copy_gbs = 0;
};

Limits measure(int64_t mib) {
  const MachineKernels& kernels = machine_kernels();
  std::vector<float> sinks(size_t(num_threads()) * 16);  // one cache line each
  std::vector<double> done(sinks.size());
  const auto on_all_threads = [&](const std::function<double(float*)>& kernel) {
    return best_rate([&] {
      parallel_for(num_threads(), 1,
                   [&](int64_t i) { done[size_t(i) * 16] = kernel(&sinks[size_t(i) * 16]); });
      double sum = 0;
      for (const double d : done) sum += d;
      return sum;
    });
  };
  Limits limits;
  // The fixed point of acc = acc x + y is 1.
  limits.f32_gflops = 1e-9 * on_all_threads([&](float* sink) {
                        return kernels.multiply_add_f32(kRounds, 0.5F, 0.5F, sink);
                      });
  limits.bf16_gflops =
      1e-9 * on_all_threads([&](float* sink) { return kernels.dot_bf16(kRounds, 1e-3F, sink); });
  limits.amx_gflops =
      1e-9 * on_all_threads([&](float*) { return kernels.multiply_tiles(kRounds / 8); });

  const int64_t bytes = mib << 20;
  const Tensor from = Tensor::full({bytes / 4}, 1), to = Tensor::full({bytes / 4}, 0);
  const int64_t share = (bytes / 4 + num_threads() - 1) / num_threads();
  limits.read_gbs = 1e-9 * best_rate([&] {
                      parallel_ranges(bytes / 4, share, [&](int64_t begin, int64_t end) {
                        sinks[size_t(begin / share) * 16] =
                            kernels.sum(from.data<float>() + begin, end - begin);
                      });
                      return double(bytes);
                    });
  limits.copy_gbs = 1e-9 * best_rate([&] {
                      parallel_ranges(bytes / 4, share, [&](int64_t begin, int64_t end) {
                        for (int64_t at = begin; at < end; at += kBlock / 4) {
                          std::memcpy(to.data<float>() + at, from.data<float>() + at,
                                      size_t(std::min(kBlock / 4, end - at)) * 4);
                        }
                      });
                      return 2.0 * double(bytes);
                    });
  return limits;
}

void print(const Limits& limits, bool as_json) {
  if (as_json) {
    nlohmann::ordered_json j{{"threads", num_threads()},
                             {"level", name_of(cpu_level())},
                             {"f32_gflops", limits.f32_gflops},
                             {"bf16_gflops", nullptr},
                             {"amx_gflops", nullptr},
                             {"read_gb_per_second", limits.read_gbs},
                             {"copy_gb_per_second", limits.copy_gbs}};
    if (limits.bf16_gflops > 0) j["bf16_gflops"] = limits.bf16_gflops;
    if (limits.amx_gflops > 0) j["amx_gflops"] = limits.amx_gflops;
    fmt::print("{}\n", j.dump());
    return;
  }
  fmt::print("{} threads, {}\n", num_threads(), name_of(cpu_level()));
  fmt::print("float32 multiply-adds      {:8.0f} GFLOP/s\n", limits.f32_gflops);
  if (limits.bf16_gflops > 0) {
    fmt::print("bfloat16 dot products      {:8.0f} GFLOP/s, {}\n", limits.bf16_gflops,
               cpu_has_fast_bf16_pairs() ? "used" : "not used");
  } else {
    fmt::print("bfloat16 dot products          none (the processor lacks avx512_bf16)\n");
  }
  if (limits.amx_gflops > 0) {
    fmt::print("bfloat16 tiles (AMX)       {:8.0f} GFLOP/s\n", limits.amx_gflops);
  }
  fmt::print("memory read                {:8.1f} GB/s\n", limits.read_gbs);
  fmt::print("memory copied              {:8.1f} GB/s, read and written\n", limits.copy_gbs);
}

}  // namespace
}  // namespace ydistill

int main(int argc, char** argv) {
  CLI::App app{"Measures what this machine can do at most.", "bench_machine"};
  int64_t mib = 256;
  int threads = 0;
  bool json = false;
  app.add_option("--mib", mib, "size of each buffer read and copied, MiB; larger than the caches")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", threads, "default: all cores")->check(CLI::PositiveNumber);
  app.add_flag("--json", json, "print one line of JSON");
  CLI11_PARSE(app, argc, argv);
  try {
    if (threads > 0) ydistill::set_num_threads(threads);
    ydistill::print(ydistill::measure(mib), json);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_machine: {}\n", error.what());
    return 1;
  }
}
