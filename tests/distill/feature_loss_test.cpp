// SPDX-License-Identifier: MIT
#include <ydistill/distill/feature_loss.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/random.h>

#include <cmath>
#include <cstring>

#include "support/catch.h"
#include "support/worst.h"

namespace ydistill {
namespace {

struct Loss {
  double total = 0, term = 0;
  std::vector<Tensor> grads;
};

Loss compute(const std::vector<Tensor>& student, const std::vector<Tensor>& teacher,
             double gain = 1) {
  std::vector<Var> leaves;
  for (const Tensor& map : student) leaves.push_back(Var::leaf(map.clone()));
  Tape tape;
  Tensor term;
  const Var total = feature_loss(leaves, teacher, gain, term);
  tape.backward(total);
  Loss loss{total.value().item(), term.at(0), {}};
  for (const Var& leaf : leaves) loss.grads.push_back(leaf.grad());
  return loss;
}

std::vector<Tensor> random_maps(uint64_t seed, int64_t channels = 5) {
  Rng rng(seed);
  return {rng.uniform({2, 4, 3, channels}, -2, 3, DType::kFloat64),
          rng.uniform({2, 2, 2, channels + 1}, -2, 3, DType::kFloat64)};
}

std::vector<Tensor> as(DType dtype, const std::vector<Tensor>& maps) {
  std::vector<Tensor> result;
  for (const Tensor& map : maps) result.push_back(map.to(dtype));
  return result;
}

/// Each channel c becomes factor(c) times itself plus offset(c).
template <class Factor, class Offset>
Tensor scaled(const Tensor& map, Factor factor, Offset offset) {
  Tensor result = map.clone();
  const int64_t channels = map.size(3);
  for (int64_t i = 0; i < map.numel(); ++i) {
    const int64_t c = i % channels;
    result.data<double>()[i] = factor(c) * result.data<double>()[i] + offset(c);
  }
  return result;
}

/// The correlation coefficient of channel c, by its definition.
double correlation(const Tensor& s, const Tensor& t, int64_t c) {
  const int64_t channels = s.size(3), rows = s.numel() / channels;
  double mean_s = 0, mean_t = 0, ss = 0, tt = 0, st = 0;
  for (int64_t i = 0; i < rows; ++i) {
    mean_s += s.at(i * channels + c) / double(rows);
    mean_t += t.at(i * channels + c) / double(rows);
  }
  for (int64_t i = 0; i < rows; ++i) {
    const double a = s.at(i * channels + c) - mean_s, b = t.at(i * channels + c) - mean_t;
    ss += a * a;
    tt += b * b;
    st += a * b;
  }
  return st / std::sqrt(ss * tt);
}

// numpy.corrcoef([1, 2, 3, 4], [2, 1, 4, 3]) is 0.6, of [1, 0, 0, 1] and [0, 1, 1, 0] it is -1. The
// epsilon beside the variances shows from the sixth digit on.
TEST_CASE("feature_loss: a channel counts one less its correlation with the teacher's") {
  const Tensor s = Tensor::of<double>({1, 2, 2, 2}, {1, 1, 2, 0, 3, 0, 4, 1});
  const Tensor t = Tensor::of<double>({1, 2, 2, 2}, {2, 0, 1, 1, 4, 1, 3, 0});
  const Loss loss = compute({s}, {t}, 3);
  CHECK(loss.total == Approx(3 * (0.4 + 2.0) / 2).epsilon(1e-5));
  CHECK(loss.term == loss.total);
}

TEST_CASE("feature_loss: scales add up, each the mean over its channels, times the pictures") {
  for (const int64_t channels : {1, 5, 16, 37}) {
    INFO(channels << " channels");
    const auto student = random_maps(1, channels), teacher = random_maps(2, channels);
    double expected = 0;
    for (size_t k = 0; k < student.size(); ++k) {
      const int64_t width = student[k].size(3);
      for (int64_t c = 0; c < width; ++c) {
        expected += 2 * (1 - correlation(student[k], teacher[k], c)) / double(width);
      }
    }
    CHECK(compute(student, teacher).total == Approx(expected).epsilon(1e-5));
    CHECK(compute(as(DType::kFloat32, student), as(DType::kFloat32, teacher)).total ==
          Approx(expected).epsilon(1e-5));
  }
}

TEST_CASE("feature_loss: maps that differ by a factor and an offset a channel agree") {
  const auto teacher = random_maps(3);
  const auto student = scaled(
      teacher[0], [](int64_t c) { return 0.5 + double(c); }, [](int64_t c) { return 3.0 - c; });
  const Loss loss = compute({student}, {teacher[0]});
  CHECK(std::abs(loss.total) < 1e-5);
  for (const double g : loss.grads[0].span<double>()) CHECK(std::abs(g) < 1e-6);
  const auto opposed = scaled(
      teacher[0], [](int64_t) { return -1.0; }, [](int64_t) { return 0.0; });
  CHECK(compute({opposed}, {teacher[0]}).total == Approx(2 * 2).epsilon(1e-5));
}

TEST_CASE("feature_loss: a channel that does not vary counts one and moves nothing") {
  const auto teacher = random_maps(4, 1);
  for (const bool of_teacher : {false, true}) {
    const Tensor flat = Tensor::full({2, 4, 3, 1}, 0.7, DType::kFloat64);
    const Loss loss = of_teacher ? compute({teacher[0]}, {flat}) : compute({flat}, {flat});
    CHECK(loss.total == Approx(2));
    for (const double g : loss.grads[0].span<double>()) CHECK(std::abs(g) < 1e-9);
  }
}

TEST_CASE("feature_loss: a large mean cancels no digits in float32") {
  const auto teacher = random_maps(5), student = random_maps(6);
  const auto high = [&](const Tensor& map) {
    return scaled(
               map, [](int64_t) { return 1.0; }, [](int64_t) { return 1024.0; })
        .to(DType::kFloat32);
  };
  const Loss loss = compute({high(student[0])}, {high(teacher[0])});
  const Loss expected = compute({student[0]}, {teacher[0]});
  CHECK(loss.total == Approx(expected.total).epsilon(2e-4));  // the maps are rounded to 6e-5
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < expected.grads[0].numel(); ++i) {
    largest = std::max(largest, std::abs(expected.grads[0].at(i)));
    worst = test::worse(worst, std::abs(loss.grads[0].at(i) - expected.grads[0].at(i)));
  }
  CHECK(worst < 1e-3 * largest);
}

TEST_CASE("feature_loss: bfloat16 maps give the float32 gradient of what they hold, rounded") {
  const auto student = as(DType::kBFloat16, random_maps(7, 37));
  const auto teacher = as(DType::kBFloat16, random_maps(8, 37));
  const Loss loss = compute(student, teacher, 4);
  const Loss expected = compute(as(DType::kFloat32, student), as(DType::kFloat32, teacher), 4);
  CHECK(loss.total == Approx(expected.total).epsilon(1e-6));
  for (size_t k = 0; k < 2; ++k) {
    REQUIRE(loss.grads[k].dtype() == DType::kBFloat16);
    for (int64_t i = 0; i < loss.grads[k].numel(); ++i) {
      const double e = expected.grads[k].at(i);
      if (!(std::abs(loss.grads[k].at(i) - e) <= std::abs(e) / 256 + 1e-9)) {
        FAIL("element " << i << ": " << loss.grads[k].at(i) << " against " << e);
      }
    }
  }
}

TEST_CASE("feature_loss: the result does not depend on the number of threads") {
  const int before = num_threads();
  Rng rng(9);
  const Tensor s = rng.uniform({2, 80, 80, 20}, -1, 1), t = rng.uniform({2, 80, 80, 20}, -1, 1);
  set_num_threads(1);
  const Loss one = compute({s}, {t});
  set_num_threads(3);
  const Loss three = compute({s}, {t});
  set_num_threads(before);
  CHECK(one.total == three.total);
  CHECK(std::memcmp(one.grads[0].raw(), three.grads[0].raw(), size_t(s.nbytes())) == 0);
}

TEST_CASE("feature_loss: no pictures, no loss") {
  const Tensor none = Tensor::zeros({0, 4, 4, 3});
  CHECK(compute({none}, {none}).total == 0);
}

TEST_CASE("feature_loss: maps that do not belong together are refused, naming both") {
  const Tensor map = Tensor::zeros({1, 4, 4, 3});
  const auto run = [](const std::vector<Tensor>& student, const std::vector<Tensor>& teacher,
                      double gain = 1) { return compute(student, teacher, gain); };
  CHECK_THROWS_WITH_TEXT(run({map}, {}), ShapeError, "maps of 1 scales, the teacher of 0");
  CHECK_THROWS_WITH_TEXT(run({map}, {Tensor()}), ShapeError, "the teacher's undefined");
  CHECK_THROWS_WITH_TEXT(run({map}, {Tensor::zeros({1, 4, 4, 5})}), ShapeError,
                         "scale 0: the student's map is");
  CHECK_THROWS_WITH_TEXT(run({map}, {map.to(DType::kBFloat16)}), DTypeError, "bfloat16");
  CHECK_THROWS_WITH_TEXT(run({map}, {map}, -1), ValueError, "the gain is -1");
}

}  // namespace
}  // namespace ydistill
