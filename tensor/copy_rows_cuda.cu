// SPDX-License-Identifier: MIT
#include <ydistill/tensor/copy_rows.h>

#include <ydistill/tensor/cuda/divider.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

template <int kBytes>
struct CopyRows {
  using Unit = Pack<std::byte, kBytes>;
  const std::byte* from;
  std::byte* to;
  int64_t from_pitch, to_pitch;
  Divider units;  // per row
  __device__ void operator()(int64_t i) const {
    const auto [row, unit] = units(i);
    const int64_t at = unit * kBytes;
    *reinterpret_cast<Unit*>(to + row * to_pitch + at) =
        *reinterpret_cast<const Unit*>(from + row * from_pitch + at);
  }
};

template <int kBytes>
void run(const std::byte* from, int64_t from_pitch, std::byte* to, int64_t to_pitch, int64_t width,
         int64_t rows) {
  const int64_t units = width / kBytes;
  for_each(rows * units, CopyRows<kBytes>{from, to, from_pitch, to_pitch, Divider(units)});
}

}  // namespace

void copy_rows(const std::byte* from, int64_t from_pitch, std::byte* to, int64_t to_pitch,
               int64_t width, int64_t rows) {
  const uint64_t all = uint64_t(from_pitch) | uint64_t(to_pitch) | uint64_t(width) |
                       reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to);
  if (all % 16 == 0) {
    run<16>(from, from_pitch, to, to_pitch, width, rows);
  } else if (all % 4 == 0) {
    run<4>(from, from_pitch, to, to_pitch, width, rows);
  } else {
    run<1>(from, from_pitch, to, to_pitch, width, rows);
  }
}

}  // namespace ydistill::cuda
