// SPDX-License-Identifier: MIT
// Sums over the rows of a tensor [.., C], per channel, in chunks of rows that do not depend on the
// number of threads. The hot loops of channel_loops.h compute the sums of each chunk.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ydistill/tensor/shape.h>

namespace ydistill {

struct ChannelChunks {
  int64_t rows, channels, rows_per_chunk;
  int64_t count() const { return (rows + rows_per_chunk - 1) / rows_per_chunk; }
};

inline ChannelChunks channel_chunks(const Shape& shape) {
  const int64_t channels = shape[-1];
  const int64_t rows = channels > 0 ? shape.numel() / channels : 0;
  // About 32 thousand elements per chunk: enough to amortise its partial sums, and small enough
  // that a small map has a chunk for every thread.
  constexpr int64_t kElements = 1 << 15;
  return {rows, channels, std::max<int64_t>(1, kElements / std::max<int64_t>(1, channels))};
}

/// fill(partial) writes partial[chunk][num_sums][channels]. returns the sums over the chunks, added
/// in order: [num_sums][channels].
template <class Fill>
std::vector<double> sums_of_chunks(const ChannelChunks& chunks, int64_t num_sums, Fill&& fill) {
  const int64_t width = num_sums * chunks.channels;
  std::vector<double> partial(size_t(chunks.count() * width));
  fill(partial.data());
  std::vector<double> sums(size_t(width), 0.0);
  for (int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
    const double* from = partial.data() + chunk * width;
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += from[i];
  }
  return sums;
}

}  // namespace ydistill
