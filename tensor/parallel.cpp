// SPDX-License-Identifier: MIT
#include <ydistill/tensor/parallel.h>

#include <exception>

#include <ydistill/tensor/error.h>

#ifdef _OPENMP
#include <omp.h>
#include <pthread.h>
#endif

namespace ydistill {

#ifdef _OPENMP

namespace {

thread_local int threads_before_fork = 0;  // the child goes on in the thread that forked

/// The threads of OpenMP's pool do not exist in a child process, where the next loop would wait for
/// them forever. They are ended before fork(), and begin again, in both, with the next loop.
[[maybe_unused]] const bool is_safe_to_fork = [] {
  const auto before = [] {
    threads_before_fork = omp_get_max_threads();
    (void)omp_pause_resource_all(omp_pause_hard);
  };
  const auto after = [] { omp_set_num_threads(threads_before_fork); };
  return pthread_atfork(before, after, after) == 0;
}();

}  // namespace

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
  // An exception must not leave the parallel region.
  std::exception_ptr failure;
  int64_t failed = num_chunks;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < num_chunks; ++i) {
    try {
      body(context, i);
    } catch (...) {
#pragma omp critical(ydistill_failure)
      if (i < failed) {
        failed = i;
        failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
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
