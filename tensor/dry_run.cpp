// SPDX-License-Identifier: MIT
#include <ydistill/tensor/dry_run.h>

#include <utility>

namespace ydistill {

constinit thread_local DryRun* DryRun::current_ = nullptr;

DryRun::DryRun() : outer_(std::exchange(current_, this)) {}

DryRun::~DryRun() {
  current_ = outer_;
}

}  // namespace ydistill
