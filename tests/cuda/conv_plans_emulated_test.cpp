// SPDX-License-Identifier: MIT
// How plans are chosen, with libraries whose times the test sets.
#include <ydistill/tensor/cuda/conv.h>
#include <ydistill/tensor/cuda/conv_engine.h>
#include <ydistill/tensor/cuda/conv_plan.h>
#include <ydistill/tensor/cuda/graph.h>
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "conv_libraries.h"
#include "support/catch.h"

namespace ydistill {
namespace {

using cuda::ConvProblem;
using cuda_emulator::ConvLibraries;

/// A problem that no other test has: the table of plans is the process's.
ConvProblem problem_of(int64_t pixels, ConvDirection direction = ConvDirection::kForward,
                       DType dtype = DType::kFloat32, int64_t kernel = 1) {
  const Conv2dGeometry g{.batch = 2,
                         .in_height = pixels,
                         .in_width = 3,
                         .in_channels = 8,
                         .out_channels = 16,
                         .kernel = kernel,
                         .options = {.stride = 1, .padding = kernel / 2}};
  return {g, dtype, direction};
}

/// Shapes of a, b and out.
std::array<Shape, 3> shapes_of(const ConvProblem& p) {
  const Shape x = p.g.input_shape(), y = p.g.output_shape(), w = p.g.weight_shape();
  switch (p.direction) {
    case ConvDirection::kForward:
      return {x, w, y};
    case ConvDirection::kBackwardInput:
      return {y, w, x};
    case ConvDirection::kBackwardWeight:
      break;
  }
  return {y, x, w};
}

Tensor run(const ConvProblem& p) {
  const std::array<Shape, 3> shapes = shapes_of(p);
  const auto there = [&](uint64_t seed, const Shape& shape) {
    return Rng(seed).uniform(shape, -1, 1).to(p.dtype).to(Device::cuda());
  };
  const Tensor a = there(1, shapes[0]), b = there(2, shapes[1]);
  const Tensor out = Tensor::empty(shapes[2], p.dtype, Device::cuda());
  const Tensor bias = Tensor::zeros({p.g.out_channels}, DType::kFloat32, Device::cuda());
  cuda::run_conv_engine(p, a.raw(), b.raw(), p.bias_silu ? bias.raw() : nullptr, out.raw());
  return out.to(Device::cpu());
}

/// Name of the kernel that computes it.
std::string kernel_of(const ConvProblem& p) {
  const std::string start = cuda::describe(p) + ": ";
  for (const std::string& line : cuda::conv_engine_report()) {
    if (line.starts_with(start))
      return line.substr(start.size(), line.find(',', start.size()) - start.size());
  }
  return "";
}

/// The choice for p alone.
std::vector<SavedConvPlan> saved_of(const ConvProblem& p) {
  std::vector<SavedConvPlan> plans = cuda::save_conv_plans();
  std::erase_if(plans, [&](const SavedConvPlan& s) { return s.convolution != cuda::describe(p); });
  return plans;
}

class Autotune {
 public:
  Autotune() { cuda::set_autotune(true); }
  ~Autotune() { cuda::set_autotune(false); }
  Autotune(const Autotune&) = delete;
  Autotune& operator=(const Autotune&) = delete;
};

TEST_CASE("conv plans: without timing the first plan is taken and nothing runs twice") {
  const ConvLibraries libraries({.cudnn_first = 3, .cudnn_second = 1, .cublas = 2});
  const ConvProblem p = problem_of(11);
  run(p);
  CHECK(libraries.runs() == 1);
  CHECK(kernel_of(p) == "emulated cuDNN 1 kernel 0");
}

TEST_CASE("conv plans: autotune takes the fastest of both libraries, once") {
  const Autotune on;
  {
    const ConvLibraries libraries({.cudnn_first = 3, .cudnn_second = 1, .cublas = 2});
    run(problem_of(12));
    CHECK(kernel_of(problem_of(12)) == "emulated cuDNN 1 kernel 1");
    const int runs = libraries.runs();
    run(problem_of(12));
    CHECK(libraries.runs() == runs + 1);
  }
  const ConvLibraries libraries({.cudnn_first = 3, .cudnn_second = 2, .cublas = 1});
  run(problem_of(13));
  CHECK(kernel_of(problem_of(13)) == "emulated cuBLASLt 1 kernel 0");
  const ConvProblem wide = problem_of(13, ConvDirection::kForward, DType::kFloat32, 3);
  run(wide);
  CHECK(kernel_of(wide) == "emulated cuDNN 1 kernel 1");  // a 3x3 is no product
}

TEST_CASE("conv plans: of plans that are compiled the first is taken and none is timed") {
  const Autotune on;
  const ConvLibraries libraries({.cudnn_first = 3, .cudnn_second = 1, .cublas = 2});
  ConvProblem p = problem_of(27, ConvDirection::kForward, DType::kBFloat16);
  p.bias_silu = true;
  run(p);
  CHECK(libraries.runs() == 1);
  CHECK(kernel_of(p) == "emulated cuDNN 1 kernel 0");
  REQUIRE(saved_of(p).size() == 1);
  CHECK(saved_of(p)[0].is_timed);  // a resumed run shall not begin anew
}

TEST_CASE("conv plans: one that cannot run gives way to the next, which is said and kept") {
  ConvLibraries libraries({});
  cuda::take_conv_notes();
  libraries.fail_first(1);
  const ConvProblem wide = problem_of(29, ConvDirection::kForward, DType::kFloat32, 3);
  run(wide);
  CHECK(kernel_of(wide) == "emulated cuDNN 1 kernel 1");
  CHECK(saved_of(wide).at(0).plan == "1");
  CHECK(cuda::take_conv_notes() ==
        std::vector<std::string>{"emulated cuDNN 1 kernel 0 cannot compute " +
                                 cuda::describe(wide) +
                                 " here (emulated cuDNN: no code for this GPU); emulated cuDNN 1 "
                                 "kernel 1 does"});
  const int runs = libraries.runs();
  run(wide);
  CHECK(libraries.runs() == runs + 1);

  // Timed, it is never the fastest.
  const Autotune on;
  run(problem_of(30, ConvDirection::kForward, DType::kFloat32, 3));
  CHECK(kernel_of(problem_of(30, ConvDirection::kForward, DType::kFloat32, 3)) ==
        "emulated cuDNN 1 kernel 1");
}

TEST_CASE("conv plans: where none can run the convolution is refused with the reason") {
  ConvLibraries libraries({});
  libraries.fail_first(2);
  const ConvProblem p = problem_of(31, ConvDirection::kForward, DType::kFloat32, 3);
  CHECK_THROWS_WITH_TEXT(run(p), LibraryError,
                         "3x3 stride 1 padding 1, forward: emulated cuDNN: no code");
  CHECK(libraries.runs() == 0);
  cuda::take_conv_notes();
}

// What cuBLASLt is told, done by plain loops, against the CPU's convolution.
TEST_CASE("conv plans: a 1x1 as a product of matrices is the convolution in all directions") {
  const Autotune on;
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const ConvDirection direction :
         {ConvDirection::kForward, ConvDirection::kBackwardInput, ConvDirection::kBackwardWeight}) {
      INFO(name_of(dtype) << ", direction " << int(direction));
      const ConvProblem product = problem_of(14, direction, dtype);
      const ConvProblem convolution = [&] {
        ConvProblem p = product;
        p.tf32 = true;  // another entry of the table, the same numbers
        return p;
      }();
      Tensor got, expected;
      {
        const ConvLibraries libraries({.cudnn_first = 2, .cudnn_second = 3, .cublas = 1});
        got = run(product);
        REQUIRE(kernel_of(product) == "emulated cuBLASLt 1 kernel 0");
      }
      {
        const ConvLibraries libraries({});
        expected = run(convolution);
        REQUIRE(kernel_of(convolution) == "emulated cuDNN 1 kernel 0");
      }
      // Sums in another order; a rounding to bfloat16 may fall the other way.
      const double rounding = dtype == DType::kFloat32 ? 1e-6 : 1.0 / 128;
      for (int64_t i = 0; i < got.numel(); ++i) {
        const double bound = rounding * std::max(1.0, std::abs(expected.at(i)));
        if (!(std::abs(got.at(i) - expected.at(i)) <= bound)) {
          FAIL("element " << i << ": " << got.at(i) << " against " << expected.at(i));
        }
      }
    }
  }
}

