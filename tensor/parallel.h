// SPDX-License-Identifier: MIT
// Parallel loops over numbers. Our loops and oneDNN use the same OpenMP pool.
#pragma once

#include <algorithm>
#include <cstdint>

#include <ydistill/tensor/dry_run.h>

namespace ydistill {

/// Number of threads that parallel_for uses; initially OpenMP's (OMP_NUM_THREADS or the cores).
int num_threads();
/// throws ValueError unless n >= 1.
void set_num_threads(int n);

namespace detail {
using RangeBody = void (*)(void* context, int64_t chunk);
void run_chunks(int64_t num_chunks, void* context, RangeBody body);
}  // namespace detail

/// Calls body(begin, end) for consecutive ranges that cover [0, n), each at most `grain` long, on
/// all threads. The ranges depend only on n and grain, never on the threads, so a reduction with
/// one partial result per range is deterministic. Runs serially inside another parallel_for. body
/// must not throw. Does nothing in a DryRun.
template <class Body>
void parallel_ranges(int64_t n, int64_t grain, Body&& body) {
  if (n <= 0 || DryRun::is_on()) return;
  grain = std::max<int64_t>(grain, 1);
  if (n <= grain) {
    body(int64_t(0), n);
    return;
  }
  struct Context {
    Body* body;
    int64_t n, grain;
  } context{&body, n, grain};
  detail::run_chunks((n + grain - 1) / grain, &context, [](void* p, int64_t chunk) {
    const Context& c = *static_cast<Context*>(p);
    const int64_t begin = chunk * c.grain;
    (*c.body)(begin, std::min(begin + c.grain, c.n));
  });
}

/// Calls body(i) for every i in [0, n); `grain` of them at a time on one thread.
template <class Body>
void parallel_for(int64_t n, int64_t grain, Body&& body) {
  parallel_ranges(n, grain, [&body](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

}  // namespace ydistill
