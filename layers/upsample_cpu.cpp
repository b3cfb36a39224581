// SPDX-License-Identifier: MIT
#include <ydistill/layers/upsample.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

// rows = N H rows of the small map.
template <class T>
void forward(const T* x, int64_t rows, int64_t width, int64_t channels, T* out) {
  parallel_for(rows, 1, [=](int64_t row) {
    const T* in = x + row * width * channels;
    T* above = out + row * 4 * width * channels;
    T* below = above + 2 * width * channels;
    for (int64_t j = 0; j < width; ++j) {
      const T* from = in + j * channels;
      T* a = above + 2 * j * channels;
      T* b = below + 2 * j * channels;
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; ++c) {
        const T v = from[c];
        a[c] = v;
        a[channels + c] = v;
        b[c] = v;
        b[channels + c] = v;
      }
    }
  });
}

template <class T>
void backward(const T* grad_out, int64_t rows, int64_t width, int64_t channels, T* grad_x) {
  using A = Arithmetic<T>;
  parallel_for(rows, 1, [=](int64_t row) {
    T* to = grad_x + row * width * channels;
    const T* above = grad_out + row * 4 * width * channels;
    const T* below = above + 2 * width * channels;
    for (int64_t j = 0; j < width; ++j) {
      const T* a = above + 2 * j * channels;
      const T* b = below + 2 * j * channels;
      T* sum = to + j * channels;
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; ++c) {
        sum[c] = T((A(a[c]) + A(a[channels + c])) + (A(b[c]) + A(b[channels + c])));
      }
    }
  });
}

}  // namespace

const UpsampleKernelTable& upsample_kernels() {
  static const UpsampleKernelTable table{{forward<float>, backward<float>},
                                         {forward<double>, backward<double>},
                                         {forward<BFloat16>, backward<BFloat16>},
                                         {forward<uint8_t>, nullptr}};
  return table;
}

}  // namespace ydistill::YD_CPU_LEVEL