TEST_CASE("conv plans: what was chosen is saved in words, and taken again without timing") {
  const Autotune on;
  std::vector<SavedConvPlan> plans;
  {
    const ConvLibraries libraries({.cudnn_first = 3, .cudnn_second = 1, .cublas = 2});
    run(problem_of(15));
    plans = saved_of(problem_of(15));
  }
  REQUIRE(plans == std::vector<SavedConvPlan>{{"emulated GPU", cuda::describe(problem_of(15)),
                                               "emulated cuDNN 1", "1", true}});
  CHECK(plans[0].is_timed);
  // Another process would meet the same convolution; here one that is new to the table.
  plans[0].convolution = cuda::describe(problem_of(16));
  cuda::offer_conv_plans(plans);
  const ConvLibraries libraries({.cudnn_first = 1, .cudnn_second = 3, .cublas = 2});
  run(problem_of(16));
  CHECK(libraries.runs() == 1);
  CHECK(kernel_of(problem_of(16)) == "emulated cuDNN 1 kernel 1");
}

TEST_CASE("conv plans: what was offered and has not come yet is saved too") {
  const ConvLibraries libraries({});
  const SavedConvPlan there{"other GPU", "a convolution", "emulated cuDNN 1", "1", true};
  SavedConvPlan here = there;
  here.device = "emulated GPU";
  cuda::offer_conv_plans({there, here});
  run(problem_of(23));
  const std::vector<SavedConvPlan> plans = cuda::save_conv_plans();
  for (const SavedConvPlan& offered : {there, here}) {
    CHECK(std::count(plans.begin(), plans.end(), offered) == 1);
  }
  CHECK(!saved_of(problem_of(23)).empty());
}

