// SPDX-License-Identifier: MIT
// Whole layers against finite differences, and folding against the formula.
#include <ydistill/autograd/gradcheck.h>
#include <ydistill/layers/bottleneck.h>
#include <ydistill/layers/c3.h>
#include <ydistill/layers/detect_head.h>
#include <ydistill/layers/focus.h>
#include <ydistill/layers/spp.h>
#include <ydistill/tensor/random.h>

#include <cmath>

#include "support/catch.h"

namespace ydistill {
namespace {

/// Builds a layer in double and checks its gradient with respect to the input and every parameter.
template <class Make>
void check_layer(const Make& make, const Shape& input) {
  ParameterStore store(DType::kFloat64);
  auto layer = make(store);
  store.allocate();
  Rng rng(4);
  layer.initialise(rng);
  const Tensor x = rng.uniform(input, -1, 1, DType::kFloat64);
  const auto forward = [&](const std::vector<Var>& in) {
    return std::vector{layer.forward(in[0], ForwardMode::kTrain)};
  };
  const GradcheckResult of_input = gradcheck(forward, {x});
  INFO(of_input.where);
  CHECK(of_input.ok);

  // The parameters' gradients gather in the store; differences move the values themselves.
  store.grads().zero();
  Tensor weights;
  const auto loss = [&](Tape* tape) {
    const Var out = layer.forward(Var(x), ForwardMode::kTrain);
    if (!weights.defined()) weights = Rng(6).uniform(out.shape(), -1, 1, DType::kFloat64);
    if (tape != nullptr) tape->backward(out, weights);
    double sum = 0;
    for (int64_t i = 0; i < weights.numel(); ++i) sum += weights.at(i) * out.value().at(i);
    return sum;
  };
  {
    Tape tape;
    loss(&tape);
  }
  for (int p = 0; p < store.num_parameters(); ++p) {
    const auto value = store.var(p).value().span<double>();
    for (size_t i = 0; i < value.size(); i += std::max<size_t>(1, value.size() / 5)) {
      const double kept = value[i];
      value[i] = kept + 1e-6;
      const double above = loss(nullptr);
      value[i] = kept - 1e-6;
      const double below = loss(nullptr);
      value[i] = kept;
      const double numeric = (above - below) / 2e-6, analytic = store.var(p).grad().at(int64_t(i));
      INFO(store.name(p) << " element " << i);
      CHECK(analytic == Approx(numeric).margin(1e-6).epsilon(1e-5));
    }
  }
}

TEST_CASE("layers: gradients of whole layers agree with finite differences") {
  check_layer(
      [](ParameterStore& s) {
        return ConvBnSilu(s, "c", {.in_channels = 3, .out_channels = 4, .kernel = 3, .stride = 2});
      },
      {2, 6, 6, 3});
  check_layer([](ParameterStore& s) { return Bottleneck(s, "b", 4, 4, 2, true); }, {2, 4, 4, 4});
  check_layer([](ParameterStore& s) { return Bottleneck(s, "b", 4, 4, 2, false); }, {2, 4, 4, 4});
  check_layer(
      [](ParameterStore& s) {
        return C3(s, "c3", C3Options{4, 6, 2, true});
      },
      {2, 4, 4, 4});
  check_layer([](ParameterStore& s) { return Spp(s, "spp", 4, 6); }, {2, 6, 6, 4});
  check_layer([](ParameterStore& s) { return Spp(s, "spp", 4, 6, 3); }, {2, 6, 6, 4});
}

TEST_CASE("layers: folding convolution and batch norm keeps the sums") {
  const FoldedWeights where = GENERATE(FoldedWeights::kBeside, FoldedWeights::kInPlace);
  ParameterStore store(DType::kFloat64);
  ConvBnSilu conv(store, "c", {.in_channels = 3, .out_channels = 5, .kernel = 3});
  store.allocate();
  Rng rng(9);
  conv.initialise(rng);
  for (int p = 1; p < 3; ++p) {
    store.var(p).value().copy_from(rng.uniform({5}, 0.5, 2, DType::kFloat64));
  }
  store.statistic(0).copy_from(rng.uniform({5}, -1, 1, DType::kFloat64));
  store.statistic(1).copy_from(rng.uniform({5}, 0.5, 2, DType::kFloat64));
  const Tensor x = rng.uniform({1, 4, 4, 3}, -1, 1, DType::kFloat64);
  const Tensor weight = store.var(0).value().clone();
  conv.prepare_inference(where);
  const Tensor got = conv.forward(Var(x), ForwardMode::kInference).value();
  const Tensor y = conv2d_forward(x, weight, {}, {1, 1});
  for (int64_t i = 0; i < y.numel(); ++i) {
    const int64_t c = i % 5;
    const double z = (y.at(i) - store.statistic(0).at(c)) /
                         std::sqrt(store.statistic(1).at(c) + 1e-3) * store.var(1).value().at(c) +
                     store.var(2).value().at(c);
    REQUIRE(got.at(i) == Approx(z / (1 + std::exp(-z))).margin(1e-12));
  }
}

TEST_CASE("layers: what a convolution writes beside other channels is what it gives alone") {
  for (const DType dtype : {DType::kFloat64, DType::kFloat32, DType::kBFloat16}) {
    const DType master = dtype == DType::kFloat64 ? dtype : DType::kFloat32;
    Rng rng(10);
    const Tensor x = rng.uniform({2, 6, 5, 32}, -1, 1).to(dtype);
    const Tensor weight = rng.uniform({16, 3, 3, 32}, -1, 1).to(master);
    const Tensor bias = rng.uniform({16}, -1, 1).to(master);
    const Tensor residual = rng.uniform({2, 6, 5, 16}, -1, 1).to(dtype);
    const Tensor alone = conv2d_bias_silu(x, weight, bias, residual, {1, 1});
    const ChannelSlice to{Tensor::full({2, 6, 5, 40}, 7).to(dtype), 20};
    conv2d_bias_silu(x, weight, bias, residual, {1, 1}, nullptr, 0, to);
    for (int64_t i = 0; i < to.whole.numel(); ++i) {
      const int64_t channel = i % 40 - 20;
      const bool is_ours = channel >= 0 && channel < 16;
      REQUIRE(to.whole.at(i) == (is_ours ? alone.at(i / 40 * 16 + channel) : 7));
    }
  }
}

TEST_CASE("layers: head biases start at YOLOv5's prior") {
  ParameterStore store;
  DetectHead head(store, "d", {4, 8}, 3, 20);
  store.allocate();
  Rng rng(1);
  head.initialise(rng, {8, 16});
  const Tensor& bias = store.var(1).value();
  CHECK(bias.at(4) == Approx(std::log(8.0 / (80 * 80))).margin(0.5));  // +- 1/sqrt(4)
  CHECK(bias.at(5) == Approx(std::log(0.6 / (20 - 0.99999))).margin(0.5));
  CHECK(std::abs(bias.at(0)) <= 0.5);
}

// Value k at position (row, column) of a 4x4 picture; slices in the order of YOLOv5's Focus.
TEST_CASE("focus: slices come in the original's order and are divided by 255") {
  const Tensor image = Tensor::zeros({1, 2, 2, 3}, DType::kUInt8);
  for (int i = 0; i < 12; ++i) image.data<uint8_t>()[i] = uint8_t(i);
  const Tensor f = focus_input(image);
  REQUIRE(f.shape() == Shape{1, 1, 1, 12});
  const int expected[] = {0, 1, 2, /*row 1*/ 6, 7, 8, /*column 1*/ 3, 4, 5, /*both*/ 9, 10, 11};
  for (int i = 0; i < 12; ++i) CHECK(f.at(i) == Approx(expected[i] / 255.0));
  CHECK_THROWS_WITH_TEXT(focus_input(Tensor::zeros({1, 3, 2, 3}, DType::kUInt8)), ShapeError,
                         "even");
  CHECK_THROWS_WITH_TEXT(focus_input(Tensor::zeros({1, 2, 2, 3})), DTypeError, "takes uint8");
}

TEST_CASE("focus: stem weights go there and back") {
  const Tensor six = Rng(2).uniform({4, 6, 6, 3}, -1, 1);
  const Tensor back = stem_weight_from_focus(stem_weight_to_focus(six));
  for (int64_t i = 0; i < six.numel(); ++i) REQUIRE(back.at(i) == six.at(i));
}

}  // namespace
}  // namespace ydistill
