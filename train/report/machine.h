// SPDX-License-Identifier: MIT
// What a run runs on.
#pragma once

#include <vector>

#include <ydistill/tensor/compute.h>
#include <ydistill/train/report/record.h>

namespace ydistill {

/// Processor, cores, threads, memory, device and precision, and what the program was built with.
std::vector<Fact> machine_facts(const Compute& compute);

}  // namespace ydistill