TEST_CASE("conv plans: the revision rises with every choice and every timing, else not") {
  const ConvLibraries libraries({});
  uint64_t last = cuda::conv_plans_revision();
  const auto rises_with_a_run = [&] {
    run(problem_of(24));
    const uint64_t before = std::exchange(last, cuda::conv_plans_revision());
    return last > before;
  };
  CHECK(rises_with_a_run());
  CHECK_FALSE(rises_with_a_run());
  const Autotune on;
  CHECK(rises_with_a_run());
  CHECK_FALSE(rises_with_a_run());
}

TEST_CASE(
    "conv plans: a convolution that is first met in a capture is refused and leaves no trace") {
  const ConvLibraries libraries({});
  const size_t before = cuda::conv_engine_report().size();
  cuda::Graph graph;
  const auto meet = [] {
    cuda::try_conv_engine(problem_of(25), nullptr, nullptr, nullptr, nullptr);
  };
  CHECK_THROWS_WITH_TEXT(graph.capture(meet), LibraryError, "must run once before it is captured");
  CHECK(cuda::conv_engine_report().size() == before);
  run(problem_of(25));
  CHECK(cuda::conv_engine_report().size() == before + 1);
}

TEST_CASE("conv plans: a saved plan of another device, version or nonsense is chosen anew") {
  const ConvLibraries libraries({});
  const auto offer = [](int64_t pixels, SavedConvPlan plan) {
    plan.convolution = cuda::describe(problem_of(pixels));
    cuda::offer_conv_plans({plan});
    run(problem_of(pixels));
    return kernel_of(problem_of(pixels));
  };
  cuda::take_conv_notes();
  CHECK(offer(17, {"emulated GPU", "", "emulated cuDNN 1", "1"}) == "emulated cuDNN 1 kernel 1");
  {
    const Autotune on;  // what was not timed is timed now
    CHECK(offer(22, {"emulated GPU", "", "emulated cuDNN 1", "1"}) == "emulated cuDNN 1 kernel 0");
  }
  CHECK(offer(18, {"other GPU", "", "emulated cuDNN 1", "1"}) == "emulated cuDNN 1 kernel 0");
  CHECK(offer(19, {"emulated GPU", "", "emulated cuDNN 2", "1"}) == "emulated cuDNN 1 kernel 0");
  CHECK(offer(20, {"emulated GPU", "", "emulated cuDNN 1", "7"}) == "emulated cuDNN 1 kernel 0");
  CHECK(offer(21, {"emulated GPU", "", "emulated cuBLASLt 1", "0"}) ==
        "emulated cuBLASLt 1 kernel 0");
  CHECK(offer(26, {"emulated GPU", "", "another library", "0"}) == "emulated cuDNN 1 kernel 0");
  // Each is said, once.
  CHECK(
      cuda::take_conv_notes() ==
      std::vector<std::string>{
          "kept plans that are not taken: 1 (no such kernel); chosen anew",
          "kept plans that are not taken: 1 (they are another library's, which is not known); "
          "chosen "
          "anew",
          "kept plans that are not taken: 1 (they are emulated cuDNN 2's, this is emulated cuDNN "
          "1); "
          "chosen anew",
          "kept plans that are not taken: 1 (they are for other GPU, this is emulated GPU); chosen "
          "anew"});
  CHECK(cuda::take_conv_notes().empty());
}

}  // namespace
}  // namespace ydistill
