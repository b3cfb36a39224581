// SPDX-License-Identifier: MIT
// How many plans are kept, and that it makes no difference to results.
#include <ydistill/tensor/conv_plans.h>

#include <algorithm>
#include <string>
#include <vector>

#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/random.h>

#include "support/catch.h"

namespace ydistill {
namespace {

/// A picture whose convolutions no other test has planned: `number` makes its shape.
Tensor picture(int64_t number) {
  return Rng(uint64_t(number)).uniform({1, 1 + number / 64, 9 + number % 64, 8}, -1, 1);
}

std::vector<float> convolved(const Tensor& x) {
  const Tensor w = Rng(5).uniform({16, 1, 1, 8}, -1, 1);
  const Tensor y = conv2d_forward(x, w, {}, {});
  const auto values = y.span<float>();
  return {values.begin(), values.end()};
}

bool is_planned(int64_t number) {
  const std::string start = picture(number).shape().str() + " -> ";
  const auto report = conv_plan_report();
  return std::any_of(report.begin(), report.end(),
                     [&](const std::string& line) { return line.find(start) == 0; });
}

int64_t plans() {
  return int64_t(conv_plan_report().size());
}

TEST_CASE("conv2d: plans are bounded, the least recently used go, results stay the same") {
  if (conv_backend_name().find("oneDNN") == std::string::npos) YD_SKIP("this build has no oneDNN");
  const std::vector<float> first = convolved(picture(0)), second = convolved(picture(1));
  for (int64_t i = 2; i < kMaxConvPlans + 40; ++i) {
    convolved(picture(i));
    if (i % 500 == 0) convolved(picture(0));  // in use all the time
  }
  CHECK(plans() == kMaxConvPlans);
  CHECK(is_planned(0));
  CHECK_FALSE(is_planned(1));
  CHECK(is_planned(kMaxConvPlans + 39));
  CHECK(convolved(picture(0)) == first);
  CHECK(convolved(picture(1)) == second);  // planned anew
  CHECK(is_planned(1));
  CHECK(plans() == kMaxConvPlans);
}

TEST_CASE("conv2d: no plan of a step in flight goes, however many the step has") {
  if (conv_backend_name().find("oneDNN") == std::string::npos) YD_SKIP("this build has no oneDNN");
  const int64_t count = kMaxConvPlans + 40;
  const auto step = [&] {
    for (int64_t i = 0; i < count; ++i) convolved(picture(i));
  };
  {
    const ConvStep outer;
    {
      const ConvStep inner;  // the teacher's part, say
      step();
    }
    CHECK(is_planned(0));
    CHECK(plans() == count);
    convolved(picture(count));
    CHECK(is_planned(0));
  }
  const ConvStep next;
  step();  // finds all of them
  CHECK(plans() == count + 1);
  convolved(picture(count + 1));  // and what it does not use goes first
  CHECK_FALSE(is_planned(count));
  CHECK(is_planned(0));
}

TEST_CASE("conv2d: plans of an earlier step make room for those of a later one") {
  if (conv_backend_name().find("oneDNN") == std::string::npos) YD_SKIP("this build has no oneDNN");
  {
    const ConvStep large;
    for (int64_t i = 0; i < kMaxConvPlans + 40; ++i) convolved(picture(i));
  }
  {
    const ConvStep small;
    for (int64_t i = 0; i < 60; ++i) convolved(picture(2 * kMaxConvPlans + i));
  }
  CHECK(plans() == kMaxConvPlans);
  CHECK(is_planned(2 * kMaxConvPlans));
  CHECK_FALSE(is_planned(0));
}

}  // namespace
}  // namespace ydistill
