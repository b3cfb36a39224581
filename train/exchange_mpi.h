// SPDX-License-Identifier: MIT
// Processes connected by MPI. Not for users: join_processes() is.
#pragma once

#include <memory>

#include <ydistill/train/exchange.h>

namespace ydistill {

/// Null if no MPI launcher started this process. throws LibraryError.
std::unique_ptr<Exchange> join_mpi();

}  // namespace ydistill
