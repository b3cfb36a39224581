// SPDX-License-Identifier: MIT
// Memory of a GPU: what tensor.cpp and arena.cpp need, without any CUDA header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <ydistill/tensor/arena.h>

namespace ydistill::cuda {

/// Bytes of GPU memory that this process holds through the functions below, and their maximum so
/// far: parameters, working copies, arenas as far as they were used. Without the CUDA context and
/// what the libraries keep for themselves.
int64_t allocated_bytes();
int64_t peak_allocated_bytes();
/// For the functions below: `delta` more bytes are held.
void count_allocated(int64_t delta);

/// Bytes the device could still give. throws DeviceError.
int64_t available_memory(int index);

/// An address range into which physical memory is mapped as it is committed (CUDA's virtual memory
/// management), so that an arena grows without moving. throws DeviceError, OutOfMemoryError.
std::unique_ptr<AddressRange> reserve_addresses(int index, int64_t nbytes);

/// A block outside any arena. throws DeviceError, OutOfMemoryError naming the free memory.
std::shared_ptr<Storage> allocate_block(int index, int64_t nbytes);

/// Copies in the order of the thread's stream; a copy from or to the CPU is waited for.
void copy(void* to, Device to_device, const void* from, Device from_device, int64_t nbytes);
/// Zeroes, in the order of the thread's stream.
void zero(void* data, Device device, int64_t nbytes);

}  // namespace ydistill::cuda
