// SPDX-License-Identifier: MIT
// A loop on all threads whose iterations may throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

#include <ydistill/tensor/parallel.h>

namespace ydistill::tools {

/// Calls work(i) for every i below n, on all threads; then rethrows the error of the lowest i.
template <class Work>
void for_all(size_t n, Work&& work) {
  std::vector<std::exception_ptr> problems(n);
  parallel_for(int64_t(n), 1, [&](int64_t i) {
    try {
      work(size_t(i));
    } catch (...) {
      problems[size_t(i)] = std::current_exception();
    }
  });
  for (const std::exception_ptr& problem : problems) {
    if (problem) std::rethrow_exception(problem);
  }
}

}  // namespace ydistill::tools
