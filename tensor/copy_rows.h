// SPDX-License-Identifier: MIT
// Copies rows between tensors with different row lengths.
#pragma once

#include <cstddef>
#include <cstdint>

#include <ydistill/tensor/device.h>

namespace ydistill {

/// width, from_pitch, to_pitch: bytes; width at most either pitch. Both addresses on `device`.
void copy_rows(Device device, const std::byte* from, int64_t from_pitch, std::byte* to,
               int64_t to_pitch, int64_t width, int64_t rows);

namespace cuda {
void copy_rows(const std::byte* from, int64_t from_pitch, std::byte* to, int64_t to_pitch,
               int64_t width, int64_t rows);
}

}  // namespace ydistill
