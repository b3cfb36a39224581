// SPDX-License-Identifier: MIT
// A training step against the bare convolutions it is made of, alternately, in one run.
//
//   bench_step [graph = yolov5s-v5] [size = 320] [batch = 8] [rounds = 10]
//
// The chain runs every convolution of the graph in network order: forward, then backwards the
// gradients of input (not of the first) and weights, with weights packed once, nothing else. The
// step is the whole of training: picture conversion, forward with batch norm, losses, backward,
// clipping norm, optimizer and average.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <ydistill/tensor/parallel.h>
#include <ydistill/train/sgd.h>
#include <ydistill/train/step.h>

namespace ydistill {
namespace {

double milliseconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Link {
  Conv2dGeometry g;
  Tensor x, weight, grad_y, grad_weight;
  PackedWeights packed;
};

std::vector<Link> make_chain(const Model& model, int64_t batch, int64_t size) {
  std::vector<Link> chain;
  Rng rng(1);
  for (const Conv2dGeometry& g : model.convolutions(batch, size, size)) {
    chain.push_back({g,
                     rng.uniform(g.input_shape(), -1, 1),
                     rng.uniform(g.weight_shape(), -0.1, 0.1),
                     rng.uniform(g.output_shape(), -1, 1),
                     Tensor::zeros(g.weight_shape()),
                     {}});
  }
  return chain;
}

void run_chain(std::vector<Link>& chain) {
  for (Link& l : chain) conv2d_forward(l.x, l.weight, {}, l.g.options, &l.packed, 1);
  for (size_t i = chain.size(); i-- > 0;) {
    Link& l = chain[i];
    conv2d_backward_weight(l.grad_y, l.x, l.g.options, l.grad_weight, {});
    if (i > 0) {
      conv2d_backward_input(l.grad_y, l.weight, l.g.input_shape(), DType::kFloat32, l.g.options,
                            &l.packed, 1);
    }
  }
}

int run(const std::string& graph, int64_t size, int64_t batch, int rounds) {
  Model model(graph_by_name(graph, 20));
  model.initialise(0);
  Sgd sgd(model.parameters(), {});
  StepLosses losses;
  losses.student_anchors = model.spec().anchors;
  losses.detection.emplace();
  losses.detection->gains = scaled_gains({}, 20, 3, size);
  const Tensor images = Tensor::full({batch, size, size, 3}, 114, DType::kUInt8);
  std::vector<float> rows;
  for (int64_t i = 0; i < batch; ++i) {
    for (int k = 0; k < 4; ++k) {
      for (const float v :
           {float(i), float(k), 0.2f + 0.15f * float(k), 0.5f, 0.1f * float(k + 1), 0.2f})
        rows.push_back(v);
    }
  }
  const Tensor targets = Tensor::of<float>({int64_t(rows.size()) / 6, 6}, rows);
  const auto arena = Arena::create();
  SgdRates rates;
  rates.lr.fill(1e-4);
  rates.clip_norm = 10;
  const auto step = [&] {
    const ArenaScope scope(arena);
    forward_backward(model, images, targets, {}, losses);
    sgd.step(rates);
  };
  std::vector<Link> chain = make_chain(model, batch, size);
  const auto chain_arena = Arena::create();
  const auto bare = [&] {
    const ArenaScope scope(chain_arena);
    run_chain(chain);
  };
  step();
  step();
  bare();
  std::vector<double> steps, bares, ratios;
  for (int i = 0; i < rounds; ++i) {
    steps.push_back(milliseconds(step));
    bares.push_back(milliseconds(bare));
    ratios.push_back(steps.back() / bares.back());
  }
  double macs = 0;
  for (const Link& l : chain) macs += 3 * double(l.g.macs());
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{} at {}x{}, batch {}, float32, {} threads, {}\n", graph, size, size, batch,
             num_threads(), conv_backend_name());
  fmt::print("training step      {:8.1f} ms (median of {})\n", median(steps), rounds);
  fmt::print("bare convolutions  {:8.1f} ms, {:.0f} GFLOP/s\n", median(bares),
             2e-6 * macs / median(bares));
  fmt::print("ratio              {:8.3f} (median of the pairs)\n", median(ratios));
  fmt::print("step's memory      {:8.1f} MiB of activations and work space\n",
             double(arena->peak_bytes()) / 1048576.0);
  fmt::print("peak resident      {:8.1f} MiB, the chain's own tensors included\n",
             double(usage.ru_maxrss) / 1024.0);
  return 0;
}

}  // namespace
}  // namespace ydistill

int main(int argc, char** argv) {
  const auto number = [&](int i, int fallback) { return argc > i ? std::atoi(argv[i]) : fallback; };
  try {
    return ydistill::run(argc > 1 ? argv[1] : "yolov5s-v5", number(2, 320), number(3, 8),
                         number(4, 10));
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_step: {}\n", error.what());
    return 1;
  }
}
