// SPDX-License-Identifier: MIT
// Four passes over rows x channels, 16 bytes at a time. Memory traffic, in maps: the moments of the
// student read 1, those of the teacher 1, their product 2, the gradient reads 2 and writes 1.
#include <ydistill/distill/feature_loss_kernels.h>
#include <ydistill/distill/feature_loss_math.h>
#include <ydistill/tensor/cuda/block_sums.h>
#include <ydistill/tensor/cuda/column_moments.h>

namespace ydistill::cuda {
namespace {

struct KeepMoments {
  double *sum, *squares;  // [channels]
  __device__ void operator()(int64_t c, double a, double b) const {
    sum[c] = a;
    squares[c] = b;
  }
};

/// (s - first row) (t - first row)
template <class T, int N>
struct Products {
  const T *student, *teacher;
  struct Channels {
    float s[N], t[N];
  };
  __device__ Channels of_channels(int64_t first) const {
    const auto s = load<T, N>(student + first), t = load<T, N>(teacher + first);
    Channels c;
    for (int k = 0; k < N; ++k) {
      c.s[k] = float(s.v[k]);
      c.t[k] = float(t.v[k]);
    }
    return c;
  }
  __device__ void operator()(const Channels& c, int64_t at, float* a, float*) const {
    const auto s = load<T, N>(student + at), t = load<T, N>(teacher + at);
    for (int k = 0; k < N; ++k) a[k] += (float(s.v[k]) - c.s[k]) * (float(t.v[k]) - c.t[k]);
  }
};

/// moments: [4][channels] in FeatureSums' order; slopes: as FeatureSlopes, [4][channels].
template <class T>
struct FinishChannel {
  const T *student, *teacher;
  const double* moments;
  int64_t channels;
  double rows, factor;
  double* values;  // [channels]
  float* slopes;
  __device__ void operator()(int64_t c, double products, double) const {
    const auto moment = [&](int64_t which) { return moments[which * channels + c]; };
    const FeatureDistance d =
        feature_distance({moment(0), moment(1), moment(2), moment(3), products}, rows);
    values[c] = d.value;
    slopes[c] = float(d.mean_s + double(float(student[c])));
    slopes[channels + c] = float(d.mean_t + double(float(teacher[c])));
    slopes[2 * channels + c] = float(factor * d.slope_s);
    slopes[3 * channels + c] = float(factor * d.slope_t);
  }
};

template <class T, int N>
struct Gradient {
  const T *student, *teacher;
  FeatureSlopes<float> slopes;
  T* out;
  struct Channels {
    Pack<float, N> mean_s, mean_t, slope_s, slope_t;
  };
  __device__ Channels of_channels(int64_t first) const {
    return {load<float, N>(slopes.mean_s + first), load<float, N>(slopes.mean_t + first),
            load<float, N>(slopes.slope_s + first), load<float, N>(slopes.slope_t + first)};
  }
  __device__ void operator()(const Channels& c, int64_t at) const {
    const auto s = load<T, N>(student + at), t = load<T, N>(teacher + at);
    Pack<T, N> result;
    for (int k = 0; k < N; ++k) {
      result.v[k] = T(c.slope_t.v[k] * (float(t.v[k]) - c.mean_t.v[k]) +
                      c.slope_s.v[k] * (float(s.v[k]) - c.mean_s.v[k]));
    }
    store(out + at, result);
  }
};

/// Adds a scale's channels to the term and updates the total.
struct FinishScale {
  double factor;
  double* term;
  float* total;
  __device__ void operator()(const double* sums) const {
    *term += factor * sums[0];
    *total = float(*term);
  }
};

template <class T, int N>
void run_scale(const FeatureMaps& maps, const Tensor& term, const Tensor& total) {
  const Device device = term.device();
  const int64_t channels = maps.student.shape()[-1], rows = maps.student.numel() / channels;
  const T *const s = maps.student.device_data<T>(), *const t = maps.teacher.device_data<T>();
  const Tensor moments = Tensor::empty({4, channels}, DType::kFloat64, device);
  const Tensor values = Tensor::empty({channels}, DType::kFloat64, device);
  const Tensor slopes = Tensor::empty({4, channels}, DType::kFloat32, device);
  double* const sums = moments.device_data<double>();
  float* const lines = slopes.device_data<float>();
  column_sums<N>(device, rows, channels, Moments<T, N>{s}, KeepMoments{sums, sums + channels});
  column_sums<N>(device, rows, channels, Moments<T, N>{t},
                 KeepMoments{sums + 2 * channels, sums + 3 * channels});
  column_sums<N>(device, rows, channels, Products<T, N>{s, t},
                 FinishChannel<T>{s, t, sums, channels, double(rows), maps.factor,
                                  values.device_data<double>(), lines});
  finish_sums<1>(values.device_data<double>(), channels,
                 FinishScale{maps.factor, term.device_data<double>(), total.device_data<float>()});
  if (!maps.grad.defined()) return;
  for_each_row<N>(rows, channels,
                  Gradient<T, N>{s, t,
                                 FeatureSlopes<float>{lines, lines + channels, lines + 2 * channels,
                                                      lines + 3 * channels},
                                 maps.grad.device_data<T>()});
}

}  // namespace

void feature_loss(const std::vector<FeatureMaps>& scales, const Tensor& term, const Tensor& total) {
  term.zero();
  total.zero();  // an empty batch has no scales
  for (const FeatureMaps& maps : scales) {
    dispatch_rows(maps.student.dtype(), maps.student.shape()[-1], "feature_loss",
                  [&](auto type, auto width) {
                    run_scale<decltype(type), decltype(width)::value>(maps, term, total);
                  });
  }
}

}  // namespace ydistill::cuda
