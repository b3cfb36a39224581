// SPDX-License-Identifier: MIT
// Sums between GPUs, by NCCL. Not for users: Exchange::connect() is.
#pragma once

#include <memory>

#include <ydistill/train/exchange.h>

namespace ydistill::cuda {

/// One communicator over the processes of the exchange, each with its own GPU: `device`, which is
/// the thread's current one. Its calls go to the thread's stream; the host never waits. throws
/// LibraryError, in all processes as Exchange::together does.
std::unique_ptr<GpuExchange> connect_gpus(Exchange& exchange, Device device);

}  // namespace ydistill::cuda
