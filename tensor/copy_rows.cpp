// SPDX-License-Identifier: MIT
#include <ydistill/tensor/copy_rows.h>

#include <algorithm>
#include <cstring>

#include <ydistill/tensor/parallel.h>

namespace ydistill {
namespace {

void copy_on_cpu(const std::byte* from, int64_t from_pitch, std::byte* to, int64_t to_pitch,
                 int64_t width, int64_t rows) {
  parallel_ranges(rows, (int64_t(1) << 17) / std::max<int64_t>(1, width),
                  [=](int64_t begin, int64_t end) {
                    for (int64_t r = begin; r < end; ++r) {
                      std::memcpy(to + r * to_pitch, from + r * from_pitch, size_t(width));
                    }
                  });
}

}  // namespace

void copy_rows([[maybe_unused]] Device device, const std::byte* from, int64_t from_pitch,
               std::byte* to, int64_t to_pitch, int64_t width, int64_t rows) {
  YD_BACKEND(device, copy_on_cpu(from, from_pitch, to, to_pitch, width, rows),
             cuda::copy_rows(from, from_pitch, to, to_pitch, width, rows));
}

}  // namespace ydistill
