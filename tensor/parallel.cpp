// SPDX-License-Identifier: MIT
#include <ydistill/tensor/parallel.h>

#include <ydistill/tensor/error.h>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace ydistill {

#ifdef _OPENMP

int num_threads() {
  return omp_get_max_threads();
}

void set_num_threads(int n) {
  if (n < 1) throw ValueError("threads: must be at least 1, got {}", n);
  omp_set_num_threads(n);
}

namespace detail {
void run_chunks(int64_t num_chunks, void* context, RangeBody body) {
  if (omp_in_parallel() || omp_get_max_threads() == 1) {
    for (int64_t i = 0; i < num_chunks; ++i) body(context, i);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < num_chunks; ++i) body(context, i);
}
}  // namespace detail

#else

int num_threads() {
  return 1;
}

void set_num_threads(int n) {
  if (n != 1) throw ValueError("threads: this build has no OpenMP, only 1 thread, got {}", n);
}

namespace detail {
void run_chunks(int64_t num_chunks, void* context, RangeBody body) {
  for (int64_t i = 0; i < num_chunks; ++i) body(context, i);
}
}  // namespace detail

#endif

}  // namespace ydistill
